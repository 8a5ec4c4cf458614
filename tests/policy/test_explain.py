"""Explanations agree with decisions, and name the first key that a route lacked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.policy.explain import explain, first_missed
from penstock.policy.facts import RouteFacts
from penstock.policy.routes import Ruleset

from .route_oracle import DEFAULT, FACTS, ROUTES

ASKED = RouteFacts(
    listener=1, client="10.0.0.1", host="www.example.org", port=443, path="/api/x", user="ann",
    destination="mail.internal", destination_port=25, tls_version=0x0304, sni=True,
)  # fmt: skip


@given(ROUTES, FACTS)
def test_what_is_explained_is_what_is_decided(routes, facts):
    """Exactly the routes that match lack nothing, and the winner is one of them."""
    rules = Ruleset(routes, DEFAULT)
    told = explain(routes, rules, facts)
    matching = {each.route.id for each in told.considered if each.missed is None}
    assert told.decision == rules.decide(facts)
    assert matching == {route.id for route in rules.matching(facts)}
    assert (told.decision.route.id in matching) == bool(matching)
    assert len(told.considered) == len(routes)


@pytest.mark.parametrize(
    ("match", "missed"),
    [
        (MatchPlan(), None),
        (MatchPlan(listeners=(2,), domains=("b",)), "listeners"),
        (MatchPlan(listeners=(1,), domains=("b",), paths=("/",)), "domains"),
        (MatchPlan(domains=("*.example.org",), paths=("/",), clients=("11.0.0.0/8",)), "paths"),
        (MatchPlan(clients=("11.0.0.0/8", "::/0")), "clients"),
        (MatchPlan(users=("bob",)), "users"),
        (MatchPlan(ports=((1, 442), (444, 500))), "ports"),
        (MatchPlan(destinations=(DestinationPlan(host="*.internal", ports=((80, 80),)),)), "destinations"),
        (MatchPlan(destinations=(DestinationPlan(host="10.0.0.0/8"),)), "destinations"),
        (MatchPlan(tls_versions=(0x0303,)), "tls_versions"),
        (MatchPlan(sni=False), "sni"),
    ],
)
def test_the_first_key_that_does_not_match(match, missed):
    """In the order of the plan."""
    assert first_missed(match, ASKED) == missed


@given(st.permutations([-1, 0, 0, 1]))
def test_higher_priorities_come_first(priorities):
    """And those of one priority in the order of the configuration."""
    routes = [RoutePlan(id=n, name=f"r{n}", priority=priority) for n, priority in enumerate(priorities, 1)]
    told = explain(routes, Ruleset(routes, DEFAULT), ASKED)
    assert [each.route for each in told.considered] == sorted(routes, key=lambda route: (-route.priority, route.id))
