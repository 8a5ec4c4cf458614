"""A TCP listener's conversation: there is nothing to say, so find the route, dial and relay."""

from penstock.config.plan import ListenerPlan
from penstock.connection.commands import REACHED, Conversation, DialAny, Facts, Relay, Take
from penstock.connection.routing import refusal, route_of

_DIAL_ANY = DialAny()
_RELAY = Relay()


def tcp(facts: Facts, listener: ListenerPlan) -> Conversation:
    """
    Dial one of the route's targets and relay.

    Args:
        facts: Of the connection; they decide the route.
        listener: Its own route is taken where no other matches.
    """
    route = route_of(facts, listener)
    if route is not listener.route:
        yield Take(route)
    refused = refusal(route)
    if refused is not None:
        yield refused
    yield _DIAL_ANY
    yield REACHED
    yield _RELAY
