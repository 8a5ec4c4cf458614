"""
Letting HTTP clients go when a worker drains: no answer is lost, and not all of them come back in the same instant.

A request that begins while the worker drains is answered with `Connection: close` (RFC 9112 section 9.6). Who asks
nothing is closed at a moment of its own, spread over a part of the drain's time: a thousand clients that reconnect at
once would be a storm for whoever serves them next (HAProxy has close-spread-time for it).
"""

import fcntl
import random
import termios
from typing import TYPE_CHECKING

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

SHARE = 10
"""Idle clients are closed within a tenth of the drain's time: 3 s of the usual 30, so the rest is for who is busy."""

AGAIN_NS = NS
"""Until one that was busy is looked at again: its answer may have promised to keep the connection."""

QUIET_NS = NS // 4
"""Who has moved a byte so lately may be about to ask again, and is told in the next answer; a close would meet the
request half way. A quarter of a second is a long way there and back."""

KEPT = 1
"""A client that has had an answer: it may ask again within the time that is kept for it."""

LEAVING = 2
"""One that was told in an answer that the connection ends."""

_COMPLETED = COMPLETE.pack()

_NOTHING = bytes(4)


class Parting:
    """
    The end of one client's connection.

    Args:
        connection: Whose client has made a request.
        spread: Within which time it is closed if it asks nothing; unit ns.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: "Connection", spread: int) -> None:
        self._connection = connection
        reactor = connection.worker.reactor
        reactor.at(reactor.now + int(random.random() * spread), self)  # noqa: S311 - nobody gains by guessing it

    def wake(self, now: int) -> None:
        """Close it if it waits for nothing."""
        connection = self._connection
        if not connection.row:
            return
        if not connection.between_requests or _has_spoken(connection.client.fd):
            connection.worker.reactor.at(now + AGAIN_NS, self)
        elif now - connection.seen < QUIET_NS:
            connection.worker.reactor.at(connection.seen + QUIET_NS, self)
        else:
            connection.end(_COMPLETED)


def told_to_leave(answer: bytes) -> bytes:
    """Return an answer of our own that says that the connection ends with it."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    if b"\r\nConnection: close" in head or not blank:
        return answer
    return b"".join((head, b"\r\nConnection: close", blank, body))


def _has_spoken(fd: int) -> bool:
    """Return whether bytes of a next request have come that nobody has read yet."""
    return fcntl.ioctl(fd, termios.FIONREAD, _NOTHING) != _NOTHING
