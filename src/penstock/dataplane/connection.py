"""
One accepted connection, from its row in the ledger to its outcome: runs the conversation, then relays.

The conversation says what (connection/commands.py); this is how. Whatever happens, `end` is called once, with one
outcome, and lets go of everything.
"""

from _socket import socket as RawSocket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from penstock.base.addresses import Endpoint
from penstock.base.outcomes import EndedBy, Outcome, Phase
from penstock.connection.commands import (
    Associate,
    Await,
    Bind,
    ClientClosed,
    Close,
    Command,
    Conversation,
    Datagrams,
    DeadlinePassed,
    Decide,
    Describe,
    Dial,
    DialAny,
    Exchange,
    Need,
    Peek,
    Relay,
    RelayAny,
    Secure,
    TooLong,
    Until,
    Verify,
)
from penstock.connection.endings import DOCUMENTED, PHASES, ending
from penstock.connection.http import HEAD
from penstock.dataplane.approach import Approach
from penstock.dataplane.bind import Binding, await_bound, bind
from penstock.dataplane.closing import COMPLETED, close, end, let_go_of_conversation, obey
from penstock.dataplane.deadlines import Deadlines
from penstock.dataplane.dialer import Dial as OneDial
from penstock.dataplane.dialing import dial_failed, dial_one, dial_target, dialed
from penstock.dataplane.exchange import HttpExchange
from penstock.dataplane.farewell import Farewell
from penstock.dataplane.handlers import Deciding, decide
from penstock.dataplane.handshake import ClientHandshake
from penstock.dataplane.hello import Hello
from penstock.dataplane.inbox import Inbox
from penstock.dataplane.parting import KEPT, LEAVING
from penstock.dataplane.permit import Permit
from penstock.dataplane.preface import Preface
from penstock.dataplane.reactor import BROKEN, IN, OUT, READABLE
from penstock.dataplane.relay import End, reset
from penstock.dataplane.repeats import catch_up, hear, learn
from penstock.dataplane.route import Route
from penstock.dataplane.shaping import ShapedSocket
from penstock.dataplane.shares import Places
from penstock.dataplane.straight import Straight
from penstock.dataplane.telling import AT_ONCE, hear_out
from penstock.dataplane.tls import TlsSocket
from penstock.dataplane.tls_ends import ToTls
from penstock.dataplane.udp import Association, associate
from penstock.dataplane.verifying import Verifying, verify
from penstock.metrics.ledger import (
    CLIENT_RX,
    CLIENT_TX,
    H_DOUBT,
    PHASE,
    TARGET_RX,
    TARGET_TX,
)  # fmt: skip
from penstock.policy.balance import Standing
from penstock.protocols.proxy_header.header import ProxyHeader

if TYPE_CHECKING:
    from penstock.dataplane.access_log import Watch
    from penstock.dataplane.listener import Listener
    from penstock.dataplane.worker import Worker

TURN = 64
"""Reading commands of one conversation before others get their turn: some requests are answered without a dial."""

NOTHING = None, None  # what a conversation is told whose command was carried out
ASLEEP: Any = object()
"""Stands for: no `step` is under way."""

NEGOTIATE, RELAY = Phase.NEGOTIATE, Phase.RELAY  # a look-up in an enumeration costs as much as three in a module

CANCELLED = Outcome(EndedBy.ADMIN, Phase.DRAIN).pack()


class Connection(Deadlines):
    """
    One connection.

    Args:
        worker: Who owns it.
        listener: Who accepted it.
        sock: The accepted socket.
        fd: Its descriptor.
        row: Its row in the ledger; 0 once it has ended.
        host: The client's IP address; `-` on a Unix socket.

    Attributes:
        inbox: What the client has sent and the conversation has not taken yet.
        exchange: Carries HTTP exchanges, once there was one.
        extra: A SOCKS BIND, a UDP association, or the wait for a PROXY header, a hello, a handler or a login.
        detail: One line for the log, written to the ledger at the end.
        secure: The client's socket, where it speaks TLS.
        proxied: The PROXY header that it began with.
        watch: What the access log knows of it.
        route: What it takes; the listener's own until another one is decided.
        waiting: What the conversation has asked for, and waits for.
        described: What it has told of itself last.
        asked: When the request that is under way had come; unit ns; 0 while there is none.
        lease, door: The slots of its address and its listener in the limit table, where it holds a place; else 0.
        farewell: Its last moments, while what it was told may not have been read.
        aimed: The target that it is sent to; None for none, or for where the client wants to go.
        tried: Targets that could not be reached.
        conversation: What decides about it; None where nobody is asked, and once both ends are relayed.
        dial: What is under way to its target.
        dial_began: When; unit ns.
        kept: Whether it is an HTTP client that may ask again: 0, `parting.KEPT`, or `parting.LEAVING`.
        described: Who wants to go where, as far as it is known.
        places: That it holds in limits of route and user; None for none.
        shaped: What stands before its client's socket where its bandwidth is limited; None where it is not.
        permit: What access rules say of where it goes; None where none can say anything.
    """

    __slots__ = (
        "_target_pending", "_told", "aimed", "asked", "client", "conversation", "described", "detail", "dial",
        "dial_began", "door", "exchange", "extra", "farewell", "host", "inbox", "kept", "lease", "listener", "permit",
        "phase", "places", "proxied", "route", "row", "secure", "shaped", "target", "tried", "waiting", "watch",
        "worker",
    )  # fmt: skip

    def __init__(self, worker: "Worker", listener: "Listener", sock: RawSocket, fd: int, row: int, host: str) -> None:
        reactor = worker.reactor
        Deadlines.__init__(self, reactor, reactor.now + worker.handshake)
        self.worker, self.listener = worker, listener
        self.row, self.host = row, host
        self.route: Route = listener.route
        self.client: End = End(self, sock, fd, row + CLIENT_RX, row + CLIENT_TX)
        self.inbox = Inbox(self.client, worker.words)
        self.phase = NEGOTIATE
        self.detail = ""
        self.secure: TlsSocket | None = None
        self.proxied: ProxyHeader | None = None
        self.watch: Watch | None = None
        self.target: End | None = None
        self.exchange: HttpExchange | None = None
        self.extra: Binding | Association | Preface | Hello | Deciding | Verifying | None = None
        self.conversation: Conversation | None = None
        self.waiting: Need | Until | Peek | None = None
        self.described: Describe | None = None
        self.permit: Permit | None = None
        self.shaped: ShapedSocket | None = None
        self.places: Places | None = None
        self.farewell: Farewell | None = None
        self.dial: OneDial | Straight | Approach | None = None
        self.dial_began = self._target_pending = self.asked = self.lease = self.door = self.kept = 0
        self.aimed: Standing | None = None
        self.tried: tuple[Standing, ...] = ()
        self._told: Any = ASLEEP

    def introduce(self, header: ProxyHeader, client: Endpoint, ip: bytes) -> None:
        """Learn from a PROXY header who the client is; `ip` is its address as 16 bytes of `pack_ip`."""
        self.proxied, self.host = header, client.host
        self.worker.ledger.readdress(self.row, ip, client.port)

    # The conversation ------------------------------------------------------------------------------------------------

    def go(self, command: Command | None = None) -> None:
        """Relay to one of the route's targets: the client is asked nothing, and needs no conversation for it."""
        if self.conversation is not None:
            let_go_of_conversation(self)
        dial_target(self)

    def converse(self, conversation: Conversation) -> None:
        """Run the conversation from its beginning."""
        access = self.worker.access
        self.conversation = conversation if access is None else access.watch(self, conversation)
        self.step(None)

    def step(self, answer: Any, error: Exception | None = None) -> None:  # noqa: PLR0912 - a call a command would cost
        """
        Resume the conversation with an answer or an error, and do what it says until it must wait.

        A command that is answered before it returns, as a dial that fails at once, steps from within a step: the answer
        is noted, and the loop that is under way goes on with it. So a thousand of them go no deeper than one.
        """
        if self._told is not ASLEEP:
            self._told = answer, error
            return
        conversation, exchange = self.conversation, self.exchange
        assert conversation is not None  # noqa: S101 - who steps has one
        if exchange is not None and exchange.skipped:
            catch_up(exchange, conversation)
        command: Any = None
        head, turn = answer, TURN
        try:
            while True:
                command = conversation.send(answer) if error is None else conversation.throw(error)
                answer = error = None
                kind = type(command)
                if kind is Until or kind is Need or kind is Peek:
                    turn -= 1
                    if not turn or self.client.held is not None:
                        self._postpone(command)
                        return
                    try:
                        head = answer = self.inbox.take(command)
                    except (ClientClosed, TooLong) as news:
                        head, error = None, news
                        continue
                    if answer is None:
                        self._wait(command)
                        return
                    continue
                self._told = NOTHING
                if kind is Exchange and exchange is not None:
                    if type(head) is bytes:
                        learn(exchange, head, command)
                    self._told = None
                    exchange.begin(command)
                else:
                    if exchange is not None:
                        exchange.forget()
                    if kind not in AT_ONCE:
                        self._told = None
                    HANDLERS[kind](self, command)
                if self._told is None or not self.row:
                    return
                answer, error = self._told
                head = None
        except DOCUMENTED as news:
            error = news.__traceback__ = None  # it knows frames that know it: nobody would free them
            self.detail = self.detail or str(news)
            self.close(ending(news, PHASES.get(type(command), self.phase)).pack())
        finally:
            self._told = ASLEEP

    def _secure(self, command: Secure) -> None:
        assert self.listener.contexts is not None  # noqa: S101 - the conversation looked
        context = self.worker.challenges.context(command.proves) if command.proves else None
        ClientHandshake(self, context or self.listener.contexts.default, self._secured).start(now=True)

    def _secured(self) -> None:
        assert self.secure is not None  # noqa: S101 - both ends have just agreed
        self.secure.watch()
        self.step(None)

    def _wait(self, command: Need | Until | Peek) -> None:
        self.waiting = command
        if self.kept:  # the next head has its own deadline once it has begun
            if self.kept == LEAVING:
                self.close(COMPLETED)
                return
            worker = self.worker
            deadline = worker.reactor.now + (worker.handshake if self.inbox.data else worker.keep_alive)
            self.deadline, self.idle = deadline, 0
            if deadline < self.visit:
                self.arm(deadline)
            return
        phase = Phase.DETECT if type(command) is Peek else Phase.NEGOTIATE
        if phase is not self.phase:
            self.enter(phase)

    def _postpone(self, command: Need | Until | Peek) -> None:
        """Read on when the client has taken what it was told, or when others had their turn."""
        self._wait(command)
        if self.waiting is None:
            return
        if self.client.held is not None:
            self.client.on_flushed = self.listen
        else:
            self.worker.reactor.again(self, self.client.fd, IN)

    # Events ----------------------------------------------------------------------------------------------------------

    def ready(self, fd: int, mask: int) -> None:
        """React to an edge on the client's socket while the conversation runs."""
        client, exchange = self.client, self.exchange
        if self.waiting is HEAD and mask == IN and exchange is not None and exchange.known and client.held is None:
            hear(self, exchange)
            return
        if mask & READABLE:
            self.inbox.pending |= mask
        if mask & OUT and client.held is not None:
            client.flush()
        if not self.row or not mask & READABLE:
            return
        if self.waiting is not None:
            if client.held is None:
                self.listen()
        elif self.extra is not None:
            self.extra.client_ready(mask)
        elif self.dial is None and self.exchange is not None:
            self.exchange.client_ready(mask)
        elif mask & BROKEN:  # it will not even read what we could say
            self.broken(client)

    def listen(self) -> None:
        """Take what the client has said as the conversation's answer, if it is enough."""
        command, inbox = self.waiting, self.inbox
        assert command is not None  # noqa: S101 - the callers looked, or asked to be called while it waits
        before = inbox.data
        if command is HEAD and not before and self.route.routes is not self.listener.route.routes:
            plan = self.listener.renew(self)
            if plan is not None:
                self.waiting = None
                if self.exchange is not None:
                    self.exchange.forget()
                self.step(None, plan)
                return
        try:
            answer = inbox.take(command)
        except (ClientClosed, TooLong) as news:
            self.waiting = None
            self.step(None, news)
            return
        if answer is not None:
            self.waiting = None
            self.step(answer)
        elif not before and inbox.data and self.kept:  # a next head has begun
            self.arm(self.worker.reactor.now + self.worker.handshake)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return not self.row

    def visited(self) -> None:
        """Look whether the flow has become bulk."""
        if self.secure is None and self.client.other is not None and self.shaped is None:
            words, row = self.worker.words, self.row
            self.worker.pipes.consider(self, words[row + CLIENT_RX] + words[row + TARGET_RX])

    def expire(self) -> None:
        """React to the deadline of the phase."""
        if self.waiting is not None:
            self.waiting = self.client.on_flushed = None
            self.step(None, DeadlinePassed(len(self.inbox.data)))
        elif self.farewell is not None:
            self.end(self.farewell.outcome)
        elif self.dial is not None:
            self.dial.expire()
        elif self.extra is not None:
            self.extra.expire()
        elif self.exchange is not None:
            self.exchange.expire()
        else:
            self.detail = "idle"
            self.end(Outcome(EndedBy.CLIENT_TIMEOUT, self.phase).pack())

    def enter(self, phase: Phase) -> None:
        """Tell the ledger how far this connection has come."""
        self.phase = phase
        self.worker.words[self.row + PHASE] = phase

    # Dialing ---------------------------------------------------------------------------------------------------------

    def guard(self, host: str, port: int) -> Permit | None:
        """Return what says to which addresses of a place it may go; None for all: targets and parents are right."""
        permit = self.permit
        if permit is None or self.aimed is not None or self.route.plan.parent is not None:
            return None
        return permit if permit.asks_for(host, port) else None

    def adopt(self, sock: RawSocket, fd: int, mask: int) -> End:
        """Take a connected socket as the target's end."""
        row, kind = self.row, End if self.secure is None or self.shaped is not None else ToTls
        self.target = self._reactor.table[fd] = target = kind(self, sock, fd, row + TARGET_RX, row + TARGET_TX)
        target.watches_out = True
        self._target_pending = mask
        return target

    dialed = dialed
    dial_failed = dial_failed

    # Relaying --------------------------------------------------------------------------------------------------------

    def relay(self, command: Command | None = None) -> None:
        """Connect the two ends, and let what came early go first."""
        client, target, worker = self.client, self.target, self.worker
        inbox, reactor = self.inbox, self._reactor
        assert target is not None  # noqa: S101 - a conversation dials before it relays
        if self.conversation is not None:
            if command is not None:  # it has said so itself, and not an exchange
                hear_out(self.conversation)
            let_go_of_conversation(self)
        self.phase = worker.words[self.row + PHASE] = RELAY
        self.seen = now = reactor.now
        self.idle = idle = self.route.idle or worker.idle
        if now + idle < self.visit:
            self.arm_idle(idle)
        client.other, target.other = target, client
        reactor.table[client.fd] = client
        if inbox.leaves:
            inbox.decided()
        early, pending = inbox.data, inbox.pending
        inbox.data, inbox.pending, self.exchange = b"", 0, None
        if self.extra is not None:
            self.extra.close()
            self.extra = None
        if early:
            target.send(early)
        if client.eof and self.row:
            client.ended()
        elif pending and self.row:
            client.ready(client.fd, pending)
        pending = self._target_pending
        if pending & READABLE and self.row:
            target.ready(target.fd, pending)

    def half_closed(self) -> None:
        """One end gets no more: the other one's silence is judged by its own timeout."""
        self.idle = idle = self.route.idle or self.worker.half_closed_idle
        if self.seen + idle < self.visit:
            self.arm_idle(idle)

    def noticed(self, mask: int) -> None:
        """Keep an edge of the target's socket until the relay begins."""
        self._target_pending |= mask

    def cut(self) -> None:
        """Let the client's end be a reset."""
        reset(self.client)

    def finish(self) -> None:
        """Both ends have said all, but for the goodbyes of TLS."""
        target = self.target
        assert target is not None  # noqa: S101 - there are two ends
        if self.secure is not None and not self.secure.say_goodbye():
            self.client.hold(b"")
        elif self.route.secured and isinstance(target.sock, TlsSocket) and not target.sock.say_goodbye():
            target.hold(b"")
        else:
            self.end(COMPLETED)

    def broken(self, end: End) -> None:
        """An end was reset; the other one is reset too."""
        self.worker.words[H_DOUBT] = 0  # a send that failed moved nothing
        if self.exchange is not None and end is not self.client and self.dial is None and self.target is None:
            self.exchange.target_broken()
            return
        self.detail = self.detail or "connection reset"
        if end.other is not None:
            reset(end.other)
        who = EndedBy.CLIENT if end is self.client else EndedBy.TARGET
        self.end(Outcome(who, self.phase).pack())

    # Ending ----------------------------------------------------------------------------------------------------------

    close = close
    end = end

    def abort(self, who: EndedBy) -> None:
        """End now, by the order of an operator or by our own fault."""
        self.end(Outcome(who, self.phase).pack())

    @property
    def between_requests(self) -> bool:
        """Whether this is an HTTP client that has said nothing of a next request: it may be closed at no loss."""
        waits = self.waiting is not None and self.client.held is None and not self.inbox.data
        return waits and self.kept > 0

    def _exchange(self, command: Exchange) -> None:
        if self.exchange is None:
            self.exchange, self.kept = HttpExchange(self), KEPT
            self.enter(Phase.RELAY)
        self.exchange.begin(command)

    def _carry_datagrams(self, command: Datagrams) -> None:
        assert isinstance(self.extra, Association)  # noqa: S101 - a conversation associates first
        let_go_of_conversation(self)
        self.extra.carry()
        if self.inbox.pending or self.client.eof:
            self.extra.client_ready(self.inbox.pending)


HANDLERS: dict[type, Callable[[Connection, Any], None]] = {
    **AT_ONCE,
    Dial: dial_one,
    DialAny: dial_target,
    RelayAny: Connection.go,
    Relay: Connection.relay,
    Secure: Connection._secure,
    Decide: decide,
    Verify: verify,
    Exchange: Connection._exchange,
    Bind: bind,
    Await: await_bound,
    Associate: associate,
    Datagrams: Connection._carry_datagrams,
    Close: obey,
}
"""What is done about each command that asks for no bytes."""
