"""Target connections that wait for the next HTTP request: kept by destination, the newest taken first, all bounded."""

from _socket import socket as RawSocket
from typing import TYPE_CHECKING

from penstock.base.addresses import unmap
from penstock.base.bounds import POOL_CONNECTIONS, POOL_PER_DESTINATION
from penstock.base.clock import NS
from penstock.dataplane.board import Board
from penstock.dataplane.reactor import READABLE, Reactor
from penstock.dataplane.relay import End
from penstock.dataplane.tls import TlsSocket
from penstock.metrics.ledger import DOUBT_SHIFT, TARGET_RX, TARGET_TX

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

Destination = tuple[str, int, int]
"""Host and port; and the key of the route where more than a TCP connection leads there, else 0."""

SWEEP_NS = NS
"""How often connections that waited too long are looked for."""


class Link(End):
    """
    A target connection that outlives its client: an end that is lent from exchange to exchange.

    Args:
        pool: Where it waits.
        destination: Whom it reaches.
        sock: Its socket, which the reactor watches already.
        fd: The socket's descriptor.
        target: Id of the target that it is; 0 for where a client wanted to go.

    Attributes:
        since: When it was given back; unit ns.
        used: Whether it has carried an exchange before.
        idle: Whether it waits in the pool, and belongs to no connection.
        secure: Whether it speaks TLS.
    """

    __slots__ = ("destination", "idle", "pool", "secure", "since", "target", "used")

    def __init__(self, pool: "Pool", destination: Destination, sock: RawSocket, fd: int, target: int = 0) -> None:
        super().__init__(None, sock, fd, 0, 0)  # type: ignore[arg-type]
        self.target = target
        self.pool, self.destination, self.since, self.used = pool, destination, 0, False
        self.watches_out = self.idle = True
        self.secure = isinstance(sock, TlsSocket)

    def lend(self, connection: "Connection") -> None:
        """Count its bytes in that connection's row from now on."""
        row = connection.row
        self.connection, self.rx, self.tx, self.idle = connection, row + TARGET_RX, row + TARGET_TX, False
        self.note = self.tx << DOUBT_SHIFT
        if self.secure:
            self.sock.rx, self.sock.tx = self.rx, self.tx  # type: ignore[attr-defined]

    def peer(self) -> str:
        """Return the address that it leads to; empty if that is gone."""
        try:
            return unmap(self.sock.getpeername()[0])
        except OSError:
            return ""

    def settle(self) -> None:
        """Count what TLS has moved besides, for whom it is lent to."""
        if self.secure:
            self.sock.settle()  # type: ignore[attr-defined]

    def ready(self, fd: int, mask: int) -> None:
        """Tell the exchange; an idle link that stirs is closed: it ends, or speaks out of turn."""
        if not self.idle:
            self.connection.exchange.target_ready(mask)  # type: ignore[union-attr]
        elif mask & READABLE:  # that it has room for more is no news
            self.pool.drop(self)


class Pool:
    """
    The idle links of one worker.

    Args:
        reactor: Which watches them.
        idle: How long one may wait; unit ns.
    """

    def __init__(self, reactor: Reactor, idle: int) -> None:
        self._reactor, self._idle = reactor, idle
        self._links: dict[Destination, list[Link]] = {}
        self._sweeping = False
        self.count = 0

    def take(self, destination: Destination) -> Link | None:
        """Return the link that waited least, or None."""
        links = self._links.get(destination)
        if not links:
            return None
        self.count -= 1
        return links.pop()

    def give(self, link: Link) -> None:
        """Let a link wait; beyond the bounds it is closed instead."""
        links = self._links.get(link.destination)
        if links is None:  # setdefault would make a list for every link that comes back
            links = self._links[link.destination] = []
        if len(links) >= POOL_PER_DESTINATION or self.count >= POOL_CONNECTIONS:
            self._reactor.bury(link.fd, link.sock)
            return
        link.connection = None  # type: ignore[assignment]
        link.since, link.used, link.idle = self._reactor.now, True, True
        links.append(link)
        self.count += 1
        if not self._sweeping:
            self._sweeping = True
            self._reactor.at(link.since + SWEEP_NS, self)

    def drop(self, link: Link) -> None:
        """Close a link that waits."""
        links = self._links.get(link.destination, [])
        if link in links:
            links.remove(link)
            self.count -= 1
        self._reactor.bury(link.fd, link.sock)

    def drop_out(self, board: Board) -> None:
        """Close what waits of targets that are out."""
        for link in [link for links in self._links.values() for link in links]:
            if link.target and board.is_out(link.target):
                self.drop(link)

    def wake(self, now: int) -> None:
        """Close what has waited too long; look again in a while if anything is left."""
        for destination, links in list(self._links.items()):
            while links and links[0].since + self._idle <= now:  # given back in order: the oldest stand first
                self.drop(links[0])
            if not links:
                del self._links[destination]
        self._sweeping = self.count > 0
        if self._sweeping:
            self._reactor.at(now + SWEEP_NS, self)

    def close(self) -> None:
        """Close every link that waits."""
        for links in self._links.values():
            for link in links:
                self._reactor.bury(link.fd, link.sock)
        self._links.clear()
        self.count = 0
