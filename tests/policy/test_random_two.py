"""Two are drawn and the less busy one wins."""

import random
from collections import Counter
from math import nextafter

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.policy.balance import FINE
from penstock.policy.random_two import RandomTwo

from .standings import names, picks, standings

CHANCES = st.floats(0, nextafter(1, 0))


def drawn(found, weights, *chances):
    """Return the pick of a balancer that draws these numbers."""
    balancer = RandomTwo(found, iter(chances).__next__)
    balancer.update(weights)
    return balancer.pick("")


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), min_size=2, max_size=6), CHANCES, CHANCES)
def test_whatever_is_drawn_is_there(weights, one, two):
    """Every chance gives a target that has a weight; none at all gives none."""
    found = standings(*(1 for _ in weights))
    picked = drawn(found, weights, one, two)
    assert (picked is None) == (not any(weights))
    assert picked is None or weights[found.index(picked)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), min_size=2, max_size=6), CHANCES, CHANCES)
def test_the_busiest_is_never_picked(weights, one, two):
    """Two different ones are drawn: a target that is busier than all others together always loses."""
    found = standings(*(1 for _ in weights))
    found[0].open = 10_000_000
    assert drawn(found, weights, one, two) is not found[0]


def test_shares_follow_the_weights():
    """Idle targets are drawn by weight; a single one needs no chance."""
    balancer = RandomTwo(standings(3, 1, 1, 1), random.Random(1).random)
    got = Counter(picks(balancer, 6_000))
    assert 2_800 < got["a"] < 3_200
    assert picks(RandomTwo(standings(1), None), 2) == "aa"


def test_connections_that_stay_are_spread_evenly():
    """The fullest of ten targets holds hardly more than the emptiest, where blind chance would differ by fifty."""
    found = standings(*[1] * 10)
    balancer = RandomTwo(found, random.Random(2).random)
    for _ in range(3_000):
        balancer.pick("").open += 1
    counts = [each.open for each in found]
    assert max(counts) - min(counts) <= 8


def test_another_one_is_the_least_busy_of_the_rest():
    """After a failure nothing is left to chance."""
    a, b, c = found = standings(1, 1, 1)
    b.open = 1
    balancer = RandomTwo(found, None)
    assert names([balancer.other("", (a,)), balancer.other("", (a, c)), balancer.other("", (a, b, c))]) == "cb-"
    balancer.update([FINE, FINE, 0])
    assert names([balancer.other("", (a,))]) == "b"
