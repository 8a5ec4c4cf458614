"""Whose connections were refused or failed, and how: counted by client and outcome, however many there were."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class Troubled(NamedTuple):
    """
    Connections that ended badly; each client and outcome once, all shapes (n,).

    Args:
        high, low: Halves of the client's packed address; both 0 for a client without one.
        outcomes: Ledger words of how they ended.
        counts: How many did, 1 or more.
    """

    high: Words
    low: Words
    outcomes: Words
    counts: Numbers


_NONE = np.zeros(0, np.uint64)
NOBODY = Troubled(_NONE, _NONE, _NONE, np.zeros(0, np.int64))


def troubled(high: Words, low: Words, outcomes: Words, counts: Numbers | None = None) -> Troubled:
    """
    Count what is there more than once.

    Args:
        high, low, outcomes: As of `Troubled`, in any order.
        counts: How often each is there; None for once.

    Cost: O(n log n); 0.2 us each of 50,000.
    """
    if not len(high):
        return NOBODY
    order = np.lexsort((outcomes, low, high))  # a hash would be faster, and clients could choose colliding addresses
    columns = [column[order] for column in (high, low, outcomes)]
    fresh = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    begins = np.concatenate((np.zeros(1, np.intp), np.flatnonzero(fresh) + 1))
    sums = np.diff(begins, append=len(order)) if counts is None else np.add.reduceat(counts[order], begins)
    high, low, outcomes = (column[begins] for column in columns)
    return Troubled(high, low, outcomes, sums.astype(np.int64))


def together(several: list[Troubled]) -> Troubled:
    """Return those of several workers as one."""
    if len(several) == 1:
        return several[0]
    return troubled(*(np.concatenate(column) for column in zip(*several, strict=True))) if several else NOBODY
