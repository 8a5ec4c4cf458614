"""Which route a connection takes, and what becomes of one that none takes."""

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.connection.commands import Close, Facts
from penstock.policy.facts import RouteFacts

BLOCKED = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS)
NOWHERE = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION)


def route_of(
    facts: Facts, listener: ListenerPlan, host: str = "", port: int = 0, *, user: str = "", asked: bool = False
) -> RoutePlan:
    """
    Return the route of a connection or request.

    Args:
        facts: Of the connection.
        listener: Its own route is taken where no other matches.
        host, port: What it asks for; the name in TLS and the listener's port where it asks for nothing.
        user: Who the client proved to be.
        asked: Whether host and port are a destination, which the client of a forward proxy chose.
    """
    rules = facts.rules
    if rules is None:
        return listener.route
    name = host or facts.server_name
    decision = rules.by_name(name) or rules.decide(
        RouteFacts(
            listener=listener.id,
            client=facts.client_host,
            host=name,
            port=port or listener.port,
            user=user,
            destination=host if asked else "",
            destination_port=port if asked else 0,
            tls_version=facts.tls_version,
            sni=bool(facts.server_name),
        )
    )
    return decision.route


def refusal(route: RoutePlan) -> Close | None:
    """Return how a connection to a target of this route is refused; None where it is not."""
    if route.action == "block":
        return Close(BLOCKED, f"route {route} blocks it")
    if not route.targets:
        return Close(NOWHERE, "no route leads anywhere")
    return None


def is_straight(route: RoutePlan, listener: ListenerPlan) -> bool:
    """Return whether a route lets clients of a forward proxy go where they want, with nobody in between."""
    elsewhere = route is not listener.route and bool(route.targets)
    return route.action == "forward" and route.parent is None and not elsewhere
