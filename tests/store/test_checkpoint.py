"""Checkpoints: merged as if one had been written after the other."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.metrics.rollups import Minute, Row
from penstock.store import checkpoint, rollups, tables
from penstock.store.checkpoint import Checkpoint, Retention, merge, write
from penstock.store.schema import migrate
from penstock.store.tables import Page, Samples

NAMES = st.sampled_from(["a", "b", "c"])
PAGES = st.builds(Page, st.integers(0, 200), st.integers(1, 10), st.binary(max_size=3))
MINUTES = st.builds(
    lambda minute, number: Minute(60 * minute, 60_000, (Row("node", "", *[number] * 4),)),
    st.integers(1, 100), st.integers(0, 9),
)  # fmt: skip
CHECKPOINTS = st.builds(
    Checkpoint,
    at=st.integers(0, 2**40),
    parts=st.dictionaries(NAMES, st.binary(max_size=3)),
    pages=st.lists(PAGES, max_size=5, unique_by=lambda page: page.first).map(tuple),
    oldest=st.integers(0, 100),
    entries=st.dictionaries(st.tuples(NAMES, NAMES), st.none() | st.just("{}")),
    samples=st.lists(st.builds(Samples, NAMES, st.integers(0, 80_000), st.binary(max_size=3)), max_size=3).map(tuple),
    minutes=st.lists(MINUTES, max_size=3).map(tuple),
    retention=st.just(Retention(dict.fromkeys("abc", 2**41), 2**40, 2**30)),
)


@st.composite
def sequences(draw, length):
    """Draw checkpoints as they are made one after the other: what has left once does not come back."""
    made = draw(st.lists(CHECKPOINTS, min_size=length, max_size=length))
    oldest = sorted(each.oldest for each in made)
    return [
        replace(each, oldest=bound, pages=tuple(page for page in each.pages if page.first >= bound))
        for each, bound in zip(made, oldest, strict=True)
    ]


def stored(*checkpoints):
    """Return what a file holds after these were written."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    for each in checkpoints:
        write(connection, each)
    entries = {kind: [entry[:2] for entry in tables.entries(connection, kind)] for kind in "abc"}
    samples = [tables.samples(connection, kind, -1) for kind in "abc"]
    minutes = rollups.minutes(connection, 0, 10_000)
    return tables.parts(connection), tables.pages(connection), entries, samples, minutes


@settings(deadline=None)
@given(sequences(2))
def test_merged_is_as_written_one_after_the_other(both):
    """A disk that took two checkpoints at once holds what it would hold after both."""
    older, newer = both
    assert stored(merge(older, newer)) == stored(older, newer)


@settings(deadline=None)
@given(sequences(3))
def test_the_order_of_merging_does_not_matter(three):
    """However work piles up, it is the same work."""
    one, two, three = three
    assert stored(merge(merge(one, two), three)) == stored(merge(one, merge(two, three)))


def test_waiting_takes_bounded_memory():
    """A disk that is full for ever does not let pages pile up: the oldest are dropped."""
    merged = Checkpoint(at=0)
    for number in range(checkpoint.PAGES + 500):
        merged = merge(merged, Checkpoint(at=number, parts={"a": b"x"}, pages=(Page(number * 64, 64, b""),)))
    assert len(merged.pages) == checkpoint.PAGES
    assert merged.pages[-1].first == (checkpoint.PAGES + 499) * 64
    assert merged.parts == {"a": b"x"}


def test_a_checkpoint_is_written_whole_or_not_at_all():
    """What fails in the middle leaves what was there before."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    write(connection, Checkpoint(at=1, parts={"a": b"old"}))
    with pytest.raises(sqlite3.IntegrityError):
        write(connection, Checkpoint(at=2, parts={"a": b"new"}, pages=(Page(1, None, b""),)))
    assert tables.parts(connection) == {"a": b"old"}
    assert not connection.in_transaction


def test_samples_and_minutes_wait_in_bounded_memory(monkeypatch):
    """The oldest samples are dropped; minutes lose the names of clients first, and then the oldest."""
    monkeypatch.setattr(checkpoint, "SAMPLE_BYTES", 100)
    monkeypatch.setattr(checkpoint, "ROWS", 10)
    merged = Checkpoint(at=0)
    for number in range(1, 8):
        rows = Row("node", "", 1, 1, 1, 1), Row("client", "a", 1, 1, 1, 1), Row("client", "b", 2, 2, 2, 2)
        more = Checkpoint(
            at=number, samples=(Samples("s", number, bytes(30)),), minutes=(Minute(60 * number, 60_000, rows),)
        )
        merged = merge(merged, more)
    assert [each.at for each in merged.samples] == [5, 6, 7]
    assert [each.at for each in merged.minutes] == [180, 240, 300, 360, 420]
    assert merged.minutes[0].rows == (Row("node", "", 1, 1, 1, 1), Row("client", "other", 3, 3, 3, 3))


def test_what_is_older_than_wanted_leaves_with_a_checkpoint():
    """Samples and minutes are pruned by the retention that comes with them."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    kept = Retention({"s": 100}, minutes=2, hours=1)
    for at in (60, 120, 180, 240):
        minute = Minute(at, 60_000, (Row("node", "", 1, 1, 1, 1),))
        write(connection, Checkpoint(at=at, samples=(Samples("s", at, b"x"),), minutes=(minute,), retention=kept))
    assert connection.execute("SELECT at FROM minutes").fetchall() == [(180,), (240,)]
    assert connection.execute("SELECT at, bytes_in FROM hours").fetchall() == [(3_600, 4)]
    assert len(tables.samples(connection, "s", 0)) == 2
