"""The TLS handshake of a connection's ends: goes on with each edge until both sides agree, or one has enough."""

import ssl
from typing import TYPE_CHECKING

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.connection.commands import Facts
from penstock.dataplane.reactor import IN
from penstock.dataplane.tls import TlsSocket

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

LEFT = Outcome(EndedBy.CLIENT, Phase.NEGOTIATE).pack()
REFUSED = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL).pack()
UNPROVEN = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH).pack()
"""The client's certificate is missing, or nobody we trust has issued it."""

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
            self._sock.shake()
        except BlockingIOError:
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
    Shakes hands with a client that was just accepted, and then begins what its listener is for.

    Args:
        connection: The client's; its socket is a `TlsSocket`.
        context: What TLS begins with.
        facts: Of the connection.
    """

    __slots__ = ("_context", "_facts")

    def __init__(self, connection: "Connection", context: ssl.SSLContext, facts: Facts) -> None:
        client = connection.client
        assert isinstance(client.sock, TlsSocket)  # noqa: S101 - a listener with contexts makes no others
        super().__init__(connection, client.sock, client.fd)
        self._context, self._facts = context, facts

    def start(self) -> None:
        """Begin with the first edge: the client speaks first."""
        connection, sock = self.connection, self._sock
        sock.secure(self._context, connection.worker, connection.client.rx, connection.client.tx)
        connection.secure = sock
        connection.client.watches_out = True  # the socket itself asks to be told when it takes more
        connection.worker.reactor.table[self._fd] = self

    def done(self) -> None:
        """Serve the client."""
        connection = self.connection
        connection.worker.reactor.table[self._fd] = connection
        connection.listener.serve(connection, self._facts)

    def failed(self, error: OSError) -> None:
        """End the connection, and say who did not agree. What the client still sends must not reset the alert away."""
        self.connection.detail = f"no TLS: {reason_of(error)}"
        self.connection.inbox.pending = IN
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
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)
