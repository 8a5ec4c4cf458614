"""Which node a command talks to: the one that runs, or the one that was named."""

import socket
from pathlib import Path

from penstock.cli.exits import CommandError, Exit
from penstock.config import runtime

CONNECT_SECONDS = 1.0
"""A Unix socket that listens takes a connection at once; a full backlog means a node that is stuck."""

START_HINT = "start one with `penstock run`, `penstock tcp`, `penstock http`, `penstock socks5` or `penstock demo`"


def find_node(wanted: str | None) -> str:
    """
    Return the path of a node's socket.

    Args:
        wanted: A node's name, or a path of a socket (anything with a slash); None for the only node that runs.

    Raises:
        CommandError: With 69 if no such node runs, with 2 if several run and none was named.
    """
    if wanted and "/" in wanted:
        return _checked(Path(wanted), f"no node answers at {wanted}")
    if wanted:
        others = f"; running: {', '.join(names)}" if (names := _names(alive())) else f"; {START_HINT}"
        return _checked(runtime.socket_path(wanted), f"no node called {wanted!r} runs{others}")
    found = alive()
    if not found:
        raise CommandError(f"no node runs; {START_HINT}", Exit.UNREACHABLE)
    if len(found) > 1:
        raise CommandError(f"several nodes run; choose one with --node: {', '.join(_names(found))}", Exit.USAGE)
    return str(found[0])


def alive() -> list[Path]:
    """Return the sockets of nodes that run; a socket whose node has died takes no connection."""
    return [path for path in runtime.sockets() if is_alive(str(path))]


def is_alive(path: str) -> bool:
    """Return whether a node listens at this path."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(path)
        except PermissionError as error:
            raise CommandError(
                f"{path}: permission denied; the node belongs to another user", Exit.PRIVILEGE
            ) from error
        except OSError:
            return False
    return True


def _checked(path: Path, otherwise: str) -> str:
    if not is_alive(str(path)):
        raise CommandError(otherwise, Exit.UNREACHABLE)
    return str(path)


def _names(paths: list[Path]) -> list[str]:
    return [path.name.removesuffix(runtime.SUFFIX) for path in paths]
