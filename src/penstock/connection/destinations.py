"""
Ways between SOCKS clients and their destinations: there, for CONNECT, and back from there, for BIND.

Both versions of SOCKS go them alike; what a client hears of it, each of them says in its own words.
"""

from collections.abc import Generator
from typing import Any

from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.connection.commands import Await, Bind, Bound, Command, Dial, DialAny, Dialed, Facts, Take, Way
from penstock.connection.deciding import Refused, consult, reach
from penstock.connection.routing import BLOCKED, NOWHERE, is_straight, route_of

_AWAIT = Await()


def connect(
    facts: Facts, listener: ListenerPlan, host: str, port: int, user: str = ""
) -> Generator[Command, Any, Dialed]:
    """
    Connect to where a client wants to go, or to where its route leads instead, and return who was dialed.

    Args:
        facts: Of the connection; with the destination they decide the route.
        listener: Its own route is taken where no other matches.
        host, port: What the client asks for.
        user: Who it proved to be.

    Raises:
        Refused: If its route does not let it pass.
        DialFailed: If nobody could be reached.
    """
    route = route_of(facts, listener, host, port, user=user, asked=True)
    elsewhere = route is not listener.route  # whose own targets are for what speaks neither SOCKS nor HTTP
    if elsewhere:
        yield Take(route)
    if route.action == "block":
        raise Refused(BLOCKED, f"route {route} blocks it")
    ways: tuple[Way, ...] = ()
    if route.action == "handler":
        ways = yield from consult(facts, listener, route, host, port, user=user, asked=True)
    dialed: Dialed
    if ways:
        dialed = yield from reach(ways, route)
    else:
        dialed = yield (DialAny() if elsewhere and route.targets else Dial(host, port))
    return dialed


def listen(
    facts: Facts, listener: ListenerPlan, host: str, port: int, user: str = ""
) -> Generator[Command, Any, Bound]:
    """
    Listen for somebody whom a client expects, and return where.

    Args:
        facts, listener, user: As for `connect`.
        host, port: Who shall come; zeros for anybody.

    Raises:
        Refused: If no straight way leads there.
        DialFailed: If there is nothing to listen with.
    """
    route = route_of(facts, listener, host, port, user=user, asked=True)
    if route is not listener.route:
        yield Take(route)
    go_straight(route, listener)
    bound: Bound = yield Bind(host, port)
    return bound


def receive(facts: Facts, listener: ListenerPlan, user: str = "") -> Generator[Command, Any, Dialed]:
    """
    Wait for who comes after `listen`, and return who it is.

    Args:
        facts, listener, user: As for `connect`.

    Raises:
        Refused: If no straight way leads to who came: the client may have asked for anybody.
        DialFailed: If nobody came.
    """
    dialed: Dialed = yield _AWAIT
    route = route_of(facts, listener, dialed.remote_host, dialed.remote_port, user=user, asked=True)
    if not is_straight(route, listener):
        yield Take(route)
    go_straight(route, listener)
    return dialed


def go_straight(route: RoutePlan, listener: ListenerPlan) -> None:
    """Raise Refused unless a route leads straight to a destination: no parent takes a BIND or datagrams for us."""
    if route.action == "block":
        raise Refused(BLOCKED, f"route {route} blocks it")
    if not is_straight(route, listener):
        raise Refused(NOWHERE, f"route {route} does not lead straight there")
