"""
The dial of one address, as most are: the same as `Dial` to whoever wants the connection, without a list of attempts,
and without anything that waits where the connection stands at once.
"""

import errno
from _socket import IPPROTO_TCP, SO_ERROR, SO_OOBINLINE, SOL_SOCKET, TCP_NODELAY
from _socket import socket as RawSocket
from typing import TYPE_CHECKING, Any, Protocol

from penstock.connection.commands import DialError
from penstock.dataplane.dialer import NEW_STREAM, Owner, said
from penstock.dataplane.permit import ERRORS as REFUSALS
from penstock.dataplane.permit import Permit
from penstock.dataplane.reactor import BROKEN, EDGE_BOTH, EDGE_IN

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker


EINPROGRESS = errno.EINPROGRESS
UNDER_WAY = (EINPROGRESS, errno.EALREADY)

LOOPBACK = "127."
"""Whoever is dialed there has mostly answered when connect returns; farther away it would be a wasted call to ask.
Asking saves a turn of the loop, with an event for it: 4 % of a short connection of TCP (103 us instead of 108). Where a
client is to be told first, as by SOCKS5, it costs 6 % (164 us instead of 154), so those are not asked."""


class Dialer(Owner, Protocol):
    """Who wants a connection, and keeps what waits for it."""

    dial: Any


def dial_straight(
    worker: "Worker", owner: Dialer, family: int, host: str, port: int, permit: Permit | None, *, ask: bool
) -> None:
    """
    Connect with an address. The owner is told once: before this returns, or by the `dial` that it has then.

    Args:
        worker: Whose reactor and own addresses are used.
        owner: Who is told.
        family: Of the address.
        host: IP address.
        port: 1 to 65535.
        permit: What says whether it may go there; None for yes.
        ask: Whether to ask at once if it has answered, where that is likely.
    """
    if port in worker.own.ports and worker.own.holds(host, port):
        owner.dial_failed(DialError.LOOP, f"{host}:{port} is this proxy itself")
        return
    if permit is not None and (refusal := permit.address(host)) is not None:
        owner.dial_failed(REFUSALS[refusal.reason], refusal.detail)
        return
    try:
        sock = RawSocket(family, NEW_STREAM, 0)
    except OSError as error:
        owner.dial_failed(*said(host, port, error.errno or 0))
        return
    address = host, port
    code = sock.connect_ex(address)
    if ask and code == EINPROGRESS and host[:4] == LOOPBACK:
        code = sock.connect_ex(address)
    if not code:
        fd = sock.fileno()
        worker.reactor.epoll.register(fd, EDGE_IN)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)  # an urgent byte is a byte like others, and is counted
        owner.dialed(sock, fd, 0, address)
    elif code in UNDER_WAY:
        owner.dial = Straight(worker, owner, sock, address)
    else:
        sock.close()
        owner.dial_failed(*said(host, port, code))


class Straight:
    """
    A connection that is under way.

    Args:
        worker: Whose reactor tells of it.
        owner: Who is told.
        sock: Its socket.
        address: Where it goes.
    """

    __slots__ = ("_address", "_owner", "_sock", "_worker")

    def __init__(self, worker: "Worker", owner: Owner, sock: RawSocket, address: tuple[str, int]) -> None:
        self._worker, self._owner, self._address = worker, owner, address
        self._sock: RawSocket | None = sock
        worker.reactor.watch(sock.fileno(), self, EDGE_BOTH)

    @property
    def connection(self) -> object:
        """Whose dial it is: what crashes in it ends that connection."""
        return getattr(self._owner, "connection", self._owner)

    def ready(self, fd: int, mask: int) -> None:
        """The connection stands or has failed."""
        sock, self._sock = self._sock, None
        assert sock is not None  # noqa: S101 - it is watched until it is told of
        if mask & BROKEN:
            code = sock.getsockopt(SOL_SOCKET, SO_ERROR) or errno.ECONNRESET
            self._worker.reactor.bury(fd, sock)
            self._owner.dial_failed(*said(*self._address, code))
            return
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)  # as above
        self._owner.dialed(sock, fd, mask, self._address)

    def expire(self) -> None:
        """The connect timeout has passed."""
        self.cancel()
        host, port = self._address
        self._owner.dial_failed(DialError.TIMEOUT, f"{host}:{port}: no answer in time")

    def cancel(self) -> None:
        """Close it and tell nobody."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._worker.reactor.bury(sock.fileno(), sock)
