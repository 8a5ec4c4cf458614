"""Names of listeners, routes and targets."""

import pytest
from msgspec.structs import replace

from penstock.config.plan import MatchPlan, RoutePlan, TargetPlan
from penstock.metrics.ledger import pack_scope
from penstock.metrics.scopes import NO_ROUTE, NO_TARGET, PAIRS, UNKNOWN_LISTENER, RouteScope, Scopes, TargetScope
from penstock.testing.standin import EGRESS, WEB


@pytest.fixture
def scopes():
    """Two listeners, one of them with two targets."""
    return Scopes((WEB, EGRESS))


def test_a_scope_word_has_names(scopes):
    """A SCOPE word names its listener, its route and its target as they are published."""
    word = pack_scope(1, 2, 2)
    listener, target = scopes.of(word)
    assert scopes.route_of(word) == RouteScope(2, "out")
    assert (listener.name, listener.protocol, listener.address, listener.route) == (
        "web", "tcp", "127.0.0.1:8001", "default",
    )  # fmt: skip
    assert (target.address, target.route) == ("[2001:db8::2]:80", "default")


def test_routes_that_match_have_names_too():
    """A route with something to match, and its targets, have names; it makes a pair with each listener it serves."""
    some = RoutePlan(id=7, name="app", match=MatchPlan(listeners=(2,)), targets=(TargetPlan(id=9, host="h", port=1),))
    every = RoutePlan(id=8, name="all", match=MatchPlan(clients=("::1",)))
    scopes = Scopes((WEB, EGRESS), (some, every))
    assert scopes.route_of(pack_scope(2, 0, 7)).name == "app"
    assert scopes.of(pack_scope(2, 9, 7))[1] == TargetScope(9, "app", "h:1")
    assert scopes.pairs[2:] == [(2, 7), (1, 8), (2, 8)]


def test_pairs_are_bounded():
    """However many routes there are, no more pairs than PAIRS and one route's have their series from the start."""
    routes = [RoutePlan(id=number, name=f"r{number}") for number in range(3, PAIRS + 100)]
    assert PAIRS <= len(Scopes((WEB, EGRESS), routes).pairs) <= PAIRS + 2


def test_unknown_numbers_are_no_error(scopes):
    """A word that names nobody reads as nobody."""
    assert scopes.of(pack_scope(9, 99)) == (UNKNOWN_LISTENER, NO_TARGET)
    assert scopes.route_of(pack_scope(1, 2, 65_535)) is scopes.route_of(pack_scope(1, 2)) is NO_ROUTE
    assert scopes.of(0) == (UNKNOWN_LISTENER, NO_TARGET)


def test_listeners_are_found_by_name(scopes):
    """A name leads to its listener, any other name to none."""
    assert scopes.called("egress").id == 2
    assert scopes.called("EGRESS") is None


def test_another_plan_keeps_the_names_of_what_went(scopes):
    """After a reload old words are read as before, what went is marked, and what came has a name and its pairs."""
    web, egress = scopes.listeners[1], scopes.listeners[2]
    new = replace(WEB, id=3, name="new", route=RoutePlan(id=3, name="third", targets=(WEB.targets[0],)))
    scopes.replan((EGRESS, new), ())
    assert scopes.of(pack_scope(1))[0] == web
    assert scopes.listeners[2] == egress
    assert scopes.called("new").route == "third"
    assert scopes.gone == ({1}, {1}, {2})
    assert scopes.pairs == [(2, 2), (3, 3)]
    assert scopes.serves(2, 2)
    assert scopes.serves(2, 0)
    assert not scopes.serves(2, 1)
    assert not scopes.serves(1, 2)
