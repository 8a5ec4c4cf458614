"""
How a connection ends: what was said goes out, the outcome is written, and nothing points at it any more.

These are methods of `Connection`, or serve them; they have a file of their own as `dialing.py` has.
"""

from typing import TYPE_CHECKING

from penstock.base.outcomes import COMPLETE
from penstock.connection.commands import Close, Describe
from penstock.dataplane.farewell import Farewell
from penstock.dataplane.relay import End
from penstock.dataplane.requests import cut_off
from penstock.dataplane.tls import TlsSocket

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

COMPLETED = COMPLETE.pack()


def obey(connection: "Connection", command: Close) -> None:
    """End as the conversation says."""
    connection.detail = command.detail
    connection.close(command.outcome.pack())


def close(connection: "Connection", outcome: int) -> None:
    """End with `outcome` after what was sent has gone out."""
    client = connection.client
    if not connection.row:
        return
    at_once = client.held is None and (client.eof or (outcome == COMPLETED and not _unread(connection)))
    if at_once and (connection.secure is None or outcome != COMPLETED or connection.secure.say_goodbye()):
        connection.end(outcome)
        return
    let_go_of_conversation(connection)
    _drop_target(connection)
    connection.farewell = Farewell(connection, outcome)
    connection.farewell.start()


def _unread(connection: "Connection") -> bool:
    """Whether the client has sent, or still sends, what nobody will read: a close would be a reset."""
    uploading = connection.exchange is not None and connection.exchange.uploading
    return uploading or bool(connection.inbox.data or connection.inbox.pending)


def end(connection: "Connection", outcome: int) -> None:
    """End now: write the outcome, close everything, let nothing point at us."""
    row, worker, client = connection.row, connection.worker, connection.client
    if not row:
        return
    if connection.asked:
        cut_off(connection)
    if connection.secure is not None:
        connection.secure.part(orderly=outcome == COMPLETED)
    if worker.access is not None:
        worker.access.ended(connection, outcome)
    if connection.detail:
        described = connection.described or Describe()
        worker.ledger.describe(row, described.destination, described.user, connection.detail)
    if connection.route.secured:
        _part_from_target(connection, outcome)
    reactor, fd = worker.reactor, client.fd
    worker.ledger.end(row, reactor.now, outcome)
    worker.entrance.leave(connection.lease, connection.door)
    if connection.places is not None:
        connection.places.give_back(worker.entrance.table)
        connection.places = None
    connection.row = 0
    connection.farewell = None
    reactor.expected.pop(connection, None)
    reactor.table.pop(fd, None)
    reactor.graves.append(client.sock)
    if client.pipe is not None:
        _give_pipes_back(connection, client)
    client.other = client.on_flushed = client.connection = None  # type: ignore[assignment]
    _drop_target(connection)
    if connection.conversation is not None:
        let_go_of_conversation(connection)
    if worker.attentive:
        worker.look()


def _part_from_target(connection: "Connection", outcome: int) -> None:
    """What leads to a target may speak TLS: it counts its last bytes while there is a row."""
    if connection.target is not None and isinstance(connection.target.sock, TlsSocket):
        connection.target.sock.part(orderly=outcome == COMPLETED)
    if connection.dial is not None:
        connection.dial.cancel()
    if connection.exchange is not None:
        connection.exchange.abandon()


def _drop_target(connection: "Connection") -> None:
    aimed = connection.aimed
    if aimed is not None:
        aimed.open -= 1
        connection.aimed = None
    if connection.dial is not None:
        connection.dial.cancel()
        connection.dial = None
    if connection.exchange is not None:
        connection.exchange.abandon()
        connection.exchange = None
    if connection.extra is not None:
        connection.extra.close()
        connection.extra = None
    target = connection.target
    if target is not None:
        reactor = connection.worker.reactor
        reactor.table.pop(target.fd, None)
        reactor.graves.append(target.sock)
        if target.pipe is not None:
            _give_pipes_back(connection, target)
        target.other = target.connection = connection.target = None  # type: ignore[assignment]


def _give_pipes_back(connection: "Connection", end: End) -> None:
    assert end.pipe is not None  # noqa: S101 - the callers looked
    connection.worker.pipes.give(end.pipe)
    end.pipe = end.held = None


def let_go_of_conversation(connection: "Connection") -> None:
    """Nobody is asked any more."""
    conversation, connection.conversation = connection.conversation, None
    connection.waiting = None
    if conversation is not None:
        conversation.close()
