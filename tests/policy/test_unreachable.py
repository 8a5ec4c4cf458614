"""Routes that are named as never taken are never taken, and the usual mistakes are named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.policy.routes import Ruleset
from penstock.policy.unreachable import covers, unreachable

from .route_oracle import DEFAULT, FACTS, MATCHES, ROUTES


@given(ROUTES, st.lists(FACTS, min_size=20, max_size=20))
@settings(max_examples=200)
def test_who_is_named_is_never_taken(routes, facts):
    """No facts bring a decision for it."""
    named = {each.route.id for each in unreachable(routes)}
    rules = Ruleset(routes, DEFAULT)
    assert named.isdisjoint(rules.decide(each).route.id for each in facts)


@given(MATCHES, MATCHES, st.lists(FACTS, min_size=20, max_size=20))
def test_who_covers_matches_all_that_the_other_does(match, other, facts):
    """No facts tell against it, and each match covers itself."""
    assert covers(match, match)
    if covers(match, other):
        one, two = (Ruleset([RoutePlan(id=1, name="a", match=each)], DEFAULT) for each in (match, other))
        for each in facts:
            if two.decide(each).route.id == 1:
                assert one.decide(each).route.id == 1


@given(MATCHES)
def test_of_two_equal_routes_the_second_is_named(match):
    """Whatever it matches, unless it holds for nothing, when both are."""
    routes = [RoutePlan(id=n, name=f"r{n}", match=match) for n in (1, 2)]
    assert [each.route.id for each in unreachable(routes)] in ([2], [1, 2])


A = MatchPlan(domains=("a.example",))


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ((1, MatchPlan()), (0, A), "route r1, of higher priority, takes all"),
        ((1, MatchPlan(domains=("*.example",))), (0, A), "route r1, of higher priority"),
        ((1, MatchPlan(domains=("*",))), (0, MatchPlan()), "route r1, of higher priority"),
        ((0, MatchPlan(paths=("*",))), (0, MatchPlan()), "route r1, which stands before it"),
        ((0, MatchPlan(domains=("*", "a"))), (0, MatchPlan()), None),
        ((0, A), (0, A), "route r1, which stands before it, takes all"),
        ((0, MatchPlan(users=("ann", "bob"))), (0, MatchPlan(users=("ann",))), "route r1, which stands before it"),
        ((0, MatchPlan(users=("ann",))), (0, MatchPlan(users=("ann", "bob"))), None),
        ((0, MatchPlan()), (0, A), None),
        ((1, MatchPlan(clients=("10.0.0.0/9", "10.128.0.0/9"))), (0, MatchPlan(clients=("10.0.0.0/8",))), "r1"),
        ((1, MatchPlan(ports=((1, 5), (6, 9)))), (0, MatchPlan(ports=((2, 8),))), "r1"),
        ((1, MatchPlan(paths=("/api/*",))), (0, MatchPlan(paths=("/api/v1/*", "/api/"))), "r1"),
        ((1, MatchPlan(paths=("/api/*",))), (0, MatchPlan(paths=("/api/v1/*", "/"))), None),
        (
            (1, MatchPlan(destinations=(DestinationPlan(host="10.0.0.0/8"),))),
            (0, MatchPlan(destinations=(DestinationPlan(host="10.1.0.0/16", ports=((25, 25),)),))),
            "r1",
        ),
        (
            (1, MatchPlan(destinations=(DestinationPlan(host="*", ports=((25, 25),)),))),
            (0, MatchPlan(destinations=(DestinationPlan(host="*.internal"),))),
            None,
        ),
    ],
)
def test_shadows(first, second, why):
    """By a higher priority all that covers, by place all that covers and is ranked the same."""
    routes = [RoutePlan(id=n, name=f"r{n}", priority=p, match=m) for n, (p, m) in enumerate((first, second), 1)]
    found = unreachable(routes)
    assert [each.route.id for each in found] == ([2] if why else [])
    assert not why or why in found[0].why


def test_the_later_one_may_be_the_one_that_is_taken():
    """A route is named that stands before its double of higher priority."""
    routes = [RoutePlan(id=1, name="a", match=A), RoutePlan(id=2, name="b", match=A, priority=1)]
    assert [each.route.name for each in unreachable(routes)] == ["a"]


@pytest.mark.parametrize(
    "match",
    [
        MatchPlan(ports=((9, 2),)),
        MatchPlan(destinations=(DestinationPlan(host="a", ports=((9, 2), (3, 1))),)),
        MatchPlan(ports=((80, 80),), destinations=(DestinationPlan(host="a", ports=((443, 443),)),)),
    ],
)
def test_empty_ports(match):
    """Ranges whose first is behind their last, or ports of which none is a destination's: a route is never taken."""
    found = unreachable([RoutePlan(id=1, name="a", match=match), RoutePlan(id=2, name="b")])
    assert [each.route.id for each in found] == [1]
    assert "ports" in found[0].why


def test_ten_thousand_routes_are_compared_with_few():
    """Routes of 10,000 domains under one that takes none of them, in the time of a check."""
    routes = [
        RoutePlan(id=n, name=f"r{n}", priority=n % 3, match=MatchPlan(domains=(f"app{n}.example.com",)))
        for n in range(1, 10_001)
    ]
    assert unreachable(routes) == []
    cover = RoutePlan(id=10_001, name="all", priority=3, match=MatchPlan(domains=("*.example.com",)))
    assert len(unreachable([*routes, cover])) == 10_000
