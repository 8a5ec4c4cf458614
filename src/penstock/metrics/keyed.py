"""
Short trackers: the busiest keys of one kind by name, all others together and exact.

A kind is client addresses, users or destinations. A key is known as long as it has an open connection or moved
something in the last five minutes. When no place is left, connections of new keys count for `other`; at the next tick
places of keys without open connections are given up, those idle longest first, and after them those of keys that moved
less in ten seconds than a connection without a place did in one. Then the connections that moved most get them. What a
key counted before it had a place, and after it lost it, is in `other`: so all places together are the node's, to the
byte.

Connections that name no key are together in one more place, called `-`. One that may still do so, in its handshake, is
held there: what it moved and itself are counted when it has named a key, relays, or ends, and then as a whole. So it
does not matter in which second a user logged in.

Invariants, by number in the code:
1. Totals of all places and what is held are the node's totals.
2. What is counted stays counted where it is, except that a key that leaves takes it to `other`.
3. A sample is never changed. It belongs to the key of its place if that key had come by then, and to `other` if not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.chunks import Chunk, cut, fill
from penstock.metrics.growth import ASKED, BYTES_IN, BYTES_OUT, OPENED, Growth, Mask, Numbers
from penstock.metrics.keys import (
    C_CONNECTIONS,
    C_IN,
    C_OUT,
    C_REQUESTS,
    FIRST,
    NOBODY,
    NOBODY_NAME,
    OTHER,
    OTHER_NAME,
    RATES,
    SECONDS,
    TOTALS,
    Grown,
    Key,
    Kind,
    Picture,
    sums,
)
from penstock.metrics.labels import Labels
from penstock.metrics.rings import Floats, Ring
from penstock.metrics.saved import SavedError, SavedKeys

RECENT = 10
"""Over how many ticks a key defends its place by what it moved; and how long it has it for certain. Unit ticks."""

SHARE = 10
"""In one tick at most one place of ten passes on, so that a storm of keys that come once leaves those that are known.
Of keys with open connections the tenth with the most of them stays in any case."""

Places = NDArray[np.int32]

_MASK = 0xFFFF
"""Bits of a key's hash that are looked at first: few rows pass, and all bits of those are compared."""

_MOVED = (BYTES_IN - BYTES_IN, BYTES_OUT - BYTES_IN, ASKED - BYTES_IN)
"""Columns of a row's growth that the last three of them are made of."""


class Part(NamedTuple):
    """
    One fold as all kinds need it.

    Args:
        growth: What the fold returned.
        fresh: Which rows hold a connection that no fold has seen before.
        ended: Which rows hold one that has ended.
        volume: Bytes that each row moved; shape (n,).
        columns: For bytes in, bytes out and requests: which rows have grown, and by how much.
        sums: Bytes in, bytes out and requests of all rows.
    """

    growth: Growth
    fresh: NDArray[np.intp]
    ended: NDArray[np.intp]
    volume: Numbers
    columns: tuple[tuple[NDArray[np.intp], Numbers], ...]
    sums: tuple[int, ...]


class Told(NamedTuple):
    """
    What the rows of one fold say of one kind.

    Args:
        rows: Those whose key is new or another one; a row that was never among them names nobody.
        keys: All of theirs; rows are many, and keys mostly few.
        each: Which of the keys each of the rows has.
        undecided: Which of all rows may still name a key; None for none.
        ask: Returns keys of rows once more; None for one that cannot be read now.
    """

    rows: NDArray[np.intp]
    keys: Sequence[Key]
    each: NDArray[np.intp]
    undecided: Mask | None
    ask: Callable[[NDArray[np.intp]], Sequence[Key | None]]


class Keyed:
    """
    Who moves what, by the keys of one kind.

    Args:
        kind: Which.
        places: How many keys are known at once, 1 or more.
        labels: Counts those that have series of their own; None for no such series.

    Attributes:
        keys: Whose place each is.
        evicted: Keys that lost their place to others, in all.

    Cost: O(rows read) of numpy and O(rows whose key is new) of Python a fold; `tests/metrics/test_kinds.py` holds the
    bounds. Memory of 2.9 KB a place, fixed.
    """

    def __init__(self, kind: Kind, places: int, labels: Labels | None = None) -> None:
        size = FIRST + places
        self.kind, self._labels = kind, labels
        self.keys: list[Key | None] = [None] * size
        self.evicted = 0
        self._places: dict[Key, int] = {kind.nobody: NOBODY}
        for name, place in ((NOBODY_NAME, NOBODY), (OTHER_NAME, OTHER)):
            key = kind.parse(name)
            if key is not None:
                self._places[key] = place
        self._free = list(range(size - 1, FIRST - 1, -1))
        self._workers: dict[int, _Worker] = {}
        self._totals: Numbers = np.zeros((TOTALS, size), np.int64)
        self._sealed, self._drained = self._totals.copy(), self._totals.copy()
        self._gone: dict[Key, Numbers] = {}
        self._names: dict[Key, str] = {}
        self._told = 0
        self._used: Numbers = np.zeros(size, np.int64)
        self._since: Numbers = np.zeros(size, np.int64)
        self._ring = Ring(SECONDS, size, len(RATES))
        self._taken: Mask = np.zeros(size, np.bool_)
        self._turned_away = 0

    @property
    def nbytes(self) -> int:
        """Return the memory of the ring once it is full; unit bytes."""
        return self._ring.nbytes

    def add(self, generation: int, part: Part, told: Told) -> None:
        """Add what the fold of one worker's ledger returned."""
        rows = part.growth.rows
        worker = self._workers.setdefault(generation, _Worker())
        places = worker.places_of(rows.position, part.fresh)
        names = np.fromiter(map(hash, told.keys), np.int64, len(told.keys))
        worker.names[rows.position[told.rows]] = names[told.each]
        self._move(places, part, told)
        self._gather(worker, places, rows.position)
        worker.places[rows.position] = places
        size, alone = len(self.keys), len(places) > 0 and bool((places == places[0]).all())
        worker.open = _places(places, size, alone) - np.bincount(places[part.ended], minlength=size)
        self._count(worker, places, part, told, alone)
        worker.pressing = _most(part.volume[np.flatnonzero(places == OTHER)], self._share)

    def knows(self, generation: int) -> bool:
        """Return whether a fold of this worker's ledger was added before."""
        return generation in self._workers

    def forget(self, generation: int) -> None:
        """Let go of a worker that is no more."""
        self._workers.pop(generation, None)

    def push(self, at: int, covered: float) -> None:
        """
        End a tick.

        Args:
            at: The wall second of the tick; unit s since the epoch.
            covered: Time since the last one; unit s, above 0.
        """
        grown = self._totals - self._sealed
        active = self._active()
        self._used[grown.any(axis=0) | (active > 0)] = self._ring.end
        self._ring.push(grown[C_IN : C_OUT + 1].T, at, covered)
        self._sealed = self._totals.copy()
        if self._labels is not None:
            self._labels.push(self.keys, grown, active, self._lately)
        self._leave(active)

    def picture(self) -> Picture:
        """Return everybody as of now."""
        held, totals = self._held(), self._totals.copy()
        totals[:, NOBODY] += held  # invariant 1
        return Picture(
            self.kind, tuple(self.keys), self._since.copy(), self._active(), totals, held, self.evicted,
            self._ring.view(),
        )  # fmt: skip

    def carry(self, node: Numbers) -> None:
        """Add to `other` what the node counted elsewhere or before; shape (COLUMNS,). No draining tells of it."""
        for numbers in (self._totals, self._sealed, self._drained):
            numbers[:, OTHER] += node[[OPENED, BYTES_IN, BYTES_OUT, ASKED]]

    def sums(self) -> dict[str, int]:
        """Return what all places and what is held add up to; for the audit (invariant 1)."""
        connections, bytes_in, bytes_out, requests = (self._totals.sum(axis=1) + self._held()).tolist()
        return {"bytes_in": bytes_in, "bytes_out": bytes_out, "connections": connections, "requests": requests}

    def export(self) -> SavedKeys:
        """Return the totals of all keys, by name."""
        names = self._texts()
        places = [place for place, name in enumerate(names) if name is not None and place != OTHER]
        totals = self._totals[:, places].astype("<i8").tobytes()
        return SavedKeys(names=tuple(str(names[place]) for place in places), totals=totals, evicted=self.evicted)

    def restore(self, saved: SavedKeys) -> None:
        """
        Give keys of an earlier run their places and totals back; until now `other` has had them (see `carry`).

        Raises:
            SavedError: If they have more than `other`, or numbers that never were; nothing is given then.
        """
        totals = saved.numbers()
        if (totals.sum(axis=1) > self._totals[:, OTHER]).any():
            raise SavedError("SavedKeys: more than the node has counted")
        for i in np.argsort(-totals[C_IN : C_OUT + 1].sum(axis=0), kind="stable").tolist():
            key = self.kind.nobody if saved.names[i] == NOBODY_NAME else self.kind.parse(saved.names[i])
            place = OTHER if key is None else int(self._places_of([key], np.zeros(1, np.intp))[0])
            for numbers in (self._totals, self._sealed, self._drained):
                numbers[:, OTHER] -= totals[:, i]
                numbers[:, place] += totals[:, i]
        self.evicted += saved.evicted
        self._turned_away = 0

    def take(self) -> Chunk | None:
        """Return the samples since this was last asked, by name."""
        chunk, self._told = cut(self._ring, self._told, self._texts(), self._since), self._ring.end
        return chunk

    def load(self, chunks: Iterable[Chunk]) -> None:
        """
        Begin with the samples of an earlier run, after its keys; samples of keys that have no place are other's.

        Raises:
            SavedError: If they are none.
        """
        places = {name: place for place, name in enumerate(self._texts()) if name is not None}
        fill(self._ring, chunks, places, rest=OTHER)
        self._told = self._ring.end
        self._used[self._taken] = self._ring.end

    def _texts(self) -> list[str | None]:
        """Return whose each place is as text; None for a free one."""
        before, text = self._names, self.kind.text
        self._names = {key: before.get(key) or text(key) for key in self.keys[FIRST:] if key is not None}
        return [OTHER_NAME, NOBODY_NAME, *map(self._names.get, self.keys[FIRST:])]

    def drain_minute(self) -> list[Grown]:
        """
        Return what every key grew by since the last call, and forget it: for sums by minute and hour in the store.

        Keys that have left since are among them, as many as there are places; what is beyond that is in `other`. All
        that was ever returned adds up to the node's totals, but for what is held.
        """
        grown = self._totals - self._drained
        self._drained = self._totals.copy()
        found = {self.name(place): grown[:, place] for place in np.flatnonzero(grown.any(axis=0)).tolist()}
        for key, numbers in self._gone.items():
            name = self.kind.text(key)
            found[name] = found[name] + numbers if name in found else numbers
        self._gone = {}
        return [
            Grown(name, *numbers[[C_CONNECTIONS, C_REQUESTS, C_IN, C_OUT]].tolist()) for name, numbers in found.items()
        ]

    def name(self, place: int) -> str:
        """Return whose place it is, now, as text."""
        return (OTHER_NAME, NOBODY_NAME)[place] if place < FIRST else self.kind.text(self.keys[place])

    def _lately(self) -> Floats:
        """Return what the places moved in all samples that are kept; shape (places, RATES)."""
        ends = self._ring.end - 1 - np.arange(min(SECONDS, self._ring.end))
        return sums(self._ring, self._since, ends)

    def _active(self) -> Numbers:
        active: Numbers = sum((worker.open for worker in self._workers.values()), np.zeros(len(self.keys), np.int64))
        return active

    def _held(self) -> Numbers:
        held: Numbers = sum((worker.held for worker in self._workers.values()), np.zeros(TOTALS, np.int64))
        return held

    @property
    def _share(self) -> int:
        return max(1, (len(self.keys) - FIRST) // SHARE)

    # Counting ---------------------------------------------------------------------------------------------------------

    def _count(self, worker: "_Worker", places: Places, part: Part, told: Told, alone: bool) -> None:
        """Count what grew for whom the row shows, `alone` if that is the same for all; nothing yet for undecided."""
        growth = part.growth
        if told.undecided is None:
            np.add.at(self._totals[C_CONNECTIONS], places[part.fresh], 1)
            self._add(places, part, None, alone)
            return
        before = worker.counted.take(growth.rows.position)
        counted = before.copy()
        counted[part.fresh] = False
        hold = told.undecided & (places == NOBODY) & ~counted
        first = ~(hold | counted)
        changed = np.flatnonzero(before == hold)
        worker.counted[growth.rows.position[changed]] = ~hold[changed]
        np.add.at(self._totals[C_CONNECTIONS], places[np.flatnonzero(first)], 1)
        first[part.fresh] = False
        holds, late = np.flatnonzero(hold), np.flatnonzero(first)  # who is held, and who was until now
        self._add(places, part, ~(hold | first) if len(holds) or len(late) else None, alone)
        for total, column in enumerate(_MOVED, C_IN):
            np.add.at(self._totals[total], places[late], growth.now[late, column])
        worker.held = np.array([len(holds), *(growth.now[:, column].take(holds).sum() for column in _MOVED)])

    def _add(self, places: Places, part: Part, chosen: Mask | None, alone: bool) -> None:
        if alone and chosen is None:
            self._totals[C_IN:, places[0]] += part.sums
            return
        for total, (rows, amounts) in enumerate(part.columns, C_IN):
            if chosen is not None:
                mine = np.flatnonzero(chosen[rows])
                rows, amounts = rows[mine], amounts[mine]  # noqa: PLW2901 - the same, but for those who are held
            np.add.at(self._totals[total], places[rows], amounts)

    # Places -----------------------------------------------------------------------------------------------------------

    def _move(self, places: Places, part: Part, told: Told) -> None:
        """Bring rows to the places of their keys: those that named one, and as many that wait as there is room for."""
        if not self._free:
            places[told.rows] = self._places_of(told.keys, told.each)
            return
        waiting = places == OTHER
        waiting[told.rows] = False
        rows = np.flatnonzero(waiting)
        if not len(rows) and not len(told.rows):
            return
        if len(rows) > len(self._free):
            rows = rows[np.argpartition(part.volume[rows], -len(self._free))[-len(self._free) :]]
        asked = [(int(row), key) for row, key in zip(rows, told.ask(rows), strict=True) if key is not None]
        rows, keys, each = told.rows, told.keys, told.each
        if asked or len(keys) > len(self._free):  # not all may get one: those that moved most come first
            rows = np.concatenate((rows, np.array([row for row, _ in asked], np.intp)))
            each = np.concatenate((each, np.arange(len(keys), len(keys) + len(asked))))
            keys = [*keys, *(key for _, key in asked)]
            order = np.argsort(-part.volume[rows], kind="stable")
            rows = rows[order]
            keys, each = distinct([keys[i] for i in each[order].tolist()])
        places[rows] = self._places_of(keys, each)

    def _places_of(self, keys: Sequence[Key], each: NDArray[np.intp]) -> Places:
        """Return the place of each row's key; the first keys that have none get those that are free."""
        found = self._places
        for key in keys if self._free else ():
            if key not in found:
                self._settle(key)
                if not self._free:
                    break
        places = np.fromiter(map(found.get, keys, repeat(OTHER)), np.int32, len(keys))[each]
        self._turned_away += int(np.count_nonzero(places == OTHER))
        return places

    def _gather(self, worker: "_Worker", places: Places, position: NDArray[np.intp]) -> None:
        """Bring rows of keys that have come by a place, and that were without one until now, to it."""
        found = {hash(key): self._places[key] for key in worker.news if key in self._places}
        worker.news.clear()
        if not found:
            return
        rows = np.flatnonzero(places == OTHER)
        names = worker.names[position[rows]]
        maybe = np.zeros(_MASK + 1, np.bool_)
        maybe[np.array(list(found)) & _MASK] = True
        few = np.flatnonzero(maybe[names & _MASK])
        places[rows[few]] = list(map(found.get, names[few].tolist(), repeat(OTHER)))

    def _settle(self, key: Key) -> None:
        place = self._places[key] = self._free.pop()
        self.keys[place], self._taken[place] = key, True
        self._used[place] = self._since[place] = self._ring.end
        for worker in self._workers.values():
            worker.news.append(key)

    def _leave(self, active: Numbers) -> None:
        """Take places back: from who has been idle for as long as samples are kept, and more where they were missed."""
        end = self._ring.end
        wanted = min(self._share, max(0, max(self._turned_away, int(active[OTHER])) - len(self._free)))
        longest = end - 1 if wanted else end - SECONDS  # whom nobody presses stays as long as samples are kept
        idle = np.flatnonzero(self._taken & (self._used < longest) & (active == 0))
        if not wanted and not len(idle):
            self._turned_away = 0
            return
        taken = self._taken.copy()
        idle = idle[np.argsort(self._used[idle], kind="stable")]
        expired = int(np.count_nonzero(self._used[idle] < end - SECONDS))
        leaving = idle[: max(expired, wanted)]
        self._turned_away = 0
        if len(leaving) < wanted:
            taken[leaving] = False
            leaving = np.concatenate((leaving, self._outdone(taken, active)[: wanted - len(leaving)]))
        self.evicted += len(leaving) - min(expired, len(leaving))
        if len(leaving):
            self._vacate(leaving)

    def _outdone(self, taken: Mask, active: Numbers) -> NDArray[np.intp]:
        """Return places whose keys moved less in ten ticks than connections without a place did in one."""
        pressing = np.concatenate([worker.pressing for worker in self._workers.values()] or [np.zeros(0, np.int64)])
        pressing = _most(pressing, self._share)
        most_open = np.argsort(-active[FIRST:], kind="stable")[: self._share] + FIRST
        weak = taken & (self._since <= self._ring.end - RECENT)
        weak[most_open] = False
        places = np.flatnonzero(weak)
        if not len(pressing) or not len(places):
            return places[:0]
        ends = self._ring.end - 1 - np.arange(min(RECENT, self._ring.end))
        moved = sums(self._ring, self._since, ends).sum(axis=1)[places]
        order = np.argsort(moved, kind="stable")[: len(pressing)]
        weaker: NDArray[np.intp] = places[order][moved[order] < pressing[: len(order)]]
        return weaker

    def _vacate(self, places: NDArray[np.intp]) -> None:
        """Let keys go: what they counted is other's, and so are connections that they still have (invariant 2)."""
        self._keep(places)
        for numbers in (self._totals, self._sealed, self._drained):
            numbers[:, OTHER] += numbers[:, places].sum(axis=1)
            numbers[:, places] = 0
        self._since[places] = self._ring.end  # invariant 3
        moved = np.arange(len(self.keys), dtype=np.int32)
        moved[places] = OTHER
        for worker in self._workers.values():
            if worker.open[places].any():
                worker.places = moved[worker.places]
                worker.open[OTHER] += worker.open[places].sum()
            worker.open[places] = 0
        for place in places.tolist():
            del self._places[self.keys[place]]
            self.keys[place] = None
            self._free.append(place)
        self._taken[places] = False

    def _keep(self, places: NDArray[np.intp]) -> None:
        """Remember for the next draining what keys that leave had grown by."""
        grown = self._totals[:, places] - self._drained[:, places]
        for i in np.flatnonzero(grown.any(axis=0)).tolist():
            key = self.keys[places[i]]
            if key in self._gone:
                self._gone[key] = self._gone[key] + grown[:, i]
            elif len(self._gone) < len(self.keys) - FIRST:
                self._gone[key] = grown[:, i]
            else:
                continue
            self._drained[:, places[i]] += grown[:, i]


def _places(places: Places, size: int, alone: bool) -> Numbers:
    """Return how many rows each place has."""
    if not alone:
        return np.bincount(places, minlength=size)
    counts = np.zeros(size, np.int64)
    counts[places[0]] = len(places)
    return counts


def _most(numbers: Numbers, count: int) -> Numbers:
    """Return the largest of these numbers that are above 0, largest first, and no more than so many."""
    if len(numbers) > count:
        numbers = np.partition(numbers, -count)[-count:]
    return np.sort(numbers[numbers > 0])[::-1]


def distinct(keys: Sequence[Key]) -> tuple[list[Key], NDArray[np.intp]]:
    """Return the keys that there are, in order, and which of them each is. Cost: 0.1 us a key."""
    numbers: defaultdict[Key, int] = defaultdict(count().__next__)
    each = np.fromiter(map(numbers.__getitem__, keys), np.intp, len(keys))
    return list(numbers), each


class _Worker:
    """
    What is known of one worker's rows.

    Attributes:
        places: The place of the key of each row.
        counted: Whether its connection has been counted, here or before this kind was switched on.
        names: A hash of the key that each row has named.
        news: Keys that came by a place since its last fold.
        open: Open connections by place.
        held: Connections, bytes in and out and requests of those who are undecided.
        pressing: What the busiest rows without a place moved in this tick, most first; unit bytes.
    """

    def __init__(self) -> None:
        self.places: Places = np.zeros(0, np.int32)
        self.counted: Mask = np.zeros(0, np.bool_)
        self.names: Numbers = np.zeros(0, np.int64)
        self.news: list[Key] = []
        self.open: Numbers = np.zeros(0, np.int64)
        self.held: Numbers = np.zeros(TOTALS, np.int64)
        self.pressing: Numbers = np.zeros(0, np.int64)

    def places_of(self, position: NDArray[np.intp], fresh: NDArray[np.intp]) -> Places:
        """Return the places of rows; of a new connection that of nobody."""
        missing = int(position[-1]) + 1 - len(self.places) if len(position) else 0
        if missing > 0:
            self.places = np.pad(self.places, (0, missing), constant_values=NOBODY)
            self.counted = np.pad(self.counted, (0, missing), constant_values=True)  # if not new: before we began
            self.names = np.pad(self.names, (0, missing))
        places = self.places.take(position)
        places[fresh] = NOBODY
        return places
