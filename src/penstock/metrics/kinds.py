"""The short trackers of a node: client addresses, users and destinations, each in fixed memory."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from penstock.config.plan import MetricsPlan
from penstock.metrics import clients, texts
from penstock.metrics.collection import Collection
from penstock.metrics.growth import ASKED, BYTES_IN, BYTES_OUT, COLUMNS, Growth, Numbers
from penstock.metrics.keyed import Keyed, Part, Told
from penstock.metrics.keys import Grown, Picture
from penstock.metrics.labels import KeySeries, Labels
from penstock.metrics.scopes import TargetScope

CLIENT, USER, DESTINATION = clients.KIND.name, texts.USERS.name, texts.DESTINATIONS.name

KINDS = {kind.name: kind for kind in (clients.KIND, texts.USERS, texts.DESTINATIONS)}


class Metered(Protocol):
    """Who counts the bytes of users, whatever places they have."""

    def add(self, generation: int, part: Part, told: Told) -> None:
        """Add what the fold of one worker's ledger returned; `told` says of rows that are new whose they are."""

    def forget(self, generation: int) -> None:
        """Let go of a worker that is no more."""


class Kinds:
    """
    Who moves what.

    Args:
        plan: How many places each kind has.
        targets: Configured targets, by id.
        collection: Which kinds are on.

    Attributes:
        trackers: By the kind's name: client, user, destination; without those that are off.
    """

    def __init__(self, plan: MetricsPlan, targets: Mapping[int, TargetScope], collection: Collection) -> None:
        self._plan, self._targets = plan, targets
        self.trackers: dict[str, Keyed] = {}
        self._labels = {name: Labels(KINDS[name]) for name in plan.labels}
        self._evicted: Counter[str] = Counter()
        self._watches: dict[int, texts.TextWatch] = {}
        self._metered: Metered | None = None
        self.switch(collection, np.zeros(COLUMNS, np.int64))

    def switch(self, collection: Collection, node: Numbers) -> None:
        """
        Begin with kinds that are on now, and let go of those that are off.

        Args:
            collection: Which kinds are on.
            node: The node's totals, which are those of `other` in a kind that begins; shape (growth.COLUMNS,).
        """
        before, self.trackers = self.trackers, {}
        for name, kind in KINDS.items():
            if getattr(collection, f"{name}s"):
                tracker = before.pop(name, None)
                if tracker is None:
                    tracker = Keyed(kind, getattr(self._plan, f"{name}s"), self._labels.get(name))
                    tracker.carry(node)
                    self._watches.clear()  # what rows have said is told to everybody once more
                self.trackers[name] = tracker
        for name, tracker in before.items():
            self._evicted[name] += tracker.evicted
            if name in self._labels:
                self._labels[name].rest()

    def meter(self, metered: Metered | None) -> None:
        """Have somebody told of what every user moves, from now on; None for nobody."""
        self._metered = metered
        if metered is not None:
            self._watches.clear()  # it has not heard what rows have said

    def evictions(self) -> dict[str, int]:
        """Return by kind how many keys have lost their place to others."""
        found = dict.fromkeys(KINDS, 0) | self._evicted
        return found | {name: found[name] + tracker.evicted for name, tracker in self.trackers.items()}

    def labelled(self) -> dict[str, list[KeySeries]]:
        """Return the series of every kind that has labels."""
        return {name: labels.series() for name, labels in self._labels.items()}

    def carry(self, node: Numbers) -> None:
        """Add the node's totals of an earlier run to those of `other`; shape (growth.COLUMNS,)."""
        for tracker in self.trackers.values():
            tracker.carry(node)

    @property
    def nbytes(self) -> int:
        """Return the memory of all rings once they are full; unit bytes."""
        return sum(tracker.nbytes for tracker in self.trackers.values())

    def add(self, generation: int, growth: Growth) -> None:
        """Add what the fold of one worker's ledger returned."""
        part = part_of(growth)
        if CLIENT in self.trackers:
            everyone = not self.trackers[CLIENT].knows(generation)
            self.trackers[CLIENT].add(generation, part, clients.told(growth, everyone))
        if USER in self.trackers or DESTINATION in self.trackers or self._metered is not None:
            watch = self._watches.setdefault(generation, texts.TextWatch(self._targets))
            users, destinations = watch.told(growth)
            if self._metered is not None:
                self._metered.add(generation, part, users)
            for name, told in ((USER, users), (DESTINATION, destinations)):
                if name in self.trackers:
                    self.trackers[name].add(generation, part, told)

    def forget(self, generation: int) -> None:
        """Let go of a worker that is no more."""
        self._watches.pop(generation, None)
        if self._metered is not None:
            self._metered.forget(generation)
        for tracker in self.trackers.values():
            tracker.forget(generation)

    def push(self, at: int, covered: float) -> None:
        """End a tick; see `Keyed.push`."""
        for tracker in self.trackers.values():
            tracker.push(at, covered)

    def pictures(self) -> dict[str, Picture]:
        """Return all of them as of now, by kind."""
        return {name: tracker.picture() for name, tracker in self.trackers.items()}

    def drain_minute(self) -> dict[str, list[Grown]]:
        """Return what each key of each kind grew by since the last call; see `Keyed.drain_minute`."""
        return {name: tracker.drain_minute() for name, tracker in self.trackers.items()}


def part_of(growth: Growth) -> Part:
    """Return a fold as all kinds need it."""
    amounts = [growth.moved[:, column - BYTES_IN] for column in (BYTES_IN, BYTES_OUT, ASKED)]
    rows = [np.flatnonzero(each) for each in amounts]
    return Part(
        growth=growth,
        fresh=np.flatnonzero(growth.fresh),
        ended=np.flatnonzero(~growth.rows.open),
        volume=growth.moved[:, 0] + growth.moved[:, 1],
        columns=tuple((there, each[there]) for there, each in zip(rows, amounts, strict=True)),
        sums=tuple(int(each.sum()) for each in amounts),
    )
