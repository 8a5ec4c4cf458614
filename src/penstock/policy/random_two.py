"""Two targets by chance, and of them the one that has less to do: nearly as good as asking all, at the cost of two."""

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

from penstock.policy.balance import Standing, Weights, whole
from penstock.policy.least_connections import least

Chance = Callable[[], float]
"""Returns a number from 0 to 1, without 1."""


class RandomTwo:
    """
    The power of two choices (Mitzenmacher 2001). Heavier targets are chosen more often, and bear more.

    Args:
        standings: All targets.
        chance: Where chance comes from.
    """

    __slots__ = ("_all", "_chance", "_shares", "_sums", "_total")

    def __init__(self, standings: Sequence[Standing], chance: Chance) -> None:
        self._all, self._chance = tuple(standings), chance
        self._shares: list[tuple[Standing, int]] = []
        self._sums: list[int] = []
        self._total = 0
        self.update(whole(standings))

    def update(self, weights: Weights) -> None:
        """From now on each target gets as much as its weight says."""
        self._shares = [(each, weight) for each, weight in zip(self._all, weights, strict=True) if weight]
        self._sums = list(accumulate(weight for _, weight in self._shares))
        self._total = sum(weights)

    def pick(self, client: str) -> Standing | None:
        """Return the less busy one of two that are never the same."""
        shares = self._shares
        if len(shares) < 2:
            return shares[0][0] if shares else None
        sums, chance = self._sums, self._chance
        one, weight = shares[one_at := bisect(sums, chance() * self._total)]
        spot = chance() * (self._total - weight)
        if spot >= sums[one_at] - weight:  # what the first one covers is left out
            spot += weight
        other, other_weight = shares[min(bisect(sums, spot), len(shares) - 1)]
        return other if other.open * weight < one.open * other_weight else one

    def other(self, client: str, tried: Sequence[Standing]) -> Standing | None:
        """Return the least busy one of the rest: who was unlucky once is not left to chance again."""
        left = [(each, weight) for each, weight in self._shares if each not in tried]
        return least(left, left[0][0]) if left else None
