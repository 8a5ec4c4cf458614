"""Whose file it is, of which version, and how it becomes one of this version."""

import sqlite3

import pytest

from penstock.store.schema import (
    APPLICATION_ID,
    STEPS,
    ForeignError,
    NewerError,
    brought_up,
    identify,
    lacks,
    migrate,
)


@pytest.fixture
def connection():
    """A file in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def pragma(connection, name):
    """Return what a pragma says."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_fresh_file_becomes_ours(connection):
    """An empty file gets the tables, our mark and the newest version; a second migration finds nothing to do."""
    assert migrate(connection) == 0
    assert (pragma(connection, "application_id"), pragma(connection, "user_version")) == (APPLICATION_ID, len(STEPS))
    assert lacks(connection) == ""
    assert migrate(connection) == len(STEPS)


@pytest.mark.parametrize("known", range(len(STEPS) + 1))
def test_every_older_version_becomes_the_newest(connection, known):
    """A file of any version that was ever written has all tables after it, and keeps its rows."""
    migrate(connection, STEPS[:known])
    if known:
        connection.execute("INSERT INTO parts VALUES ('a', x'01', 5)")
    assert migrate(connection) == known
    assert lacks(connection) == ""
    assert connection.execute("SELECT body FROM parts").fetchall() == ([(b"\1",)] if known else [])


def test_a_step_that_fails_leaves_nothing(connection):
    """A step is one transaction: after an error in the middle the file is of the version before, and whole."""
    migrate(connection)
    steps = (*STEPS, ("CREATE TABLE more (x)", "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, steps)
    assert pragma(connection, "user_version") == len(STEPS)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    assert not connection.in_transaction


def test_a_newer_file_is_told(connection):
    """A version that we do not know is refused by its number."""
    migrate(connection)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerError, match="version 99"):
        identify(connection)


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7"])
def test_a_file_of_others_is_told(connection, statement):
    """A file with tables and without our mark, or with another mark, is not touched."""
    connection.execute(statement)
    with pytest.raises(ForeignError):
        migrate(connection)


def test_what_is_missing_is_named(connection):
    """A table that is gone, or is another one than we made, is found."""
    migrate(connection)
    connection.execute("DROP TABLE pages")
    assert lacks(connection) == "pages"
    connection.execute("CREATE TABLE pages (x)")
    assert lacks(connection) == "pages"


def test_an_older_file_is_read_through_a_copy(connection):
    """What cannot be migrated where it lies is migrated in memory."""
    steps = (*STEPS, ("CREATE TABLE more (x)",))
    migrate(connection)
    connection.execute("INSERT INTO parts VALUES ('a', x'01', 5)")
    assert brought_up(connection) is connection
    copy = brought_up(connection, steps)
    assert copy.execute("SELECT count(*) FROM more, parts").fetchone() == (0,)
    assert copy.execute("SELECT name FROM parts").fetchall() == [("a",)]
    copy.close()
