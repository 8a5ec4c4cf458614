"""
Deadlines of one connection on the reactor's wheel: one at a time, moved for the price of an attribute.

Moving a deadline later costs nothing: the visit that was planned finds that it came too early and plans another.
Idleness is judged by `seen`, which the relay stamps, so no chunk touches a timer.
"""

from typing import TYPE_CHECKING

from penstock.base.clock import NS

if TYPE_CHECKING:
    from penstock.dataplane.reactor import Reactor

FIRST_VISIT_NS = NS
"""A new connection is first looked at after a second. Most are gone by then, and are expected no more: no corpse waits
on the wheel, and their memory serves the next ones while it is still in the cache."""

VISIT_NS = 60 * NS
"""Later looks are at most this far apart, so that no closed connection is kept in memory by its idle timeout."""


class Deadlines:
    """
    What ends by itself.

    Args:
        reactor: Whose wheel and time are used.
        deadline: First deadline; unit ns.

    Attributes:
        seen: When a byte last moved; unit ns.
        deadline, idle: As told last; `idle` counts unless it is 0. Who moves them itself, because a call would cost,
            calls `arm` or `arm_idle` where the new deadline comes before `visit`.
        visit: When the next look is planned; unit ns.
    """

    __slots__ = ("_reactor", "deadline", "idle", "seen", "visit")

    def __init__(self, reactor: "Reactor", deadline: int) -> None:
        self._reactor, self.seen = reactor, (now := reactor.now)
        self.deadline, self.idle = deadline, 0
        self.visit = visit = now + FIRST_VISIT_NS
        if deadline < visit:
            self.visit = deadline
            reactor.at(deadline, self)
        else:
            reactor.expect(visit, self)

    def arm(self, deadline: int) -> None:
        """Expire at `deadline`; unit ns."""
        self.deadline, self.idle = deadline, 0
        if deadline < self.visit:
            self.visit = deadline
            self._reactor.at(deadline, self)

    def arm_idle(self, idle: int) -> None:
        """Expire when no byte has moved for `idle`; unit ns."""
        self.idle = idle
        deadline = self.seen + idle
        if deadline < self.visit:
            self.visit = deadline
            self._reactor.at(deadline, self)

    def wake(self, now: int) -> None:
        """Look whether the deadline has passed."""
        if now < self.visit or self.gone:  # an earlier visit took this one's place
            return
        self.visited()
        deadline = self.seen + self.idle if self.idle else self.deadline
        due = now >= deadline
        self.visit = now + FIRST_VISIT_NS if due else min(deadline, now + VISIT_NS)
        self._reactor.at(self.visit, self)
        if due:
            self.expire()

    @property
    def gone(self) -> bool:
        """Whether there is nothing left to end."""
        raise NotImplementedError

    def visited(self) -> None:
        """Do what can wait for such a visit."""

    def expire(self) -> None:
        """React to the deadline."""
        raise NotImplementedError
