"""What the numbers in a ledger stand for: names of listeners, routes and targets, by id."""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.metrics.ledger import ROUTE_SHIFT, TARGET_SHIFT

PAIRS = 4_096
"""Pairs of listener and route that have their series at zero from the start; a scrape of them takes some 40 ms."""


class ListenerScope(Struct, frozen=True):
    """
    A listener, as it is published.

    Args:
        id: Its number in the ledger.
        name: As configured.
        protocol: tcp, http, socks5 or auto.
        address: Where it listens.
        route: Name of the route that its connections take.
    """

    id: int
    name: str
    protocol: str
    address: str
    route: str


class RouteScope(Struct, frozen=True):
    """
    A route, as it is published.

    Args:
        id: Its number in the ledger.
        name: As configured.
    """

    id: int
    name: str


class TargetScope(Struct, frozen=True):
    """
    A target, as it is published.

    Args:
        id: Its number in the ledger.
        route: Name of the route that sends to it.
        address: `host:port`.
    """

    id: int
    route: str
    address: str


UNKNOWN_LISTENER = ListenerScope(0, "-", "-", "-", "-")
NO_ROUTE = RouteScope(0, "-")
NO_TARGET = TargetScope(0, "-", "")


class Gone(NamedTuple):
    """Ids that no longer serve."""

    listeners: frozenset[int] = frozenset()
    routes: frozenset[int] = frozenset()
    targets: frozenset[int] = frozenset()


class Scopes:
    """
    Listeners, routes and targets by id.

    Args:
        plans: Every listener of the node; with the port that it is bound to, where the kernel chose one.
        routes: Every route that has something to match.

    Attributes:
        pairs: Each listener with each route that its connections can take, PAIRS of them at most; others are met when
            they are taken.
        gone: What a reload has taken away. Names stay, for what was counted under them.
    """

    def __init__(self, plans: Iterable[ListenerPlan], routes: Iterable[RoutePlan] = ()) -> None:
        self.listeners: dict[int, ListenerScope] = {}
        self.routes: dict[int, RouteScope] = {}
        self.targets: dict[int, TargetScope] = {}
        self.pairs: list[tuple[int, int]] = []
        self.gone = Gone()
        self._name(plans, routes)

    def replan(self, plans: Iterable[ListenerPlan], routes: Iterable[RoutePlan]) -> None:
        """Name what another plan serves. An id never comes to stand for another name: see `config.renumber`."""
        now = Scopes(plans, routes)
        self.listeners.update(now.listeners)
        self.routes.update(now.routes)
        self.targets.update(now.targets)
        self.pairs = now.pairs
        self.gone = Gone(
            frozenset(self.listeners.keys() - now.listeners),
            frozenset(self.routes.keys() - now.routes),
            frozenset(self.targets.keys() - now.targets),
        )

    def _name(self, plans: Iterable[ListenerPlan], routes: Iterable[RoutePlan]) -> None:
        for plan in plans:
            self.listeners[plan.id] = ListenerScope(plan.id, plan.name, plan.protocol, str(plan), plan.route.name)
            self.pairs.append((plan.id, plan.route.id))
            self._route(plan.route)
        for route in routes:
            self._route(route)
            if len(self.pairs) < PAIRS:
                self.pairs += [(number, route.id) for number in route.match.listeners or self.listeners]

    def _route(self, plan: RoutePlan) -> None:
        self.routes[plan.id] = RouteScope(plan.id, plan.name)
        for target in plan.targets:
            self.targets[target.id] = TargetScope(target.id, plan.name, str(target))

    def of(self, scope: int) -> tuple[ListenerScope, TargetScope]:
        """Return whom a SCOPE word names; a listener that nobody knows is called `-`."""
        listener = self.listeners.get(scope & 0xFFFF, UNKNOWN_LISTENER)
        return listener, self.targets.get(scope >> TARGET_SHIFT & 0xFFFF, NO_TARGET)

    def route_of(self, scope: int) -> RouteScope:
        """Return which route a SCOPE word names; one that nobody knows, or none yet, is called `-`."""
        return self.routes.get(scope >> ROUTE_SHIFT & 0xFFFF, NO_ROUTE)

    def called(self, name: str) -> ListenerScope | None:
        """Return the listener with this name, if there is one."""
        return next((listener for listener in self.listeners.values() if listener.name == name), None)

    def serves(self, listener: int, route: int) -> bool:
        """Return whether both are served by these ids; 0, which is nobody, always is."""
        return listener not in self.gone.listeners and route not in self.gone.routes
