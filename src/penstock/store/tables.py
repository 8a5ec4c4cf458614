"""
What stands in the tables, row by row: parts, pages of ended connections, and entries of others.

These functions write within the writer's transaction and read from any connection. Rows that are not what was written
once raise `RowError`, and nothing else but sqlite3.Error.
"""

import sqlite3
from typing import NamedTuple, TypeVar

import msgspec

PAGES = 4_096
"""Pages that one answer holds at most."""


Rows = TypeVar("Rows")


class RowError(Exception):
    """A row holds what was never written."""


class Page(NamedTuple):
    """
    Some records that follow each other, packed.

    Args:
        first: Number of the first one; 0 or more.
        records: How many; 1 or more.
        body: The records, as their owner packs them.
    """

    first: int
    records: int
    body: bytes


class Samples(NamedTuple):
    """
    Samples of some seconds.

    Args:
        kind: Whose.
        at: When the last of them was taken; unit s since the epoch.
        body: As their owner packs them.
    """

    kind: str
    at: int
    body: bytes


class Entry(NamedTuple):
    """
    Something that an owner keeps under a key.

    Args:
        key: Of its kind.
        body: JSON.
        updated_at: When it was last written; unit s since the epoch.
    """

    key: str
    body: str
    updated_at: int


def put_part(connection: sqlite3.Connection, name: str, body: bytes, at: int) -> None:
    """Write a part; the one before it is gone."""
    connection.execute("INSERT OR REPLACE INTO parts (name, body, updated_at) VALUES (?, ?, ?)", (name, body, at))


def parts(connection: sqlite3.Connection) -> dict[str, bytes]:
    """Return all parts by name."""
    rows = connection.execute("SELECT name, body FROM parts").fetchall()
    return dict(read_as(rows, list[tuple[str, bytes]]))


def put_page(connection: sqlite3.Connection, page: Page) -> None:
    """Write a page; one with the same first record, as one that was not full yet, is gone."""
    connection.execute("INSERT OR REPLACE INTO pages (first, records, body) VALUES (?, ?, ?)", page)


def pages(connection: sqlite3.Connection, *, before: int = 2**63 - 1, limit: int = PAGES) -> list[Page]:
    """
    Return pages, the newest first.

    Args:
        connection: To the file.
        before: Only pages whose first record has a smaller number.
        limit: How many at most; 1 to `PAGES`.
    """
    query = "SELECT first, records, body FROM pages WHERE first < ? ORDER BY first DESC LIMIT ?"
    return read_as(connection.execute(query, (before, min(limit, PAGES))).fetchall(), list[Page])


def prune_pages(connection: sqlite3.Connection, oldest: int) -> None:
    """Remove pages all of whose records have smaller numbers than this."""
    connection.execute("DELETE FROM pages WHERE first + records <= ?", (oldest,))


def put_samples(connection: sqlite3.Connection, samples: Samples) -> None:
    """Add samples to those of their kind."""
    connection.execute("INSERT INTO chunks (kind, at, body) VALUES (?, ?, ?)", samples)


def samples(connection: sqlite3.Connection, kind: str, after: int) -> list[bytes]:
    """Return the samples of a kind that were taken after this second, in the order in which they were written."""
    rows = connection.execute("SELECT body FROM chunks WHERE kind = ? AND at > ? ORDER BY id", (kind, after)).fetchall()
    return [body for (body,) in read_as(rows, list[tuple[bytes]])]


def prune_samples(connection: sqlite3.Connection, kind: str, oldest: int, newest: int) -> None:
    """Remove samples of a kind that were taken before or after these seconds; the clock may have been set."""
    connection.execute("DELETE FROM chunks WHERE kind = ? AND (at < ? OR at > ?)", (kind, oldest, newest))


def put_entry(connection: sqlite3.Connection, kind: str, key: str, body: str | None, at: int) -> None:
    """Write an entry; None removes it."""
    if body is None:
        connection.execute("DELETE FROM entries WHERE kind = ? AND key = ?", (kind, key))
        return
    query = "INSERT OR REPLACE INTO entries (kind, key, body, updated_at) VALUES (?, ?, ?, ?)"
    connection.execute(query, (kind, key, body, at))


def entries(connection: sqlite3.Connection, kind: str) -> list[Entry]:
    """Return all entries of a kind, by key."""
    query = "SELECT key, body, updated_at FROM entries WHERE kind = ? ORDER BY key"
    return read_as(connection.execute(query, (kind,)).fetchall(), list[Entry])


def read_as(rows: list[tuple[object, ...]], type_: type[Rows]) -> Rows:
    """Return rows as this type; raises RowError if they are not."""
    try:
        return msgspec.convert(rows, type_)
    except msgspec.ValidationError as error:
        raise RowError(str(error)) from error
