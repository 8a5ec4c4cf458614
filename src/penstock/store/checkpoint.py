"""What is to be written at once: a frozen value, made where the numbers are and written elsewhere."""

import sqlite3
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from penstock.store import tables
from penstock.store.tables import Page

PAGES = 1_024
"""Pages that wait for a disk at most; the oldest are dropped. 64 records each are more than 10,000 records need."""


class Checkpoint(Struct, frozen=True, kw_only=True):
    """
    What is to be written.

    Args:
        at: When it was made; unit s since the epoch.
        parts: State by name, of which the newest counts.
        pages: Ended connections.
        oldest: The first record that is still wanted; pages before it are removed.
        entries: JSON by kind and key, None for one that is to be removed.
    """

    at: int
    parts: Mapping[str, bytes] = {}
    pages: tuple[Page, ...] = ()
    oldest: int = 0
    entries: Mapping[tuple[str, str], str | None] = {}


def merge(older: Checkpoint, newer: Checkpoint) -> Checkpoint:
    """Return both as one, as if one had been written after the other. What it takes of memory is bounded."""
    pages = {page.first: page for page in (*older.pages, *newer.pages)}
    oldest = max(older.oldest, newer.oldest)
    wanted = [page for _, page in sorted(pages.items()) if page.first + page.records > oldest]
    return replace(
        newer,
        parts={**older.parts, **newer.parts},
        pages=tuple(wanted[-PAGES:]),
        oldest=oldest,
        entries={**older.entries, **newer.entries},
    )


def write(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """
    Write all of it or nothing.

    Args:
        connection: In autocommit mode.
        checkpoint: What.

    Raises:
        sqlite3.Error: If it cannot be written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _write(connection, checkpoint)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    for name, body in checkpoint.parts.items():
        tables.put_part(connection, name, body, checkpoint.at)
    for page in checkpoint.pages:
        tables.put_page(connection, page)
    if checkpoint.oldest:
        tables.prune_pages(connection, checkpoint.oldest)
    for (kind, key), entry in checkpoint.entries.items():
        tables.put_entry(connection, kind, key, entry, checkpoint.at)
