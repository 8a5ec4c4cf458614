"""
Rings of samples in fixed memory: one array for all keys of a kind, one row of it a tick.

A sample is what grew since the last one, the wall second that it ends on, and the time that really passed: what it
covers. Sums and rates look back along covered time, so a late tick or a clock that was set changes no rate. Only a
graph asks for wall seconds; seconds of it that no sample ends on are gaps.
Source: docs/decisions/0007-covered-time.md.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SPARE = 60
"""Samples kept beyond the depth: whoever holds a snapshot for a minute still reads what it showed."""

Floats = NDArray[np.float64]

Read = Callable[[NDArray[np.intp]], NDArray[np.floating]]


class Window(NamedTuple):
    """
    What happened in the newest samples of one ring.

    Args:
        sums: Growth; shape (columns,) for one key, (keys, columns) for all.
        covered: Time in which it grew; unit s, 0 if there is no sample.
    """

    sums: Floats
    covered: float

    def rates(self) -> Floats:
        """Return growth per second; zeros if nothing is covered."""
        return self.sums / self.covered if self.covered else np.zeros_like(self.sums)


class History(NamedTuple):
    """
    Samples on an even grid of wall seconds, oldest first.

    Args:
        at: Where each step ends; shape (n,), unit s since the epoch.
        covered: Time that the samples of a step cover; shape (n,), unit s. 0 is a gap; a late sample covers more than
            its step, and the steps before it are gaps.
        sums: Growth; shape (n, columns).
    """

    at: NDArray[np.int64]
    covered: Floats
    sums: Floats

    def rates(self) -> Floats:
        """Return growth per second of covered time; NaN in gaps."""
        if self.covered.all():  # no gap, as mostly: three times as fast
            return np.ascontiguousarray(self.sums.T / self.covered).T
        out = np.full_like(self.sums, np.nan)
        np.divide(self.sums, self.covered[:, None], out=out, where=self.covered[:, None] > 0)
        return out


class Ring:
    """
    The newest samples of every key of one kind.

    Args:
        depth: Samples that a view shows at most.
        keys: How many keys; a row of the samples each.
        columns: How many numbers each has.

    Attributes:
        depth: The same.
        end: Samples pushed so far.

    Numbers are 32-bit floats: exact up to 16,777,216, within 6e-8 beyond. Totals are kept elsewhere, and exact.
    Cost: memory of 4 * (depth + SPARE) * keys * columns bytes, taken from the system as it fills.
    """

    def __init__(self, depth: int, keys: int, columns: int) -> None:
        size = depth + SPARE
        self.depth, self.end = depth, 0
        self.samples: NDArray[np.float32] = np.zeros((size, keys, columns), np.float32)
        self.at: NDArray[np.int64] = np.zeros(size, np.int64)
        self.covered: Floats = np.zeros(size)

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes once it is full; unit bytes."""
        return self.samples.nbytes + self.at.nbytes + self.covered.nbytes

    def push(self, growth: NDArray[np.number], at: int, covered: float) -> None:
        """
        Add a sample of every key; the oldest leaves.

        Args:
            growth: Since the last sample; shape (keys, columns).
            at: The wall second that it ends on; unit s since the epoch.
            covered: Time since the last sample; unit s, above 0.
        """
        slot = self.end % len(self.at)
        self.samples[slot], self.at[slot], self.covered[slot] = growth, at, covered
        self.end += 1  # last: a view that is made by now shows whole samples only

    def extend(self, growth: NDArray[np.number], at: NDArray[np.int64], covered: Floats) -> None:
        """Add samples, oldest first, at most as many as it holds; shapes (n, keys, columns), (n,) and (n,)."""
        slots = np.arange(self.end, self.end + len(at)) % len(self.at)
        self.samples[slots], self.at[slots], self.covered[slots] = growth, at, covered
        self.end += len(at)

    def rearranged(self, places: Sequence[int]) -> "Ring":
        """
        Return a ring of other keys with the samples that it has of them. This one stays for whoever holds a view of it.

        Args:
            places: For each key of the new ring its place in this one; below 0 for a key that begins now.
        """
        ring = Ring(self.depth, len(places), self.samples.shape[2])
        ring.at, ring.covered, ring.end = self.at.copy(), self.covered.copy(), self.end
        found = np.array(places, np.intp)
        kept, filled = np.flatnonzero(found >= 0), min(self.end, len(self.at))
        ring.samples[:filled, kept] = self.samples[:filled, found[kept]]
        return ring

    def view(self) -> "View":
        """Return the ring as it is now; later samples do not show in it."""
        return View(self, self.end)


class View(NamedTuple):
    """A ring up to one sample."""

    ring: Ring
    end: int

    def window(self, seconds: float, key: int | NDArray[np.intp] | None = None) -> Window:
        """
        Return what grew in the newest time: the newest sample, and all that lie in the window by more than half.

        Args:
            seconds: Length of the window; unit s, above 0.
            key: Whose growth; many at once, or None for everybody's.

        Cost: O(samples in the window), and times O(keys) for everybody's.
        """
        numbers, covered = self.newest(seconds)
        ring = self.ring
        slots = numbers % len(ring.at)
        if isinstance(key, np.ndarray):
            slots = slots[:, None]
        samples = ring.samples[slots] if key is None else ring.samples[slots, key]
        return Window(samples.sum(axis=0, dtype=np.float64), covered)

    def newest(self, seconds: float) -> tuple[NDArray[np.intp], float]:
        """
        Return which samples a window holds, and how much time they cover; unit s.

        Args:
            seconds: Length of the window; unit s, above 0.

        Returns:
            Numbers of the samples, as `Ring.end` counts them, newest first.
        """
        numbers = self._held(int(2 * seconds) + 2)  # no sample covers less than half a second
        if not len(numbers):
            return numbers, 0.0
        covered = self.ring.covered.take(numbers, mode="wrap")
        ago = covered.cumsum()
        count = max(1, int((ago - covered / 2).searchsorted(seconds)))  # how long ago the middle of each sample was
        return numbers[:count], float(ago[count - 1])

    def history(self, steps: int, key: int, step: int = 1) -> History:
        """
        Return a graph of one key that ends with the newest sample.

        Args:
            steps: How many steps at most; fewer if the ring has not so many samples' time behind it.
            key: Whose growth.
            step: Length of a step, and of the ring's samples; unit s.
        """
        ring = self.ring
        return self.graph(steps, lambda numbers: ring.samples[numbers % len(ring.at), key], step)

    def graph(self, steps: int, read: Read, step: int = 1) -> History:
        """
        Return a graph that ends with the newest sample.

        Samples from before the clock was set back, of times that were used again since, are left out.

        Args:
            steps: As for `history`.
            read: Returns growth, shape (n, columns), of the samples with these numbers.
            step: As for `history`.
        """
        ring, numbers = self.ring, self._held(self.ring.depth)
        slots = numbers % len(ring.at)
        at = ring.at[slots]
        if not len(slots):
            return History(at, np.zeros(0), np.zeros((0, ring.samples.shape[2])))
        places = (at[0] - at) // step
        usable = (at <= np.minimum.accumulate(at)) & (places < steps)
        places, slots = places[usable], slots[usable]
        size = int(places.max()) + 1
        covered, sums = np.zeros(size), np.zeros((size, ring.samples.shape[2]))
        places, growth = size - 1 - places, read(numbers[usable]).astype(np.float64)
        if (np.diff(places) < 0).all():  # a sample a step, as ever but where the clock was set: six times as fast
            covered[places], sums[places] = ring.covered[slots], growth
        else:
            np.add.at(covered, places, ring.covered[slots])
            np.add.at(sums, places, growth)
        return History(at[0] - step * np.arange(size - 1, -1, -1), covered, sums)

    def _held(self, count: int) -> NDArray[np.intp]:
        """Return the numbers of the newest samples, newest first; none that has been written over since."""
        held = min(self.end, self.ring.depth, len(self.ring.at) - (self.ring.end - self.end), count)
        return self.end - 1 - np.arange(max(0, held))
