"""What is to be written at once: a frozen value, made where the numbers are and written elsewhere."""

import sqlite3
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from penstock.metrics.rollups import Minute, thinned
from penstock.store import rollups, tables
from penstock.store.tables import Page, Samples

PAGES = 1_024
"""Pages that wait for a disk at most; the oldest are dropped. 64 records each are more than 10,000 records need."""


SAMPLE_BYTES = 33_554_432
"""Samples that wait at most: an hour of 60 full trackers is 4 MB, five minutes of 1,000 clients 3 MB."""

DAY = 86_400

ROWS = 100_000
"""Rows of minutes that wait at most, 25 MB: a day of 60 names. Before any is dropped, clients and users become one."""


class Retention(NamedTuple):
    """
    How long things are kept.

    Args:
        samples: By kind; unit s.
        minutes, hours: How many of each.
    """

    samples: Mapping[str, int] = {}
    minutes: int = 1_440
    hours: int = 9_600


class Checkpoint(Struct, frozen=True, kw_only=True):
    """
    What is to be written.

    Args:
        at: When it was made; unit s since the epoch.
        parts: State by name, of which the newest counts.
        pages: Ended connections.
        oldest: The first record that is still wanted; pages before it are removed.
        samples: Samples of some seconds, in the order in which they were taken.
        minutes: Minutes that are over.
        retention: How long samples and minutes are kept.
        entries: JSON by kind and key, None for one that is to be removed.
    """

    at: int
    parts: Mapping[str, bytes] = {}
    pages: tuple[Page, ...] = ()
    oldest: int = 0
    samples: tuple[Samples, ...] = ()
    minutes: tuple[Minute, ...] = ()
    retention: Retention = Retention()
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
        samples=_bounded_samples((*older.samples, *newer.samples)),
        minutes=_bounded_minutes((*older.minutes, *newer.minutes)),
        entries={**older.entries, **newer.entries},
    )


def _bounded_samples(samples: tuple[Samples, ...]) -> tuple[Samples, ...]:
    sizes = accumulate(len(each.body) for each in reversed(samples))
    fitting = sum(size <= SAMPLE_BYTES for size in sizes)
    return samples[len(samples) - fitting :]


def _bounded_minutes(minutes: tuple[Minute, ...]) -> tuple[Minute, ...]:
    if sum(len(each.rows) for each in minutes) <= ROWS:
        return minutes
    minutes = tuple(thinned(each) for each in minutes)
    sizes = accumulate(len(each.rows) for each in reversed(minutes))
    fitting = sum(size <= ROWS for size in sizes)
    return minutes[len(minutes) - fitting :]


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
    _write_samples(connection, checkpoint)
    _write_minutes(connection, checkpoint)
    for (kind, key), entry in checkpoint.entries.items():
        tables.put_entry(connection, kind, key, entry, checkpoint.at)


def _write_samples(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    for samples in checkpoint.samples:
        tables.put_samples(connection, samples)
    for kind in {samples.kind for samples in checkpoint.samples}:
        kept = checkpoint.retention.samples.get(kind, DAY)
        tables.prune_samples(connection, kind, checkpoint.at - kept, checkpoint.at + DAY)


def _write_minutes(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    for minute in checkpoint.minutes:
        rollups.put_minute(connection, minute)
        if minute.at % rollups.HOUR == 0:
            rollups.squeeze(connection, ("client", "user"), minute.at)
    if checkpoint.minutes:
        _, minutes, hours = checkpoint.retention
        rollups.prune(connection, now=checkpoint.at, minutes=minutes, hours=hours)
