"""Writes a real ledger without a worker: rows are opened, moved and ended by hand."""

import os

from penstock.base.addresses import pack_ip
from penstock.base.outcomes import COMPLETE, Outcome, Phase
from penstock.metrics import ledger
from penstock.metrics.ledger import CLIENT_RX, PHASE, REQUESTS, ROUTE_SHIFT, SCOPE, Ledger, pack_scope


class Pen:
    """
    A worker's ledger and a hand that writes it.

    Args:
        rows: How many rows it has.
        pid: Process that seems to write it; ours by default.

    Attributes:
        fd: Its descriptor, for a reader.
        ledger: The worker's side.
    """

    def __init__(self, rows: int = 64, pid: int = 0) -> None:
        self.fd = ledger.create(rows)
        self.ledger = Ledger(self.fd, rows, pid or os.getpid())

    def open(
        self,
        listener: int = 1,
        client: tuple[str, int] = ("192.0.2.7", 40_000),
        now_ns: int = 0,
        phase: int = 0,
        route: int | None = None,
    ) -> int:
        """Open a row and return where it is; 0 if no row is free. Its route has its listener's number, or this one."""
        scope = pack_scope(listener, route=listener if route is None else route)
        row = self.ledger.open(now_ns, scope, pack_ip(client[0]), client[1])
        if row and phase:
            self.ledger.words[row + PHASE] = phase
        return row

    def move(self, row: int, *amounts: int) -> None:
        """Add to client_rx, client_tx, target_rx, target_tx and requests, as many as are given."""
        for column, amount in enumerate(amounts, start=CLIENT_RX):
            self.ledger.words[row + column] += amount

    def aim(self, row: int, listener: int, target: int, phase: int = Phase.RELAY) -> None:
        """Name the target of a row, and say how far it has come."""
        route = self.ledger.words[row + SCOPE] >> ROUTE_SHIFT
        self.ledger.words[row + SCOPE] = pack_scope(listener, target, route)
        self.ledger.words[row + PHASE] = phase

    def take(self, row: int, route: int) -> None:
        """Name the route of a row."""
        words = self.ledger.words
        words[row + SCOPE] = words[row + SCOPE] & (1 << ROUTE_SHIFT) - 1 | route << ROUTE_SHIFT

    def answer(self, row: int, code: int = 200, took: int = 0) -> None:
        """Count a request that is over in row and tallies; it took so long, unit ns, or nobody knows."""
        self.ledger.words[row + REQUESTS] += 1
        self.ledger.tallies.add(self.ledger.words[row + SCOPE], code, took)

    def describe(self, row: int, destination: str = "", user: str = "", detail: str = "") -> None:
        """Write what is known in words."""
        self.ledger.describe(row, destination, user, detail)

    def end(self, row: int, outcome: Outcome = COMPLETE, now_ns: int = 0) -> None:
        """End a row."""
        self.ledger.end(row, now_ns, outcome.pack())

    def close(self) -> None:
        """Let go of the ledger, as a process does that dies."""
        self.ledger.close()
        os.close(self.fd)
