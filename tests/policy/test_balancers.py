"""Every word has its balancer."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.policy.balancers import BALANCERS

from .standings import standings


def test_the_words_are_those_of_the_plan():
    """What `RoutePlan.balance` may say is what there is."""
    assert list(BALANCERS) == ["round_robin", "least_connections", "source_hash", "random_two"]


@settings(deadline=None)
@given(
    st.sampled_from(sorted(BALANCERS)),
    st.lists(st.lists(st.integers(0, 300), min_size=4, max_size=4), max_size=4),
    st.integers(0, 4),
)
def test_none_ever_names_who_is_out(word, updates, tried):
    """After any changes every pick has a weight, and every other choice was not tried."""
    found = standings(1, 2, 1, 3)
    balancer = BALANCERS[word](found, random.Random(0).random)
    for weights in updates:
        balancer.update(weights)
        for client in ("192.0.2.1", "-", "2001:db8::1"):
            picked = balancer.pick(client)
            assert (picked is None) == (not any(weights))
            assert picked is None or weights[found.index(picked)]
            left = [each for each, weight in zip(found, weights, strict=True) if weight and each not in found[:tried]]
            other = balancer.other(client, tuple(found[:tried]))
            assert other in left if left else other is None
