"""The least busy target is picked."""

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.policy.balance import FINE
from penstock.policy.least_connections import LOOKS, LeastConnections, least

from .standings import names, picks, standings

SOME = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=6)


def test_idle_targets_take_turns():
    """While nobody is busy it is a round-robin, by weight."""
    assert picks(LeastConnections(standings(1, 1, 1)), 6) == "abcabc"
    assert sorted(picks(LeastConnections(standings(2, 1)), 6)) == list("aaaabb")


@settings(deadline=None)
@given(SOME)
def test_nobody_has_less_to_do_than_who_is_picked(shares):
    """Who is picked has a weight, and no other target has fewer connections for its weight."""
    found = standings(*(max(1, weight) for weight, _ in shares))
    for each, (_, busy) in zip(found, shares, strict=True):
        each.open = busy
    balancer = LeastConnections(found)
    balancer.update([weight * FINE for weight, _ in shares])
    picked = balancer.pick("")
    loads = [busy / weight for weight, busy in shares if weight]
    if not loads:
        assert picked is None
    else:
        weight = shares[found.index(picked)][0]
        assert weight
        assert picked.open / weight == min(loads)


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_connections_that_stay_fill_targets_by_weight(weights):
    """When every pick stays open, each target ends with as many as its weight says."""
    found = standings(*weights)
    balancer = LeastConnections(found)
    for _ in range(3 * sum(weights)):
        balancer.pick("").open += 1
    assert [each.open for each in found] == [3 * weight for weight in weights]


def test_another_one_is_the_least_busy_of_the_rest():
    """After a failure comes the least busy target that was not tried and is not out."""
    a, b, c, d = found = standings(1, 1, 1, 1)
    a.open, b.open, c.open, d.open = 0, 3, 2, 1
    balancer = LeastConnections(found)
    balancer.update([FINE, FINE, FINE, 0])
    assert names([balancer.other("", (a,)), balancer.other("", (a, c)), balancer.other("", (a, b, c))]) == "cb-"


def test_among_equals_the_first_choice_wins():
    """The target whose turn it is keeps it if nobody has less to do."""
    a, b, c = standings(1, 1, 1)
    a.open = b.open = c.open = 2
    assert least([(a, 1), (b, 1), (c, 1)], b) is b
    assert least([(a, 1), (b, 1), (c, 2)], b) is c


def test_of_very_many_some_are_compared():
    """Of more than LOOKS targets other ones are compared each time: who has nothing to do is found in a few picks."""
    found = standings(*[1] * (3 * LOOKS))
    for each in found:
        each.open = 5
    found[-1].open = 0
    balancer = LeastConnections(found)
    assert found[-1] in [balancer.pick("") for _ in range(3)]
