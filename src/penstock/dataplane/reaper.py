"""
Ends connections that are not alive any more and do not know it: looked for every ten seconds, a few at a time.

- A full zombie has nothing left to say in either direction and is still here: a fault of ours, which must not cost a
  descriptor for four hours.
- A half zombie has an end that the kernel has closed, by a reset or a keep-alive probe, without anybody hearing of it.
- A stuck connection waits for a target that has never said a word: its client has spoken once and is owed an answer, or
  the target does not take what the client says. A client that goes on speaking is owed nothing: some, such as those of
  syslog, only ever send.

Each ends as `reaped`; where that is not zero, somebody should look.
"""

from _socket import IPPROTO_TCP
from collections import deque
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING

from penstock.base.bounds import REAP_BATCH, REAP_EVERY_NS
from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase
from penstock.dataplane.introduction import header_of
from penstock.dataplane.relay import End
from penstock.metrics.ledger import CLIENT_RX, STATE, TARGET_RX, TARGET_TX

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection
    from penstock.dataplane.worker import Worker

REAPED = Outcome(EndedBy.REAPED, Phase.RELAY).pack()

GOES_ON = -1
"""Stands for the bytes of a client that has spoken more than once while nobody answered."""

_TCP_INFO, _CLOSED = 11, 7


class Reaper:
    """
    Looks after the relays of one worker.

    Args:
        worker: Whose connections they are. Its plan says how long is too long.
    """

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._waiting: deque[Connection] = deque()
        self._spoken: dict[int, int] = {}  # bytes at this look, by serial number, of those whose target is silent
        self._spoken_before: dict[int, int] = {}

    def start(self) -> None:
        """Begin; the first look is one period away."""
        self._worker.reactor.at(self._worker.reactor.now + REAP_EVERY_NS, self)

    def wake(self, now: int) -> None:
        """Begin a round, unless the last one is not over."""
        if not self._waiting:
            self._waiting.extend(self._worker.connections())
            self._spoken_before, self._spoken = self._spoken, {}
            self._look()
        self._worker.reactor.at(now + REAP_EVERY_NS, self)

    def _look(self) -> None:
        """Judge some; others get their turn before the next."""
        waiting, now = self._waiting, self._worker.reactor.now
        for _ in range(min(REAP_BATCH, len(waiting))):
            connection = waiting.popleft()
            if connection.row and (kind := self._judge(connection, now)):
                connection.detail = kind
                connection.end(REAPED)
        if waiting:
            self._worker.reactor.soon(self._look)

    def _judge(self, connection: "Connection", now: int) -> str:
        """Return what is wrong with a connection; empty if nothing is."""
        client, target = connection.client, connection.target
        if connection.phase is not Phase.RELAY or target is None or connection.extra is not None:
            return ""
        if client.eof and client.shut and target.eof and target.shut:
            return "zombie: both ends have said all"
        timeouts, quiet = self._worker.plan.timeouts, now - connection.seen
        tls = connection.secure is not None or connection.listener.plan.protocol == "tls"
        half = timeouts.half_zombie_tls if tls else timeouts.half_zombie
        if half and quiet > half and (is_closed(client) or is_closed(target)):
            return f"half zombie: one end has been closed for over {half / NS:g} s"
        stuck = timeouts.stuck_tls if tls else timeouts.stuck
        if stuck and not self._worker.words[connection.row + TARGET_RX]:
            return self._judge_silence(connection, target, quiet > stuck, f"for over {stuck / NS:g} s")
        return ""

    def _judge_silence(self, connection: "Connection", target: End, late: bool, how_long: str) -> str:
        """Return what is wrong with a connection whose target has never said a word."""
        words, row = self._worker.words, connection.row
        serial, spoken = words[row + STATE] >> 2, words[row + TARGET_TX]
        if not connection.route.direct:  # a PROXY header of ours is no word of the client
            spoken -= len(header_of(connection))
        if spoken > 0 and words[row + CLIENT_RX]:
            before = self._spoken_before.get(serial, spoken)
            self._spoken[serial] = spoken if before == spoken else GOES_ON
            if late and before == spoken:
                return f"stuck: the target has said nothing {how_long}"
        if late and (target.held is not None or has_unsent(target)):
            return f"stuck: the target takes nothing, and has said nothing {how_long}"
        return ""


def is_closed(end: End) -> bool:
    """Return whether the kernel has closed the connection to this end."""
    try:
        return end.sock.getsockopt(IPPROTO_TCP, _TCP_INFO, 1)[0] == _CLOSED
    except OSError:  # a Unix socket
        return False


def has_unsent(end: End) -> bool:
    """Return whether the kernel has something for this end that was not acknowledged yet."""
    try:
        return ioctl(end.sock, TIOCOUTQ, bytes(4)) != bytes(4)
    except OSError:
        return False
