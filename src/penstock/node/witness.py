"""
The second witness: the kernel counts the bytes of every socket too, and it knows nothing of ledgers.

Rows, kernel, rows: see `metrics.testimony`. Two moments cannot be seen from outside: a worker that has received and not
yet counted, and a segment that comes while the kernel writes its answer. So connections that seem to differ are asked
for again, one by one, with growing pauses; a fault stays, and such a moment does not come eight times in a row.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from penstock.config.plan import ListenerPlan
from penstock.metrics.audit import KernelView
from penstock.metrics.fold import LedgerReader
from penstock.metrics.testimony import Confrontation, Reading, Streams, confront, distance, publish, read
from penstock.node.sock_diag import (
    INET,
    INET6,
    PORTS,
    Answers,
    SockDiagError,
    Sockets,
    parse,
    serialize_dump,
    serialize_one,
)

SOCK_DIAG = 4
"""NETLINK_SOCK_DIAG."""

DATAGRAM_BYTES = 65_536
"""Room for one answer; the kernel sends at most 32 KiB at a time."""

BATCH_BYTES = 1_048_576
"""Answers that are read together: 2,500 sockets."""

SOCKETS = 262_144
"""Sockets that one question may bring: twice the rows of a worker's ledger. What is beyond is not witnessed."""

ANSWER_SECONDS = 2.0
"""How long the kernel may take for a datagram; it answers while it is asked."""

PAUSES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Before each further look at what differs; unit s, 0.8 s in all."""

ASKED_AGAIN = 1_000
"""Connections that are looked at again; a moment makes one a worker, so more of them are a fault."""


class _Diag:
    """A netlink socket that asks about sockets."""

    def __init__(self) -> None:
        try:
            self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, SOCK_DIAG)
        except OSError as error:
            raise SockDiagError(f"no netlink socket: {error.strerror}") from error
        self._sock.settimeout(ANSWER_SECONDS)
        self._sequence = 0

    def __enter__(self) -> "_Diag":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def all(self, family: int, ports: Iterable[int]) -> Iterator[Sockets]:
        """Yield the open sockets of these ports, some at a time."""
        self._ask(serialize_dump(family, ports, self._next()))
        answers, found = Answers(self._sequence), 0
        while not answers.add(self._receive()) and found < SOCKETS:
            if answers.size >= BATCH_BYTES:
                yield (sockets := answers.sockets())
                found += len(sockets.ids)
        yield answers.sockets()

    def one(self, family: int, name: bytes) -> Sockets:
        """Return one socket, or none if it is there no more."""
        self._ask(serialize_one(family, name, self._next()))
        return parse(self._receive(), self._sequence)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _ask(self, question: bytes) -> None:
        try:
            self._sock.send(question)
        except OSError as error:
            raise SockDiagError(f"the kernel takes no question: {error.strerror}") from error

    def _receive(self) -> bytes:
        try:
            data, (port, _) = self._sock.recvfrom(DATAGRAM_BYTES)
        except OSError as error:
            raise SockDiagError(f"the kernel does not answer: {error}") from error
        return data if port == 0 else b""  # port 0 is the kernel


class _Case(NamedTuple):
    """What the first look saw: rows, sockets, and both side by side."""

    before: Reading
    sockets: Sockets
    found: Confrontation


class Witness:
    """
    Compares open connections with the kernel. It may be used in any thread, by one at a time.

    Args:
        plans: The listeners, with the ports that they are bound to.
        pause: Sleeps so many seconds.
    """

    def __init__(self, plans: Sequence[ListenerPlan], pause: Callable[[float], None] = time.sleep) -> None:
        self._ports = np.zeros(max((plan.id for plan in plans), default=0) + 1, np.uint64)
        for plan in plans:
            self._ports[plan.id] = plan.port
        self._bound = [plan.port for plan in plans if plan.port][:PORTS]
        self._families = [family for family in (INET, INET6) if any(_serves(plan, family) for plan in plans)]
        self._pause = pause

    def look(self, readers: Sequence[LedgerReader], taken_at: str) -> KernelView:
        """
        Return what the kernel says.

        Args:
            readers: Of all ledgers.
            taken_at: Now; RFC 3339.
        """
        try:
            with _Diag() as diag:
                return self._look(diag, readers, taken_at)
        except SockDiagError as error:
            return KernelView(taken_at=taken_at, refusal=str(error))

    def _look(self, diag: _Diag, readers: Sequence[LedgerReader], taken_at: str) -> KernelView:
        before = read(readers, self._ports)
        sockets = self._sockets(diag)
        found = confront(before, sockets.streams, read(readers, self._ports))
        case, gone = _Case(before, sockets, found), np.zeros(len(found.ours), np.bool_)
        for seconds in PAUSES:
            suspects = np.flatnonzero((found.rx | found.tx != 0) & ~gone)[:ASKED_AGAIN].tolist()
            if not suspects:
                break
            self._pause(seconds)
            for place in suspects:
                gone[place] = not self._again(diag, readers, case, place)
        return publish(found, before.ids[found.ours], gone, taken_at)

    def _sockets(self, diag: _Diag) -> Sockets:
        parts = [part for family in self._families for part in diag.all(family, self._bound)]
        parts = parts or [parse(b"", 0)]
        streams = Streams(*map(np.concatenate, zip(*(part.streams for part in parts), strict=True)))
        return Sockets(
            np.concatenate([part.families for part in parts]), np.concatenate([part.ids for part in parts]), streams
        )

    def _again(self, diag: _Diag, readers: Sequence[LedgerReader], case: _Case, place: int) -> bool:
        """Look at one connection again and keep the smaller distances; returns whether it is still there."""
        before, found, row, name = case.before, case.found, case.found.ours[place], case.found.theirs[place]
        reader, position, serial = readers[before.readers[row]], int(before.positions[row]), int(before.serials[row])
        low = reader.glance(position, serial)
        seen = diag.one(int(case.sockets.families[name]), case.sockets.ids[name].tobytes()).streams
        high = reader.glance(position, serial)
        if low is None or high is None or not len(seen.rx):
            return False
        for away, side in ((found.rx, 0), (found.tx, 1)):
            now = distance(low[side], (seen.rx, seen.tx)[side], high[side])
            away[place] = min(away[place], now[0], key=abs)
        return True


def _serves(plan: ListenerPlan, family: int) -> bool:
    """Return whether a listener's sockets are of this family: those of all IPv6 addresses take IPv4 clients too."""
    return bool(plan.port) and (":" in plan.host) == (family == INET6)
