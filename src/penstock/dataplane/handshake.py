"""The TLS handshake of a connection's ends: goes on with each edge until both sides agree, or one has enough."""

import ssl
from _socket import MSG_DONTWAIT, SOCK_STREAM
from _socket import socket as RawSocket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.dataplane.reactor import IN
from penstock.dataplane.tls import TlsSocket
from penstock.dataplane.tls_ends import FromTls
from penstock.metrics.ledger import APART, SCOPE
from penstock.protocols.tls_alert import Alert, serialize_alert

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

LEFT = Outcome(EndedBy.CLIENT, Phase.NEGOTIATE).pack()
REFUSED = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL).pack()
UNPROVEN = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH).pack()
"""The client's certificate is missing, or nobody we trust has issued it."""

_CALLBACK = "CALLBACK_FAILED"
"""The ssl module could not decode the name in a hello, and so did not ask us (dataplane/unraisable.py)."""

_UNANSWERED = {
    "HTTP_REQUEST": serialize_alert(Alert.UNEXPECTED_MESSAGE),
    "HTTPS_PROXY_REQUEST": serialize_alert(Alert.UNEXPECTED_MESSAGE),
    "WRONG_VERSION_NUMBER": serialize_alert(Alert.PROTOCOL_VERSION),
}
"""What is no TLS at all, and gets no alert of OpenSSL's; a TLS client that has gone astray is told all the same."""

_NO_CERTIFICATE = ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED")


class Handshake:
    """
    Shakes hands with one end.

    Args:
        connection: Whose end it is.
        sock: Secured, and watched for what can be read.
        fd: Its descriptor.
    """

    __slots__ = ("_fd", "_sock", "connection")

    def __init__(self, connection: "Connection", sock: TlsSocket, fd: int) -> None:
        self.connection, self._sock, self._fd = connection, sock, fd

    def ready(self, fd: int, mask: int) -> None:
        """Go on: something may be read or written."""
        try:
            if not self._sock.shake():
                return
        except OSError as error:
            self.failed(error)
        else:
            self.done()

    def done(self) -> None:
        """Both agree."""
        raise NotImplementedError

    def failed(self, error: OSError) -> None:
        """They do not; the alert has been sent."""
        raise NotImplementedError


class ClientHandshake(Handshake):
    """
    Shakes hands with a client.

    Args:
        connection: The client's. Its plain socket becomes a `TlsSocket` on the same descriptor.
        context: What TLS begins with.
        then: Called once both agree.
    """

    __slots__ = ("_then",)

    def __init__(self, connection: "Connection", context: ssl.SSLContext, then: Callable[[], None]) -> None:
        client = connection.client
        plain = client.sock
        sock = plain if isinstance(plain, TlsSocket) else TlsSocket(plain.family, SOCK_STREAM, 0, plain.detach())
        self.connection, self._sock, self._fd, self._then = connection, sock, client.fd, then
        client.sock = connection.secure = sock
        client.__class__ = FromTls  # all that knows the end goes on with it
        client.watches_out = True  # the socket itself asks to be told when it takes more
        before = connection.inbox.skipped, 0
        sock.secure(context, connection.worker, client.rx, client.tx, before=before)
        connection.worker.words[connection.row + SCOPE] |= APART  # records come in pieces, which are counted when whole

    def start(self, *, now: bool = False) -> None:
        """
        Begin with the client's hello.

        Args:
            now: Whether it is there already, and has made its edge.
        """
        connection = self.connection
        if connection.inbox.leaves:
            connection.inbox.decided()
        connection.inbox.pending = 0
        connection.worker.reactor.table[self._fd] = self
        if now:
            self.ready(self._fd, IN)

    def done(self) -> None:
        """Serve the client."""
        connection = self.connection
        connection.worker.reactor.table[self._fd] = connection
        self._then()

    def failed(self, error: OSError) -> None:
        """End the connection, and say who did not agree. What the client still sends must not reset the alert away."""
        self.connection.detail = f"no TLS: {reason_of(error)}"
        self.connection.inbox.pending = IN
        alert = _UNANSWERED.get(getattr(error, "reason", ""))
        if alert is not None:
            with suppress(OSError):
                RawSocket.send(self._sock, alert, MSG_DONTWAIT)
        self.connection.close(_outcome(error))


def _outcome(error: OSError) -> int:
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return LEFT
    reason = error.reason or ""
    if reason in _NO_CERTIFICATE:
        return UNPROVEN
    return LEFT if "_ALERT_" in reason else REFUSED


def reason_of(error: OSError) -> str:
    """Return what went wrong in a handshake, in one line that names no place in a source file."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed in the middle of the handshake"
    if isinstance(error, ssl.SSLError) and error.reason == _CALLBACK:
        return "the name that was asked for is no host name"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)
