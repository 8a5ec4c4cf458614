"""SOCKS BIND: wait for one connection from an expected address (RFC 1928 section 4)."""

import socket
from _socket import SOCK_STREAM
from _socket import socket as RawSocket
from typing import TYPE_CHECKING

from penstock.base.addresses import is_ip, unmap
from penstock.base.bounds import BIND_NS
from penstock.base.outcomes import Phase
from penstock.connection.commands import Await, Bind, Bound, ClientClosed, Dialed, DialError, DialFailed
from penstock.dataplane.dialer import NEW_STREAM
from penstock.dataplane.permit import ERRORS
from penstock.dataplane.reactor import BROKEN, EDGE_BOTH, HANGUP, LEVEL_IN
from penstock.dataplane.resolver import Answer
from penstock.dataplane.shares import refuse

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

ANYBODY = frozenset(("0.0.0.0", "::"))

STRANGERS = 64
"""Connections from other addresses that are closed before the wait fails: a scanner shall not keep us busy."""


class Binding:
    """
    Listens on the address that the client reached, and takes the first connection from `host`.

    Args:
        connection: The client's connection.
        host: Who may connect: an IP address, a name, or a wildcard for anybody.
    """

    def __init__(self, connection: "Connection", host: str) -> None:
        self._connection, self._host = connection, host
        self._reactor = connection.worker.reactor
        self._expected: frozenset[str] = frozenset()
        self._sock: RawSocket | None = None
        self._fd = -1
        self._arrived: Dialed | None = None
        self._awaited = False
        self._strangers = 0

    @property
    def connection(self) -> "Connection":
        """Whose client waits."""
        return self._connection

    def start(self) -> None:
        """Listen, once it is known who is expected; the conversation is told the address."""
        if self._host in ANYBODY or is_ip(self._host):
            self._listen(frozenset((unmap(self._host),)))
        else:
            self._connection.worker.resolver.resolve(self._host, self._resolved)

    def _resolved(self, answer: Answer) -> None:
        if self._connection.extra is not self:
            return
        if answer.addresses:
            self._listen(frozenset(address for _, address in answer.addresses))
        else:
            self._connection.step(None, DialFailed(DialError.UNRESOLVED, f"{self._host}: {answer.error}"))

    def _listen(self, expected: frozenset[str]) -> None:
        connection = self._connection
        self._expected = expected
        reached = local_host(connection.client.sock)
        family = socket.AF_INET6 if ":" in reached else socket.AF_INET
        try:
            self._sock = sock = RawSocket(family, NEW_STREAM, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)  # inherited by who connects
            sock.bind((reached, 0))
            sock.listen(1)
        except OSError as error:
            connection.step(None, DialFailed(DialError.RESOURCE, error.strerror or ""))
            return
        self._fd = sock.fileno()
        self._reactor.watch(self._fd, self, LEVEL_IN)
        connection.arm(self._reactor.now + BIND_NS)
        connection.step(Bound(*sock.getsockname()[:2]))

    def wait(self) -> None:
        """The conversation waits for the connection."""
        self._awaited = True
        self._connection.enter(Phase.DIAL)
        if self._arrived is not None:
            self._connection.step(self._arrived)
        elif self._connection.client.eof:  # it left with its request
            self._connection.step(None, ClientClosed())

    def ready(self, fd: int, mask: int) -> None:
        """Somebody connects."""
        assert self._sock is not None  # noqa: S101 - it is what stirred
        try:
            peer_fd, address = self._sock._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        peer = RawSocket(self._sock.family, SOCK_STREAM, 0, peer_fd)
        if not self._is_welcome(unmap(address[0]), address[1]):
            peer.close()
            self._strangers += 1
            if self._strangers >= STRANGERS:
                self._connection.step(None, DialFailed(DialError.REFUSED, "only strangers connected"))
            return
        self._stop_listening()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reactor.epoll.register(peer_fd, EDGE_BOTH)
        self._connection.adopt(peer, peer_fd, 0)
        local = peer.getsockname()
        self._arrived = Dialed(local[0], local[1], unmap(address[0]), address[1])
        if self._awaited:
            self._connection.step(self._arrived)

    def _is_welcome(self, host: str, port: int) -> bool:
        """Return whether somebody was expected, and may be there for this client."""
        if ANYBODY.isdisjoint(self._expected) and host not in self._expected:
            return False
        permit = self._connection.permit
        return permit is None or permit.judge(host, port, host) is None

    def client_ready(self, mask: int) -> None:
        """The client stirs while it should wait: what it says early is kept in its socket, unless it leaves."""
        if mask & (BROKEN | HANGUP):
            self._connection.step(None, ClientClosed())

    def expire(self) -> None:
        """Nobody came."""
        self._connection.step(None, DialFailed(DialError.TIMEOUT, "nobody connected in time"))

    def _stop_listening(self) -> None:
        if self._sock is not None:
            self._reactor.bury(self._fd, self._sock)
            self._sock = None

    def close(self) -> None:
        """Let go of the socket."""
        self._stop_listening()


def bind(connection: "Connection", command: Bind) -> None:
    """Listen for the connection that a client has announced."""
    connection.asked = connection.worker.reactor.now
    if connection.permit is not None and (refusal := connection.permit.refuses(connection.described)) is not None:
        connection.step(None, DialFailed(ERRORS[refusal.reason], refusal.detail))
        return
    if connection.route.limited and (failed := refuse(connection)) is not None:
        connection.step(None, failed)
        return
    connection.extra = binding = Binding(connection, command.host)
    binding.start()


def await_bound(connection: "Connection", command: Await) -> None:
    """Wait for it."""
    assert isinstance(connection.extra, Binding)  # noqa: S101 - a conversation binds before it awaits
    connection.extra.wait()


def local_host(sock: RawSocket) -> str:
    """Return the address of ours that the other end reached; loopback for a Unix socket's client."""
    name = sock.getsockname()
    return unmap(name[0]) if isinstance(name, tuple) else "127.0.0.1"
