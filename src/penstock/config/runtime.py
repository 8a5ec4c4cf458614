"""Where running nodes are found: a Unix socket for each, in a directory that belongs to whoever runs it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from penstock.base.errors import StartError

SUFFIX = ".sock"


def runtime_dir(environ: Mapping[str, str] | None = None) -> Path:
    """
    Return the directory of the nodes' sockets.

    It is `$PENSTOCK_RUNTIME_DIR`, or else /run/penstock for root, `$XDG_RUNTIME_DIR/penstock`, or /tmp/penstock-UID.

    Args:
        environ: The environment; None for this process's own.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get("PENSTOCK_RUNTIME_DIR"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/run/penstock")
    if session := environ.get("XDG_RUNTIME_DIR"):
        return Path(session, "penstock").absolute()
    return Path(f"/tmp/penstock-{os.geteuid()}")  # noqa: S108 - `prepare` refuses a directory that somebody else made


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """
    Return the directory of what outlives a restart: /var/lib/penstock for root, else the XDG state directory.

    Args:
        environ: The environment; None for this process's own.
    """
    environ = os.environ if environ is None else environ
    if base := environ.get("XDG_STATE_HOME"):
        return Path(base, "penstock").absolute()
    home = environ.get("HOME")
    if os.geteuid() == 0 or not home:
        return Path("/var/lib/penstock")
    return Path(home, ".local", "state", "penstock").absolute()


def socket_path(name: str, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the node of this name has its socket."""
    return runtime_dir(environ) / f"{name}{SUFFIX}"


def prepare(directory: Path) -> None:
    """
    Make the directory of the sockets, for its owner alone.

    Args:
        directory: What `runtime_dir` returned.

    Raises:
        StartError: If it cannot be made, or if somebody else owns it or may write to it: they could pose as the node.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise StartError(f"{directory}: {(error.strerror or str(error)).lower()}; set PENSTOCK_RUNTIME_DIR") from error
    if not _is_ours(status):
        raise StartError(f"{directory}: belongs to somebody else, or others may write to it; set PENSTOCK_RUNTIME_DIR")


def sockets(environ: Mapping[str, str] | None = None) -> list[Path]:
    """
    Return the sockets of nodes in the runtime directory, by name. One whose node has died may be among them.

    Args:
        environ: The environment; None for this process's own.
    """
    directory = runtime_dir(environ)
    try:
        if not _is_ours(directory.lstat()):
            return []
        return sorted(path for path in directory.iterdir() if path.suffix == SUFFIX and _is_socket(path))
    except OSError:
        return []


def _is_ours(status: os.stat_result) -> bool:
    owned = status.st_uid in (os.geteuid(), 0)
    return stat.S_ISDIR(status.st_mode) and owned and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
