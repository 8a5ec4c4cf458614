"""
Distributions of numbers in fixed memory: exponential histograms for percentiles, and counts by bound for Prometheus.

An exponential histogram of scale s has bounds at the powers of base = 2 ** 2 ** -s. A bucket's estimate is the number
that is as far, in proportion, from its lower bound as from its upper one, so it is wrong by (base - 1) / (base + 1) at
most.
Histograms are added up without loss; those of two scales at the coarser one, whose bounds are all among the finer's.
Source: OpenTelemetry metrics data model, ExponentialHistogram.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.metrics.saved import MOST, Bins, SavedError, Whole

SCALE = 5
"""32 buckets for each doubling: percentiles within 1.1 %, and 16 KB a histogram for all that 63 bits hold."""

SCALES = range(0, 11)
"""From 100 % to 0.04 % and half a megabyte; OpenTelemetry allows -10 to 20."""

OCTAVES = 63
"""Doublings from 1 to the largest 64-bit number with a sign."""

Values = NDArray[np.int64]


def error_of(scale: int) -> float:
    """Return by how much a percentile of this scale may be wrong, in proportion to the true one."""
    base = _base(scale)
    return (base - 1) / (base + 1)


def _base(scale: int) -> float:
    return math.exp2(math.exp2(-scale))


class SavedExponential(Struct, frozen=True, array_like=True):
    """See `Exponential`; buckets are pairs of number and count, ascending."""

    scale: int
    zeros: Whole
    least: int
    most: int
    buckets: tuple[tuple[Whole, Whole], ...]

    def restore(self) -> "Exponential":
        """
        Return the histogram that was exported.

        Raises:
            SavedError: If it was none.
        """
        if self.scale not in SCALES or not -1 <= self.most < 2**63 or not 0 <= self.least < 2**63:
            raise SavedError(f"no histogram of scale {self.scale} is like that")
        found = Exponential(self.scale)
        found.zeros, found.least, found.most = self.zeros, self.least, self.most
        if any(number >= len(found.counts) for number, _ in self.buckets):
            raise SavedError("a bucket is out of range")
        if self.zeros + sum(count for _, count in self.buckets) > MOST:
            raise SavedError("counts are too large")
        for number, count in self.buckets:
            found.counts[number] += count
        return found


class Exponential:
    """
    How many numbers of which size there were.

    Args:
        scale: One of `SCALES`.

    Attributes:
        scale: The same.
        zeros: Numbers below 1.
        counts: Numbers by bucket; number i counts those above base ** (i - 1), up to base ** i.
        least, most: The smallest and the largest number so far; `most` is -1 if there is none.
    """

    def __init__(self, scale: int = SCALE) -> None:
        if scale not in SCALES:
            raise ValueError(f"scale {scale} is not one of {SCALES.start} to {SCALES.stop - 1}")
        self.scale, self.zeros = scale, 0
        self.counts: Values = np.zeros((OCTAVES << scale) + 1, np.int64)
        self.least, self.most = 2**63 - 1, -1

    def __len__(self) -> int:
        return self.zeros + int(self.counts.sum())

    def add(self, values: Values) -> None:
        """
        Count numbers.

        Args:
            values: Shape (n,); what is below 1 counts as zero.
        """
        if not len(values):
            return
        above = values[values >= 1]
        buckets = np.ceil(np.log2(above.astype(np.float64)) * (1 << self.scale)).astype(np.intp)
        self.counts += np.bincount(buckets, minlength=len(self.counts))
        self.zeros += len(values) - len(above)
        sizes = np.maximum(values, 0)
        self.least, self.most = min(self.least, int(sizes.min())), max(self.most, int(sizes.max()))

    def copy(self) -> "Exponential":
        """Return the same numbers, which then stay as they are."""
        found = Exponential(self.scale)
        found.counts, found.zeros = self.counts.copy(), self.zeros
        found.least, found.most = self.least, self.most
        return found

    def absorb(self, counts: Values) -> None:
        """
        Count numbers that were put into buckets of this scale elsewhere.

        Args:
            counts: How many are in each bucket; shape (len(self.counts),).
        """
        found = np.flatnonzero(counts)
        if not len(found):
            return
        self.counts += counts
        below, up_to = _base(self.scale) ** (int(found[0]) - 1), _base(self.scale) ** int(found[-1])
        self.least, self.most = min(self.least, math.ceil(below)), max(self.most, int(min(up_to, 2**63 - 1)))

    def merged(self, other: "Exponential") -> "Exponential":
        """Return both together, at the coarser scale of the two."""
        scale = min(self.scale, other.scale)
        one, two, both = self.coarser(scale), other.coarser(scale), Exponential(scale)
        both.counts, both.zeros = one.counts + two.counts, one.zeros + two.zeros
        both.least, both.most = min(one.least, two.least), max(one.most, two.most)
        return both

    def coarser(self, scale: int) -> "Exponential":
        """
        Return the same numbers at a coarser scale.

        Args:
            scale: At most the present one.

        Raises:
            ValueError: If it is finer: what was not told apart cannot be told apart again.
        """
        if scale > self.scale:
            raise ValueError(f"scale {self.scale} has not the detail of {scale}")
        found = Exponential(scale)
        numbers = np.arange(len(self.counts))
        np.add.at(found.counts, -(-numbers >> self.scale - scale), self.counts)  # rounded up: bounds are inclusive
        found.zeros, found.least, found.most = self.zeros, self.least, self.most
        return found

    def export(self) -> SavedExponential:
        """Return what was counted, without the buckets that are empty."""
        filled = np.flatnonzero(self.counts)
        return SavedExponential(
            scale=self.scale,
            zeros=self.zeros,
            least=self.least,
            most=self.most,
            buckets=tuple(zip(filled.tolist(), self.counts[filled].tolist(), strict=True)),
        )

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """
        Return for each share the smallest number that so many of all do not exceed, within `error_of(scale)`.

        Args:
            shares: From 0 to 1.

        Returns:
            As many numbers; none at all if nothing was counted.
        """
        below = np.cumsum(self.counts) + self.zeros
        total = int(below[-1])
        if not total:
            return []
        base, found = _base(self.scale), []
        for share in shares:
            rank = max(1, int(np.ceil(share * total)))
            bucket = int(np.searchsorted(below, rank))
            middle = 0.0 if rank <= self.zeros else 2 * base**bucket / (1 + base)
            found.append(min(max(middle, self.least), self.most))
        return found


class Distribution(Struct, frozen=True):
    """
    Numbers counted by bound.

    Args:
        bounds: Ascending; the last bucket has none.
        counts: How many are above the bound before and up to their own; one more than bounds.
        sum: Of all numbers.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    def __add__(self, other: "Distribution") -> "Distribution":
        """Return both together; they have the same bounds."""
        counts = tuple(one + two for one, two in zip(self.counts, other.counts, strict=True))
        return Distribution(self.bounds, counts, self.sum + other.sum)

    def cumulative(self) -> list[int]:
        """Return how many numbers are up to each bound; the last counts all."""
        return list(accumulate(self.counts))


class Bounded:
    """
    Counts by bound for each of some keys.

    Args:
        bounds: Ascending.
        keys: How many keys.
    """

    def __init__(self, bounds: Sequence[float], keys: int = 1) -> None:
        self._bounds = tuple(bounds)
        self._counts: Values = np.zeros((keys, len(self._bounds) + 1), np.int64)
        self._sums: NDArray[np.float64] = np.zeros(keys)

    def add(self, values: NDArray[np.float64], keys: NDArray[np.integer]) -> None:
        """
        Count numbers.

        Args:
            values: Shape (n,).
            keys: Whose they are; shape (n,). A key that is out of range counts for nobody.
        """
        known = keys < len(self._sums)
        values, keys = values[known], keys[known]
        np.add.at(self._counts, (keys, np.searchsorted(self._bounds, values)), 1)
        np.add.at(self._sums, keys, values)

    def grow(self, keys: int) -> None:
        """Make room for so many keys; those that there are stay."""
        missing = keys - len(self._sums)
        if missing > 0:
            self._counts = np.pad(self._counts, ((0, missing), (0, 0)))
            self._sums = np.pad(self._sums, (0, missing))

    def carry(self, key: int, bins: Bins) -> None:
        """
        Add what was counted before.

        Raises:
            SavedError: If it was counted by other bounds.
        """
        if len(bins.counts) != self._counts.shape[1]:
            raise SavedError("other bounds")
        if sum(bins.counts) > MOST:
            raise SavedError("counts are too large")
        self._counts[key] += np.array(bins.counts, np.int64)
        self._sums[key] += bins.sum

    def export(self, key: int = 0) -> Bins:
        """Return what was counted for one key."""
        return Bins(tuple(self._counts[key].tolist()), float(self._sums[key]))

    def of(self, key: int = 0) -> Distribution:
        """Return the numbers of one key."""
        return Distribution(self._bounds, tuple(self._counts[key].tolist()), float(self._sums[key]))
