"""
Trackers: what the node, each listener, route and target did, by the second and by the minute.

An hour of seconds and a day of minutes are 83 KB a tracker; `retention` in the configuration says otherwise. The node,
listeners and routes come first; what is beyond the limit has totals, but no windows and no history.

Two paces in fixed memory are those of RRDtool's round-robin archives.
Source: docs/decisions/0007-covered-time.md.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.config.plan import MetricsPlan
from penstock.metrics.chunks import Chunk, cut, fill
from penstock.metrics.growth import ASKED, BYTES_IN, BYTES_OUT, OPENED, Numbers
from penstock.metrics.rings import History, Ring, View
from penstock.metrics.rollups import Minute, SavedMinute, row
from penstock.metrics.saved import SavedError
from penstock.metrics.scopes import Scopes

NODE = "node"
"""The key of all traffic together."""

MINUTE = 60

COLUMNS = (BYTES_IN, BYTES_OUT, ASKED, OPENED)
"""What of a table of growth is tracked, in this order."""

WAITING = 120
"""Minutes that wait at most; they are taken once an hour or oftener (`store.flush`)."""

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

    @property
    def longest(self) -> int:
        """Return the longest window that samples are kept for; unit s."""
        return max(self.seconds.ring.depth, self.minutes.ring.depth * MINUTE)

    def rates(self, key: str, seconds: float) -> Rates:
        """
        Return what a key did per second.

        Args:
            key: `node`, `listener:NAME`, `route:NAME` or `target:HOST:PORT`.
            seconds: Length of the window; unit s. Where the seconds do not reach so far, the minutes answer.

        Raises:
            KeyError: If the key has no tracker.
        """
        return self.rates_of([key], seconds)[key]

    def rates_of(self, keys: Sequence[str], seconds: float) -> dict[str, Rates]:
        """Return what many keys did per second, in little more time than one; see `rates`."""
        view = self.seconds if seconds <= self.seconds.ring.depth else self.minutes
        window = view.window(seconds, np.array([self.slots[key] for key in keys], np.intp))
        columns = window.rates().T.tolist()
        return dict(zip(keys, map(Rates, *columns, repeat(window.covered)), strict=False))

    def history(self, key: str, seconds: int) -> tuple[int, History]:
        """
        Return the length of a step and the graph of a key; by the second as far as they reach, by the minute beyond.

        Args:
            key: As for `rates`.
            seconds: How far to look back; unit s.

        Raises:
            KeyError: If the key has no tracker.
        """
        if seconds <= self.seconds.ring.depth:
            return 1, self.seconds.history(seconds, self.slots[key])
        return MINUTE, self.minutes.history(-(-seconds // MINUTE), self.slots[key], MINUTE)


class Trackers:
    """
    Full trackers, of everything that a plan names.

    Args:
        scopes: Listeners, their routes, and targets.
        plan: How many there are at most, and how many samples each has. The node has one even at a limit of 0.

    Attributes:
        left_out: Names that got no tracker.
        on: Whether samples are taken; `switch` changes it.
        keeps: Whether minutes wait for somebody to take them.
    """

    def __init__(self, scopes: Scopes, plan: MetricsPlan) -> None:
        self._plan, self.on = plan, True
        self.keeps = False
        self._done: deque[Minute] = deque(maxlen=WAITING)
        self._name(scopes)
        self._begin()
        self._growth: Numbers = np.zeros((len(self._slots), len(COLUMNS)), np.int64)
        self._sealed: Numbers = self._growth.copy()

    def _name(self, scopes: Scopes) -> None:
        names, limit = _names(scopes), max(1, self._plan.trackers)
        self.left_out = len(names) - len(names[:limit])
        self._names: list[str] = names[:limit]
        self._slots = {name: slot for slot, name in enumerate(self._names)}
        self._listeners = self._pairs((s.id, f"listener:{s.name}") for s in scopes.listeners.values())
        self._routes = self._pairs((s.id, f"route:{s.name}") for s in scopes.routes.values())
        self._targets = self._pairs((s.id, f"target:{s.address}") for s in scopes.targets.values())

    def _begin(self) -> None:
        self._seconds = Ring(self._plan.seconds, len(self._slots), len(COLUMNS))
        self._minutes = Ring(self._plan.minutes, len(self._slots), len(COLUMNS))
        self._minute, self._covered, self._told = 0, 0.0, 0

    def replan(self, scopes: Scopes) -> None:
        """
        Track what the scopes name now; who stays keeps its samples, and the sums are those of before.

        The minute is sealed: what was counted for names that go is in it. Cost: the rings are copied, 83 KB a tracker.
        """
        before = self._names, self._slots
        self._name(scopes)
        after = self._names, self._slots
        if after[0] == before[0]:
            return
        self._names, self._slots = before
        self._seal()
        self._names, self._slots = after
        places = [before[1].get(name, -1) for name in self._names]
        self._seconds, self._minutes = self._seconds.rearranged(places), self._minutes.rearranged(places)
        self._growth = np.zeros((len(places), len(COLUMNS)), np.int64)
        sealed = self._growth.copy()
        sealed[0] = self._sealed[0]  # the node's own, which the audit compares; nobody asks for others
        self._sealed = sealed

    def switch(self, on: bool) -> None:
        """Begin or cease to take samples; those that there are, are forgotten, and their sums are not."""
        self.on = on
        self._seal()
        self._begin()

    @property
    def nbytes(self) -> int:
        """Return the memory of the rings once they are full; unit bytes."""
        return self._seconds.nbytes + self._minutes.nbytes

    def push(self, listeners: Numbers, routes: Numbers, targets: Numbers, at: int, covered: float) -> None:
        """
        Add a tick.

        Args:
            listeners, routes, targets: Growth since the last one by id; shape (growth.COLUMNS, any number of ids).
            at: The wall second of the tick; unit s since the epoch.
            covered: Time since the last one; unit s, above 0.
        """
        if not self.on:
            self._sealed[0] += listeners.sum(axis=1)[list(COLUMNS)]
            return
        sample = np.zeros_like(self._growth)
        sample[0] = listeners.sum(axis=1)[list(COLUMNS)]
        _add(sample, listeners, *self._listeners)
        _add(sample, routes, *self._routes)
        _add(sample, targets, *self._targets)
        self._seconds.push(sample, at, covered)
        minute = (at - 1) // MINUTE  # the sample that ends a minute belongs to it
        if minute != self._minute:
            self._seal()
        self._minute = minute
        self._growth += sample
        self._covered += covered

    def _seal(self) -> None:
        """End the minute, if anything of it was measured."""
        if self._covered:
            self._minutes.push(self._growth, (self._minute + 1) * MINUTE, self._covered)
            if self.keeps:
                self._done.append(self._rolled(self._open_minute()))
        self._sealed += self._growth
        self._growth[:], self._covered = 0, 0.0

    def _open_minute(self) -> SavedMinute:
        moved = np.flatnonzero(self._growth.any(axis=1)).tolist()
        growth = {self._names[slot]: tuple(self._growth[slot].tolist()) for slot in {0, *moved}}
        return SavedMinute(minute=self._minute, covered=self._covered, growth=growth)

    @staticmethod
    def _rolled(saved: SavedMinute) -> Minute:
        rows = tuple(row(name, *numbers) for name, numbers in saved.growth.items())
        return Minute((saved.minute + 1) * MINUTE, round(saved.covered * 1_000), rows)

    def take(self) -> tuple[Chunk | None, tuple[Minute, ...]]:
        """Return the seconds and the sealed minutes since this was last asked."""
        chunk, minutes = cut(self._seconds, self._told, self._names), tuple(self._done)
        self._told = self._seconds.end
        self._done.clear()
        return chunk, minutes

    def export(self) -> SavedMinute:
        """Return the minute that is not over."""
        return self._open_minute()

    def restore(self, saved: SavedMinute) -> None:
        """
        Seal the minute in which an earlier run ended. What this run adds to the same minute is added up later.

        Raises:
            SavedError: If it is none.
        """
        sound = 0 <= saved.covered < 1e9 and 0 <= saved.minute < 2**34
        if not sound or any(len(numbers) != len(COLUMNS) for numbers in saved.growth.values()):
            raise SavedError("SavedMinute: it is no minute")
        if saved.covered:
            minute = self._rolled(saved)
            if self.keeps:
                self._done.append(minute)
            last = self._minutes.at[(self._minutes.end - 1) % len(self._minutes.at)]
            if not self._minutes.end or last <= minute.at:
                self._minutes.extend(*self._samples((minute,)))

    def load(self, seconds: Iterable[Chunk], minutes: Sequence[Minute]) -> None:
        """
        Begin the rings with the samples of an earlier run; rings that have samples stay as they are.

        Args:
            seconds: Oldest first.
            minutes: Oldest first.

        Raises:
            SavedError: If the seconds hold what was never taken; the minutes are there all the same.
        """
        if not self._minutes.end:
            self._minutes.extend(*self._samples(minutes[-self._minutes.depth :]))
        fill(self._seconds, seconds, self._slots)
        self._told = self._seconds.end

    def _samples(self, minutes: Sequence[Minute]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
        sums = np.zeros((len(minutes), *self._growth.shape), np.float32)
        for number, minute in enumerate(minutes):
            for each in minute.rows:
                slot = self._slots.get(each.name)
                if slot is not None:
                    sums[number, slot] = each.bytes_in, each.bytes_out, each.requests, each.connections
        at = np.array([minute.at for minute in minutes], np.int64)
        return sums, at, np.array([minute.covered / 1_000 for minute in minutes], np.float64)

    def carry(self, node: Numbers) -> None:
        """Add the node's totals of an earlier run to those of minutes that are sealed; shape (growth.COLUMNS,)."""
        self._sealed[0] += node[list(COLUMNS)]

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
    """Return every name that serves once: the node, listeners, routes, targets."""
    gone = scopes.gone
    listeners = [f"listener:{scope.name}" for scope in scopes.listeners.values() if scope.id not in gone.listeners]
    routes = [f"route:{scope.name}" for scope in scopes.routes.values() if scope.id not in gone.routes]
    targets = [f"target:{scope.address}" for scope in scopes.targets.values() if scope.id not in gone.targets]
    return list(dict.fromkeys([NODE, *listeners, *routes, *targets]))


def _add(sample: Numbers, growth: Numbers, ids: NDArray[np.intp], slots: NDArray[np.intp]) -> None:
    seen = ids < growth.shape[1]
    np.add.at(sample, slots[seen], growth[list(COLUMNS)][:, ids[seen]].T)
