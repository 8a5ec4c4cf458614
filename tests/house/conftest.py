"""What the house tests look at: every Python file as a syntax tree, every other file as text."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "penstock"
TESTS = ROOT / "tests"

GENERATED = {"__pycache__", "node_modules", "build", "dist"}
"""Folders whose content is nobody's writing. Hidden ones are tools' own, but for what is named below."""

HIDDEN = {".ci", ".importlinter", ".gitignore"}


@dataclass(frozen=True)
class Module:
    """
    One Python file.

    Args:
        path: Relative to the root of the repository.
        tree: Its syntax tree.
    """

    path: Path
    tree: ast.Module = field(repr=False)

    @property
    def room(self) -> str:
        """The room of the house that it stands in; empty for the package's own `__init__`."""
        return self.path.parts[2] if len(self.path.parts) > 3 else ""

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Yield every function, methods and inner functions included."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield line and dotted name of everything that it imports, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.lineno, node.module

    def at(self, line: int) -> str:
        """Return where to click."""
        return f"{self.path}:{line}"


def _parse(folder: Path) -> list[Module]:
    files = sorted(path for path in folder.rglob("*.py") if not GENERATED & set(path.parts))
    return [Module(path.relative_to(ROOT), ast.parse(path.read_text(), str(path))) for path in files]


def _texts(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if path.name in GENERATED or (path.name.startswith(".") and path.name not in HIDDEN):
            continue
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from _texts(path)
            continue
        try:
            yield path.relative_to(ROOT), path.read_text()
        except UnicodeDecodeError:
            continue  # an image or an archive


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def source() -> list[Module]:
    """Every module of the product."""
    return _parse(SOURCE)


@pytest.fixture(scope="session")
def tests() -> list[Module]:
    """Every file of tests."""
    return _parse(TESTS)


@pytest.fixture(scope="session")
def texts() -> dict[Path, str]:
    """Every text file of the repository by its path, relative to the root."""
    return dict(_texts(ROOT))
