"""
The first words of a TLS client whose hello decides what becomes of it: read at once where they are usual.

Usual is a hello that comes whole, in one record, with a name whose route passes it through: then all is decided with
the first edge, without a conversation. Everything else is for `connection/tls.py`, which sees the same bytes.
"""

from typing import TYPE_CHECKING

from penstock.base.outcomes import EndedBy, Outcome, Phase
from penstock.dataplane.dialing import dial_target
from penstock.metrics.ledger import PHASE, SCOPE, take
from penstock.protocols.client_hello import whole_hello
from penstock.protocols.tls_alert import TlsError

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

SLOW = Outcome(EndedBy.CLIENT_TIMEOUT, Phase.DETECT).pack()


class Hello:
    """
    Waits for the first bytes of one client.

    Args:
        connection: Just accepted, by a listener of TLS that reads hellos.
    """

    __slots__ = ("connection",)

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        connection.extra = self
        connection.phase = connection.worker.words[connection.row + PHASE] = Phase.DETECT

    def ready(self, fd: int, mask: int) -> None:
        """Something has come, or nothing more will."""
        connection = self.connection
        worker, listener, inbox = connection.worker, connection.listener, connection.inbox
        worker.reactor.table[fd] = connection
        connection.extra = None
        inbox.pending |= mask
        if connection.route.routes is listener.route.routes:  # else the plan has changed while it waited
            inbox.leaves = listener.contexts is not None
            inbox.fill()
            try:
                hello = whole_hello(inbox.data)
            except TlsError:
                hello = None  # the conversation says so
            if hello is not None and (way := listener.passes(hello)) is not None:
                route, described = way
                if route is not connection.route:
                    connection.route = route
                    scope = connection.row + SCOPE
                    worker.words[scope] = take(worker.words[scope], route.plan.id)
                connection.described = described
                worker.ledger.describe(connection.row, described.destination, "", "")
                dial_target(connection)
                return
        listener.meet(connection)

    def client_ready(self, mask: int) -> None:
        """As `ready`."""
        self.ready(self.connection.client.fd, mask)

    def expire(self) -> None:
        """Nothing has come in time."""
        connection = self.connection
        if connection.route.routes is connection.listener.route.routes:
            self.ready(connection.client.fd, 0)
            connection.expire()
        else:
            connection.end(SLOW)

    def close(self) -> None:
        """There is nothing to close."""
