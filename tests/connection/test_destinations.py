"""Ways between SOCKS clients and their destinations."""

import pytest

from penstock.config.plan import ListenerPlan, MatchPlan, ParentPlan, RoutePlan, TargetPlan
from penstock.connection.commands import Await, Bind, Bound, Dial, DialAny, Dialed, DialError, DialFailed, Facts, Take
from penstock.connection.deciding import Refused
from penstock.connection.destinations import connect, go_straight, listen, receive
from penstock.connection.routing import BLOCKED, NOWHERE
from penstock.policy.routes import rules_of

OWN = RoutePlan(id=1, name="own", targets=(TargetPlan(id=1, host="192.0.2.10", port=80),))
OTHER = RoutePlan(id=2, name="other", match=MatchPlan(ports=((25, 25),)), targets=OWN.targets)
NO = RoutePlan(id=3, name="no", match=MatchPlan(ports=((23, 23),)), action="block")
LISTENER = ListenerPlan(id=1, name="s", host="127.0.0.1", port=1080, protocol="socks5", route=OWN)
FACTS = Facts("198.51.100.7", 5_000, rules=rules_of((OTHER, NO), LISTENER))
BOUND = Bound("192.0.2.1", 4_000)


def walk(way, *answers):
    """Return the commands of a way and what it returns, or raises, when each of them is answered."""
    commands, answer = [], None
    for following in (*answers, None):
        try:
            commands.append(way.throw(answer) if isinstance(answer, Exception) else way.send(answer))
        except StopIteration as end:
            return commands, end.value
        except (Refused, DialFailed) as news:
            return commands, news
        answer = following
    raise AssertionError(f"it asks for more than {commands}")


def came(port):
    """Return how somebody is told who came from a port."""
    return Dialed("192.0.2.1", 4_000, "192.0.2.2", port)


def test_the_own_route_leads_where_the_client_wants():
    """A listener's own targets are for what names no destination."""
    assert walk(connect(FACTS, LISTENER, "192.0.2.2", 80), came(80)) == ([Dial("192.0.2.2", 80)], came(80))


def test_another_route_leads_to_its_targets():
    """A route that matches the destination stands for it."""
    assert walk(connect(FACTS, LISTENER, "192.0.2.2", 25), None, came(25)) == ([Take(OTHER), DialAny()], came(25))


def test_who_cannot_be_reached():
    """A dial that fails is news for the client."""
    failed = DialFailed(DialError.REFUSED)
    assert walk(connect(FACTS, LISTENER, "192.0.2.2", 80), failed) == ([Dial("192.0.2.2", 80)], failed)


@pytest.mark.parametrize("way", [connect, listen])
def test_blocked_destinations(way):
    """Nobody goes to, or waits for, whom a route blocks; the route is taken, so that it counts the refusal."""
    commands, news = walk(way(FACTS, LISTENER, "192.0.2.2", 23), None)
    assert (commands, news.outcome, news.detail) == ([Take(NO)], BLOCKED, "route no blocks it")


def test_who_is_expected_comes():
    """A client hears where to come to, and then who came."""
    assert walk(listen(FACTS, LISTENER, "192.0.2.2", 80), BOUND) == ([Bind("192.0.2.2", 80)], BOUND)
    assert walk(receive(FACTS, LISTENER), came(80)) == ([Await()], came(80))


@pytest.mark.parametrize(("port", "route", "outcome"), [(23, NO, BLOCKED), (25, OTHER, NOWHERE)])
def test_who_comes_takes_its_route(port, route, outcome):
    """Whoever comes to a client that expects anybody comes by its own route, which may let nobody in."""
    commands, news = walk(receive(FACTS, LISTENER), came(port), None)
    assert (commands, news.outcome) == ([Await(), Take(route)], outcome)


def test_a_straight_way_has_nobody_in_between():
    """No parent waits for anybody in our stead."""
    go_straight(OWN, LISTENER)
    with pytest.raises(Refused, match="route via does not lead straight there"):
        go_straight(RoutePlan(id=4, name="via", parent=ParentPlan(kind="http", host="192.0.2.3", port=3128)), LISTENER)
