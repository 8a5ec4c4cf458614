"""
The end of a request: counted once in the row and in the tallies, with the status that the client got.

How long it took is known of requests that were answered: from `Connection.asked`, the turn in which the request had
come whole, until the last byte of the answer was handed to the kernel.
"""

from typing import TYPE_CHECKING

from penstock.connection.commands import Answer
from penstock.dataplane.parting import KEPT, LEAVING, told_to_leave
from penstock.metrics.ledger import REQUESTS, SCOPE
from penstock.metrics.tallies import NO_CODE
from penstock.protocols.http1.answers import ESTABLISHED

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

LOGIN_DUE = frozenset((401, 407))
"""What is no service yet: the client must still say who it is within the handshake's time."""


def conclude(connection: "Connection", command: Answer) -> None:
    """Send the answer of a conversation, and count its request; the connection may have ended by then."""
    data, status, worker = command.data, command.status, connection.worker
    if not command.timed:
        connection.asked = 0
    elif not connection.asked:
        connection.asked = worker.reactor.now
    if status and status not in LOGIN_DUE:
        connection.kept = KEPT
    if worker.draining and status and not connection.inbox.data and data != ESTABLISHED:
        data, connection.kept = told_to_leave(data), LEAVING
    if not data or connection.client.send(data) or connection.row:
        answered(connection, status)


def answered(connection: "Connection", status: int) -> None:
    """
    Count a request that is over.

    Args:
        connection: Whose request it was; `asked` is 0 if nobody knows when it came, and is 0 afterwards.
        status: What the client was told; NO_CODE where the protocol has no such number.
    """
    worker, row, asked = connection.worker, connection.row, connection.asked
    words = worker.words
    words[row + REQUESTS] += 1
    took = worker.reactor.clock() - asked if asked else 0
    worker.tallies.add(words[row + SCOPE], status, took)
    connection.asked = 0
    if worker.access is not None:
        worker.access.request(connection, status, took)


def cut_off(connection: "Connection") -> None:
    """Count a request that nobody will answer any more, by what the client has seen of its answer."""
    connection.asked = 0  # nobody knows how long it would have taken
    exchange = connection.exchange
    answered(connection, NO_CODE if exchange is None else exchange.told)
