"""Rows as they are written and read."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.store import tables
from penstock.store.schema import migrate
from penstock.store.tables import Entry, Page, RowError, Samples


def fresh():
    """Return a file in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


NUMBERS = st.integers(0, 2**63 - 1)


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.binary()))
def test_parts_come_back(parts):
    """What was written last under a name is what is read."""
    connection = fresh()
    for name, body in parts.items():
        tables.put_part(connection, name, b"before", 1)
        tables.put_part(connection, name, body, 2)
    assert tables.parts(connection) == parts


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 10_000), st.tuples(st.integers(1, 64), st.binary()), max_size=30), NUMBERS)
def test_pages_come_back_newest_first(written, before):
    """Pages are read from the newest to the oldest, from any record on."""
    connection = fresh()
    pages = [Page(first, count, body) for first, (count, body) in sorted(written.items(), reverse=True)]
    for page in pages:
        tables.put_page(connection, page)
    assert tables.pages(connection) == pages
    assert tables.pages(connection, before=before, limit=2) == [page for page in pages if page.first < before][:2]


def test_a_page_that_grows_replaces_itself():
    """The page that is not full yet is written again and again, and stands once."""
    connection = fresh()
    for count in (1, 2, 3):
        tables.put_page(connection, Page(64, count, bytes(count)))
    assert tables.pages(connection) == [Page(64, 3, bytes(3))]


@pytest.mark.parametrize(("oldest", "left"), [(0, [20, 10, 0]), (10, [20, 10]), (15, [20, 10]), (20, [20]), (99, [])])
def test_old_pages_leave(oldest, left):
    """A page stays as long as one of its records is wanted."""
    connection = fresh()
    for first in (0, 10, 20):
        tables.put_page(connection, Page(first, 10, b""))
    tables.prune_pages(connection, oldest)
    assert [page.first for page in tables.pages(connection)] == left


def test_samples_are_read_in_the_order_of_writing():
    """Samples come back by kind, those after a second; what is older than wanted, or from the future, leaves."""
    connection = fresh()
    for kind, at, body in (("a", 10, b"1"), ("b", 11, b"2"), ("a", 9, b"3"), ("a", 30, b"4"), ("a", 900, b"5")):
        tables.put_samples(connection, Samples(kind, at, body))
    assert tables.samples(connection, "a", 0) == [b"1", b"3", b"4", b"5"]
    assert tables.samples(connection, "a", 9) == [b"1", b"4", b"5"]
    tables.prune_samples(connection, "a", oldest=10, newest=100)
    assert tables.samples(connection, "a", 0) == [b"1", b"4"]
    assert tables.samples(connection, "b", 0) == [b"2"]


def test_entries_are_kept_by_kind_and_key():
    """An entry is written, written again and removed; other kinds do not see it."""
    connection = fresh()
    tables.put_entry(connection, "ban", "192.0.2.1", '{"until":5}', 1)
    tables.put_entry(connection, "ban", "192.0.2.1", '{"until":6}', 2)
    tables.put_entry(connection, "ban", "192.0.2.0", "{}", 3)
    tables.put_entry(connection, "quota", "ann", "{}", 4)
    assert tables.entries(connection, "ban") == [Entry("192.0.2.0", "{}", 3), Entry("192.0.2.1", '{"until":6}', 2)]
    tables.put_entry(connection, "ban", "192.0.2.1", None, 5)
    tables.put_entry(connection, "ban", "nobody", None, 5)
    assert [entry.key for entry in tables.entries(connection, "ban")] == ["192.0.2.0"]


def test_rows_of_other_types_are_told():
    """A value that was never written there is one error, whatever it is."""
    connection = fresh()
    connection.execute("INSERT INTO parts VALUES (x'ff', 5, 'x')")
    connection.execute("INSERT INTO pages VALUES (1, 'many', 1.5)")
    connection.execute("INSERT INTO entries VALUES ('ban', x'00', 1, 'soon')")
    for read in (tables.parts, tables.pages, lambda connection: tables.entries(connection, "ban")):
        with pytest.raises(RowError):
            read(connection)
