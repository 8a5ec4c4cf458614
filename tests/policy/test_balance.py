"""Round-robin is fair to the weights, spreads them out, and skips who is out."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.policy.balance import FINE, RoundRobin, whole

from .standings import names, picks, standings


def test_equal_targets_take_turns():
    """Targets of one weight are picked in the order in which they were configured."""
    assert picks(RoundRobin(standings(1, 1, 1)), 7) == "abcabca"
    assert picks(RoundRobin(standings(9, 9)), 4) == "abab"
    assert picks(RoundRobin(standings(5)), 3) == "aaa"


def test_a_heavy_target_does_not_get_its_turns_in_a_row():
    """Weights 5, 1, 1 spread the light targets among the heavy one's turns: not five in a row."""
    assert picks(RoundRobin(standings(5, 1, 1)), 7) == "abaaaca"


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 3))
def test_each_gets_its_share(weights, cycles):
    """After every sum of the weights each target was picked exactly as often as its weight says."""
    got = Counter(picks(RoundRobin(standings(*weights)), cycles * sum(weights)))
    assert got == {chr(97 + i): cycles * weight for i, weight in enumerate(weights)}


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_who_is_out_is_never_picked(weights):
    """Whatever the weights were before, a target without weight gets nothing, and the others get their shares."""
    balancer = RoundRobin(standings(*(1 for _ in weights)))
    picks(balancer, 2)
    balancer.update([weight * FINE for weight in weights])
    got = Counter(picks(balancer, sum(weights) or 3))
    assert got == ({chr(97 + i): weight for i, weight in enumerate(weights) if weight} or {"-": 3})


def test_turns_go_on_where_they_were():
    """A change of who is there begins no new round: who is next stays next, and one that returns waits for its turn."""
    balancer = RoundRobin(standings(1, 1, 1, 1))
    assert picks(balancer, 2) == "ab"
    balancer.update([FINE, FINE, 0, FINE])
    assert picks(balancer, 4) == "dabd"
    balancer.update([FINE] * 4)
    assert picks(balancer, 5) == "abcda"
    balancer.update([FINE] * 4)
    assert picks(balancer, 1) == "b"


def test_another_one_is_the_next_that_was_not_tried():
    """After a failure comes the next in turn, which is its turn; never one that was tried, and at last none."""
    balancer = RoundRobin(found := standings(1, 1, 1, 1))
    balancer.update([FINE, FINE, 0, FINE])
    a, b, _, d = found
    assert picks(balancer, 2) == "ab"
    assert names([balancer.other("", (b,)), balancer.other("", (b, d)), balancer.other("", (b, d, a))]) == "da-"
    assert names([balancer.other("", (a,)), balancer.other("", (a, b))]) == "bd"


def test_a_light_target_is_found_at_once():
    """Another one is found in as many turns as there are targets, however rare its own turn is."""
    balancer = RoundRobin(found := standings(250, 250, 1))
    assert balancer.other("", found[:2]) is found[2]


def test_what_is_out_may_come_back():
    """All out gives nothing; one that returns gets everything."""
    balancer = RoundRobin(standings(2, 1))
    balancer.update([0, 0])
    assert picks(balancer, 2) == "--"
    balancer.update([0, FINE])
    assert picks(balancer, 2) == "bb"


def test_targets_that_are_well_have_their_whole_weight():
    """Weights are given in hundredths, so that a target can start slowly."""
    assert whole(standings(1, 3)) == [100, 300]


@pytest.mark.parametrize("weights", [(1, 1), (3, 2)])
def test_a_standing_tells_who_it_is(weights):
    """What is written about a standing names its target."""
    assert repr(standings(*weights)[0]) == "Standing(a:80, open=0, failures=0)"


def test_thousands_of_uneven_targets_cost_little():
    """A turn among 4,000 targets of many weights is a look at the top of a heap, not at all of them."""
    balancer = RoundRobin(standings(*(1 + i % 7 for i in range(4_000))))
    got = Counter(balancer.pick("").plan.weight for _ in range(16_000))
    assert abs(got[7] / got[1] - 7) < 0.2
