"""A route at work in one worker: which of its targets is next."""

from collections.abc import Iterable

from penstock.config.plan import RoutePlan, TargetPlan
from penstock.dataplane.contexts import make_target_context
from penstock.policy.balance import round_robin


class Route:
    """
    Sends connections to targets in turn.

    Args:
        plan: Its targets.

    Attributes:
        plan: The same.
        target_context: How TLS is spoken with the targets; None for in the clear.
        parent_context: The same with the parent.
        pooled: Whether a connection to a target may serve one client after the other.
        direct: Whether a TCP connection to a target is all that it needs.
    """

    __slots__ = ("_turns", "direct", "parent_context", "plan", "pooled", "target_context")

    def __init__(self, plan: RoutePlan) -> None:
        self.plan = plan
        target_tls, parent = plan.target_tls, plan.parent
        self.target_context = None if target_tls is None else make_target_context(target_tls)
        wrapped = parent is not None and parent.kind == "https"
        self.parent_context = make_target_context(parent.tls) if parent is not None and wrapped else None
        self.direct = target_tls is None and parent is None and plan.send_proxy == "off"
        self.pooled = plan.send_proxy == "off"
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
