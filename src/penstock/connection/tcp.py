"""A TCP listener's conversation: there is nothing to say, so find the route, dial and relay."""

from penstock.config.plan import ListenerPlan
from penstock.connection.commands import REACHED, Close, Conversation, Facts, Relay, RelayAny, Take, Way
from penstock.connection.deciding import Refused, consult, reach
from penstock.connection.routing import refusal, route_of

_RELAY_ANY = RelayAny()
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
    ways: tuple[Way, ...] = ()
    if route.action == "handler":
        try:
            ways = yield from consult(facts, listener, route)
        except Refused as news:
            yield Close(news.outcome, news.detail)
    refused = None if ways else refusal(route)
    if refused is not None:
        yield refused
    if not ways:
        yield _RELAY_ANY
    yield from reach(ways, route)
    yield REACHED
    yield _RELAY
