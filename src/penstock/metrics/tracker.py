"""
Trackers: what the node, each listener, route and target did, by the second for an hour and by the minute for a day.

Two paces in fixed memory are those of RRDtool's round-robin archives.
Source: docs/decisions/0007-covered-time.md.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.metrics.fold import ASKED, BYTES_IN, BYTES_OUT, OPENED, Numbers
from penstock.metrics.rings import History, Ring, View
from penstock.metrics.scopes import Scopes

NODE = "node"
"""The key of all traffic together."""

SECONDS = 3_600
"""Samples of one second: an hour of them."""

MINUTES = 1_440
"""Samples of one minute: a day of them."""

MINUTE = 60

TRACKED = 1_024
"""Keys with a tracker at most: 83 KB each and 85 MB in all, once an hour and a day have filled them. The node,
listeners and routes come first; what is beyond it has totals, but no windows and no history."""

COLUMNS = (BYTES_IN, BYTES_OUT, ASKED, OPENED)
"""What of a table of growth is tracked, in this order."""

WINDOWS = {"instant": 1, "recent": 10, "average": 60}
"""Windows that have a name; unit s."""


class Rates(Struct, frozen=True):
    """
    What happened per second over a window.

    Args:
        bytes_in, bytes_out: Client to proxy, proxy to client; unit bytes/s.
        requests: HTTP exchanges, SOCKS commands and dialed TCP connections; unit 1/s.
        connections: Accepted; unit 1/s.
        covered: How much time the samples cover; unit s. Less than the window while the node is young.
    """

    bytes_in: float
    bytes_out: float
    requests: float
    connections: float
    covered: float


class Series(NamedTuple):
    """
    All trackers at one tick.

    Args:
        slots: Which key of the rings each name is; never changes.
        seconds, minutes: The rings.
    """

    slots: dict[str, int]
    seconds: View
    minutes: View

    def rates(self, key: str, seconds: float) -> Rates:
        """
        Return what a key did per second.

        Args:
            key: `node`, `listener:NAME`, `route:NAME` or `target:HOST:PORT`.
            seconds: Length of the window; unit s. Above an hour the minutes of the last day answer.

        Raises:
            KeyError: If the key has no tracker.
        """
        view = self.seconds if seconds <= SECONDS else self.minutes
        window = view.window(seconds, self.slots[key])
        bytes_in, bytes_out, requests, connections = window.rates().tolist()
        return Rates(bytes_in, bytes_out, requests, connections, window.covered)

    def history(self, key: str, seconds: int) -> tuple[int, History]:
        """
        Return the length of a step and the graph of a key; by the second up to an hour, by the minute beyond it.

        Args:
            key: As for `rates`.
            seconds: How far to look back; unit s.

        Raises:
            KeyError: If the key has no tracker.
        """
        if seconds <= SECONDS:
            return 1, self.seconds.history(seconds, self.slots[key])
        return MINUTE, self.minutes.history(-(-seconds // MINUTE), self.slots[key], MINUTE)


class Trackers:
    """
    Full trackers, of everything that a plan names.

    Args:
        scopes: Listeners, their routes, and targets.
        limit: How many keys at most, 1 or more.

    Attributes:
        left_out: Names that got no tracker.
    """

    def __init__(self, scopes: Scopes, limit: int = TRACKED) -> None:
        names = _names(scopes)
        self.left_out = len(names) - len(names[:limit])
        self._slots = {name: slot for slot, name in enumerate(names[:limit])}
        self._listeners = self._pairs((s.id, f"listener:{s.name}") for s in scopes.listeners.values())
        self._routes = self._pairs((s.id, f"route:{s.name}") for s in scopes.routes.values())
        self._targets = self._pairs((s.id, f"target:{s.address}") for s in scopes.targets.values())
        self._seconds = Ring(SECONDS, len(self._slots), len(COLUMNS))
        self._minutes = Ring(MINUTES, len(self._slots), len(COLUMNS))
        self._minute = 0
        self._growth: Numbers = np.zeros((len(self._slots), len(COLUMNS)), np.int64)
        self._sealed: Numbers = self._growth.copy()
        self._covered = 0.0

    @property
    def nbytes(self) -> int:
        """Return the memory of the rings once they are full; unit bytes."""
        return self._seconds.nbytes + self._minutes.nbytes

    def push(self, listeners: Numbers, routes: Numbers, targets: Numbers, at: int, covered: float) -> None:
        """
        Add a tick.

        Args:
            listeners, routes, targets: Growth since the last one by id; shape (fold.COLUMNS, any number of ids).
            at: The wall second of the tick; unit s since the epoch.
            covered: Time since the last one; unit s, above 0.
        """
        sample = np.zeros_like(self._growth)
        sample[0] = listeners.sum(axis=1)[list(COLUMNS)]
        _add(sample, listeners, *self._listeners)
        _add(sample, routes, *self._routes)
        _add(sample, targets, *self._targets)
        self._seconds.push(sample, at, covered)
        minute = (at - 1) // MINUTE  # the sample that ends a minute belongs to it
        if minute != self._minute and self._covered:
            self._minutes.push(self._growth, (self._minute + 1) * MINUTE, self._covered)
            self._sealed += self._growth
            self._growth[:], self._covered = 0, 0.0
        self._minute = minute
        self._growth += sample
        self._covered += covered

    def sums(self) -> dict[str, int]:
        """Return what all minutes of the node add up to, the open one among them; exact, where rings are rounded."""
        bytes_in, bytes_out, requests, connections = (self._sealed[0] + self._growth[0]).tolist()
        return {"bytes_in": bytes_in, "bytes_out": bytes_out, "connections": connections, "requests": requests}

    def series(self) -> Series:
        """Return all trackers as they are now."""
        return Series(self._slots, self._seconds.view(), self._minutes.view())

    def _pairs(self, names: Iterable[tuple[int, str]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        found = [(scope, self._slots[name]) for scope, name in names if name in self._slots]
        pairs = np.array(found, np.intp).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]


def _names(scopes: Scopes) -> list[str]:
    """Return every name once: the node, listeners, routes, targets."""
    listeners = [f"listener:{scope.name}" for scope in scopes.listeners.values()]
    routes = [f"route:{scope.name}" for scope in scopes.routes.values()]
    targets = [f"target:{scope.address}" for scope in scopes.targets.values()]
    return list(dict.fromkeys([NODE, *listeners, *routes, *targets]))


def _add(sample: Numbers, growth: Numbers, ids: NDArray[np.intp], slots: NDArray[np.intp]) -> None:
    seen = ids < growth.shape[1]
    np.add.at(sample, slots[seen], growth[list(COLUMNS)][:, ids[seen]].T)
