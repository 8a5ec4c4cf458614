"""
The one thread that writes. What cannot be written for now waits, merged into one checkpoint, and is tried again with
the next one; so a disk that is full for a day costs the memory of one checkpoint.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread
from typing import NamedTuple

from penstock.base.clock import NS, Clock
from penstock.base.errors import StartError
from penstock.store.checkpoint import Checkpoint, merge, write
from penstock.store.file import Opened, is_corrupt, is_trouble, what

TELL_NS = 60 * NS
"""Between two words about one trouble that lasts."""


class Notice(NamedTuple):
    """
    Something that an operator should know.

    Args:
        level: info, warning or error.
        event: What happened.
        detail: More of it.
    """

    level: str
    event: str
    detail: str


class Writer:
    """
    Writes checkpoints, until it is closed.

    Args:
        opened: The file, if it could be opened for writing.
        reopen: Opens it; after damage it gets True and sets the file aside first. Raises as `file.open_file`.
        tell: Called with what an operator should know, from the thread.
        clock: Gives the time.
    """

    def __init__(
        self,
        opened: sqlite3.Connection | None,
        reopen: Callable[[bool], Opened],
        tell: Callable[[Notice], None],
        clock: Clock,
    ) -> None:
        self._connection, self._reopen, self._tell, self._clock = opened, reopen, tell, clock
        self._changed = Condition()
        self._pending: Checkpoint | None = None
        self._fresh = self._closing = self._busy = False
        self._told_ns: int | None = None
        self._failing = opened is None
        self._thread = Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def submit(self, checkpoint: Checkpoint) -> None:
        """Have it written soon. Returns at once."""
        with self._changed:
            self._pending = merge(self._pending, checkpoint) if self._pending else checkpoint
            self._fresh = True
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until everything was written or could not be, at most so long; returns whether nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._fresh or self._busy), seconds)
            return self._pending is None and not self._busy

    def close(self, seconds: float) -> bool:
        """Write what waits, close the file, and return whether all was written; at most so long."""
        with self._changed:
            self._closing = self._fresh = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive() and self._pending is None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._fresh)
                work, self._pending, self._fresh = self._pending, None, False
                closing, self._busy = self._closing, True
            left = self._try(work) if work is not None else None
            with self._changed:
                if left is not None:
                    self._pending = merge(left, self._pending) if self._pending else left
                self._busy = False
                self._changed.notify_all()
            if closing:
                break
        self._let_go()

    def _try(self, work: Checkpoint) -> Checkpoint | None:
        """Write it; return what is left to be tried again."""
        try:
            self._write(work)
        except StartError as error:  # another file stands in its place by now
            self._fail(str(error))
            return work
        except Exception as error:
            if is_trouble(error):
                self._let_go()
                self._fail(what(error))
                return work
            self._tell(Notice("error", "store: a checkpoint was given up", repr(error)))  # it would fail for ever
            return None
        if self._failing:
            self._failing, self._told_ns = False, None
            self._tell(Notice("info", "store works again", "all that waited was written"))
        return None

    def _write(self, work: Checkpoint) -> None:
        try:
            write(self._open(damaged=False), work)
        except sqlite3.Error as error:
            if not is_corrupt(error):
                raise
            self._let_go()
            write(self._open(damaged=True), work)

    def _open(self, *, damaged: bool) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._reopen(damaged).connection
        return self._connection

    def _fail(self, why: str) -> None:
        self._failing, now = True, self._clock.monotonic_ns()
        if self._told_ns is None or now - self._told_ns >= TELL_NS:
            self._told_ns = now
            self._tell(Notice("warning", "store cannot be written: what is to be kept waits in memory", why))

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
