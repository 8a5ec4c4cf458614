"""Numbers by name: what was written is read again, by any plan, and any bytes give one error or a value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.growth import CLOSED, COLUMNS, OPENED
from penstock.metrics.saved import GONE, MOST, Named, SavedError, bounded, counted, parse, serialize, target_keys
from penstock.metrics.scopes import Scopes
from penstock.metrics.totals import SavedTotals
from penstock.testing.standin import PLAN, WEB

COLUMN = st.tuples(*[st.integers(0, 2**40)] * COLUMNS)
NAMES = st.sampled_from("abcdef")


def named(*names):
    """Return the names of a plan whose ids begin at 1; what is not among them is counted in column 0."""
    ids = {(name,): number for number, name in enumerate(names, 1)}
    own = {**ids, ("-",): 0}
    return Named(own.get, lambda key: 0, lambda: {number: key for key, number in ids.items()})


def ended(columns):
    """Return what rows hold once every connection is over; names without numbers are left out."""
    found = {}
    for (name,), column in columns:
        found[name] = found.get(name, 0) + counted(column, goes_on=False)
    return {name: tuple(numbers.tolist()) for name, numbers in found.items() if numbers.any()}


@given(st.lists(st.tuples(st.tuples(NAMES | st.just("-")), COLUMN), max_size=8).map(tuple), st.permutations("abcdef"))
def test_names_keep_their_totals_through_any_plan(rows, order):
    """Three plans one after the other, the second of which has lost some names, end with the totals of the first."""
    first, second, third = named(*order), named(*order[3:]), named(*reversed(order))
    table = first.restore(rows)
    assert (table.sum(axis=1) == sum((counted(column, goes_on=False) for _, column in rows), np.zeros(COLUMNS))).all()
    passed = second.restore(first.export(table))
    assert (passed.sum(axis=1) == table.sum(axis=1)).all()
    back = third.export(third.restore(second.export(passed)))
    assert ended(back) == ended(rows)


def test_what_a_plan_counts_meanwhile_is_added():
    """A name that comes back has what it had, and what others counted in its absence is theirs."""
    plan = named("a")
    table = plan.restore(((("a",), (1,) * COLUMNS), (("b",), (2,) * COLUMNS)))
    table[:, 1] += 10
    table[:, 0] += 100
    assert dict(plan.export(table)) == {("a",): (11,) * COLUMNS, ("b",): (2,) * COLUMNS, ("-",): (100,) * COLUMNS}


def test_names_that_are_gone_are_bounded():
    """A file with too many names costs bounded memory, and the sum stays."""
    plan = named()
    table = plan.restore(tuple(((str(number),), (1,) * COLUMNS) for number in range(GONE + 5)))
    assert len(plan.gone) == GONE
    assert dict(plan.export(table))["-",] == (5,) * COLUMNS


def test_what_was_open_has_ended():
    """A connection that was open when its node went is over."""
    column = counted((5, 2, 100, 0, 0, 0, 0), goes_on=False)
    assert (column[OPENED], column[CLOSED]) == (5, 5)


def test_sums_beyond_belief_are_refused():
    """No file makes a sum overflow."""
    rows = tuple(((str(number),), (MOST,) + (0,) * (COLUMNS - 1)) for number in range(2))
    assert bounded(rows[:1]) == rows[:1]
    with pytest.raises(SavedError, match="too large"):
        bounded(rows)


@given(st.binary(max_size=200))
def test_any_bytes_are_one_error(raw):
    """Whatever a file holds, nothing else is raised; chance alone makes no totals."""
    with pytest.raises(SavedError, match=r"^SavedTotals: "):
        parse(raw, SavedTotals)


@given(st.data())
def test_bytes_that_were_changed_are_a_value_or_one_error(data):
    """Nor when it was ours once."""
    saved = SavedTotals(
        node=(1,) * COLUMNS, listeners=((("web",), (1,) * COLUMNS),), routes=(), targets=(), pairs=(),
        outcomes=((1, 2, 3),), refused={"auth": 1}, pauses=0, respawns=0,
    )  # fmt: skip
    raw = bytearray(serialize(saved))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(raw), SavedTotals)
    except SavedError:
        pass


def test_targets_of_one_address_are_told_apart():
    """Two targets of the same route and address have a number each."""
    twice = Scopes((WEB, *PLAN.worker.listeners[1:]))
    assert target_keys(twice) == {("default", "192.0.2.10:80", "0"): 1, ("default", "[2001:db8::2]:80", "0"): 2}
    twice.targets[7] = twice.targets[1]
    assert ("default", "192.0.2.10:80", "1") in target_keys(twice)
