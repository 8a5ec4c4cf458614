"""
Minutes and hours: what each name did, in rows that reports can ask for.

A minute is added to its own row and to that of its hour at once, so both are whole at any time, and a minute that comes
in two pieces, as around a restart, is added up.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from penstock.metrics.rollups import OTHER, Minute, Row
from penstock.store.tables import read_as

MINUTE = 60
HOUR = 3_600
DAY = 86_400

BYTES = 1_073_741_824
"""What the file may grow to: 1 GiB, about what 2,000 names take that are busy for 400 days. Beyond it what is oldest
leaves."""

NAMED = 1_000
"""Clients, and users, that an hour tells apart; others are `other`. As many as are known at once by default."""

MOST = 44_640
"""Steps in one answer: 31 days of minutes, or five years of hours."""

TABLES = {MINUTE: "minutes", HOUR: "hours"}

_NAME = """
INSERT INTO names (kind, key, used_at) VALUES (?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET used_at = excluded.used_at WHERE used_at < excluded.used_at - 3600
"""

_ADD = """
INSERT INTO {table} (at, name, connections, requests, bytes_in, bytes_out, covered)
SELECT ?, id, ?, ?, ?, ?, ? FROM names WHERE kind = ? AND key = ?
ON CONFLICT (at, name) DO UPDATE SET
    connections = connections + excluded.connections, requests = requests + excluded.requests,
    bytes_in = bytes_in + excluded.bytes_in, bytes_out = bytes_out + excluded.bytes_out,
    covered = covered + excluded.covered
"""

_MINUTES = """
WITH RECURSIVE ats (at) AS (SELECT ? UNION ALL SELECT at + 60 FROM ats WHERE at < ?)
SELECT m.at, node.covered, n.kind, n.key, m.connections, m.requests, m.bytes_in, m.bytes_out
FROM ats
CROSS JOIN names AS n ON n.kind IN ('node', 'listener', 'route', 'target')
CROSS JOIN minutes AS m ON m.at = ats.at AND m.name = n.id
JOIN minutes AS node ON node.at = m.at AND node.name = (SELECT id FROM names WHERE kind = 'node' AND key = '')
ORDER BY m.at, n.id
"""

_STEPS = """
WITH RECURSIVE ats (at) AS (SELECT ? UNION ALL SELECT at + {length} FROM ats WHERE at + {length} <= ?)
SELECT node.at, node.covered, ifnull(own.connections, 0), ifnull(own.requests, 0), ifnull(own.bytes_in, 0),
    ifnull(own.bytes_out, 0)
FROM names AS whole
CROSS JOIN ats
CROSS JOIN {table} AS node ON node.at = ats.at AND node.name = whole.id
LEFT JOIN {table} AS own ON own.at = node.at AND own.name = ?
WHERE whole.kind = 'node' AND whole.key = ''
ORDER BY node.at
"""


class Step(NamedTuple):
    """
    What a name did in one minute or hour.

    Args:
        at: When it ended; unit s since the epoch.
        covered: How much of it was measured; unit ms.
        connections, requests, bytes_in, bytes_out: As in `metrics.rollups.Row`.
    """

    at: int
    covered: int
    connections: int
    requests: int
    bytes_in: int
    bytes_out: int


def put_minute(connection: sqlite3.Connection, minute: Minute) -> None:
    """Add a minute to its row and to its hour's."""
    connection.executemany(_NAME, [(row.kind, row.key, minute.at) for row in minute.rows])
    for length, table in TABLES.items():
        at = -(-minute.at // length) * length
        rows = [(at, *row[2:], minute.covered, row.kind, row.key) for row in minute.rows]
        connection.executemany(_ADD.format(table=table), rows)


def minutes(connection: sqlite3.Connection, after: int, until: int) -> list[Minute]:
    """
    Return what the node, listeners, routes and targets did, oldest first.

    Args:
        connection: To the file.
        after, until: Which minutes, by when they ended; unit s since the epoch. At most `MOST`.

    Raises:
        RowError: If a row holds what was never written.
    """
    first = (after // MINUTE + 1) * MINUTE
    rows = connection.execute(_MINUTES, (first, max(first, min(until, first + MOST * MINUTE)))).fetchall()
    found: dict[tuple[int, int], list[Row]] = {}
    for at, covered, kind, key, *numbers in read_as(rows, list[tuple[int, int, str, str, int, int, int, int]]):
        found.setdefault((at, covered), []).append(Row(kind, key, *numbers))
    return [Minute(at, covered, tuple(each)) for (at, covered), each in found.items()]


def history(
    connection: sqlite3.Connection, kind: str, key: str, *, length: int, after: int, until: int
) -> list[Step] | None:
    """
    Return what one name did, oldest first; steps in which nothing was measured are not there.

    Args:
        connection: To the file.
        kind, key: Of `metrics.rollups.Row`.
        length: Of a step: MINUTE or HOUR.
        after, until: Which steps, by when they ended; unit s since the epoch.

    Returns:
        Steps, or None if there is no such name.
    """
    name = connection.execute("SELECT id FROM names WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    if name is None:
        return None
    query = _STEPS.format(table=TABLES[length], length=length)
    first = (after // length + 1) * length
    steps = connection.execute(query, (first, min(until, first + MOST * length), *name)).fetchall()
    return read_as(steps, list[Step])


def prune(connection: sqlite3.Connection, *, now: int, minutes: int, hours: int) -> None:
    """
    Remove what is older than wanted, or from a time that has not come; and what makes the file too large.

    Args:
        connection: To the file, in the writer's transaction.
        now: Unit s since the epoch.
        minutes, hours: How many of each are kept.
    """
    kept = {"minutes": minutes * MINUTE, "hours": hours * HOUR}
    for table, seconds in kept.items():
        connection.execute(f"DELETE FROM {table} WHERE at <= ?", (now - seconds,))  # noqa: S608 - names of ours
        connection.execute(f"DELETE FROM {table} WHERE at > ?", (now + DAY,))  # noqa: S608
    pages, free, size = (
        int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
        for pragma in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > BYTES:
        for table, share in (("minutes", 60 * MINUTE), ("hours", 10 * DAY)):
            query = f"DELETE FROM {table} WHERE at < (SELECT min(at) FROM {table}) + ?"  # noqa: S608
            connection.execute(query, (share,))
    connection.execute("DELETE FROM names WHERE used_at < ?", (now - max(kept.values()) - 2 * HOUR,))


def squeeze(connection: sqlite3.Connection, kinds: Iterable[str], at: int, named: int = NAMED) -> None:
    """
    Leave the busiest names of an hour, and add the others up as `other`.

    Args:
        connection: To the file, in the writer's transaction.
        kinds: Of names.
        at: When the hour ended; unit s since the epoch.
        named: How many names of each kind are left.
    """
    for kind in kinds:
        query = """
        SELECT h.name, h.connections, h.requests, h.bytes_in, h.bytes_out FROM hours AS h
        JOIN names AS n ON n.id = h.name WHERE h.at = ? AND n.kind = ? AND n.key <> ?
        ORDER BY h.bytes_in + h.bytes_out DESC, h.connections DESC LIMIT -1 OFFSET ?
        """
        rows = connection.execute(query, (at, kind, OTHER, named)).fetchall()
        if not rows:
            continue
        sums = [sum(numbers) for numbers in zip(*(row[1:] for row in rows), strict=True)]
        connection.execute(_NAME, (kind, OTHER, at))
        connection.execute(_ADD.format(table="hours"), (at, *sums, 0, kind, OTHER))
        connection.executemany("DELETE FROM hours WHERE at = ? AND name = ?", [(at, row[0]) for row in rows])
