"""
The last moments of a client that was told something it may not have read yet.

A socket that is closed with unread bytes in it is reset, and the reset may overtake our last words. So we say that we
are done, and read on for a moment, keeping nothing, until the client closes (nginx's lingering_close).
"""

from _socket import SHUT_WR
from typing import TYPE_CHECKING

from penstock.base.bounds import LINGER_NS
from penstock.dataplane.reactor import OUT, READABLE

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection


class Farewell:
    """
    Sees a client off.

    Args:
        connection: Its connection; nothing else of it goes on.
        outcome: The word that it ends with.
    """

    def __init__(self, connection: "Connection", outcome: int) -> None:
        self._connection, self.outcome = connection, outcome

    @property
    def connection(self) -> "Connection":
        """Whose client it is."""
        return self._connection

    def start(self) -> None:
        """Begin, after what is held has gone out."""
        connection = self._connection
        client = connection.client
        connection.arm(connection.worker.reactor.now + LINGER_NS)
        connection.worker.reactor.table[client.fd] = self
        if client.held is None:
            self._say_done()
        else:
            client.on_flushed = self._say_done

    def ready(self, fd: int, mask: int) -> None:
        """React to an edge on the client's socket."""
        connection = self._connection
        if mask & OUT and connection.client.held is not None and not connection.client.flush():
            return
        if mask & READABLE and connection.row:
            connection.inbox.pending |= mask
            self._discard()

    def _say_done(self) -> None:
        try:
            self._connection.client.sock.shutdown(SHUT_WR)
        except BlockingIOError:  # the goodbye of TLS found no room
            self._connection.client.hold(b"")
            self._connection.client.on_flushed = self._say_done
        except OSError:
            self._connection.end(self.outcome)
        else:
            self._discard()

    def _discard(self) -> None:
        connection, inbox = self._connection, self._connection.inbox
        inbox.discard()
        if connection.client.eof and connection.client.held is None:
            connection.end(self.outcome)
        elif inbox.pending:
            connection.worker.reactor.again(self, connection.client.fd, inbox.pending)
