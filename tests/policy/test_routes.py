"""Decisions: against a naive reading of the rules, and at the same work for ten routes and for ten thousand."""

import sys

import pytest
from hypothesis import given, settings

from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.policy.facts import Decision, RouteFacts
from penstock.policy.routes import NO_ROUTE, Ruleset, keys_of, rank

from .route_oracle import DEFAULT, FACTS, ROUTES, naive


@given(ROUTES, FACTS)
@settings(max_examples=300)
def test_the_decision_is_that_of_the_naive_reading(routes, facts):
    """Any routes and any facts."""
    assert Ruleset(routes, DEFAULT).decide(facts).route is naive(routes, facts)


@given(ROUTES, FACTS)
def test_all_that_match_are_told(routes, facts):
    """`matching` yields the routes that would be taken if they stood alone, and no other."""
    expected = {route.id for route in routes if naive([route], facts) is route}
    assert {route.id for route in Ruleset(routes, DEFAULT).matching(facts)} == expected


@given(ROUTES, FACTS)
@settings(max_examples=300)
def test_where_names_alone_decide_the_rest_is_not_asked(routes, facts):
    """A route by name, asked for twice, is the one of all facts; other routes have none."""
    rules = Ruleset(routes, DEFAULT)
    alone = all(set(keys_of(each.match)) <= {"domains"} and set(each.match.paths) <= {"*"} for each in routes)
    for _ in range(2):
        found = rules.by_name(facts.host)
        assert (found is not None) is alone
        assert found is None or found.route is naive(routes, facts)


def test_names_are_remembered_within_a_bound(monkeypatch):
    """Whatever names clients make up, no more are kept."""
    monkeypatch.setattr("penstock.policy.routes.NAMES", 3)
    rules = Ruleset(routes_of(MatchPlan(domains=("*.a.example",))), DEFAULT)
    for number in range(10):
        assert rules.by_name(f"{number}.a.example").route.name == "a"
        assert rules.by_name(f"{number}.b.example").route is DEFAULT
        assert len(rules._names) <= 3


def routes_of(*matches, priorities=()):
    """Routes named a, b, c and so on."""
    return tuple(
        RoutePlan(id=place + 1, name=chr(97 + place), match=match, priority=dict(enumerate(priorities)).get(place, 0))
        for place, match in enumerate(matches)
    )


def taken(routes, **facts):
    """The name of the route that is taken."""
    return Ruleset(routes, DEFAULT).decide(RouteFacts(listener=1, **facts)).route.name


def test_the_order_of_what_counts():
    """Priority, domain, path, clients, keys, place: each rung of the ladder against all that are below it."""
    m = MatchPlan
    full = {"paths": ("/x",), "clients": ("10.0.0.1",), "users": ("ann",), "ports": ((1, 9),)}
    facts = {"host": "w.example.org", "path": "/x", "client": "10.0.0.1", "user": "ann", "port": 5}
    assert taken(routes_of(m(domains=("w.example.org",), **full), m(), priorities=(0, 1)), **facts) == "b"
    assert taken(routes_of(m(domains=("*.example.org",), **full), m(domains=("w.example.org",))), **facts) == "b"
    assert taken(routes_of(m(domains=("*.org",), **full), m(domains=("*.example.org",))), **facts) == "b"
    assert taken(routes_of(m(**full), m(domains=("*.org",))), **facts) == "b"
    del full["paths"]
    assert taken(routes_of(m(paths=("/x*",), **full), m(paths=("/x",))), **facts) == "b"
    assert taken(routes_of(m(paths=("/*",), **full), m(paths=("/x*",))), **facts) == "b"
    del full["clients"]
    assert taken(routes_of(m(clients=("10.0.0.0/8",), **full), m(clients=("10.0.0.0/24",))), **facts) == "b"
    assert taken(routes_of(m(**full), m(clients=("0.0.0.0/0",))), **facts) == "b"
    assert taken(routes_of(m(users=("ann",)), m(**full)), **facts) == "b"
    assert taken(routes_of(m(users=("ann",)), m(ports=((5, 5),))), **facts) == "a"


def test_one_route_wins_by_one_domain_and_loses_by_another():
    """Each rule counts with the values by which it matched."""
    routes = routes_of(MatchPlan(domains=("a.example", "*.b.example")), MatchPlan(domains=("*.example", "c.b.example")))
    assert [taken(routes, host=host) for host in ("a.example", "x.b.example", "c.b.example", "x.example")] == list(
        "aabb"
    )


def test_the_default_and_what_people_are_told():
    """Where nothing matches, and what decided where something does."""
    match = MatchPlan(
        domains=("*.example.org", "*"),
        paths=("/api/*",),
        clients=tuple(f"10.0.{n}.0/24" for n in range(9)),
        users=("ann",),
    )
    rules = Ruleset(
        (RoutePlan(id=1, name="a", match=match, priority=5), RoutePlan(id=2, name="b", priority=-1)), DEFAULT
    )
    facts = RouteFacts(listener=1, host="WWW.example.org.", path="/api/x", client="10.0.3.1", user="ann")
    expected = (
        "priority 5; domain *.example.org; path /api/*; clients 10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24, ...; users"
    )
    assert rules.decide(facts).why == expected
    assert rules.decide(RouteFacts(listener=1)) == Decision(RoutePlan(id=2, name="b", priority=-1), "priority -1")
    assert Ruleset((), DEFAULT).decide(facts) == Decision(DEFAULT, NO_ROUTE)
    assert Ruleset((RoutePlan(id=1, name="a"),), DEFAULT).decide(facts).why == "it matches all"


def test_keys_that_keep_nothing_out_are_not_counted():
    """`*` is written, and says nothing."""
    assert keys_of(MatchPlan(domains=("*", "a"), paths=("*",), sni=False, ports=((1, 2),))) == ["ports", "sni"]


def test_ranks_are_all_different():
    """A rule for each domain, path and size of network, in one order."""
    routes = routes_of(
        MatchPlan(domains=("a", "*.a"), paths=("/", "/*"), clients=("10.0.0.0/8", "11.0.0.0/8", "10.0.0.1"))
    )
    rules = rank(routes)
    assert [rule.rank for rule in rules] == list(range(8))
    assert rules[0][2:5] == ("a", "/", ("10.0.0.1",))
    assert rules[1].clients == ("10.0.0.0/8", "11.0.0.0/8")


def work(rules, facts):
    """How many lines of Python one decision takes."""
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        rules.decide(facts)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    "match",
    [
        lambda n: MatchPlan(domains=(f"app{n}.example.com",)),
        lambda n: MatchPlan(domains=(f"app{n}.example.com", f"*.app{n}.example.com"), paths=("/api/*",)),
        lambda n: MatchPlan(paths=(f"/api/v{n}/*",)),
        lambda n: MatchPlan(clients=(f"10.{n >> 8}.{n & 255}.0/24",)),
        lambda n: MatchPlan(ports=((n + 1, n + 1),)),
        lambda n: MatchPlan(users=(f"user{n}",)),
        lambda n: MatchPlan(users=("user7", f"other{n % 100}"), ports=((1, 9 + n // 100),)),
        lambda n: MatchPlan(domains=("app7.example.com",), clients=(f"10.{n >> 8}.{n & 255}.0/24",), users=("user7",)),
        lambda n: MatchPlan(destinations=(DestinationPlan(host=f"10.{n >> 8}.{n & 255}.0/24", ports=((443, 443),)),)),
    ],
)
def test_many_routes_cost_what_few_cost(match):
    """Whatever tells the routes apart, a decision among 10,000 takes as many lines as one among ten."""
    facts = RouteFacts(
        listener=1, client="10.0.7.1", host="app7.example.com", port=8, path="/api/v7/x", user="user7",
        destination="10.0.7.1", destination_port=443,
    )  # fmt: skip
    few, many = (
        Ruleset([RoutePlan(id=n + 1, name=f"r{n}", match=match(n)) for n in range(count)], DEFAULT)
        for count in (10, 10_000)
    )
    assert few.decide(facts) == many.decide(facts)
    assert many.decide(facts).route is not DEFAULT
    assert work(many, facts) <= work(few, facts) < 80
