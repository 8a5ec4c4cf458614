"""Listeners and routes, two by two."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.ledger import pack_scope
from penstock.metrics.pairs import PairIndex, Pairs

IDS = st.sampled_from([0, 1, 2, 7, 65_535])
SCOPES = st.lists(st.tuples(IDS, IDS, IDS), max_size=20)


@given(st.lists(SCOPES, max_size=5))
def test_every_row_finds_its_pair(ticks):
    """At every reading each row's place holds its listener and its route, whatever its target; no pair stands twice."""
    index, seen = PairIndex(), set()
    for rows in ticks:
        words = np.array([pack_scope(listener, target, route) for listener, route, target in rows], np.uint64)
        places = index.places(words)
        ids = Pairs(index.keys, np.zeros((1, len(index.keys)), np.int64), np.zeros(0, np.int64)).ids()
        assert [ids[place] for place in places] == [(listener, route) for listener, route, _ in rows]
        seen |= set(ids)
        assert len(ids) == len(set(ids)) == len(seen)


@given(st.lists(st.tuples(IDS, st.sampled_from([0, 1, 5]), st.integers(0, 2**60)), max_size=20))
def test_routes_are_sums_of_pairs(rows):
    """The growth of a route is that of all its pairs, to the last byte."""
    words = np.array([pack_scope(listener, 0, route) for listener, route, _ in rows], np.uint64)
    index = PairIndex()
    places = index.places(words)
    table = np.zeros((2, len(index.keys)), np.int64)
    np.add.at(table[1], places, np.array([amount for *_, amount in rows], np.int64) // 32)
    found = Pairs(index.keys, table, np.zeros(len(index.keys), np.int64)).by_route()
    expected = [0] * 6
    for _, route, amount in rows:
        expected[route] += amount // 32
    assert found[1].tolist() == expected[: found.shape[1]]
    assert not any(expected[found.shape[1] :])
    assert not found[0].any()
