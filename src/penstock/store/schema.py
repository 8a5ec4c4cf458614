"""The tables, and how a file of an older version becomes one of this version: one transaction for each step."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

APPLICATION_ID = 0x50454E53
"""`PENS`: what a SQLite file says whose it is (https://www.sqlite.org/pragma.html#pragma_application_id)."""

_FIRST = (
    "CREATE TABLE parts (name TEXT PRIMARY KEY NOT NULL, body BLOB NOT NULL, updated_at INTEGER NOT NULL)",
    "CREATE TABLE chunks (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX chunks_by_kind ON chunks (kind, at)",
    "CREATE TABLE names (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, used_at INTEGER NOT NULL,"
    " UNIQUE (kind, key))",
    *(
        f"CREATE TABLE {table} (at INTEGER NOT NULL, name INTEGER NOT NULL, connections INTEGER NOT NULL,"
        " requests INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, covered INTEGER NOT NULL,"
        " PRIMARY KEY (at, name)) WITHOUT ROWID"
        for table in ("minutes", "hours")
    ),
    "CREATE TABLE pages (first INTEGER PRIMARY KEY, records INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE entries (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, updated_at INTEGER NOT NULL,"
    " PRIMARY KEY (kind, key)) WITHOUT ROWID",
)
"""Schema 1. `parts`: state of which the newest counts. `chunks`: samples of some seconds. `names`, `minutes`, `hours`:
what each name did; `at` is the end of the minute or hour, `covered` its time in ms. `pages`: ended connections, packed.
`entries`: quotas, bans, states of alerts, as JSON."""

STEPS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Statements of each step; step n makes version n + 1. A step that was released never changes."""


_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"


class NewerError(Exception):
    """
    The file is of a newer version.

    Args:
        version: Which.
    """

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version}")
        self.version = version


class ForeignError(Exception):
    """The file is some other program's."""


def identify(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> int:
    """
    Return the version of a file; 0 for one that is empty. Nothing is written.

    Args:
        connection: To the file.
        steps: All steps that are known.

    Raises:
        NewerError: If it is newer than these steps.
        ForeignError: If it is not ours.
        sqlite3.Error: If it cannot be read.
    """
    owner, version = (
        int(connection.execute(f"PRAGMA {pragma}").fetchone()[0]) for pragma in ("application_id", "user_version")
    )
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != APPLICATION_ID and not (empty and owner == 0):
        raise ForeignError
    if version > len(steps):
        raise NewerError(version)
    return max(0, version)


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> int:
    """
    Bring a file to the newest version, and return which it had.

    Args:
        connection: In autocommit mode.
        steps: As for `identify`.

    Raises:
        NewerError, ForeignError, sqlite3.Error: As for `identify`; of the step that failed nothing is left.
    """
    found = identify(connection, steps)
    for version, step in enumerate(steps[found:], found + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return found


def lacks(connection: sqlite3.Connection) -> str:
    """Return a table or index that a file of the newest version should have and has not; empty if it has all."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as sound:
        migrate(sound)
        expected = dict(sound.execute(_OBJECTS).fetchall())
    found = dict(connection.execute(_OBJECTS).fetchall())
    return next((name for name, sql in expected.items() if found.get(name) != sql), "")


def brought_up(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> sqlite3.Connection:
    """Return a connection to the same data in the newest version: a copy in memory, where the file has an older one."""
    if identify(connection, steps) == len(steps):
        return connection
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with closing(connection):
        connection.backup(copy)
    migrate(copy, steps)
    return copy
