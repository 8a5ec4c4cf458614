"""
What a fold of a ledger gives: sums by id, rows as they were read, and what ended badly.

Frozen values between who reads (`metrics/fold.py`) and who adds up.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.outcomes import Outcome, Reason
from penstock.metrics.ledger import CLIENT_RX, REQUESTS
from penstock.metrics.pairs import Pairs
from penstock.metrics.tallied import Tallied
from penstock.metrics.troubled import NOBODY, Troubled
from penstock.metrics.wording import Texts

if TYPE_CHECKING:
    from penstock.metrics.fold import LedgerReader

Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]
"""Counters are signed in the supervisor: 2**63 bytes are 23 years at 100 Gbit/s, and differences may be looked at."""

COUNTERS = REQUESTS - CLIENT_RX + 1

OPENED, CLOSED, BYTES_IN, BYTES_OUT, FROM_TARGET, TO_TARGET, ASKED = range(2 + COUNTERS)
"""Rows of a table of sums: connections begun and ended, the four byte counters, requests. Active is the difference
of the first two."""

COLUMNS = 2 + COUNTERS


class Trouble(NamedTuple):
    """
    A connection that was refused or went wrong.

    Args:
        serial: Its number in its worker.
        outcome: The word that it ended with.
        listener: Id of its listener.
        target: Id of its target, 0 for none.
        client: `ip:port`, or `-`.
        age_ns: From accept to end; unit ns.
        texts: What is known in words.
    """

    serial: int
    outcome: Outcome
    listener: int
    target: int
    client: str
    age_ns: int
    texts: Texts


class Rows(NamedTuple):
    """
    Rows that were open or newly ended, copied; shapes (n,) and (n, ROW_WORDS).

    Args:
        position: Which row of the ledger each is.
        serial: The connection's number in its worker.
        open: Whether it was open.
        words: All words of the row; the state in them may be younger than `serial` and `open`.
    """

    position: NDArray[np.intp]
    serial: Words
    open: Mask
    words: Words


class TextBlock(NamedTuple):
    """
    Texts of rows as the worker wrote them; `parse_texts` reads one.

    Args:
        lengths: Bytes of each; 0 for none; shape (n,).
        areas: Shape (n, longest); what lies behind a length is of no meaning.
    """

    lengths: NDArray[np.intp]
    areas: NDArray[np.uint8]


NO_TEXTS = TextBlock(np.zeros(0, np.intp), np.zeros((0, 0), np.uint8))


class Growth(NamedTuple):
    """
    What happened in one worker since the last fold.

    Args:
        listeners: Growth by listener; shape (COLUMNS, highest id + 1), each >= 0.
        routes: Growth by route, 0 for none; same shape. Connections that have no route yet are not counted.
        pairs: Growth by listener and route; all routes of it together are `routes`.
        targets: Growth by target, of connections that have one; same shape.
        tallied: Requests that are over.
        outcomes: How many ended with each outcome.
        pauses: How often accepting paused.
        overflows: Connections that found no free row.
        logins: Logins that were right, and that were wrong.
        proxy_headers: PROXY headers that were taken.
        rows: What was read, for views of live connections.
        fresh: Which of the rows hold a connection that no fold has seen before; shape (n,).
        moved: Growth of the counters of each row; shape (n, COUNTERS), each >= 0; a column lies side by side.
        now: The counters of each row since its connection began; same shape, and they lie likewise.
        scopes: The SCOPE word of each row, side by side; shape (n,).
        undecided: Which rows are open and do not relay yet; shape (n,).
        reader: Who folded, for the texts of these rows.
        troubles: The first `TROUBLES` connections that ended badly.
        troubled: All of them, by client and outcome.
        texts: Of the rows that ended, in their order, if they were asked for.
        turned_away: Clients that were refused and had no row, by reason.
    """

    listeners: Numbers
    routes: Numbers
    pairs: Pairs
    targets: Numbers
    tallied: Tallied
    outcomes: dict[Outcome, int]
    pauses: int
    overflows: int
    logins: tuple[int, int]
    proxy_headers: int
    rows: Rows
    fresh: Mask
    moved: Numbers
    now: Numbers
    scopes: Words
    undecided: Mask
    reader: "LedgerReader"
    troubles: list[Trouble]
    troubled: Troubled = NOBODY
    texts: TextBlock = NO_TEXTS
    turned_away: Mapping[Reason, int] = MappingProxyType({})


def sum_by(ids: Numbers, opened: Mask, closed: Mask, growth: Numbers) -> Numbers:
    """
    Return sums by id; exact, where weights of np.bincount are floating point.

    Args:
        ids: Whom each row counts for, each >= 0; shape (n,).
        opened, closed: Which rows have begun, and which have ended; shape (n,).
        growth: Of their counters; shape (n, COUNTERS).

    Returns:
        Shape (COLUMNS, highest id + 1).
    """
    size = int(ids.max()) + 1 if len(ids) else 1
    table = np.zeros((COLUMNS, size), np.int64)
    table[OPENED] = np.bincount(ids[np.flatnonzero(opened)], minlength=size)
    table[CLOSED] = np.bincount(ids[np.flatnonzero(closed)], minlength=size)
    if size == 1:
        table[BYTES_IN:, 0] = growth.sum(axis=0)
        return table
    for row, column in zip(table[BYTES_IN:], growth.T, strict=True):
        np.add.at(row, ids, column)
    return table


def widen(table: Numbers, ids: int) -> Numbers:
    """Return a table of sums with a column for at least so many ids."""
    missing = ids - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing))) if missing > 0 else table
