"""
SOCKS UDP ASSOCIATE: datagrams of one client, wrapped on its side and bare on the other (RFC 1928 section 7).

Rules:
- A datagram is taken from the client's own address only, and from one port: the announced one, or the first seen.
- An answer is taken only from an address that the client has sent to. Anything else is dropped uncounted.
- A datagram to where no route leads straight is dropped: it could only go around a route that blocks, or a parent.
- Datagrams are not held: what a socket does not take at once, or a bandwidth has no room for, is lost, as on any busy
  network.
- The association ends with the client's TCP connection, or when it has been idle for too long.
"""

import socket
from _socket import AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK
from _socket import socket as RawSocket
from functools import partial
from typing import TYPE_CHECKING

from penstock.base.addresses import unmap
from penstock.base.bounds import UDP_NAMES_WAITING, UDP_ROUNDS, UDP_TARGETS
from penstock.base.errors import RemoteError
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase
from penstock.connection.commands import Associate, Bound, DialError, DialFailed
from penstock.dataplane.bind import local_host
from penstock.dataplane.dialer import literal_family
from penstock.dataplane.meters import DOWN, UP
from penstock.dataplane.reactor import EDGE_IN
from penstock.dataplane.resolver import Answer
from penstock.dataplane.shares import refuse
from penstock.metrics.ledger import APART, CLIENT_RX, CLIENT_TX, SCOPE, TARGET_RX, TARGET_TX
from penstock.protocols.socks5 import parse_datagram_head, serialize_datagram_head

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

NEW_DATAGRAM = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC
COMPLETED = COMPLETE.pack()
IDLE = Outcome(EndedBy.CLIENT_TIMEOUT, Phase.RELAY).pack()


class Association:
    """
    Carries the datagrams of one client.

    Args:
        connection: The client's TCP connection.
        announced: Where the client says it will send from.
    """

    def __init__(self, connection: "Connection", announced: Associate) -> None:
        self._connection, self._port, self._permits = connection, announced.port, announced.permits
        self._words, self._reactor = connection.worker.words, connection.worker.reactor
        self._view = connection.worker.view
        self._client: tuple[str, int] | None = None
        self._inner: RawSocket | None = None
        self._inner_fd = -1
        self._outer: dict[int, RawSocket] = {}
        self._known: dict[tuple[str, int], None] = {}
        self._waiting_names = 0

    @property
    def connection(self) -> "Connection":
        """Whose client's datagrams they are."""
        return self._connection

    def start(self) -> None:
        """Open the client's side; the conversation is told its address."""
        connection = self._connection
        reached = local_host(connection.client.sock)
        family = AF_INET6 if ":" in reached else AF_INET
        try:
            self._inner = sock = RawSocket(family, NEW_DATAGRAM, 0)
            sock.bind((reached, 0))
        except OSError as error:
            connection.step(None, DialFailed(DialError.RESOURCE, error.strerror or ""))
            return
        self._inner_fd = sock.fileno()
        self._reactor.watch(self._inner_fd, self, EDGE_IN)
        self._words[connection.row + SCOPE] |= APART
        connection.step(Bound(*sock.getsockname()[:2]))

    def carry(self) -> None:
        """Judge the connection by its silence from now on."""
        self._connection.enter(Phase.RELAY)
        self._connection.seen = self._reactor.now
        self._connection.arm_idle(self._connection.worker.idle)

    def ready(self, fd: int, mask: int) -> None:
        """Datagrams have come from the client or from a target."""
        inner = fd == self._inner_fd
        sock = self._inner if inner else next((s for s in self._outer.values() if s.fileno() == fd), None)
        if sock is None:
            return
        self._connection.seen = self._reactor.now
        for _ in range(UDP_ROUNDS):
            try:
                count, sender = sock.recvfrom_into(self._connection.worker.buffer, 0, MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier datagram
            if inner:
                self._from_client(count, (unmap(sender[0]), sender[1]))
            else:
                self._from_target(count, (unmap(sender[0]), sender[1]))
        self._reactor.again(self, fd, mask)

    # Client to target ------------------------------------------------------------------------------------------------

    def _from_client(self, count: int, sender: tuple[str, int]) -> None:
        if not self._is_client(sender):
            return
        self._words[self._connection.row + CLIENT_RX] += count
        shaped = self._connection.shaped
        if shaped is not None and not shaped.passes(UP, count):
            return
        try:
            host, port, start = parse_datagram_head(self._view[:count])
        except RemoteError:
            return
        self._client = sender
        if self._permits is not None and not self._permits(host, port):
            return
        if literal_family(host):
            self._forward(host, host, port, self._view[start:count])
        elif self._waiting_names < UDP_NAMES_WAITING:
            self._waiting_names += 1
            payload = bytes(self._view[start:count])
            self._connection.worker.resolver.resolve(host, partial(self._resolved, host, port, payload))

    def _is_client(self, sender: tuple[str, int]) -> bool:
        if self._client is not None:
            return sender == self._client
        host = self._connection.host
        return (host in ("-", sender[0])) and self._port in (0, sender[1])

    def _resolved(self, name: str, port: int, payload: bytes, answer: Answer) -> None:
        self._waiting_names -= 1
        if answer.addresses and self._connection.row:
            self._forward(name, answer.addresses[0][1], port, payload)

    def _forward(self, name: str, host: str, port: int, payload: bytes | memoryview) -> None:
        target = (unmap(host), port)
        permit = self._connection.permit
        if permit is not None and permit.judge(name, port, target[0]) is not None:
            return
        sock = self._outer_socket(literal_family(target[0]))
        if sock is None:
            return
        self._known.pop(target, None)  # so that the newest stands last, and the oldest leaves first
        self._known[target] = None
        if len(self._known) > UDP_TARGETS:
            del self._known[next(iter(self._known))]
        self._words[self._connection.row + TARGET_TX] += send_to(sock, payload, target)

    def _outer_socket(self, family: int) -> RawSocket | None:
        sock = self._outer.get(family)
        if sock is None:
            try:
                sock = RawSocket(family, NEW_DATAGRAM, 0)
                sock.bind(("::" if family == AF_INET6 else "0.0.0.0", 0))
            except OSError:
                return None
            self._outer[family] = sock
            self._reactor.watch(sock.fileno(), self, EDGE_IN)
        return sock

    # Target to client ------------------------------------------------------------------------------------------------

    def _from_target(self, count: int, sender: tuple[str, int]) -> None:
        if sender not in self._known or self._client is None or self._inner is None:
            return
        row = self._connection.row
        self._words[row + TARGET_RX] += count
        datagram = serialize_datagram_head(*sender) + self._view[:count]
        shaped = self._connection.shaped
        if shaped is not None and not shaped.passes(DOWN, len(datagram)):
            return
        self._words[row + CLIENT_TX] += send_to(self._inner, datagram, self._client)

    # The end ---------------------------------------------------------------------------------------------------------

    def client_ready(self, mask: int) -> None:
        """The TCP connection carries nothing: read it only to see its end."""
        connection = self._connection
        connection.inbox.discard()
        if connection.client.eof:
            connection.end(COMPLETED)
        elif connection.inbox.pending:
            self._reactor.again(connection, connection.client.fd, connection.inbox.pending)

    def expire(self) -> None:
        """No datagram for too long."""
        self._connection.detail = "idle"
        self._connection.end(IDLE)

    def close(self) -> None:
        """Let go of the sockets."""
        if self._inner is not None:
            self._reactor.bury(self._inner_fd, self._inner)
            self._inner = None
        for sock in self._outer.values():
            self._reactor.bury(sock.fileno(), sock)
        self._outer.clear()


def associate(connection: "Connection", command: Associate) -> None:
    """Open an association for a client."""
    connection.asked = connection.worker.reactor.now
    if connection.permit is not None:
        connection.permit.learn(connection.described)
    if connection.route.limited and (failed := refuse(connection)) is not None:
        connection.step(None, failed)
        return
    connection.extra = association = Association(connection, command)
    association.start()


def send_to(sock: RawSocket, datagram: bytes | memoryview, address: tuple[str, int]) -> int:
    """Send a datagram, or drop it where the network takes none; returns the bytes that went out."""
    try:
        return sock.sendto(datagram, MSG_DONTWAIT, address)
    except (OSError, socket.gaierror):
        return 0
