"""Whose connections ended badly."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.troubled import NOBODY, together, troubled

FEW = st.integers(0, 3)
LARGE = st.sampled_from([0, 1, 2**63, 2**64 - 1])
ENDINGS = st.lists(st.tuples(LARGE, LARGE, FEW), max_size=60)


def columns(endings):
    """Return endings as three columns."""
    return [np.array(column, np.uint64) for column in zip(*endings, strict=True)] or [np.zeros(0, np.uint64)] * 3


def counted(found):
    """Return who is troubled as a Counter; each stands there once."""
    rows = list(zip(*(column.tolist() for column in found[:3]), strict=True))
    assert len(set(rows)) == len(rows)
    return Counter(dict(zip(rows, found.counts.tolist(), strict=True)))


@given(ENDINGS)
def test_each_client_and_outcome_is_counted(endings):
    """Counts are those of a Counter over who and how, addresses that fill all bits included."""
    assert counted(troubled(*columns(endings))) == Counter(endings)


@given(st.lists(ENDINGS, max_size=4))
def test_several_workers_are_one_node(shares):
    """Counts of workers add up by client and outcome."""
    found = together([troubled(*columns(share)) for share in shares if share])
    assert counted(found) == Counter(ending for share in shares for ending in share)


def test_nothing_is_nothing():
    """Without endings nobody is troubled, and nothing is sorted for them."""
    assert together([]) is NOBODY
    assert troubled(*columns([])) is NOBODY
