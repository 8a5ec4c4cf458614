"""Clients stay where they are."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.policy.balance import FINE, whole
from penstock.policy.source_hash import MOST_POINTS, RING_POINTS, SourceHash, place_of, points_of, points_per_weight

from .standings import names, standings

CLIENTS = [f"10.{i >> 8}.{i & 255}.7" for i in range(1_000)]

WEIGHTS = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def homes(balancer):
    """Return the target of each client."""
    return [balancer.pick(client) for client in CLIENTS]


@settings(max_examples=20, deadline=None)
@given(WEIGHTS)
def test_shares_follow_the_weights(weights):
    """Each target gets its share of the clients, within a fifth of it and what a thousand clients blur."""
    got = Counter(each.plan.host for each in homes(SourceHash(standings(*weights))))
    for index, weight in enumerate(weights):
        share = len(CLIENTS) * weight / sum(weights)
        assert abs(got[chr(97 + index)] - share) <= 0.2 * share + 50


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.data())
def test_when_one_leaves_only_its_own_clients_move(weights, data):
    """A target that is out loses its clients to the others; nobody else moves, and they return with it."""
    found = standings(*weights)
    balancer = SourceHash(found)
    before = homes(balancer)
    gone = data.draw(st.sampled_from(found))
    balancer.update([0 if each is gone else weight for each, weight in zip(found, whole(found), strict=True)])
    after = homes(balancer)
    assert gone not in after
    assert len(found) == 1 or all(new is old for old, new in zip(before, after, strict=True) if old is not gone)
    balancer.update(whole(found))
    assert homes(balancer) == before


@settings(max_examples=20, deadline=None)
@given(WEIGHTS)
def test_one_that_is_no_longer_configured_takes_only_its_own_along(weights):
    """The same holds for another configuration: at most the share of who left moves, and a fifth of all besides."""
    old, new = SourceHash(standings(*weights, 2)), SourceHash(standings(*weights))
    gone = chr(97 + len(weights))
    pairs = [(one.plan.host, two.plan.host) for one, two in zip(homes(old), homes(new), strict=True)]
    moved = sum(one != two for one, two in pairs if one != gone)
    assert moved <= len(CLIENTS) / 5


def test_one_that_starts_slowly_gathers_its_clients():
    """With a part of its weight a target has a part of its clients, always more of the same, and takes no others."""
    balancer = SourceHash(found := standings(1, 1))
    mine = {client for client in CLIENTS if balancer.pick(client) is found[0]}
    before = set()
    for part in (10, 30, 60, 100):
        balancer.update([part, FINE])
        now = {client for client in CLIENTS if balancer.pick(client) is found[0]}
        assert before < now <= mine
        before = now
    assert now == mine


def test_a_retry_goes_where_the_client_would_go():
    """The next choice is the target that the client would have if those that were tried were out."""
    balancer = SourceHash(found := standings(1, 1, 1))
    for client in CLIENTS[:20]:
        first = balancer.pick(client)
        other = balancer.other(client, (first,))
        balancer.update([0 if each is first else FINE for each in found])
        assert balancer.pick(client) is other
        balancer.update([FINE] * 3)
    assert names([balancer.other("10.0.0.1", tuple(found))]) == "-"


def test_nobody_there_is_nobody():
    """Without a target there is no pick."""
    balancer = SourceHash(standings(1, 1))
    balancer.update([0, 0])
    assert balancer.pick("10.0.0.1") is None


def test_places_are_the_same_everywhere():
    """Neither the process nor its hash seed decides where a client or a target stands."""
    assert place_of("192.0.2.1") == 0xDB610037
    assert points_of("a:80", 2) == (0xE4677325, 0x658B5529)


def test_more_points_begin_with_the_same():
    """The first points of a target do not depend on how many there are."""
    assert points_of("a:80", 100)[:17] == points_of("a:80", 17)


@pytest.mark.parametrize(("total", "points"), [(1, MOST_POINTS), (32, 256), (33, 128), (8_192, 1), (16_384, 0.5)])
def test_the_ring_is_bounded(total, points):
    """Points for a unit of weight halve as weights grow."""
    assert points_per_weight(total) == points
    assert points * total <= RING_POINTS


def test_the_lightest_has_a_place_too():
    """A target whose share is less than a point has one all the same."""
    balancer = SourceHash(standings(*[256] * 40, 1))
    assert balancer._ring[:-1].count(next(p for p in balancer._ring if p & 0xFFFF == 40)) == 1
