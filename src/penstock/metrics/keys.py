"""
The keys of short trackers as they are published: names, totals and samples of clients, users or destinations.

Totals and samples lie by place. A place passes from key to key: totals are of the present one, and of samples only
those since it came. The earlier ones belong to `other`; so no sample is ever changed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.growth import Numbers
from penstock.metrics.rings import Floats, History, Ring, View, Window

SECONDS = 300
"""Samples of each, and how long an idle key stays known: five minutes."""

OTHER, NOBODY = 0, 1
"""The places of all keys that have none, and of connections that name no key."""

FIRST = 2
"""The first place that keys have."""

OTHER_NAME, NOBODY_NAME = NOT_KEYS = "other", "-"
"""What these places are called. A key of the same name, such as a user, is counted there."""

C_CONNECTIONS, C_IN, C_OUT, C_REQUESTS = range(4)
"""Rows of a table of totals by place."""

TOTALS = 4

RATES = ("bytes_in", "bytes_out")
"""What is sampled."""

Key = Any
"""Text, or the 16 bytes of an address. Compared, hashed, and made into text by its kind."""


class Kind(NamedTuple):
    """
    What is special to the keys of one kind.

    Args:
        name: client, user or destination.
        nobody: The key that stands for none.
        text: Returns a key as text.
        parse: Returns the key that a text stands for; None if it can stand for none.
    """

    name: str
    nobody: Key
    text: Callable[[Key], str]
    parse: Callable[[str], Key | None]


class Grown(NamedTuple):
    """What a key grew by; `key` is text."""

    key: str
    connections: int
    requests: int
    bytes_in: int
    bytes_out: int


class Picture(NamedTuple):
    """
    All known keys of a kind at one tick. It shows the same as long as the ring keeps its samples.

    Args:
        kind: Which.
        keys: Whose place each is; None for a free one, for `other` and for `-`.
        since: The number of the first sample that belongs to the key of a place.
        active: Open connections; shape (places,).
        totals: Connections, bytes_in, bytes_out and requests since the key got its place; shape (TOTALS, places).
        held: How much of the totals of `-` is held; shape (TOTALS,).
        evicted: Keys that lost their place to others, in all.
        view: The samples.
    """

    kind: Kind
    keys: tuple[Key | None, ...]
    since: Numbers
    active: Numbers
    totals: Numbers
    held: Numbers
    evicted: int
    view: View

    def find(self, text: str) -> int | None:
        """Return the place of a key as text, `other` and `-` among them; None if it has none."""
        if text == OTHER_NAME:
            return OTHER
        if text == NOBODY_NAME:
            return NOBODY if self.totals[C_CONNECTIONS, NOBODY] else None
        key = self.kind.parse(text)
        return self.keys.index(key) if key is not None and key in self.keys else None

    def name(self, place: int) -> str:
        """Return whose place it is as text."""
        if place < FIRST:
            return (OTHER_NAME, NOBODY_NAME)[place]
        return self.kind.text(self.keys[place])

    def known(self) -> list[int]:
        """Return the places that are taken, that of `-` if it was ever needed, and not that of `other`."""
        nobody = [NOBODY] if self.totals[C_CONNECTIONS, NOBODY] else []
        return nobody + [place for place, key in enumerate(self.keys) if key is not None]

    def window(self, seconds: float, place: int) -> Window:
        """Return what a place grew by in the newest time; see `rings.View.window`."""
        numbers, covered = self.view.newest(seconds)
        return Window(self._read(place, numbers).sum(axis=0, dtype=np.float64), covered)

    def rates(self, seconds: float) -> Floats:
        """Return growth per second of all places; shape (places, RATES)."""
        numbers, covered = self.view.newest(seconds)
        return sums(self.view.ring, self.since, numbers) / (covered or 1.0)

    def history(self, place: int, seconds: int) -> History:
        """Return the graph of one place."""
        return self.view.graph(seconds, lambda numbers: self._read(place, numbers))

    def _read(self, place: int, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the samples of a place with these numbers, shape (n, RATES) (invariant 3)."""
        samples, slots = self.view.ring.samples, numbers % len(self.view.ring.at)
        found: NDArray[np.float32] = samples[slots, place]
        if place != OTHER or not len(numbers) or self.since.max() <= numbers[-1]:
            found[numbers < self.since[place]] = 0
            return found
        before = _before(numbers, self.since)
        found += np.matmul(before[:, None, :], samples.take(slots, axis=0))[:, 0]
        return found


def sums(ring: Ring, since: Numbers, numbers: NDArray[np.intp]) -> Floats:
    """Return the sums of the samples with these numbers, newest first, by place; shape (places, RATES)."""
    samples = ring.samples.take(numbers % len(ring.at), axis=0)
    lost = 0.0
    if len(numbers) and since.max() > numbers[-1]:
        earlier = samples * _before(numbers, since)[:, :, None]
        samples -= earlier
        lost = _added(earlier).sum(axis=0)
    found = _added(samples)
    found[OTHER] += lost
    return found


def _added(samples: NDArray[np.float32]) -> Floats:
    """Return the sum over samples; four times as fast as `sum(axis=0, dtype=np.float64)`, and as exact as a sample."""
    count, places, columns = samples.shape
    added: Floats = np.matmul(np.ones(count, np.float32), samples.reshape(count, places * columns)).astype(np.float64)
    return added.reshape(places, columns)


def _before(numbers: NDArray[np.intp], since: Numbers) -> NDArray[np.float32]:
    """Return 1 for each sample that is older than a key's first one, 0 for others; shape (samples, keys)."""
    return (numbers[:, None] < since).astype(np.float32)
