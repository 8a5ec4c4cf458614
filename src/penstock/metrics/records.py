"""
The newest ended connections, each a record in a ring of fixed memory.

A record is the connection's row as the worker left it, in the same columns, but for these: STATE holds its id, PHASE
its number, SCOPE what stands for its names, STARTED and ENDED wall time. Its texts lie beside it, as the worker wrote
them. Names are kept as words, so that they outlive the plan that gave them.

Numbers count records from 1 and never stop; a record's place in the ring follows from its number. They are cursors,
too: unlike a position, a number means the same record for as long as there is one.
Source: docs/decisions/0009-records.md.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.base.clock import NS
from penstock.metrics.filters import LATEST_NS
from penstock.metrics.growth import Growth, TextBlock, Words
from penstock.metrics.ledger import (
    CLIENT_RX,
    DIALED,
    ENDED,
    OPEN,
    OUTCOME,
    PHASE,
    PORT,
    ROW_WORDS,
    SCOPE,
    STARTED,
    STATE,
    TEXT,
    TEXT_BYTES,
)
from penstock.metrics.live import SERIAL_BITS, number_of
from penstock.metrics.scopes import Scopes
from penstock.metrics.wording import LOST

ID, NUMBER, NAMES = STATE, PHASE, SCOPE
"""Columns that mean something else in a record than in a row."""

MOST = 100_000
"""Records at most: 51 MB. 10,000, the default, are 5 MB."""

_SERIALS = np.uint64((1 << SERIAL_BITS) - 1)
_KIND = np.uint64(3)
_LARGEST = np.uint64(2**63 - 1)

_SLACK_NS = 60 * NS
"""A row may be opened while a tick is under way; one that claims to be much younger is nonsense."""


class Names(NamedTuple):
    """
    Whom a connection belonged to, as it was called then.

    Args:
        listener: Name of the listener.
        route: Name of the route.
        target: `host:port` of the configured target; empty where there was none.
    """

    listener: str
    route: str
    target: str


class Ring(NamedTuple):
    """
    Where records lie; shared by all views.

    Args:
        words: Shape (capacity, ROW_WORDS).
        texts: Shape (capacity, TEXT_BYTES).
        begun: Number of the newest record whose writing has begun; shape (1,).
    """

    words: Words
    texts: NDArray[np.uint8]
    begun: NDArray[np.int64]

    @property
    def capacity(self) -> int:
        """Return how many records fit."""
        return len(self.words)

    @property
    def nbytes(self) -> int:
        """Return the memory that it takes once it is full; unit bytes."""
        return self.words.nbytes + self.texts.nbytes

    def slots(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the records with these numbers lie."""
        return (numbers - 1) % self.capacity

    def spared(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of them have not been written over, nor begun to be."""
        whole: NDArray[np.bool_] = numbers > int(self.begun[0]) - self.capacity
        return whole


def make_ring(capacity: int) -> Ring:
    """Return an empty ring; its memory is taken from the system as it fills."""
    return Ring(
        np.zeros((capacity, ROW_WORDS), np.uint64),
        np.zeros((capacity, TEXT_BYTES), np.uint8),
        np.zeros(1, np.int64),
    )


class RecordsView(NamedTuple):
    """
    The records of one tick. Later ones do not show; those that were written over since are left out.

    Args:
        ring: Where they lie.
        end: Number of the newest one, 0 for none.
        names: What stands in NAMES, in words.
        wall_ns: When it was taken; unit ns since the epoch.
    """

    ring: Ring
    end: int
    names: Mapping[int, Names]
    wall_ns: int = 0

    def read(self, after: int = 0) -> Words:
        """
        Return records, oldest first; a copy.

        Args:
            after: Only those with a higher number.

        Cost: O(records returned).
        """
        first = max(after, 0, self.end - self.ring.capacity, int(self.ring.begun[0]) - self.ring.capacity)
        if first >= self.end:
            return np.zeros((0, ROW_WORDS), np.uint64)
        numbers = np.arange(first + 1, self.end + 1)
        words = self.ring.words[self.ring.slots(numbers)]
        there = words[:, NUMBER] == numbers.view(np.uint64)  # a number that a damaged store has lost has no record
        whole: Words = words[there & self.ring.spared(numbers)]
        return whole

    def texts(self, words: Words) -> tuple[list[bytes], NDArray[np.bool_]]:
        """
        Return the texts of some records, and which of these records were still there when they were read.

        Args:
            words: Of the records, as `read` returned them.
        """
        numbers = words[:, NUMBER].view(np.int64)
        lengths = np.minimum(words[:, TEXT], TEXT_BYTES).astype(np.intp)
        width = int(lengths.max(initial=0))
        raw = self.ring.texts[self.ring.slots(numbers), :width].tobytes() if len(words) else b""
        starts = range(0, len(words) * width, width) if width else [0] * len(words)
        found = [raw[start : start + length] for start, length in zip(starts, lengths.tolist(), strict=True)]
        return found, self.ring.spared(numbers)


class Older(Protocol):
    """Records of an earlier run; NAMES of their words holds positions in their names."""

    @property
    def words(self) -> Words:
        """Return their words, by rising number."""

    @property
    def texts(self) -> TextBlock:
        """Return the text of each."""

    @property
    def names(self) -> Sequence[Names]:
        """Return the names that they had."""


class _Batch(NamedTuple):
    """Endings of one worker in this tick: words with NAMES and ID, but times of the monotonic clock; and texts."""

    words: Words
    texts: TextBlock


class Records:
    """
    Keeps the newest ended connections.

    Args:
        capacity: How many, up to `MOST`; 0 for none.

    Attributes:
        wanted: Whether any are kept. While it is False nothing is added, and what is kept stays.

    Cost: a tick with 8,000 endings under 5 ms; `tests/metrics/test_records.py` holds the bound.
    """

    def __init__(self, capacity: int) -> None:
        self._ring = make_ring(min(capacity, MOST))
        self.wanted = self._ring.capacity > 0
        self._end = 0
        self._names: dict[int, Names] = {}
        self._numbers: dict[Names, int] = {}
        self._last_name = 0
        self._batches: list[_Batch] = []

    @property
    def capacity(self) -> int:
        """Return how many records fit."""
        return self._ring.capacity

    @property
    def nbytes(self) -> int:
        """Return the memory of the ring once it is full; unit bytes."""
        return self._ring.nbytes

    def add(self, generation: int, growth: Growth, scopes: Scopes, now_ns: int) -> None:
        """
        Add the connections that ended in one fold; they show after the next `seal`.

        Args:
            generation: Of the worker.
            growth: Of the fold, with texts.
            scopes: Names of listeners, routes and targets.
            now_ns: Monotonic time: the end of connections whose worker died with them; unit ns.
        """
        closed = np.flatnonzero(~growth.rows.open)
        if not self.wanted or not len(closed):
            return
        words = growth.rows.words[closed]
        lost = words[:, STATE] & _KIND == OPEN
        words[lost, OUTCOME], words[lost, ENDED] = LOST.pack(), now_ns
        words[:, ID] = growth.rows.serial[closed] & _SERIALS | np.uint64(number_of(generation, 0))
        words[:, NAMES] = self._named(words[:, SCOPE], scopes)
        words[:, TEXT] = growth.texts.lengths
        words[:, PORT] &= np.uint64(0xFFFF)
        for numbers in (words[:, CLIENT_RX:PHASE], words[:, DIALED]):  # the ledger may hold nonsense, a record may not
            np.minimum(numbers, _LARGEST, out=numbers)
        self._batches.append(_Batch(words, growth.texts))

    def seal(self, now_ns: int, wall_ns: int) -> None:
        """
        End a tick: what was added gets its numbers, in the order in which it ended.

        Args:
            now_ns: Monotonic time; unit ns.
            wall_ns: The same moment since the epoch; unit ns.
        """
        batches, self._batches = self._batches, []
        if not batches:
            return
        for batch in batches:
            _to_wall(batch.words, now_ns, wall_ns)
        ended = np.concatenate([batch.words[:, ENDED] for batch in batches])
        numbers = np.empty(len(ended), np.int64)
        numbers[np.argsort(ended, kind="stable")] = np.arange(self._end + 1, self._end + 1 + len(ended))
        self._ring.begun[0] = self._end + len(ended)  # first: who reads on knows what is being written over
        done = 0
        for words, texts in batches:
            words[:, NUMBER] = numbers[done : done + len(words)].view(np.uint64)
            self._write(words, texts)
            done += len(words)
        self._end += done  # last: a view that is made by now shows whole records only

    def view(self, wall_ns: int) -> RecordsView:
        """Return the records as of now; unit of the time ns since the epoch."""
        return RecordsView(self._ring, self._end, self._names, wall_ns)

    def carry(self, older: Sequence["Older"], last: int) -> None:
        """
        Put records of an earlier run before those of this one, whose numbers go on from theirs.

        Args:
            older: By rising number.
            last: The highest number that they, or others that were lost, have used.
        """
        if not self._ring.capacity:
            return
        mine = self.view(0)
        words = mine.read()
        areas = mine.ring.texts[mine.ring.slots(words[:, NUMBER].view(np.int64))]
        words[:, NUMBER] += np.uint64(last)
        self._ring = make_ring(mine.ring.capacity)  # a new one: views keep theirs
        self._end += last
        self._ring.begun[0] = self._end
        for each in older:
            each.words[:, NAMES] = self._interned(each.names)[each.words[:, NAMES]]
            self._write(each.words, each.texts)
        self._write(words, TextBlock(words[:, TEXT].astype(np.intp), areas))

    def _write(self, words: Words, texts: TextBlock) -> None:
        numbers = words[:, NUMBER].view(np.int64)
        kept = np.flatnonzero(self._ring.spared(numbers))
        slots = self._ring.slots(numbers[kept])
        self._ring.words[slots] = words[kept]
        self._ring.texts[slots, : texts.areas.shape[1]] = texts.areas[kept]

    def _named(self, scope: Words, scopes: Scopes) -> Words:
        """Return what stands for the names of each SCOPE word."""
        if len(self._names) > 2 * self._ring.capacity:
            self._forget()
        unique, inverse = np.unique(scope, return_inverse=True)
        found: Words = self._interned([_names(int(each), scopes) for each in unique])[inverse]
        return found

    def _interned(self, names: Sequence[Names]) -> Words:
        new = dict.fromkeys(each for each in names if each not in self._numbers)
        numbered = {each: number for number, each in enumerate(new, start=self._last_name + 1)}
        if numbered:
            self._last_name += len(numbered)
            self._numbers.update(numbered)
            self._names = self._names | {number: each for each, number in numbered.items()}  # views keep theirs
        return np.array([self._numbers[each] for each in names], np.uint64)

    def _forget(self) -> None:
        """Let go of names that no record has."""
        used = {int(each) for batch in self._batches for each in np.unique(batch.words[:, NAMES])}
        used.update(np.unique(self._ring.words[:, NAMES]).tolist())
        self._names = {number: names for number, names in self._names.items() if number in used}
        self._numbers = {names: number for number, names in self._names.items()}


def _names(scope: int, scopes: Scopes) -> Names:
    listener, target = scopes.of(scope)
    return Names(listener.name, scopes.route_of(scope).name, target.address)


def _to_wall(words: Words, now_ns: int, wall_ns: int) -> None:
    """Turn monotonic times into wall time."""
    times = np.minimum(words[:, STARTED : ENDED + 1], np.uint64(now_ns + _SLACK_NS)).astype(np.int64)
    words[:, STARTED : ENDED + 1] = np.clip(times + (wall_ns - now_ns), 0, LATEST_NS).astype(np.uint64)
