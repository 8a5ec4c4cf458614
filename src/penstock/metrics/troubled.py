"""Whose connections were refused or failed, and how: counted by client and outcome, however many there were."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.grouping import Words, group

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

    Cost: that of `group`.
    """
    if not len(high):
        return NOBODY
    chosen, place = group(high, low, outcomes)
    sums = np.zeros(len(chosen), np.int64)
    np.add.at(sums, place, 1 if counts is None else counts)
    return Troubled(high[chosen], low[chosen], outcomes[chosen], sums)


def together(several: list[Troubled]) -> Troubled:
    """Return those of several workers as one."""
    if len(several) == 1:
        return several[0]
    return troubled(*(np.concatenate(column) for column in zip(*several, strict=True))) if several else NOBODY
