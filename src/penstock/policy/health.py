"""How a target is: what checks, traffic and operators say of it becomes one state and one weight."""

from enum import StrEnum

from msgspec import Struct

from penstock.config.plan import HealthPlan
from penstock.policy.balance import FINE
from penstock.policy.ejection import Ejection

RAMP_STEPS = 20
"""In which a slow start gives the weight back; HAProxy's has 20, too."""

RAMP_STEP_NS = 100_000_000
"""Shortest step: what a second sees in ten steps looks smooth."""

RAMP_BEGIN = 10
"""Parts of the weight, out of 100, that a slow start begins with: Envoy's min_weight_percent is 10."""


class TargetOrder(StrEnum):
    """What an operator wants of a target; the words are HAProxy's."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class TargetState(StrEnum):
    """How a target is. Only one that is up gets new connections, unless no target of its route is."""

    UP = "up"
    DOWN = "down"
    EJECTED = "ejected"
    DRAIN = "drain"
    MAINT = "maint"


class Remembered(Struct, frozen=True):
    """
    What a process that succeeds this one must know of a target from its first connection on.

    Args:
        order: The operator's.
        weight: As it is.
        configured: What stands in the configuration; another one wins over `weight`.
        down: What checks said last; empty for nothing bad.
        ejected: Why it is left out; empty if it is not.
        until, length: End and length of its last ejection; monotonic time of the machine, unit ns.
        ramp: When its slow start began; 0 if it has none.
    """

    order: TargetOrder
    weight: int
    configured: int
    down: str = ""
    ejected: str = ""
    until: int = 0
    length: int = 0
    ramp: int = 0


class TargetHealth:
    """
    One target.

    A new one is up; its first check decides, each later change needs `rise` or `fall` checks in a row. An ejection ends
    with its time, or when `rise` checks in a row have found the target well since it began.

    Args:
        plan: How the route's targets are looked after.
        weight: As configured.
        now: Monotonic time; unit ns, as everywhere here.

    Attributes:
        order: The operator's; outlives all checks.
        weight: As configured, or as an operator wants it.
        down: Whether checks say so.
        ejected: Whether failed dials keep it out.
        state: What all of them come to.
        why: Why the state is this one; empty at first.
        since: When it became so.
    """

    __slots__ = (
        "_bad",
        "_ejection",
        "_good",
        "_plan",
        "_ramp",
        "_undecided",
        "_weight",
        "down",
        "ejected",
        "order",
        "since",
        "state",
        "weight",
        "why",
    )  # fmt: skip

    def __init__(self, plan: HealthPlan, weight: int, now: int) -> None:
        self._plan, self._weight = plan, weight
        self.weight = weight
        self._ejection = Ejection()
        self._good = self._bad = self._ramp = 0
        self._undecided = True
        self.order, self.state, self.why, self.since = TargetOrder.READY, TargetState.UP, "", now
        self.down = self.ejected = False

    def replan(self, plan: HealthPlan, weight: int, now: int) -> None:
        """Go on under another plan. Who is no longer checked is no longer down; the configured weight is news only if
        it is another one."""
        if weight != self._weight:
            self._weight = self.weight = weight
        self._plan = plan
        if plan.kind == "off":
            self.down = False
        self._settle("no longer checked", now)

    def checked(self, problem: str, now: int) -> None:
        """
        Take the result of a check.

        Args:
            problem: What was wrong; empty for nothing.
            now: When it ended.
        """
        first, self._undecided = self._undecided, False
        if problem:
            self._good, self._bad = 0, self._bad + 1
            self.down = self.down or first or self._bad >= self._plan.fall
            self._settle(problem, now)
            return
        self._good, self._bad = self._good + 1, 0
        if first or self._good >= self._plan.rise:
            self.down = False
            if self.ejected and self._good >= self._plan.rise:
                self._ejection.lift(now)
                self.ejected = False
        self._settle("checks pass", now)

    def eject(self, why: str, now: int) -> bool:
        """Leave it out for a while, as its dials fail; returns whether it was not left out already."""
        if self.ejected:
            return False
        self._ejection.eject(now, self._plan.ejection)
        self.ejected, self._good = True, 0
        self._settle(why, now)
        return True

    def obey(self, order: TargetOrder | None, weight: int | None, now: int) -> None:
        """Do what an operator wants; None leaves order or weight as it is."""
        self.weight = self.weight if weight is None else weight
        if order is not None:
            self._undecided = self._undecided or self.order is TargetOrder.MAINT  # what was known of it is old
            self.order = order
        self._settle("by order of the operator", now)

    def remember(self) -> Remembered:
        """Return what outlives this process."""
        down = (self.why or "checks failed") if self.down else ""
        ejected = (self.why if self.state is TargetState.EJECTED else "dials failed") if self.ejected else ""
        last = self._ejection
        return Remembered(self.order, self.weight, self._weight, down, ejected, last.until, last.length, self._ramp)

    def recall(self, known: Remembered, now: int) -> None:
        """Go on from what an older process knew; a check of our own knows better how the target is."""
        self.order = known.order
        if known.configured == self._weight:
            self.weight = known.weight
        if self._undecided and self._plan.kind != "off":
            self.down = bool(known.down)
        if known.until > self._ejection.until and self._plan.failures:
            self._ejection = Ejection(known.until, known.length)
            self.ejected = bool(known.ejected) and now < known.until and self._good < self._plan.rise
        why = (self.down and known.down) or known.ejected
        self._settle(why if known.order is TargetOrder.READY else "by order of the operator", now)
        if self.state is TargetState.UP and not self._ramp:
            self._ramp = known.ramp

    def wake(self, now: int) -> None:
        """Let happen what time brings: the end of an ejection."""
        if self.ejected and now >= self._ejection.until:
            self.ejected = False
            self._settle("its ejection is over", now)

    def due(self, now: int) -> int | None:
        """Return when time will bring something next; None for never."""
        moments = [self._ejection.until] if self.ejected else []
        if self._ramps(now):
            moments.append(now + max(RAMP_STEP_NS, self._plan.slow_start // RAMP_STEPS))
        return min(moments, default=None)

    def share(self, now: int) -> int:
        """Return the weight that it has now, 1 or more; unit 1 / FINE."""
        whole = self.weight * FINE
        if not self._ramps(now):
            return whole
        return max(1, whole * RAMP_BEGIN // 100, whole * (now - self._ramp) // self._plan.slow_start)

    def _ramps(self, now: int) -> bool:
        return self._ramp > 0 and now - self._ramp < self._plan.slow_start

    def _settle(self, why: str, now: int) -> None:
        if self.order is not TargetOrder.READY:
            state = TargetState(self.order)
        elif self.down:
            state = TargetState.DOWN
        else:
            state = TargetState.EJECTED if self.ejected else TargetState.UP
        if state is not self.state:
            self.state, self.why, self.since = state, why, now
            self._ramp = now if state is TargetState.UP else 0
