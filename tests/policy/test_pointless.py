"""Access rules that never count."""

import pytest
from hypothesis import given, settings

from penstock.config.plan import AccessRulePlan, DestinationPlan, ListenerPlan, WorkerPlan
from penstock.policy.access import Access
from penstock.policy.pointless import pointless
from penstock.policy.ranges import address_number

from .test_access import FACTS, MINUTES, RULES


def rule(name, action="block", **fields):
    """Return a rule with this name."""
    return AccessRulePlan(name=name, action=action, **fields)


@given(RULES, FACTS, MINUTES)
@settings(max_examples=300)
def test_who_is_named_never_counts(rules, facts, minute):
    """Whatever the rules and facts: a rule that is called pointless because of another decides nothing."""
    rules = [
        AccessRulePlan(**{f: getattr(r, f) for f in r.__struct_fields__} | {"name": f"r{n}"})
        for n, r in enumerate(rules)
    ]
    named = {each.name for each, why in pointless(rules) if "decides" in why}
    decided = Access(rules, 1, 1_080, asks=True).decide(facts, address_number(facts.client), minute)
    assert decided is None or decided.name not in named


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([rule("all"), rule("some", clients=("10.0.0.0/8",))], "rule all, which stands before it,"),
        (
            [rule("ok", "allow", clients=("10.0.0.1",)), rule("lan", clients=("10.0.0.0/8",))],
            "blocks at the same priority",
        ),
        ([rule("low"), rule("top", "allow", priority=1)], "rule top, which has a higher priority,"),
        ([rule("day", times=((0, 1_000),)), rule("hour", times=((5, 9),))], "rule day,"),
        ([rule("only", "allow", clients=("10.0.0.0/8",))], "nothing is blocked"),
        ([rule("web", "allow", destinations=(DestinationPlan(host="*", ports=((443, 443),)),))], "nothing is blocked"),
    ],
)
def test_rules_without_a_point(rules, why):
    """Shadowed by one before, by a block beside it, by priority, by time; and an allow where nothing is blocked."""
    ((_, said),) = pointless(rules)
    assert why in said


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule("rest"), rule("lan", "allow", priority=1, clients=("10.0.0.0/8",))],
        [rule("a", listeners=(1,)), rule("b", listeners=(2,))],
        [rule("hour", times=((5, 9),)), rule("always", clients=("10.0.0.1",))],
        [rule("inner", "allow", destinations=(DestinationPlan(host="10.0.0.0/8"),))],
        [
            rule("low", priority=-1),
            rule("all", "allow", destinations=(DestinationPlan(host="*"),)),
            rule("inner", "allow", destinations=(DestinationPlan(host="10.0.0.0/8"),)),
        ],
    ],
)
def test_rules_with_a_point(rules):
    """What decides something is not named; allowing destinations has a point alone: private ones are refused else."""
    assert pointless(rules) == []


def listener(number, protocol, **fields):
    """Return a listener on a port of its own."""
    return ListenerPlan(id=number, name=protocol, protocol=protocol, host="::", port=1_000 + number, **fields)


PLAN = WorkerPlan(listeners=(listener(1, "tcp"), listener(2, "socks5", users={"ann": "a"})))


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (rule("port", ports=((80, 80),), destinations=(DestinationPlan(host="a", ports=((443, 443),)),)), "both must"),
        (rule("port", listeners=(1,), ports=((80, 80), (2_000, 3_000))), "none of its listeners is at"),
        (rule("user", users=("anne", "bob")), "no user of its listeners is called anne or bob"),
    ],
)
def test_rules_that_match_nothing(one, why):
    """Ports that exclude each other or that no listener has, and users whom nobody knows; they hide no other rule."""
    ((found, said),) = pointless([one, rule("other", clients=("10.0.0.1",))], PLAN)
    assert found is one
    assert why in said


@pytest.mark.parametrize(
    "one",
    [
        rule("port", ports=((80, 90),), destinations=(DestinationPlan(host="a", ports=((90, 99),)),)),
        rule("port", ports=((80, 80),)),
        rule("port", listeners=(1,), ports=((1_001, 1_001),)),
        rule("user", users=("anne", "ann")),
    ],
)
def test_rules_that_match_something(one):
    """Ports that meet, ports that some client may ask for, the listener's own, one user of several: nothing is said."""
    assert pointless([one], PLAN) == []


def test_a_file_may_name_anybody_tomorrow():
    """Where users stand in a file, a rule about one whom nobody knows is no mistake."""
    plan = WorkerPlan(listeners=(listener(1, "socks5", users_file="/users"),))
    assert pointless([rule("user", users=("anne",))], plan) == []
