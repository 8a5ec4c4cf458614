"""
The PROXY header in front of what a client says: read and taken exactly, so that all that follows is the client's.

Its bytes are the proxy's before us and not the client's: they are not counted. Whom it names is the client from then
on: for routes, limits, records and logs.
"""

from _socket import MSG_DONTWAIT, MSG_PEEK
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.base.addresses import Endpoint
from penstock.base.bounds import PROXY_OPTIONAL_WAIT_NS, PROXY_V2_BYTES
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.dataplane.reactor import HANGUP, IN, READABLE
from penstock.dataplane.relay import RESUMED
from penstock.metrics.ledger import H_PROXY_HEADERS
from penstock.protocols.proxy_header.header import Parsed, ProxyHeader, ProxyHeaderError
from penstock.protocols.proxy_header.parse import parse

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

REFUSED = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROXY_HEADER).pack()
LEFT = Outcome(EndedBy.CLIENT, Phase.NEGOTIATE).pack()
SLOW = Outcome(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE).pack()

PEEK = MSG_DONTWAIT | MSG_PEEK

NO_HEADER = None, 0

BEGINNINGS = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")


class Preface:
    """
    Reads the header of one connection, and then begins what its listener is for.

    Args:
        connection: Just accepted.
        required: Whether there must be one.
        trusted: Whether the peer is one whose headers are believed.
        then: Called once with the header, None for none.
    """

    __slots__ = ("_connection", "_got", "_needed", "_required", "_seen", "_then", "_trusted")

    def __init__(
        self, connection: "Connection", *, required: bool, trusted: bool, then: Callable[[ProxyHeader | None], None]
    ) -> None:
        self._connection, self._required, self._trusted, self._then = connection, required, trusted, then
        self._needed, self._got, self._seen = 1, b"", False

    def start(self) -> None:
        """Look what has come with the connection; where no header needs to come, wait not for long for one."""
        connection = self._connection
        if self._required and not self._trusted:
            self._refuse("the peer is no trusted proxy")
            return
        connection.extra = self
        self.client_ready(IN)
        if not self._required and connection.extra is self:
            connection.arm(connection.worker.reactor.now + PROXY_OPTIONAL_WAIT_NS)

    def client_ready(self, mask: int) -> None:
        """More bytes are there, or no more will be."""
        connection = self._connection
        if not mask & READABLE:
            return
        leaves = connection.listener.contexts is not None  # OpenSSL reads what is behind the header, from the socket
        try:
            data = connection.client.sock.recv(PROXY_V2_BYTES, PEEK if leaves else MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        said = self._got + data if self._got else data
        answer = self._read(said)
        if isinstance(answer, int):
            self._needed = answer
            if not leaves:
                self._got = said
            self._seen = bool(said)
            if not data or mask & HANGUP:
                connection.detail = "closed in the middle of a PROXY header"
                connection.end(LEFT)
        elif answer is not None:
            header, size = answer
            inbox = connection.inbox
            inbox.skipped = size
            if leaves:
                connection.client.sock.recv(size - len(self._got), MSG_DONTWAIT)
                inbox.pending = RESUMED  # what came with the header has made its edge
            else:
                inbox.heard(said[size:], mask, more=len(data) == PROXY_V2_BYTES)
            self._begin(header)

    def _read(self, said: bytes) -> tuple[ProxyHeader | None, int] | int | None:
        """Return the header, if there is one, and its size; how many bytes are needed; or None for a refusal."""
        if not self._required and said and not _may_begin(said):
            return NO_HEADER
        if len(said) < self._needed:
            return self._needed
        try:
            answer = parse(said)
        except ProxyHeaderError as error:
            self._refuse(str(error))
            return None
        if isinstance(answer, Parsed) and not self._trusted:
            self._refuse("a PROXY header of a peer that is no trusted proxy")
            return None
        return answer

    def _begin(self, header: ProxyHeader | None) -> None:
        connection = self._connection
        connection.extra = None
        if header is not None:
            connection.worker.words[H_PROXY_HEADERS] += 1
        deadline = connection.worker.reactor.now + connection.worker.handshake
        if deadline != connection.deadline:
            connection.arm(deadline)
        self._then(header)

    def _refuse(self, why: str) -> None:
        self._connection.detail = f"no PROXY header: {why}"
        self._connection.end(REFUSED)

    def expire(self) -> None:
        """Nothing has come in time: without a header, where none is required."""
        if self._required or self._seen:
            self._connection.detail = "no PROXY header in time"
            self._connection.end(SLOW)
        else:
            self._begin(None)

    def close(self) -> None:
        """There is nothing to close."""


def _may_begin(data: bytes) -> bool:
    """Return whether these bytes can still become a header."""
    return any(data.startswith(each[: len(data)]) for each in BEGINNINGS)


def client_of(header: ProxyHeader | None, host: str, port: int) -> Endpoint:
    """Return whom a header names; the socket's own peer where it names nobody."""
    if header is None or header.source is None or header.source.host.startswith("unix:"):
        return Endpoint(host, port)
    return header.source
