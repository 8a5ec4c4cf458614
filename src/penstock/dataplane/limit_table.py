"""
The limit table: shared memory in which all workers of a node count together what limits are about.

A file of 8-byte words. The header holds the global count: a column of one word for each worker's seat, so that each
word has one writer. The sum of a row of columns is what all workers have open.
"""

import mmap
import os

SEATS = 256
"""Columns of the header; as many as a node has workers at most (bounds.WORKERS)."""

HEADER_WORDS = 1_024
GLOBAL = 256
"""First of the SEATS words of the header that hold the open connections of each worker."""

SIZE = HEADER_WORDS * 8


def create(name: str = "penstock-limits") -> int:
    """Return the descriptor of a new table in anonymous memory; it lives until its last holder closes it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE)
    return fd


class LimitTable:
    """
    One holder's view of it.

    Args:
        fd: Descriptor of a table, which stays open with its owner; -1 for a table of one's own.
        seat: The worker's number: which column it writes.
    """

    __slots__ = ("_map", "seat", "words")

    def __init__(self, fd: int = -1, seat: int = 0) -> None:
        self._map = mmap.mmap(fd, SIZE)
        self.words = memoryview(self._map).cast("q")
        self.seat = seat

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        self.words.release()
        self._map.close()
