"""A route at work in one worker: which of its targets is next."""

from collections.abc import Iterable

from penstock.config.plan import RoutePlan, TargetPlan
from penstock.policy.balance import round_robin


class Route:
    """
    Sends connections to targets in turn.

    Args:
        plan: Its targets.

    Attributes:
        plan: The same.
    """

    __slots__ = ("_turns", "plan")

    def __init__(self, plan: RoutePlan) -> None:
        self.plan = plan
        self._turns = round_robin(plan.targets) if plan.targets else iter(())

    def next_target(self) -> TargetPlan:
        """Return the target whose turn it is."""
        return next(self._turns)


class Routes:
    """
    Every route of a worker. Listeners that share a route share its turns.

    Args:
        plans: The routes of all listeners, and all that have something to match.
    """

    def __init__(self, plans: Iterable[RoutePlan]) -> None:
        self._routes: dict[tuple[int, tuple[TargetPlan, ...]], Route] = {}
        for plan in plans:
            self._routes.setdefault((plan.id, plan.targets), Route(plan))

    def of(self, plan: RoutePlan) -> Route:
        """Return the route of a plan."""
        return self._routes[plan.id, plan.targets]
