"""Minutes and hours in the file."""

import sqlite3
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.metrics.rollups import Minute, Row
from penstock.store import rollups
from penstock.store.rollups import DAY, HOUR, MINUTE, Step
from penstock.store.schema import migrate
from penstock.store.tables import RowError

START = 1_700_000_400 - 1_700_000_400 % HOUR


def fresh():
    """Return a file in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def node(at, amount=1, covered=60_000, *more):
    """Return a minute of the node and more rows."""
    return Minute(at, covered, (Row("node", "", amount, 2 * amount, 3 * amount, 4 * amount), *more))


ROWS = st.builds(Row, st.sampled_from(["listener", "client"]), st.sampled_from("ab"), *[st.integers(0, 2**40)] * 4)
MINUTES = st.lists(
    st.builds(
        lambda number, rows: node(START + number * MINUTE, 1, 60_000, *rows),
        st.integers(1, 200),
        st.lists(ROWS, max_size=3, unique_by=lambda row: row[:2]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(MINUTES)
def test_hours_are_the_sums_of_their_minutes(written):
    """However minutes come, in any order and in pieces, both tables hold their sums, exactly."""
    connection, expected = fresh(), Counter()
    for minute in written:
        rollups.put_minute(connection, minute)
        for row in minute.rows:
            for length in (MINUTE, HOUR):
                at = -(-minute.at // length) * length
                for column, number in enumerate((*row[2:], minute.covered)):
                    expected[length, at, row.kind, row.key, column] += number
    found = Counter()
    for length, table in rollups.TABLES.items():
        columns = "at, kind, key, connections, requests, bytes_in, bytes_out, covered"
        query = f"SELECT {columns} FROM {table} JOIN names ON id = name"
        for at, kind, key, *numbers in connection.execute(query):
            found.update({(length, at, kind, key, column): number for column, number in enumerate(numbers)})
    assert +found == +expected


def test_minutes_come_back_for_full_trackers():
    """Clients are left out; what is asked for is a span."""
    connection = fresh()
    rows = Row("listener", "web", 1, 1, 1, 1), Row("target", "[::1]:80", 1, 1, 1, 1)
    written = [node(START + number * MINUTE, 5, 60_000, *rows) for number in range(1, 6)]
    for minute in written:
        client = Row("client", "192.0.2.1", 9, 9, 9, 9)
        rollups.put_minute(connection, Minute(minute.at, minute.covered, (*minute.rows, client)))
    assert rollups.minutes(connection, START, START + DAY) == written
    assert rollups.minutes(connection, START + 60, START + 180) == written[1:3]
    assert rollups.minutes(connection, START + 30, START + 20) == [written[0]]
    assert rollups.minutes(connection, START + DAY, START) == []


def test_a_name_that_was_idle_was_measured_all_the_same():
    """Steps in which a name did nothing are zeros, not gaps; steps in which nothing ran are not there."""
    connection = fresh()
    rollups.put_minute(connection, node(START + 60, 1, 60_000, Row("client", "a", 1, 0, 7, 8)))
    rollups.put_minute(connection, node(START + 120))
    rollups.put_minute(connection, node(START + 600, 1, 30_000))
    span = {"length": MINUTE, "after": START, "until": START + HOUR}
    assert rollups.history(connection, "client", "a", **span) == [
        Step(START + 60, 60_000, 1, 0, 7, 8),
        Step(START + 120, 60_000, 0, 0, 0, 0),
        Step(START + 600, 30_000, 0, 0, 0, 0),
    ]  # fmt: skip
    assert rollups.history(connection, "client", "b", **span) is None
    hours = rollups.history(connection, "node", "", length=HOUR, after=START, until=START + HOUR)
    assert hours == [Step(START + HOUR, 150_000, 3, 6, 9, 12)]


def test_what_is_old_leaves():
    """Minutes and hours that are older than wanted, or from a time that has not come, and names that nobody uses."""
    connection = fresh()
    rollups.put_minute(connection, node(START + 60, 1, 1, Row("client", "old", 1, 1, 1, 1)))
    rollups.put_minute(connection, node(START + 10 * DAY))
    rollups.put_minute(connection, node(START + 99 * DAY))
    rollups.prune(connection, now=START + 10 * DAY, minutes=60, hours=48)
    for table in ("minutes", "hours"):
        assert connection.execute(f"SELECT at FROM {table}").fetchall() == [(START + 10 * DAY,)]
    assert connection.execute("SELECT key FROM names").fetchall() == [("",)]


def test_names_in_use_stay():
    """A name is as old as its last hour."""
    connection = fresh()
    for hour in range(1, 100):
        rollups.put_minute(connection, node(START + hour * HOUR, 1, 60_000, Row("client", "a", 1, 1, 1, 1)))
        rollups.prune(connection, now=START + hour * HOUR, minutes=60, hours=5)
    assert (
        rollups.history(connection, "client", "a", length=HOUR, after=START, until=START + 99 * HOUR)[-1].bytes_in == 1
    )
    assert connection.execute("SELECT count(*) FROM hours").fetchone() == (10,)


def test_a_file_that_is_too_large_loses_its_oldest(monkeypatch):
    """Beyond the bound an hour of minutes and ten days of hours go, and again with the next checkpoint."""
    connection = fresh()
    for minute in range(1, 200):
        rollups.put_minute(connection, node(START + minute * MINUTE))
    monkeypatch.setattr(rollups, "BYTES", 4_096)
    rollups.prune(connection, now=START + 200 * MINUTE, minutes=1_440, hours=48)
    assert connection.execute("SELECT min(at) FROM minutes").fetchone() == (START + 61 * MINUTE,)


def test_an_hour_tells_the_busiest_apart():
    """The others are added up; no byte is lost, and a second time nothing is left to do."""
    connection = fresh()
    clients = [Row("client", str(number), 1, 0, number, 0) for number in range(10)]
    rollups.put_minute(connection, node(START + HOUR, 1, 60_000, *clients, Row("client", "other", 100, 0, 1_000, 0)))
    for _ in range(2):
        rollups.squeeze(connection, ("client", "user"), START + HOUR, named=3)
        query = "SELECT key, connections, bytes_in FROM hours JOIN names ON id = name WHERE kind = 'client' ORDER BY 3"
        assert connection.execute(query).fetchall() == [("7", 1, 7), ("8", 1, 8), ("9", 1, 9), ("other", 107, 1_021)]


def test_rows_of_other_types_are_told():
    """A value that was never written there is one error."""
    connection = fresh()
    rollups.put_minute(connection, node(START + 60))
    connection.execute("UPDATE minutes SET bytes_in = 'many'")
    with pytest.raises(RowError):
        rollups.minutes(connection, START, START + HOUR)
    with pytest.raises(RowError):
        rollups.history(connection, "node", "", length=MINUTE, after=START, until=START + HOUR)
