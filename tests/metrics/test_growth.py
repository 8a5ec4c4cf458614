"""Sums of a fold are exact, whatever the numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.growth import BYTES_IN, CLOSED, COLUMNS, COUNTERS, OPENED, sum_by, widen

ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.lists(st.integers(0, 2**60), min_size=COUNTERS, max_size=COUNTERS),
    ),
    max_size=7,
)


@given(ROWS)
def test_sums_by_id_are_those_of_plain_integers(rows):
    """Each id has the rows that began and ended, and what each counter grew by, to the last byte beyond 2**53."""
    ids = np.array([row[0] for row in rows], np.int64)
    opened, closed = (np.array([row[which] for row in rows], bool) for which in (1, 2))
    growth = np.array([row[3] for row in rows], np.int64).reshape(len(rows), COUNTERS)
    table = sum_by(ids, opened, closed, growth)
    assert table.shape == (COLUMNS, max((row[0] for row in rows), default=0) + 1)
    for one in range(table.shape[1]):
        mine = [row for row in rows if row[0] == one]
        assert table[OPENED, one] == sum(row[1] for row in mine)
        assert table[CLOSED, one] == sum(row[2] for row in mine)
        assert table[BYTES_IN:, one].tolist() == [sum(row[3][each] for row in mine) for each in range(COUNTERS)]


def test_a_table_is_widened_and_never_cut():
    """Missing ids get columns of zeros; a table that is wide enough is the same."""
    table = np.ones((COLUMNS, 2), np.int64)
    assert widen(table, 4)[:, 2:].tolist() == [[0, 0]] * COLUMNS
    assert widen(table, 1) is table
