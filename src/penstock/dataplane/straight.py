"""
The dial of one address, as most are: the same as `Dial` to whoever wants the connection, without a list of attempts.
"""

import errno
from _socket import IPPROTO_TCP, SO_ERROR, SO_OOBINLINE, SOL_SOCKET, TCP_NODELAY
from _socket import socket as RawSocket
from typing import TYPE_CHECKING

from penstock.connection.commands import DialError
from penstock.dataplane.dialer import NEW_STREAM, Owner, said
from penstock.dataplane.permit import ERRORS as REFUSALS
from penstock.dataplane.permit import Permit
from penstock.dataplane.reactor import BROKEN, EDGE_BOTH

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker


class Straight:
    """
    One wish to be connected with an address.

    Args:
        worker: Whose reactor and own addresses are used.
        owner: Who is told, once.
        family: Of the address.
        host: IP address.
        port: 1 to 65535.
        permit: What says whether it may go there; None for yes.
    """

    __slots__ = ("_family", "_host", "_owner", "_permit", "_port", "_sock", "_worker")

    def __init__(
        self, worker: "Worker", owner: Owner, family: int, host: str, port: int, permit: Permit | None = None
    ) -> None:
        self._worker, self._owner, self._family, self._host, self._port = worker, owner, family, host, port
        self._permit = permit
        self._sock: RawSocket | None = None

    def start(self) -> None:
        """Begin; the owner may be told before this returns."""
        worker, host, port = self._worker, self._host, self._port
        if port in worker.own.ports and worker.own.holds(host, port):
            self._owner.dial_failed(DialError.LOOP, f"{host}:{port} is this proxy itself")
            return
        if self._permit is not None and (refusal := self._permit.address(host)) is not None:
            self._owner.dial_failed(REFUSALS[refusal.reason], refusal.detail)
            return
        try:
            sock = RawSocket(self._family, NEW_STREAM, 0)
        except OSError as error:
            self._owner.dial_failed(*said(host, port, error.errno or 0))
            return
        code = sock.connect_ex((host, port))
        if code and code != errno.EINPROGRESS:
            sock.close()
            self._owner.dial_failed(*said(host, port, code))
            return
        self._sock = sock
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
            self._owner.dial_failed(*said(self._host, self._port, code))
            return
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)  # an urgent byte is a byte like others, and is counted
        self._owner.dialed(sock, fd, mask, (self._host, self._port))

    def expire(self) -> None:
        """The connect timeout has passed."""
        self.cancel()
        self._owner.dial_failed(DialError.TIMEOUT, f"{self._host}:{self._port}: no answer in time")

    def cancel(self) -> None:
        """Close it and tell nobody."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._worker.reactor.bury(sock.fileno(), sock)
