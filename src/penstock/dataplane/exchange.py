"""
One HTTP exchange after the other: request to a target connection, answer to the client, bodies streamed both ways.

What belongs to a body and what the client gets of an answer is decided by protocols/http1; here bytes are moved and
counted. An exchange is one object per client connection, begun anew for each request.

Rules:
- What an end does not take is held, and the other end is not read meanwhile.
- The conversation is resumed after the last byte of the answer has gone out, so a client that pipelines without
  reading is not read either.
- A pooled connection may have died unseen. If not a byte of an answer has come and the request may be sent twice
  (RFC 9110 section 9.2.2), it is sent once more, on a new connection.
"""

from _socket import MSG_DONTWAIT, MSG_PEEK
from _socket import socket as RawSocket
from typing import TYPE_CHECKING

from penstock.base.addresses import Endpoint
from penstock.base.bounds import EXCHANGE_READ_BYTES, RELAY_BUFFER_BYTES, RELAY_ROUNDS
from penstock.base.errors import RemoteError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.connection.commands import DialError, DialFailed, Exchange
from penstock.dataplane import repeats
from penstock.dataplane.aiming import NOBODY, after_failure, aim_at, leave
from penstock.dataplane.approach import Approach
from penstock.dataplane.board import HEADER_WORDS
from penstock.dataplane.board import OUT as OUT_OF_USE
from penstock.dataplane.dialer import Dial
from penstock.dataplane.dialing import dial_to
from penstock.dataplane.permit import ERRORS as REFUSALS
from penstock.dataplane.pool import Destination, Link
from penstock.dataplane.reactor import ERROR, HANGUP, IN, OUT, READABLE, URGENT
from penstock.dataplane.relay import RESUMED
from penstock.dataplane.requests import answered
from penstock.dataplane.shares import refuse
from penstock.dataplane.straight import Straight
from penstock.metrics.ledger import DIALED
from penstock.policy.balance import Standing
from penstock.protocols.http1.framing import UNTIL_CLOSE_BYTES
from penstock.protocols.http1.response import KNOWN, ResponseReader, judge

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

ORDINARY = (IN, IN | OUT)
"""Edges of a target that has said something, not closed, and sent nothing urgent."""

SAID = (DialError.DENIED, DialError.FORBIDDEN)
"""Refusals by rules end the connection, which tells of them."""

CLIENT_BROKE = Outcome(EndedBy.CLIENT, Phase.RELAY).pack()
BODY_BROKE = Outcome(EndedBy.PROXY, Phase.RELAY, Reason.PROTOCOL).pack()
TARGET_BROKE = Outcome(EndedBy.TARGET, Phase.RELAY).pack()
CLIENT_SILENT = Outcome(EndedBy.CLIENT_TIMEOUT, Phase.RELAY).pack()
TARGET_SILENT = Outcome(EndedBy.TARGET_TIMEOUT, Phase.RELAY).pack()


class HttpExchange:
    """
    Carries exchanges for one client connection.

    Args:
        connection: The client's connection.

    Attributes:
        dial: What is under way to a target.
        known: What the conversation says to heads that it was asked about (dataplane/repeats.py).
        skipped: The head of the request that is under way, if the conversation was not asked about it; else empty.
    """

    __slots__ = (
        "_aimed", "_began", "_command", "_connection", "_destination", "_heard", "_link", "_pending",
        "_reader", "_worker", "dial", "known", "skipped",
    )  # fmt: skip

    def __init__(self, connection: "Connection") -> None:
        self._connection, self._worker = connection, connection.worker
        self._command: Exchange | None = None
        self._reader: ResponseReader | None = None
        self._link: Link | None = None
        self.dial: Dial | Straight | Approach | None = None
        self._aimed: Standing | None = None
        self._pending = self._began = 0
        self._destination: Destination = "", 0, 0
        self._heard = False
        self.known: dict[bytes, Exchange] = {}
        self.skipped = b""

    @property
    def connection(self) -> "Connection":
        """Whose exchanges they are."""
        return self._connection

    def forget(self) -> None:
        """The conversation has said something else: what it said before may no longer be what it would say."""
        self._aimed = None
        self.known.clear()

    def begin(self, command: Exchange) -> None:
        """Send a request, on a pooled connection if there is one."""
        connection, worker = self._connection, self._worker
        route = connection.route
        self._command, connection.asked = command, worker.reactor.now
        if connection.permit is not None and (refusal := connection.permit.refuses(connection.described)):
            connection.step(None, DialFailed(REFUSALS[refusal.reason], refusal.detail))
            return
        if (route.limited or connection.places is not None) and (failed := refuse(connection)) is not None:
            connection.step(None, failed)
            return
        if command.host:
            self._destination = command.host, command.port, route.key
        else:
            connection.tried = ()
            standing = route.next_target(connection.host)
            if standing is None:
                connection.step(None, DialFailed(DialError.NO_TARGET, NOBODY))
                return
            if standing is self._aimed:  # the row says so already
                standing.open += 1
                connection.aimed = standing
            else:
                self._aim(standing)
        link = worker.pool.take(self._destination)
        if link is not None and connection.permit is not None and not self._may_use(link):
            worker.reactor.bury(link.fd, link.sock)
            link = None
        if link is None:
            self._dial_new()
        else:
            self._send_request(link)

    def _aim(self, standing: Standing) -> None:
        """Turn to one of the route's targets."""
        aim_at(self._connection, standing)
        self._aimed = standing
        self._destination = standing.plan.host, standing.plan.port, self._connection.route.key

    def _may_use(self, link: Link) -> bool:
        """Return whether access rules let this client go where a link leads, which another client has dialed."""
        permit = self._connection.guard(*self._destination[:2])
        return permit is None or permit.address(link.peer()) is None

    def _dial_new(self) -> None:
        connection, worker = self._connection, self._worker
        self._began = worker.reactor.clock()
        connection.arm(worker.reactor.now + (connection.route.connect or worker.connect))
        host, port, _ = self._destination
        dial_to(connection, self, host, port)

    def dialed(self, sock: RawSocket, fd: int, mask: int, address: tuple[str, int]) -> None:
        """A new target connection stands."""
        self.dial = None
        worker, connection = self._worker, self._connection
        worker.words[connection.row + DIALED] = worker.reactor.clock() - self._began
        aimed = connection.aimed
        link = Link(worker.pool, self._destination, sock, fd, 0 if aimed is None else aimed.plan.id)
        if aimed is not None:
            aimed.failures = 0
        link.watches_out = mask != 0
        worker.reactor.table[fd] = link
        self._send_request(link)
        if mask & READABLE and self._link is link:
            self.target_ready(mask)

    def dial_failed(self, error: DialError, detail: str) -> None:
        """No address could be reached: nothing was sent, so another target may have it."""
        self.dial = None
        other = after_failure(self._connection, error, detail)
        if other is None:
            self._give_up(error, detail)
            return
        self._aim(other)
        link = self._worker.pool.take(self._destination)
        if link is None:
            self._dial_new()
        else:
            self._send_request(link)

    def _send_request(self, link: Link) -> None:
        connection, command, worker = self._connection, self._command, self._worker
        assert command is not None  # noqa: S101 - set by begin
        link.lend(connection)
        self._link, self._pending, self._heard, self._reader = link, 0, False, None
        route, connection.seen = connection.route, worker.reactor.now
        connection.idle = idle = route.response or route.idle or worker.idle
        if connection.seen + idle < connection.visit:
            connection.arm_idle(idle)
        link.send(command.head)
        if not command.framing.done and self._link is link:
            self._pump_request()

    def _read(self) -> ResponseReader:
        """Begin to read an answer, of which nothing is known yet."""
        command = self._command
        assert command is not None  # noqa: S101 - set by begin
        connection = self._connection
        route = connection.route
        if route.response:  # the answer has begun
            connection.arm_idle(route.idle or self._worker.idle)
        make = route.reader
        kept = command.keep_alive and not self._worker.draining  # a client of a worker that drains is told to come anew
        self._reader = reader = make(command.method, kept, command.http_1_0, command.upgrade)
        return reader

    @property
    def uploading(self) -> bool:
        """Whether the client has not sent all of its request's body."""
        return self._command is not None and not self._command.framing.done

    @property
    def told(self) -> int:
        """The status that the client has been sent of the answer that is under way; 0 for none."""
        reader = self._reader
        return reader.status if reader is not None and reader.started else 0

    # Client to target ------------------------------------------------------------------------------------------------

    def client_ready(self, mask: int) -> None:
        """More of the request's body may be there; or the client is gone."""
        command = self._command
        if mask & ERROR:
            self._connection.broken(self._connection.client)
            return
        self._connection.seen = self._worker.reactor.now
        if self._link is not None and command is not None and not command.framing.done:
            self._pump_request()

    def _pump_request(self) -> None:
        connection, link, command = self._connection, self._link, self._command
        assert link is not None  # noqa: S101 - the callers looked
        assert command is not None  # noqa: S101 - the callers looked
        framing = command.framing
        if framing.done:  # the last of it has just gone out
            return
        link.on_flushed = self._pump_request
        try:
            for _ in range(RELAY_ROUNDS):
                if link.held is not None or self._link is not link:
                    return
                if not connection.inbox.data and not self._receive(framing.passthrough):
                    break
                data = connection.inbox.data
                if data:
                    used = framing.feed(data)
                    connection.inbox.data = data[used:]
                    link.send(data[:used])
                if framing.done:
                    return
        except RemoteError as error:
            self._refuse(error)
            return
        if connection.client.eof:
            connection.detail = "closed in the middle of a request body"
            connection.end(CLIENT_BROKE)
        elif connection.inbox.pending and link.held is None:
            self._worker.reactor.again(connection, connection.client.fd, connection.inbox.pending)

    def _receive(self, passthrough: int) -> bool:
        """Read from the client: straight through while only the length matters, else into the inbox."""
        connection, link, command = self._connection, self._link, self._command
        if passthrough < RELAY_BUFFER_BYTES:
            return connection.inbox.fill()
        if not connection.inbox.pending:
            return False
        client = connection.client
        try:
            count = client.sock.recv_into(self._worker.buffer, 0, MSG_DONTWAIT)
        except BlockingIOError:
            connection.inbox.pending = 0
            return False
        except OSError:
            count = 0
        client.eof = not count
        if not count:
            connection.inbox.pending = 0
            return False
        self._worker.words[client.rx] += count
        connection.seen = self._worker.reactor.now
        command.framing.skip(count)  # type: ignore[union-attr]
        link.send(self._worker.view[:count])  # type: ignore[union-attr]
        return True

    # Target to client ------------------------------------------------------------------------------------------------

    def target_ready(self, mask: int) -> None:
        """React to an edge on the target's socket."""
        link = self._link
        assert link is not None  # noqa: S101 - a link that is lent has its exchange
        if self._reader is None and mask in ORDINARY and link.held is None and self._connection.client.held is None:
            self._hear(link)
            return
        if mask & OUT and link.held is not None and not link.flush():
            return
        if mask & READABLE and self._link is link:
            self._pending |= mask
            if self._connection.client.held is None:
                self._pump_response()

    def _hear(self, link: Link) -> None:
        """
        Read the first bytes of an answer; a whole one whose head is known is given to the client at once.

        What other answers go through step by step is done here in one: most answers are such, and each step would cost
        a call.
        """
        connection, worker, command = self._connection, self._worker, self._command
        try:
            data = link.sock.recv(EXCHANGE_READ_BYTES, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            self._target_gone(error.strerror or "connection reset", was_reset=True)
            return
        assert command is not None  # noqa: S101 - set by begin
        size, answers = len(data), connection.route.answers
        worker.words[link.rx] += size
        end = data.find(b"\r\n\r\n") + 4
        known = answers.get(head := data[:end])
        if (
            size == EXCHANGE_READ_BYTES  # more may be there
            or not command.keep_alive
            or worker.draining
            or command.http_1_0
            or command.method == b"HEAD"
            or not command.framing.done
            or (known is None and (answers is not KNOWN or (known := judge(head)) is None))
            or known[2] != size - end
        ):
            self._pending |= IN
            self._pump_response(data)
            return
        connection.seen = worker.reactor.now
        status, head, length = known  # as the client gets it
        if connection.client.send(head + data[end:] if length else head):
            self._over(link, status, True, True)
        elif connection.row:  # it did not take all of it
            self._heard = True
            self._read().feed(data)
            self._answered()

    def _pump_response(self, first: bytes | None = None) -> None:  # noqa: PLR0912 - the way of a chunk, and its ends
        """Read the answer and give it to the client; `first` was read already, and is counted."""
        connection, link, worker = self._connection, self._link, self._worker
        if link is None:
            return
        client, words, reader = connection.client, worker.words, self._reader
        connection.seen = worker.reactor.now
        for _ in range(RELAY_ROUNDS):
            try:
                if reader is not None and self._heard and reader.passthrough >= RELAY_BUFFER_BYTES:
                    room = RELAY_BUFFER_BYTES
                    count = link.sock.recv_into(worker.buffer, 0, MSG_DONTWAIT)
                    words[link.rx] += count
                    reader.skip(count)
                    client.send(worker.view[:count])
                else:
                    room = EXCHANGE_READ_BYTES
                    if first is None:
                        data = link.sock.recv(room, MSG_DONTWAIT)
                        words[link.rx] += len(data)
                    else:
                        data, first = first, None
                    count, reader = len(data), reader or self._read()
                    self._heard = self._heard or count > 0
                    if count and (given := reader.feed(data)):
                        client.send(given)
            except BlockingIOError:
                self._pending = 0
                return
            except OSError as error:
                self._target_gone(error.strerror or "connection reset", was_reset=True)
                return
            except RemoteError as error:
                self._fail(TARGET_BROKE, DialError.FAILED, str(error))
                return
            if not connection.row:
                return
            emptied = count < room and not self._pending & URGENT
            if reader.done:
                if emptied:
                    self._pending &= HANGUP
                self._answered()
                return
            if not count:
                self._target_gone("closed before its answer was complete")
                return
            if client.held is not None:
                self._pending |= RESUMED
                client.on_flushed = self._pump_response
                return
            if emptied:
                if self._pending & HANGUP:
                    self._target_gone("closed before its answer was complete")
                self._pending = 0
                return
        worker.reactor.again(link, link.fd, self._pending)

    def target_broken(self) -> None:
        """The target takes no more; what it had said before may still be there."""
        link, client = self._link, self._connection.client
        if link is not None:
            link.on_flushed = link.held = None
            self._pending |= RESUMED
            if client.held is None:
                self._pump_response()

    def _target_gone(self, detail: str, *, was_reset: bool = False) -> None:
        reader, link, command = self._reader or self._read(), self._link, self._command
        assert link is not None  # noqa: S101 - the callers looked
        assert command is not None  # noqa: S101 - the callers looked
        if link.used and not self._heard and command.retriable:
            self._bury_link()
            self._dial_new()
            return
        try:
            if was_reset and reader.started:  # a reset completes nothing, not even a body until close
                raise RemoteError("reset in the middle of its answer")
            reader.eof()
        except RemoteError as error:
            self._fail(TARGET_BROKE, DialError.FAILED, f"{error}: {detail}")
            return
        self._answered()

    # The end of an exchange ------------------------------------------------------------------------------------------

    def _answered(self) -> None:
        """The answer is complete: let the link wait for another, and the conversation go on."""
        connection, reader, link, command = self._connection, self._reader, self._link, self._command
        assert reader is not None  # noqa: S101 - the callers looked
        assert link is not None  # noqa: S101 - the callers looked
        assert command is not None  # noqa: S101 - the callers looked
        if reader.upgraded:
            self._upgrade(link, reader)
            return
        if connection.client.held is not None:
            connection.client.on_flushed = self._answered
            return
        reusable = reader.reusable and command.framing.done and link.held is None
        again = reader.keep_alive and command.framing.done
        self._over(link, reader.status, reusable, again)

    def _over(self, link: Link, status: int, reusable: bool, again: bool) -> None:
        """Count the request, let the link wait for another one, and go on."""
        connection, worker = self._connection, self._worker
        answered(connection, status)
        if link.secure:
            link.settle()
        self._link = self._reader = link.on_flushed = None
        aimed, connection.aimed = connection.aimed, None
        if aimed is not None:
            aimed.open -= 1
            reusable = reusable and not worker.board.words[HEADER_WORDS + aimed.plan.id] & OUT_OF_USE
        if reusable and connection.route.pooled and (not self._pending or is_silent(link)):
            worker.pool.give(link)
        else:
            worker.reactor.bury(link.fd, link.sock)
        repeats.rest(connection, self, again)

    def _upgrade(self, link: Link, reader: ResponseReader) -> None:
        connection = self._connection
        answered(connection, reader.status)
        self._link = self._reader = None
        connection.adopt(link.sock, link.fd, self._pending | RESUMED)
        if reader.leftover:
            connection.client.send(reader.leftover)
        if connection.row:
            connection.relay()

    def _fail(self, outcome: int, error: DialError, detail: str) -> None:
        """The exchange cannot be completed: an error answer while nothing was sent, else the end."""
        connection, reader = self._connection, self._reader
        self._bury_link()
        leave(connection)
        if reader is not None and reader.started:
            connection.detail = detail
            if reader.passthrough == UNTIL_CLOSE_BYTES:  # an orderly close would make it look complete
                connection.cut()
            connection.end(outcome)
        else:
            self._give_up(error, detail)

    def _give_up(self, error: DialError, detail: str) -> None:
        """Nobody answers this request: let the conversation do it, and tell the operator why, for no outcome will."""
        connection, command = self._connection, self._command
        assert command is not None  # noqa: S101 - set by begin
        if error not in SAID:
            place = str(Endpoint(*self._destination[:2]))
            why = detail.removeprefix(f"{place}: ") or str(error)
            level = "info" if command.host else "warning"  # where a client wants to go is its own affair
            self._worker.complaints.say(connection.route.plan.name, f"no answer from {place}: {why}", level)
        connection.step(None, DialFailed(error, detail))

    def _refuse(self, error: RemoteError) -> None:
        """The request's body is malformed: say so while nothing was sent, else end."""
        connection, reader = self._connection, self._reader
        self._bury_link()
        leave(connection)
        if reader is not None and reader.started:
            connection.detail = str(error)
            connection.end(BODY_BROKE)
        else:
            connection.step(None, error)

    def expire(self) -> None:
        """The deadline has passed: of the dial, or of silence."""
        if self.dial is not None:
            self.dial.expire()
        else:
            takes_no_more = self._connection.client.held is not None
            who = CLIENT_SILENT if takes_no_more else TARGET_SILENT
            self._fail(who, DialError.TIMEOUT, "no byte of the answer moved in time")

    def _bury_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.on_flushed = None
            if self._connection.row:
                link.settle()
            link.connection = None  # type: ignore[assignment]
            self._worker.reactor.bury(link.fd, link.sock)

    def abandon(self) -> None:
        """Close what is under way and tell nobody: the connection ends."""
        if self.dial is not None:
            self.dial.cancel()
            self.dial = None
        self._bury_link()


def is_silent(link: Link) -> bool:
    """Return whether a target has neither said more than its answer nor closed: its connection may wait for another."""
    try:
        link.sock.recv(1, MSG_DONTWAIT | MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
