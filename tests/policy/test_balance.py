"""Round-robin is fair to the weights and spreads them out."""

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from penstock.config.plan import TargetPlan
from penstock.policy.balance import round_robin


def targets(*weights):
    """Return one target for each weight, called a, b, c and so on."""
    return [TargetPlan(id=i + 1, host=chr(97 + i), port=80, weight=weight) for i, weight in enumerate(weights)]


def picks(count, *weights):
    """Return the hosts of the first picks."""
    return "".join(target.host for target in islice(round_robin(targets(*weights)), count))


def test_equal_targets_take_turns():
    """Targets of one weight are picked in the order in which they were configured."""
    assert picks(7, 1, 1, 1) == "abcabca"
    assert picks(4, 9, 9) == "abab"
    assert picks(3, 5) == "aaa"


def test_a_heavy_target_does_not_get_its_turns_in_a_row():
    """Weights 5, 1, 1 spread the light targets among the heavy one's turns."""
    assert picks(7, 5, 1, 1) == "aabacaa"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 3))
def test_each_gets_its_share(weights, cycles):
    """After every sum of the weights each target was picked exactly as often as its weight says."""
    got = Counter(picks(cycles * sum(weights), *weights))
    assert got == {chr(97 + i): cycles * weight for i, weight in enumerate(weights)}
