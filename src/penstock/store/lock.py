"""
A lock beside a file: one running node writes it.

The kernel lets go of the lock when its process ends, however it ends. The lock's own file stays: removing it would let
two nodes lock two files of the same name.
"""

import errno
import fcntl
import os
from pathlib import Path

from penstock.base.errors import PenstockError

SIGN = b"penstock"

_LINE = "penstock %10d\n"
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))


class TakenError(PenstockError):
    """
    Another process holds the lock.

    Args:
        pid: Which; 0 if it has not said yet.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"in use by process {pid}" if pid else "in use by another process")
        self.pid = pid


class FileLock:
    """
    A lock that is held from now until `close`.

    Args:
        path: The lock's own file; made if it is not there. On a file system that is read-only it is locked as it is.

    Attributes:
        found: Whether a node has locked it before: what lies beside it is ours.

    Raises:
        TakenError: If another process holds it.
        OSError: If it cannot be made or locked.
    """

    def __init__(self, path: Path) -> None:
        self._fd = _open(path)
        try:
            before = os.pread(self._fd, len(_LINE % 0), 0)
            _lock(self._fd, before)
        except BaseException:
            os.close(self._fd)
            raise
        self.found = before.startswith(SIGN)
        try:
            os.pwrite(self._fd, (_LINE % os.getpid()).encode(), 0)
        except OSError:
            pass  # a full disk: it is locked all the same, and only its owner's number is missing

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise error from None


def _lock(fd: int, before: bytes) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        digits = before.removeprefix(SIGN).strip()
        raise TakenError(int(digits) if digits.isdigit() else 0) from None
