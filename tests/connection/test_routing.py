"""Routes of connections: what is known decides, and what nobody takes is refused with a reason."""

from penstock.base.outcomes import Reason
from penstock.config.plan import ListenerPlan, MatchPlan, ParentPlan, RoutePlan, TargetPlan
from penstock.connection.commands import Facts
from penstock.connection.routing import is_straight, refusal, route_of
from penstock.policy.routes import rules_of

TARGET = TargetPlan(id=1, host="192.0.2.10", port=80)
OWN = RoutePlan(id=1, name="own", targets=(TARGET,))
LISTENER = ListenerPlan(id=7, name="l", protocol="tcp", host="::", port=8_443, route=OWN)


def named(name, **match):
    """Return a route that matches this."""
    return RoutePlan(id=2, name=name, match=MatchPlan(**match), targets=(TARGET,))


def taken(route, facts=None, *args, **known):
    """Return the name of the route that is taken where one stands beside the listener's own."""
    rules = rules_of((route,), LISTENER)
    return route_of((facts or Facts("198.51.100.7", 5_000))._replace(rules=rules), LISTENER, *args, **known).name


def test_a_listener_without_rules_takes_its_own_route():
    """Where no route has anything to match here, nothing is asked."""
    assert route_of(Facts("198.51.100.7", 5_000), LISTENER) is OWN
    assert rules_of((named("elsewhere", listeners=(8,)),), LISTENER) is None


def test_what_is_known_decides():
    """Client, name in TLS, destination, user and port are facts; the name in TLS is the host until one is asked for."""
    assert taken(named("office", clients=("198.51.100.0/24",))) == "office"
    assert taken(named("home", clients=("203.0.113.0/24",))) == "own"
    secure = Facts("198.51.100.7", 5_000, None, "app.example", 0x0304)
    assert taken(named("app", domains=("*.example",)), secure) == "app"
    assert taken(named("new", tls_versions=(0x0304,)), secure) == "new"
    assert taken(named("app", domains=("app.example",)), secure, "other.example", 80) == "own"
    assert taken(named("ann", users=("ann",)), None, user="ann") == "ann"
    assert taken(named("port", ports=((8_443, 8_443),))) == "port"
    assert taken(named("port", ports=((80, 90),)), None, "x.example", 80, asked=True) == "port"


def test_what_nobody_takes_is_refused():
    """A route that blocks is `access`, one that leads nowhere `destination`."""
    assert refusal(OWN) is None
    blocked = refusal(RoutePlan(id=1, name="no", action="block"))
    nowhere = refusal(RoutePlan(id=1, name="empty"))
    assert (blocked.outcome.reason, nowhere.outcome.reason) == (Reason.ACCESS, Reason.DESTINATION)
    assert "route no blocks it" in blocked.detail


def test_straight_ways():
    """A way is straight that forwards, through no parent, and to no targets in the destination's place."""
    own, parent = LISTENER.route, ParentPlan(kind="http", host="h", port=1)
    assert is_straight(own, LISTENER)  # its targets are for what names no destination
    assert is_straight(RoutePlan(id=2, name="r"), LISTENER)
    assert not is_straight(RoutePlan(id=2, name="r", targets=own.targets), LISTENER)
    assert not is_straight(RoutePlan(id=2, name="r", parent=parent), LISTENER)
    assert not is_straight(RoutePlan(id=2, name="r", action="block"), LISTENER)
