"""
Requests that repeat, letter by letter, what the same client has asked before: they need no word of the conversation.

A client that polls sends one head again and again. What a conversation says to a head depends on the head and on what
it has said to the client until then. So where it said an exchange and nothing else, it would say the same exchange to
the same head, until it has said something else again. Such exchanges are remembered, and carried without asking.

The conversation need not hear of an exchange that went as exchanges do. When anything else happens, it is told the
head that it was not asked about (`catch_up`), and then what happened, as if it had been asked at once.
"""

from _socket import MSG_DONTWAIT
from typing import TYPE_CHECKING

from penstock.base.bounds import HANDSHAKE_READ_BYTES, REPEATS_BYTES, REPEATS_REMEMBERED
from penstock.connection.commands import Conversation, Exchange
from penstock.connection.http import HEAD
from penstock.dataplane.reactor import IN
from penstock.protocols.http1.framing import NO_BODY

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection
    from penstock.dataplane.exchange import HttpExchange


def learn(exchange: "HttpExchange", head: bytes, command: Exchange) -> None:
    """
    Remember what the conversation said to a head, and said first.

    Args:
        exchange: Of the client's connection.
        head: As it came.
        command: What the conversation said to it.
    """
    if len(head) > REPEATS_BYTES or command.framing is not NO_BODY or command.upgrade or not command.keep_alive:
        return
    known = exchange.known
    if len(known) >= REPEATS_REMEMBERED:
        known.clear()
    known[head] = command


def hear(connection: "Connection", exchange: "HttpExchange") -> None:
    """
    React to an edge of a client whose conversation waits for a next head: carry an exchange that is known, else ask.

    What `Inbox` does for all commands is done here for the ordinary case alone: each call would cost as much as the
    look-up that saves the rest.
    """
    inbox, client, worker = connection.inbox, connection.client, connection.worker
    served = connection.listener.route.routes  # another plan's may wait to be taken
    if inbox.data or inbox.pending or connection.route.routes is not served:
        inbox.pending |= IN
        connection.listen()
        return
    try:
        head = client.sock.recv(HANDSHAKE_READ_BYTES, MSG_DONTWAIT)
    except BlockingIOError:
        return
    except OSError:  # a reset: it will say no more
        head = b""
    size = len(head)
    worker.words[client.rx] += size
    command = exchange.known.get(head)
    if command is not None:
        connection.waiting, exchange.skipped = None, head
        if connection.watch is not None:
            connection.watch.repeat(head, command)
        exchange.begin(command)
        return
    if not size:
        client.eof = True
    elif head.find(HEAD.delimiter) == size - 4:  # one whole head, and nothing behind it
        connection.waiting = None
        connection.step(head)
        return
    else:
        inbox.data = head
        inbox.pending = IN if size == HANDSHAKE_READ_BYTES else 0
        connection.arm(worker.reactor.now + worker.handshake)  # it has begun
    connection.listen()


def rest(connection: "Connection", exchange: "HttpExchange", again: bool) -> None:
    """Go on after an exchange: wait for the next head, or tell the conversation."""
    inbox = connection.inbox
    if not (exchange.skipped and again) or inbox.pending or inbox.data or connection.client.eof:
        connection.step(again)
        return
    worker = connection.worker
    connection.waiting, exchange.skipped = HEAD, b""
    deadline = worker.reactor.now + worker.keep_alive
    connection.deadline, connection.idle = deadline, 0
    if deadline < connection.visit:
        connection.arm(deadline)
    if connection.watch is not None:
        connection.watch.head = b""


def catch_up(exchange: "HttpExchange", conversation: Conversation) -> None:
    """Tell the conversation the head that it was not asked about; it says what it has said before."""
    head, exchange.skipped = exchange.skipped, b""
    said = conversation.send(head)
    if type(said) is not Exchange:
        raise AssertionError(f"a conversation said {type(said).__name__} to a head that it had an exchange for")
