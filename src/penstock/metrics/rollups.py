"""What each name did in one minute, as exact numbers: sealed when the minute is over, kept by the hour for months."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from penstock.metrics.saved import Whole

KINDS = ("node", "listener", "route", "target", "client", "user")
"""Whose minutes are kept."""

OTHER = "other"
"""The key of all clients, or users, that are not named."""


class Row(NamedTuple):
    """
    What one name did.

    Args:
        kind: One of `KINDS`.
        key: Its name; empty for the node.
        connections: Accepted.
        requests: HTTP exchanges, SOCKS commands and dialed TCP connections; 0 where they are not told apart.
        bytes_in, bytes_out: Client to proxy, proxy to client.
    """

    kind: str
    key: str
    connections: int
    requests: int
    bytes_in: int
    bytes_out: int

    @property
    def name(self) -> str:
        """Return the scope's name, as in `listener:web`."""
        return f"{self.kind}:{self.key}" if self.key else self.kind


class Minute(Struct, frozen=True):
    """
    What all names did in one minute. Those that did nothing are not among them, but for the node.

    Args:
        at: When it ended; unit s since the epoch, a whole minute.
        covered: How much of it was measured; unit ms.
        rows: Each name once.
    """

    at: int
    covered: int
    rows: tuple[Row, ...]


class SavedMinute(Struct, frozen=True, kw_only=True):
    """
    The minute that is not over yet.

    Args:
        version: Of this struct.
        minute: Which, since the epoch.
        covered: How much of it was measured; unit s.
        growth: Exact numbers by name, in the order of the owner's columns.
    """

    version: Literal[1] = 1
    minute: int
    covered: float
    growth: dict[str, tuple[Whole, ...]]


def split(name: str) -> tuple[str, str]:
    """Return kind and key of a scope's name, as in `listener:web`."""
    kind, _, key = name.partition(":")
    return kind, key


def row(name: str, bytes_in: int, bytes_out: int, requests: int, connections: int) -> Row:
    """Return a row of a scope's name and numbers in the order of `tracker.COLUMNS`."""
    return Row(*split(name), connections, requests, bytes_in, bytes_out)


def thinned(minute: Minute, kinds: Iterable[str] = ("client", "user")) -> Minute:
    """Return a minute in which all names of these kinds are one, `other`; sums stay exact."""
    rows, others = [], dict.fromkeys(kinds, (0, 0, 0, 0))
    for each in minute.rows:
        if each.kind in others:
            others[each.kind] = _added(others[each.kind], each[2:])
        else:
            rows.append(each)
    return Minute(minute.at, minute.covered, (*rows, *_rows(others)))


def _added(one: tuple[int, int, int, int], two: tuple[int, ...]) -> tuple[int, int, int, int]:
    return one[0] + two[0], one[1] + two[1], one[2] + two[2], one[3] + two[3]


def _rows(others: Mapping[str, tuple[int, int, int, int]]) -> list[Row]:
    return [Row(kind, OTHER, *numbers) for kind, numbers in others.items() if any(numbers)]
