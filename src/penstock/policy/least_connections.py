"""The target with the fewest open connections for its weight; among equals, that whose turn it is."""

from collections.abc import Iterable, Sequence

from penstock.policy.balance import RoundRobin, Standing, Weights, whole

LOOKS = 64
"""Targets that are compared for one connection: two by chance are nearly as good as all (policy/random_two.py), and so
many cost a worker some 5 us."""


class LeastConnections:
    """
    Counts what this worker has open: the kernel spreads clients over workers, so what is fair in each is fair in all.

    Args:
        standings: All targets.

    Cost: a look at each target, a tenth of a microsecond, unless the one whose turn it is serves nobody. Of more than
    `LOOKS` targets so many are looked at, others the next time.
    """

    __slots__ = ("_all", "_at", "_shares", "_turns")

    def __init__(self, standings: Sequence[Standing]) -> None:
        self._all = tuple(standings)
        self._turns = RoundRobin(standings)
        self._at = 0
        self._shares = list(zip(standings, whole(standings), strict=True))

    def update(self, weights: Weights) -> None:
        """From now on each target gets as much as its weight says."""
        self._turns.update(weights)
        self._shares = [(each, weight) for each, weight in zip(self._all, weights, strict=True) if weight]

    def pick(self, client: str) -> Standing | None:
        """Return the target that has the least to do."""
        first = self._turns.pick(client)
        if first is None or not first.open:
            return first
        return least(self._shares if len(self._shares) <= LOOKS else self._some(), first)

    def _some(self) -> list[tuple[Standing, int]]:
        shares, begin = self._shares, self._at
        end = begin + LOOKS
        self._at = end % len(shares)
        return shares[begin:end] + shares[: max(0, end - len(shares))]

    def other(self, client: str, tried: Sequence[Standing]) -> Standing | None:
        """Return the one among the rest that has the least to do."""
        left = [(each, weight) for each, weight in self._shares if each not in tried]
        return least(left, left[0][0]) if left else None


def least(shares: Iterable[tuple[Standing, int]], first: Standing) -> Standing:
    """
    Return who has the least to do for its weight.

    Args:
        shares: Targets and their weights, above 0.
        first: Chosen among equals; after it, the one that stands first.
    """
    found, load = first, -1.0
    for each, weight in shares:
        has = each.open / weight
        if has < load or load < 0 or (each is first and has == load):
            found, load = each, has
    return found
