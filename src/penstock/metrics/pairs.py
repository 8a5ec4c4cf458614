"""
Listeners and their routes, two by two: what each of them together counted in one fold.

A connection counts once, for the first route that it takes, or for none if it ends without one. What it moves and asks
counts for the route that its row names when it is read; 0 stands for none yet. So bytes and requests of all pairs are
those of all listeners at every tick, and connections are but for those that have no route yet.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.ledger import ROUTE_SHIFT

_SHIFT = 16
_DOWN, _LISTENER, _ROUTE = np.uint64(ROUTE_SHIFT - _SHIFT), np.uint64(0xFFFF), np.uint64(0xFFFF << _SHIFT)


class Pairs(NamedTuple):
    """
    What grew by listener and route.

    Args:
        keys: Which pairs; ascending, shape (n,): the listener's id in the low 16 bits, the route's above it.
        table: Growth; shape (growth.COLUMNS, n), each >= 0.
        active: Open connections whose rows name the pair; shape (n,).
    """

    keys: NDArray[np.uint64]
    table: NDArray[np.int64]
    active: NDArray[np.int64]

    def ids(self) -> list[tuple[int, int]]:
        """Return the ids of listener and route of each pair."""
        return [(key & 0xFFFF, key >> _SHIFT) for key in self.keys.tolist()]

    def by_route(self) -> NDArray[np.int64]:
        """Return the growth by route; shape (growth.COLUMNS, highest id + 1)."""
        return self._by((self.keys >> np.uint64(_SHIFT)).astype(np.intp))

    def by_listener(self, opened: NDArray[np.int64]) -> NDArray[np.int64]:
        """
        Return the growth by listener; shape (growth.COLUMNS, highest id + 1).

        Args:
            opened: Connections begun by listener, which are not those of its pairs: some have no route yet; shape (n,).
        """
        table = self._by((self.keys & _LISTENER).astype(np.intp))
        table[0] = 0  # growth.OPENED
        table[0, : len(opened)] = opened
        return table

    def _by(self, ids: NDArray[np.intp]) -> NDArray[np.int64]:
        table = np.zeros((len(self.table), int(ids.max()) + 1 if len(ids) else 1), np.int64)
        np.add.at(table.T, ids, self.table.T)
        return table


class PairIndex:
    """
    Gives the pairs that rows name places of their own: a search among the few that were ever seen, and no sorting.

    Attributes:
        keys: Every pair so far; ascending. As many as listeners that have taken routes, times those routes, at most.
    """

    def __init__(self) -> None:
        self.keys: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def places(self, scopes: NDArray[np.uint64]) -> NDArray[np.intp]:
        """
        Return the place of each row's pair among `keys`; it holds until the next call.

        Args:
            scopes: SCOPE words; shape (n,).
        """
        wanted = scopes & _LISTENER | scopes >> _DOWN & _ROUTE
        found = np.searchsorted(self.keys, wanted)
        if len(wanted) and (not len(self.keys) or (self.keys.take(found, mode="clip") != wanted).any()):
            self.keys = np.union1d(self.keys, wanted)
            found = np.searchsorted(self.keys, wanted)
        return found
