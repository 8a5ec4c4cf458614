"""
Reading the tallies of a worker: what grew since the last reading.

A word is read once and whole; growth is a difference of words, and never below zero. A slot is read whole only if one
of the words that are written last has changed, or if its worker is dead: so an idle node's tick looks at two words of
each.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.ledger import ROUTE_SHIFT
from penstock.metrics.tallies import BUCKET_COUNT, BUCKETS, CHANGED, CODES, KEY, SLOT_WORDS, SLOTS, SUM

Values = NDArray[np.int64]

_SIGNS = [CHANGED, SUM]
"""Words that are written last."""


class Tallied(NamedTuple):
    """
    Requests that are over.

    Args:
        pairs: Ids of listener and route of each of n slots that changed; 0 for both is everybody else.
        codes: How many by status code, 0 for none; shape (n, CODES).
        buckets: How many by bucket of their duration; shape (n, BUCKET_COUNT).
        sums: All durations together; unit ns; shape (n,).
    """

    pairs: list[tuple[int, int]]
    codes: Values
    buckets: Values
    sums: Values


class TallyReader:
    """
    Reads the tallies of one worker.

    Args:
        words: All of them; shape (SLOTS * SLOT_WORDS,).

    Cost: memory of 24 KB a slot that was ever used, and as much in the ledger.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words.reshape(SLOTS, SLOT_WORDS)
        self._before: Values = np.zeros((SLOTS, SLOT_WORDS), np.int64)

    def export(self, used: int) -> bytes:
        """Return what was read of the slots that are in use, for `resume`."""
        return self._before[: min(used, SLOTS)].tobytes()

    def resume(self, raw: bytes) -> None:
        """Read on where another reader has stopped; raises ValueError for what is not of tallies."""
        found = np.frombuffer(raw, np.int64).reshape(-1, SLOT_WORDS)
        if len(found) > SLOTS:
            raise ValueError("more slots than there are")
        self._before[: len(found)] = found

    def fold(self, used: int, *, dead: bool = False) -> Tallied:
        """
        Return what grew since the last reading.

        Args:
            used: How many slots are in use.
            dead: Whether the worker is no more; then every slot is read.
        """
        used = min(used, SLOTS)
        signs = self._words[:used, _SIGNS].view(np.int64)
        changed = np.flatnonzero(dead | (signs != self._before[:used, _SIGNS]).any(axis=1))
        before = self._before[changed]
        now = np.maximum(before, self._words[changed].view(np.int64))
        self._before[changed] = now
        keys = now[:, KEY].tolist()
        growth = now - before
        codes = growth[:, :CODES].copy()
        codes[:, [KEY, SUM, CHANGED]] = 0
        return Tallied(
            pairs=[(key & 0xFFFF, key >> ROUTE_SHIFT & 0xFFFF) for key in keys],
            codes=codes,
            buckets=growth[:, BUCKETS : BUCKETS + BUCKET_COUNT],
            sums=growth[:, SUM],
        )
