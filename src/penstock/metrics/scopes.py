"""What the numbers in a ledger stand for: names of listeners and targets, by id."""

from collections.abc import Iterable

from msgspec import Struct

from penstock.config.plan import ListenerPlan


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
NO_TARGET = TargetScope(0, "-", "")


class Scopes:
    """
    Listeners and targets by id.

    Args:
        plans: Every listener of the node; with the port that it is bound to, where the kernel chose one.
    """

    def __init__(self, plans: Iterable[ListenerPlan]) -> None:
        self.listeners: dict[int, ListenerScope] = {}
        self.targets: dict[int, TargetScope] = {}
        for plan in plans:
            self.listeners[plan.id] = ListenerScope(plan.id, plan.name, plan.protocol, str(plan), plan.route)
            for target in plan.targets:
                self.targets[target.id] = TargetScope(target.id, plan.route, str(target))

    def of(self, scope: int) -> tuple[ListenerScope, TargetScope]:
        """Return whom a SCOPE word names; a listener that nobody knows is called `-`."""
        listener = self.listeners.get(scope & 0xFFFF, UNKNOWN_LISTENER)
        return listener, self.targets.get(scope >> 16 & 0xFFFF, NO_TARGET)

    def called(self, name: str) -> ListenerScope | None:
        """Return the listener with this name, if there is one."""
        return next((listener for listener in self.listeners.values() if listener.name == name), None)
