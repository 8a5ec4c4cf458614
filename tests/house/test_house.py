"""The rules of the house, as far as a machine can hold them. What a reader has to hold stands in CONTRIBUTING.md."""

import ast
import re
import subprocess
import sys

LONGEST_FUNCTION = 70
"""Lines of one function, docstring included; h11's longest is 64, TigerBeetle's rule says 70."""

LONGEST_MODULE = 600
"""Lines of one module. The aim is 100 to 300; a file past this bound has more than one idea."""

PURE_ROOMS = {"protocols", "policy", "connection", "metrics"}

WORLD = {
    "_socket", "_thread", "asyncio", "concurrent", "fcntl", "httpx2", "importlib", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "random", "secrets", "select", "selectors", "shutil", "signal", "socket",
    "ssl", "starlette", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "uvicorn",
}  # fmt: skip
"""What touches the world: sockets, clocks, tasks, loggers, files, chance."""

WORLDLY_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}

THIN = {
    "src/penstock/metrics/ledger.py": {"mmap", "os"},  # the ledger is shared memory
    "src/penstock/metrics/fold.py": {"mmap", "os"},  # and this is who reads it
}
"""Modules of pure rooms that hold one piece of the world, and which."""

WITHOUT_MIRROR = {
    "src/penstock/base/bounds.py",  # numbers only; those who hold to them test them
    "src/penstock/connection/commands.py",  # types only; every conversation's test speaks them
}
"""Modules that need no test file of their own. An `__init__.py` needs none either: it holds a docstring."""

HEAVY = {
    "anyio", "asyncio", "click", "concurrent", "httpx2", "multiprocessing", "numpy", "opentelemetry",
    "prometheus_client", "pydantic", "rich", "rich_click", "starlette", "structlog", "uvicorn",
}  # fmt: skip
"""What no worker may load; asyncio alone would add 8 MB to the 14 MB of httptools and msgspec."""

REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "yarn" + "pkg.com",
    "crates" + ".io",
    "deb." + "debian.org",
]
"""Written in two halves, so that this file is not its own finding."""

PRIVATE_PATH = re.compile(r"(?<![\w.\-/])/(?:" + "|".join(("work", "home", "root", "Users")) + r")/\w")

LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")


def test_functions_are_short(source, tests):
    """No function is longer than 70 lines."""
    long = [
        f"{module.at(function.lineno)} {function.name}: {lines} lines"
        for module in source + tests
        for function in module.functions()
        if (lines := function.end_lineno - function.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


def test_modules_hold_one_idea(source, texts):
    """No module of the product is longer than 600 lines."""
    long = [f"{m.path}: {lines} lines" for m in source if (lines := texts[m.path].count("\n")) > LONGEST_MODULE]
    assert long == []


def test_modules_say_what_they_are(source, tests):
    """Every module has a docstring."""
    assert [str(module.path) for module in source + tests if not ast.get_docstring(module.tree)] == []


def test_public_names_are_documented(source):
    """Every public function, class and method of the product has a docstring."""
    silent = []
    for module in source:
        silent += [f"{module.at(node.lineno)} {node.name}" for node in _public(module.tree) if not _documented(node)]
    assert silent == []


def _public(parent):
    for node in parent.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _documented(node):
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    return ast.get_docstring(node) is not None or "overload" in decorators or "override" in decorators


def test_tests_state_their_claim(tests):
    """Every test function has a docstring: the claim that it proves."""
    silent = [
        f"{module.at(function.lineno)} {function.name}"
        for module in tests
        for function in module.functions()
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_pure_rooms_touch_no_world(source):
    """Protocols, policy, conversations and metrics import nothing that touches the world, and call nothing either."""
    impure = []
    for module in (module for module in source if module.room in PURE_ROOMS):
        allowed = THIN.get(str(module.path), set())
        for line, name in module.imports():
            if (top := name.partition(".")[0]) in WORLD - allowed:
                impure.append(f"{module.at(line)} imports {top}")
        impure += [f"{module.at(node.lineno)} calls {node.func.id}" for node in _calls(module.tree, WORLDLY_CALLS)]
    assert impure == []


def _calls(tree, names):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def test_every_module_has_its_mirror(source, root):
    """src/penstock/a/b.py is tested by tests/a/test_b.py."""
    alone = []
    for module in source:
        if module.path.name in ("__init__.py", "__main__.py") or str(module.path) in WITHOUT_MIRROR:
            continue
        inside = module.path.relative_to("src/penstock")
        mirror = root / "tests" / inside.with_name(f"test_{inside.name}")
        if not mirror.exists():
            alone.append(f"{module.path} has no {mirror.relative_to(root)}")
    assert alone == []


def test_exceptions_still_stand(root):
    """Every file that the lists of exceptions name exists."""
    assert [name for name in (*WITHOUT_MIRROR, *THIN) if not (root / name).exists()] == []


def test_packages_hold_no_code(source):
    """
    An `__init__.py` introduces its room and does nothing else, so that importing one module loads no other. The
    package's own has a door as well, which loads what is asked for (tests/node/test_embedding.py).
    """
    busy = [
        module.at(node.lineno)
        for module in source
        if module.path.name == "__init__.py" and module.room
        for node in module.tree.body
        if not _is_constant(node)
    ]
    assert busy == []


def _is_constant(node):
    return isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Constant)


def test_no_registry_is_named(texts):
    """No file names a package registry: where packages come from is the installer's business."""
    named = [f"{path}: {host}" for path, text in texts.items() for host in REGISTRIES if host in text.lower()]
    assert named == []


def test_no_private_path(texts):
    """No file holds an absolute path of somebody's machine."""
    assert [f"{path}: {found[0]}" for path, text in texts.items() if (found := PRIVATE_PATH.search(text))] == []


def test_no_lock_file_names_hosts(texts):
    """No lock file holds the addresses that packages were fetched from."""
    locks = {
        path: text
        for path, text in texts.items()
        if ("lock" in path.name and path.suffix != ".py") or path.parts[0] == "requirements"
    }
    assert [str(path) for path, text in locks.items() if '"resolved"' in text or "://" in text] == []


def test_requirements_are_hashed(texts):
    """Every installed package is pinned to a version and to the hashes of its files."""
    pinned = re.compile(
        r"^[a-z0-9][a-z0-9._-]*==[^\s]+( ; [^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", re.M
    )
    lists = {path: text for path, text in texts.items() if path.parts[0] == "requirements" and path.suffix == ".txt"}
    assert len(lists) == 3
    for text in lists.values():
        assert re.sub(r"^#.*\n", "", pinned.sub("", text), flags=re.M) == ""


def test_links_between_pages_lead_somewhere(texts, root):
    """Every link of a Markdown page to a file of the repository finds it."""
    dead = []
    for path, text in texts.items():
        if path.suffix != ".md":
            continue
        for link in (one or other for one, other in LINK.findall(text)):
            target = link.partition("#")[0]
            local = target and "://" not in link and not link.startswith("mailto:")
            if local and not (root / path.parent / target).exists():
                dead.append(f"{path}: {link}")
    assert dead == []


def test_sources_named_in_docstrings_exist(texts, root):
    """A docstring that gives `docs/...` as its source names a page that exists."""
    dead = [
        f"{path}: {page}"
        for path, text in texts.items()
        if path.suffix == ".py"
        for page in re.findall(r"\bdocs/[\w/.-]+\.md\b", text)
        if not (root / page).exists()
    ]
    assert dead == []


def test_a_worker_loads_nothing_heavy():
    """A worker has loaded no web server, validator, array library, terminal library or event loop but its own."""
    code = "import sys, penstock.dataplane.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert {name.partition(".")[0] for name in loaded.stdout.split()} & HEAVY == set()
