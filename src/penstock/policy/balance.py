"""
Which target gets the next connection: in turn, each in proportion to its weight.

The other balancers stand beside this one and look alike: `update` says what each target may get now, `pick` names the
next one, `other` one more for a connection whose first choice could not be reached. None ever names a target whose
weight is 0.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace
from itertools import cycle, repeat
from typing import Protocol

from penstock.config.plan import TargetPlan
from penstock.policy.ejection import Ejection

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, are spread as evenly as can be."""

FINE = 100
"""Parts of a unit of weight: a target that starts slowly has some of them."""

Weights = Sequence[int]
"""What each target may get now, in the order of the targets; 0 for nothing, unit 1 / FINE."""


class Standing:
    """
    How a target stands with one worker. Written by the worker, read by balancers.

    Args:
        plan: The target.

    Attributes:
        open: Connections and requests of this worker that it serves or is dialed for.
        failures: Dials that failed, since the last one that did not.
        ejection: How long this worker leaves it out.
    """

    __slots__ = ("ejection", "failures", "open", "plan")

    def __init__(self, plan: TargetPlan) -> None:
        self.plan, self.open, self.failures, self.ejection = plan, 0, 0, Ejection()

    def __repr__(self) -> str:
        return f"Standing({self.plan}, open={self.open}, failures={self.failures})"


class Balancer(Protocol):
    """Names targets."""

    def update(self, weights: Weights) -> None:
        """From now on each target gets as much as its weight says."""

    def pick(self, client: str) -> Standing | None:
        """Return the target for a connection of a client, by its IP address; None while no target gets anything."""

    def other(self, client: str, tried: Sequence[Standing]) -> Standing | None:
        """Return a target that is not among those tried, in their order; None if all are."""


def whole(standings: Sequence[Standing]) -> list[int]:
    """Return the weights of targets that are all well."""
    return [each.plan.weight * FINE for each in standings]


class RoundRobin:
    """
    Each in turn, as evenly spread as the weights allow.

    In a round each target has as many turns as its weight, in even steps; where its first one lies is set apart from
    the others' by the golden ratio. Who comes next is the top of a heap (earliest deadline first, as Envoy has it).

    Args:
        standings: All targets; in this order, equal ones take turns.

    Cost: a tenth of a microsecond among equals, else half of one, and hardly more among thousands.
    """

    __slots__ = ("_all", "_available", "_next", "_turns")

    def __init__(self, standings: Sequence[Standing]) -> None:
        self._all = tuple(standings)
        self._available: list[Standing] = []
        self._turns: list[tuple[float, int, float, int]] = []
        self._next: Callable[[], Standing | None] = repeat(None).__next__
        self.update(whole(standings))

    def update(self, weights: Weights) -> None:
        """From now on each target gets as much as its weight says; among equals who was next is, if it is there."""
        following = self._next()
        shares = [(index, weight) for index, weight in enumerate(weights) if weight]
        self._available = [self._all[index] for index, _ in shares]
        if not shares:
            self._next = repeat(None).__next__
        elif len({weight for _, weight in shares}) == 1:
            self._next = cycle(self._from(following)).__next__
        else:
            begun = ((index, (index + 1) * GOLDEN % 1, weight) for index, weight in shares)
            self._turns = [(turn / weight, index, turn, weight) for index, turn, weight in begun]
            heapify(self._turns)
            self._next = self._earliest

    def _from(self, following: Standing | None) -> list[Standing]:
        """Return the available targets in their order, beginning with one or with who comes after it."""
        start = 0 if following is None else self._all.index(following)
        rest = self._all[start:]
        places = {id(each) for each in rest}
        return [e for e in self._available if id(e) in places] + [e for e in self._available if id(e) not in places]

    def _earliest(self) -> Standing:
        turns = self._turns
        _, index, turn, weight = turns[0]
        turn += 1
        heapreplace(turns, (turn / weight, index, turn, weight))
        return self._all[index]

    def pick(self, client: str) -> Standing | None:
        """Return the target whose turn it is."""
        return self._next()

    def other(self, client: str, tried: Sequence[Standing]) -> Standing | None:
        """Return the next target in turn that was not tried: it has had its turn then."""
        for _ in self._available:
            if (found := self._next()) not in tried:
                return found
        return next((each for each in self._available if each not in tried), None)
