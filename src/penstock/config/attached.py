"""The files that listeners and routes name: where they lie, and what stands in those that are read at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penstock.config.files import read_bounded, why
from penstock.config.http_kinds import BODY_BYTES
from penstock.config.mistakes import Key, Mistake
from penstock.config.model import Config
from penstock.config.table import Table, known
from penstock.config.written import Written

_FILES = {
    "Certificate": ("cert", "key"),
    "ListenerTls": ("client_ca",),
    "TargetTls": ("ca", "cert", "key"),
    "Route": ("body_file",),
}
"""Keys that are paths, by table."""


class Attached(NamedTuple):
    """
    What the files of a configuration come to.

    Args:
        paths: Where each of them lies, by the key that names it; absolute.
        bodies: What stands in the bodies of answers, by the key of the file.
    """

    paths: Mapping[Key, Path] = {}
    bodies: Mapping[Key, str] = {}

    def path(self, key: Key, value: str | None) -> str:
        """Return where the file lies that `value` names at `key`; empty for none."""
        if value is None:
            return ""
        return str(self.paths.get(key, value))


def attach(config: Config, written: Written, mistakes: list[Mistake]) -> Attached:
    """
    Return the files of all listeners and routes.

    Args:
        config: May have holes.
        written: Who wrote each key: a relative path starts beside the file that names it.
        mistakes: Gets one more for each body that cannot be read.
    """
    paths: dict[Key, Path] = {}
    for section in ("listener", "route"):
        items = getattr(config, section)
        for number, item in enumerate(items if known(items) else ()):
            for key, value in _named(item, (section, number)):
                paths[key] = (written.origin(key)[0].folder / value).absolute()
    bodies: dict[Key, str] = {}
    for key, path in paths.items():
        if key[-1] == "body_file":
            _read_body(key, path, bodies, mistakes)
    return Attached(paths, bodies)


def _named(table: Table, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield each path within a table with its key."""
    files = _FILES.get(type(table).__name__, ())
    for name in type(table).model_fields:
        value: Any = getattr(table, name)
        if not known(value) or value is None:
            continue
        if name in files:
            yield (*key, name), value
        elif isinstance(value, Table):
            yield from _named(value, (*key, name))
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, Table):
                    yield from _named(each, (*key, name, number))


def _read_body(key: Key, path: Path, bodies: dict[Key, str], mistakes: list[Mistake]) -> None:
    try:
        bodies[key] = read_bounded(path, BODY_BYTES).decode()
    except UnicodeDecodeError:
        mistakes.append(Mistake(key, "is not UTF-8"))
    except (OSError, ValueError) as error:
        mistakes.append(Mistake(key, why(error)))
