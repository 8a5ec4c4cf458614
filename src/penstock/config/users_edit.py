"""Changes of a users file: under a lock, whole or not at all, for whoever may read it; and which file is meant."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from penstock.base.errors import ConfigurationError
from penstock.config.files import find, read, read_bounded
from penstock.config.load import ETC
from penstock.config.replacing import replace_file
from penstock.config.users_file import FILE_BYTES


def change(path: Path, how: Callable[[bytes], bytes]) -> bool:
    """
    Replace what a file holds, and return whether anything differs.

    Two that change it at once do so one after the other. A file that is new is for our eyes alone; another one keeps
    its owner and its mode. Whoever opens it finds all of the old or all of the new content, after a crash too.

    Args:
        path: Where it lies, or a link to it; it may be missing, its folder may not.
        how: Returns the new content for the old one, empty where there is no file; what it raises changes nothing.

    Raises:
        OSError: If it cannot be read or written; it is then as it was.
        ValueError: If it is no regular file, or too long.
    """
    path = path.resolve()
    with _locked(path.parent):
        try:
            before, status = read_bounded(path, FILE_BYTES), path.stat()
        except FileNotFoundError:
            before, status = b"", None
        after = how(before)
        if after == before:
            return False
        replace_file(path, after, status)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: the file itself is another one after each change, and a lock's own file would stay."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def the_only_file(config: str | None, environ: Mapping[str, str], cwd: Path = Path(), etc: Path = ETC) -> Path:
    """
    Return the users file that a configuration names. It need not be there yet, and all else may be wrong.

    Args:
        config, environ, cwd, etc: As of `files.find`.

    Raises:
        ConfigurationError: If it names none or several, cannot be read, or is no TOML.
    """
    paths = find(config, environ, cwd, etc)
    found: dict[Path, None] = {}
    for file in map(read, paths):
        for section in ("listener", "route"):
            items = file.tree.get(section)
            for item in items if isinstance(items, list) else ():
                name = item.get("users_file") if isinstance(item, dict) else None
                if isinstance(name, str) and name:
                    found[file.folder / name] = None
    if len(found) != 1:
        many = "names no users_file" if not found else f"names {len(found)} of them"
        raise ConfigurationError([f"which users file? {paths[0]} {many}; give one with --file FILE"])
    return next(iter(found))
