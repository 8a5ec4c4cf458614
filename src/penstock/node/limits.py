"""The supervisor's side of the limit table: it is made here, a dead worker's columns are emptied, and it is read."""

import mmap
import os

import numpy as np
from numpy.typing import NDArray

from penstock.dataplane import limit_table
from penstock.dataplane.limit_table import COLUMNS, GLOBAL, HEADER_WORDS, LimitTable, slot_words

Words = NDArray[np.int64]


class Limits:
    """
    What all workers of a node count together.

    Args:
        workers: Processes that count in it; 0 for one thread.

    Attributes:
        fd: Descriptor of the table, for workers.
        table: A view of it that only looks.
    """

    def __init__(self, workers: int) -> None:
        self._seats = max(1, workers)
        self.fd = limit_table.create(self._seats)
        self.table = LimitTable(self.fd)
        self._map = mmap.mmap(self.fd, os.fstat(self.fd).st_size)
        words: Words = np.frombuffer(self._map, np.int64)
        self._header = words[:HEADER_WORDS]
        self._slots = words[HEADER_WORDS:].reshape(-1, slot_words(self._seats))

    def forget(self, seat: int) -> None:
        """
        Give back what a dead worker had open; called before its seat has an heir.

        Its rates stay: what it let in has come in, and counts until its window is over.
        """
        self._header[GLOBAL + seat] = 0
        column = self._slots[:, COLUMNS + seat]
        column[column != 0] = 0  # a page that nobody has written takes no memory

    def close(self) -> None:
        """Let go of the table; workers that still live keep theirs."""
        self.table.close()
        os.close(self.fd)
