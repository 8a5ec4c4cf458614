"""Tests of `penstock.policy.walks`."""

from penstock.policy.detectors import CLIENTS, Rule
from penstock.policy.walks import Walks

RULE = Rule("port_walks", "listeners", threshold=3, window=100, duration=60)


def test_distinct_listeners_count_and_others_do_not():
    """One listener again and again is no walk; the third one within the window is."""
    walks = Walks(RULE)
    assert walks.add([(7, 1)] * 50 + [(7, 2), (8, 3)], 0) == []
    assert (walks.count(7, 0), walks.count(8, 0)) == (2, 1)
    assert walks.add([(7, 1000)], 99) == [(7, 3)]
    assert walks.count(7, 99) == 0


def test_a_slow_walk_is_none():
    """What lies in another window is forgotten."""
    walks = Walks(RULE)
    walks.add([(7, 1), (7, 2)], 0)
    assert walks.add([(7, 3)], 100) == []
    assert walks.count(7, 100) == 1
    assert walks.count(7, 200) == 0


def test_memory_is_bounded_and_those_that_walked_furthest_are_kept():
    """Clients that come once do not hide one that walks."""
    walks = Walks(RULE)
    walks.add([(1, 1), (1, 2)], 0)
    for start in range(2, 3 * CLIENTS, 1_000):
        walks.add([(client, 1) for client in range(start, start + 1_000)], 1)
        assert len(walks) <= CLIENTS + 1_000
    assert walks.add([(1, 3)], 2) == [(1, 3)]
