"""The door of this room: one file, locked, written by one thread, read by any."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TypeVar

from penstock.base.clock import Clock
from penstock.base.errors import PenstockError, StartError
from penstock.store.checkpoint import Checkpoint
from penstock.store.file import Opened, connect, glimpse, is_corrupt, is_trouble, open_file, refuse_odd, set_aside, what
from penstock.store.lock import FileLock, TakenError
from penstock.store.schema import ForeignError, NewerError, brought_up, identify
from penstock.store.tables import RowError
from penstock.store.writer import Notice, Writer

CLOSE_S = 5.0
"""How long an ending node waits for its disk; unit s."""

UNREADABLE = (sqlite3.Error, OSError, NewerError, ForeignError, UnicodeDecodeError)
"""What a file that is out of reach, or not as it should be, may raise; messages of SQLite may quote its bytes."""

Answer = TypeVar("Answer")


class UnreachableError(PenstockError):
    """The file can be neither written nor read for now."""


class Store:
    """
    What outlives a restart.

    Args:
        path: The SQLite file; a lock lies beside it.
        clock: Gives the time.
        tell: Called with what an operator should know, from any thread.
    """

    def __init__(self, path: Path, clock: Clock, tell: Callable[[Notice], None]) -> None:
        self.path = path.absolute()
        self._clock, self._tell = clock, tell
        self._opening = Lock()
        self._lock: FileLock | None = None
        self._writer: Writer | None = None
        self._readable = self._ours = False

    @property
    def is_open(self) -> bool:
        """Return whether checkpoints may be submitted."""
        return self._writer is not None

    def open(self) -> None:
        """
        Open the file, or make it. Where it can be read and not written, checkpoints wait. Blocks for seconds at most.

        Raises:
            StartError: If it is another node's, of a newer version, or none of ours.
            UnreachableError: If it cannot even be read; a later call may succeed.
        """
        with self._opening:
            if self._writer is None:
                self._begin()

    def _begin(self) -> None:
        try:
            self._take_lock()
            opened: sqlite3.Connection | None = self._open(damaged=False).connection
        except (OSError, sqlite3.Error) as error:
            self._look(error)
            opened = None
        self._readable = True
        self._writer = Writer(opened, lambda damaged: self._open(damaged=damaged), self._tell, self._clock)

    def submit(self, checkpoint: Checkpoint) -> None:
        """Have it written soon. Returns at once; dropped if the store is not open."""
        if self._writer is not None:
            self._writer.submit(checkpoint)

    def settle(self, seconds: float) -> bool:
        """Wait until all that was submitted was written or could not be; returns whether nothing waits."""
        return self._writer is None or self._writer.settle(seconds)

    def read(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """
        Return what `ask` reads from a connection that cannot write. Blocks; for a thread.

        Raises:
            UnreachableError: If the file cannot be read.
            RowError: If it holds what was never written.
        """
        if not self._readable:
            raise UnreachableError(f"{self.path}: not open")
        try:
            with closing(self._reader()) as connection:
                return ask(connection)
        except UNREADABLE as error:
            if is_corrupt(error) or isinstance(error, UnicodeDecodeError):
                raise RowError(what(error)) from error
            raise UnreachableError(f"{self.path}: {what(error)}") from error

    def close(self, seconds: float = CLOSE_S) -> bool:
        """Write what waits and let go of the file; returns whether all was written. Blocks, at most so long."""
        if not self._opening.acquire(timeout=seconds):
            return False  # a disk that does not even answer
        try:
            written = self._writer is None or self._writer.close(seconds)
            self._writer, self._readable = None, False
            if self._lock is not None:
                self._lock.close()
                self._lock = None
        finally:
            self._opening.release()
        return written

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        refuse_odd(self.path)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock = FileLock(Path(f"{self.path}.lock"))
        except TakenError as error:
            line = f"{self.path}: is {error}; give this node another node.name or store.path"
            raise StartError(line) from error
        self._ours = self._lock.found

    def _open(self, *, damaged: bool) -> Opened:
        self._take_lock()
        wall = self._clock.wall_ns()
        if damaged:
            self._tell_aside(set_aside(self.path, wall), "it was found while it was written")
        opened = open_file(self.path, ours=self._ours, wall_ns=wall)
        self._ours = True
        if opened.aside is not None:
            self._tell_aside(opened.aside, opened.why)
        return opened

    def _tell_aside(self, aside: Path, why: str) -> None:
        event = "store was damaged: it was set aside, and a fresh one begun"
        self._tell(Notice("error", event, f"{aside}: {why}"))

    def _look(self, error: Exception) -> None:
        """See whether a file that cannot be written can be read."""
        if not is_trouble(error):
            raise UnreachableError(f"{self.path}: {what(error)}") from error
        try:
            glimpse(self.path).close()
        except UNREADABLE:
            raise UnreachableError(f"{self.path}: {what(error)}") from error
        self._tell(Notice("warning", "store cannot be written: what is to be kept waits in memory", what(error)))

    def _reader(self) -> sqlite3.Connection:
        try:
            connection = connect(self.path, "ro")
            identify(connection)
        except sqlite3.Error:
            connection = glimpse(self.path)
        return brought_up(connection)
