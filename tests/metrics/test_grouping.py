"""Rows that are alike."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.grouping import group

KEYS = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[KEYS] * width), min_size=1, max_size=40)))
def test_rows_are_together_if_they_are_alike_in_all_columns(rows):
    """Each group is one key, each key one group, the groups in the order of their keys; keys may fill all bits."""
    chosen, place = group(*(np.array(column, np.uint64) for column in zip(*rows, strict=True)))
    keys = [rows[i] for i in chosen]
    assert keys == sorted(set(rows))
    assert [keys[i] for i in place] == rows


def test_no_rows_are_no_groups():
    """Nothing has nothing in common."""
    found = group(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    assert (found.chosen.tolist(), found.place.tolist()) == ([], [])


def test_a_client_cannot_choose_an_address_that_collides():
    """Addresses that differ in one bit of either half, and halves that are exchanged, stay apart."""
    high = np.array([0, 1, 1 << 63, 0, 1], np.uint64)
    low = np.array([1, 0, 0, 1 << 63, 1], np.uint64)
    assert len(group(high, low).chosen) == 5
