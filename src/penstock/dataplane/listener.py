"""Accepting: from a listening socket to a row in the ledger and a conversation that runs."""

import errno
import os
from _socket import SO_OOBINLINE, SOCK_STREAM, SOL_SOCKET
from _socket import socket as RawSocket
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from penstock.base.addresses import Endpoint, pack_ip, unmap
from penstock.base.bounds import ACCEPT_BATCH, ACCEPT_NS, LISTEN_BACKLOG
from penstock.config.plan import ListenerPlan
from penstock.connection.commands import Conversation, Describe, Facts, NewPlan
from penstock.connection.registry import CONVERSATIONS
from penstock.connection.reverse import PASSTHROUGH
from penstock.connection.tls import NAMELESS, PROOF, inside
from penstock.dataplane.connection import Connection
from penstock.dataplane.contexts import Contexts
from penstock.dataplane.dialing import dial_target
from penstock.dataplane.entrance import NO_ADDRESS
from penstock.dataplane.equipment import Equipment
from penstock.dataplane.handshake import ClientHandshake
from penstock.dataplane.hello import Hello
from penstock.dataplane.permit import Permit
from penstock.dataplane.preface import Preface, client_of
from penstock.dataplane.reactor import EDGE_IN, FOREVER, IN, LEVEL_IN
from penstock.dataplane.route import Route, Routes
from penstock.dataplane.sluice import Sluice
from penstock.dataplane.telling import describe
from penstock.dataplane.tls import TlsSocket
from penstock.metrics.ledger import PORT, SCOPE, pack_scope, take
from penstock.policy.access import Access
from penstock.policy.networks import Networks
from penstock.policy.ranges import address_number
from penstock.policy.routes import NAMES
from penstock.protocols.client_hello import ClientHello
from penstock.protocols.proxy_header.header import ProxyHeader

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker

TLS = 0x0303
"""What a client offers at least that has shaken hands with us before anybody looked at its hello."""

PEERS = 16_384
"""Addresses of clients whose text and bytes are remembered, as many as the limit table remembers places of."""

MANY = 16
"""Connections accepted in one turn from which on it is worth looking how many more wait."""

ALL_ADDRESSES = ("0.0.0.0", "::", "::ffff:0.0.0.0")

OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


@lru_cache(PEERS)
def _of_peer(address: str) -> tuple[str, bytes]:
    """Return a client's address as text and packed."""
    host = unmap(address)
    return host, pack_ip(host)


def _only_address(sock: RawSocket) -> Endpoint | None:
    """Return where a socket listens; None where that is all addresses, or none of IP."""
    name = sock.getsockname()
    if type(name) is not tuple or name[0] in ALL_ADDRESSES:
        return None
    return Endpoint(unmap(name[0]), name[1])


class Listener:
    """
    One listening socket of one worker.

    Args:
        worker: Who owns it.
        equipment: What it serves, and with what.
        fd: A socket that is bound, listens and does not block.

    Attributes:
        plan: What it serves.
        route: What its connections take.
        contexts: Its certificates; None where it has none.
        address: Where all its clients come to; None where it listens on more than one IP address.
    """

    def __init__(self, worker: "Worker", equipment: Equipment, fd: int) -> None:
        self.worker, self.fd = worker, fd
        self.sock = RawSocket(fileno=fd)
        self.sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)  # inherited: urgent bytes travel in their place
        self._family = self.sock.family
        self.address = _only_address(self.sock)
        self._batch, self._turn_ns = 1, ACCEPT_NS
        self._ways: dict[str, tuple[Route, Describe]] = {}
        self._entrance = worker.entrance
        self.contexts: Contexts | None = None
        self._kinds: WeakKeyDictionary[Routes, tuple[str, str, bool]] = WeakKeyDictionary()
        self.equip(equipment)

    def equip(self, equipment: Equipment) -> None:
        """Serve this from the next connection, and the next request, on; what is under way keeps what it began with."""
        self.plan = plan = equipment.plan
        self._id = plan.id
        self._rules, self._trusted = equipment.rules, equipment.trusted
        self._challenges = self.worker.challenges if plan.challenge else None
        self._access = equipment.access if equipment.access.late else None
        self._renewed = equipment.access if equipment.access.early else self._access
        self.contexts = (
            equipment.contexts or self.contexts
        )  # without any, those that have begun still need the old ones
        self.route: Route = self.worker.routes.of(plan.route)
        self._kind = plan.protocol, plan.inside, plan.reverse
        self._kinds[self.route.routes] = self._kind
        self._scope = pack_scope(plan.id, route=plan.route.id)
        self._converse: Callable[[Facts, ListenerPlan], Conversation] = CONVERSATIONS[plan.protocol]
        self._routed = equipment.reads_hello
        self._shakes = equipment.contexts is not None and not self._routed
        self._told = self._shakes and plan.protocol == "tls"  # the client tells by its hello what it asks for
        if self._told:
            self._converse = inside
        spoken = plan.inside if self._told else plan.protocol
        self._plain = spoken == "tcp" and self._rules is None and plan.route.action == "forward"
        self._socket = TlsSocket if self._shakes and self._trusted is None else RawSocket
        self._hears = self._routed and self._trusted is None and self.worker.access is None
        self._sluice = Sluice(self.sock, (*self.worker.plan.limits.exempt, *plan.trusted_proxies))
        self._ways = {}
        self._brief = self._plain and not self._shakes and self._access is None
        self._ordinary = self._brief and self._trusted is None

    def renew(self, connection: Connection) -> NewPlan | None:
        """
        Let a connection of an earlier plan take the present one, between two requests.

        Returns:
            What its conversation must know; None where the listener spoke something else then, and nothing was done.
        """
        if self._kinds.get(connection.route.routes) != self._kind:
            return None
        self._take_own_route(connection)
        self._give_permit(connection, connection.host, self._renewed)
        return NewPlan(self._rules, self.plan)

    def _give_permit(self, connection: Connection, host: str, access: Access | None) -> None:
        """Let access rules judge where a connection goes, if any still can: the door was not asked by new ones."""
        plan = self.plan
        number = address_number(host)
        connection.permit = None if access is None else Permit(self.worker, access, plan.id, plan.port, number)

    def _take_own_route(self, connection: Connection) -> None:
        connection.route = self.route
        scope = connection.row + SCOPE
        self.worker.words[scope] = take(self.worker.words[scope], self.plan.route.id)

    def _serve(self, connection: Connection, facts: Facts) -> None:
        """Begin what the listener is for."""
        if connection.route.routes is not self.route.routes:  # the plan has changed while it waited: take all of it
            facts = facts._replace(rules=self._rules)
            self._take_own_route(connection)
            self._give_permit(connection, connection.host, self._renewed)
        if self._plain:
            connection.go()
        else:
            connection.inbox.leaves = self._routed and self.contexts is not None
            connection.converse(self._converse(facts, self.plan))

    def passes(self, hello: ClientHello) -> tuple[Route, Describe] | None:
        """Return the route that passes a client through, and what it asks for; None for what is not so simple."""
        name = hello.server_name
        if not name or hello.alpn == PROOF:
            return None
        way = self._ways.get(name)
        return way or self._look_up(name)

    def _look_up(self, name: str) -> tuple[Route, Describe] | None:
        plan = self.plan.route
        if self._rules is not None:
            decision = self._rules.by_name(name)
            if decision is None:
                return None
            plan = decision.route
        if plan.tls != PASSTHROUGH or plan.action != "forward" or not plan.targets:
            return None
        if len(self._ways) >= NAMES:
            self._ways.clear()
        way = self._ways[name] = self.route.routes.of(plan), Describe(name)
        return way

    def meet(self, connection: Connection) -> None:
        """Begin the conversation with a client whose hello is not so simple, or who came before this plan."""
        port = self.worker.words[connection.row + PORT] & 0xFFFF
        facts = Facts(connection.host, port, self._rules, challenges=self._challenges)
        if connection.route.routes is self.route.routes:
            self._serve(connection, facts)
        else:
            self._admit(connection, facts, behind_header=True)

    def _shake_hands(self, connection: Connection, facts: Facts, *, now: bool) -> None:
        assert self.contexts is not None  # noqa: S101 - the caller looked
        shaken = partial(self._shaken, connection, facts, self.plan)
        ClientHandshake(connection, self.contexts.default, shaken).start(now=now)

    def _shaken(self, connection: Connection, facts: Facts, began: ListenerPlan) -> None:
        """Begin what the listener is for, inside TLS."""
        secure = connection.secure
        assert secure is not None  # noqa: S101 - they have just agreed
        asked = secure.asked
        if self._told and self._plain and self.worker.access is None:
            connection.inbox.pending = secure.unread and IN  # the first request goes out with the handshake's last edge
            describe(connection, Describe(asked or NAMELESS))
            self._serve(connection, facts)
            return
        secure.watch()
        facts = facts._replace(server_name=asked, tls_version=TLS)
        if self._routed:  # since a reload; this one's hello is gone, so it keeps what it began with
            connection.converse(inside(facts, began))
        elif self._told and self._plain:
            connection.converse(inside(facts, self.plan))
        else:
            self._serve(connection, facts)

    def listen(self) -> None:
        """Begin to accept. Level-triggered: what is left in the backlog announces itself again."""
        self.worker.reactor.watch(self.fd, self, LEVEL_IN)

    def pause(self) -> None:
        """Leave clients in the backlog."""
        self.worker.reactor.epoll.modify(self.fd, 0)

    def resume(self) -> None:
        """Accept again."""
        self.worker.reactor.epoll.modify(self.fd, LEVEL_IN)

    def close(self) -> None:
        """
        Accept who is already in the backlog, and no more.

        The last close of a listening socket resets its backlog: clients that the kernel has welcomed are not sent away.
        """
        self._batch, self._turn_ns = LISTEN_BACKLOG, FOREVER
        self.accept()
        self._sluice.open()  # others may have the socket, too
        self.worker.reactor.bury(self.fd, self.sock)

    def ready(self, fd: int, mask: int) -> None:
        """Accept at the end of the turn: whoever is served goes first, however the kernel has ordered the events."""
        self.worker.reactor.soon(self.accept)

    def accept(self) -> None:
        """
        Accept clients.

        An accept that finds nobody costs a system call and an exception, and one accept a turn would starve a full
        backlog: so the batch doubles while it is filled, and begins again at one. Whatever is left of it when its time
        is over waits for the next turn: clients that are served do not wait for those that come, or are sent away.
        """
        worker, batch = self.worker, self._batch
        room, clock = worker.room(), worker.reactor.clock
        left = batch if batch < room else room
        over = clock() + self._turn_ns if left > 1 else 0
        accept = self.sock._accept  # type: ignore[attr-defined]
        while left > 0:
            try:
                client_fd, address = accept()
            except BlockingIOError:
                self._batch = 1
                if self._sluice.closed:
                    self._sluice.open()
                return
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    worker.pause(error.strerror or "out of descriptors")
                if self._sluice.closed:
                    self._sluice.look(worker.reactor.now)
                return  # the client gave up before it was accepted
            self._welcome(client_fd, address)
            left -= 1
            if worker.paused or (left and clock() > over):
                self._sluice.look(worker.reactor.now)
                return
        if batch < ACCEPT_BATCH:
            self._batch = batch * 2
        if batch >= MANY or self._sluice.closed:
            self._sluice.look(worker.reactor.now)

    def _welcome(self, fd: int, address: tuple[str, int]) -> None:
        worker, entrance, trusted = self.worker, self._entrance, self._trusted
        reactor = worker.reactor
        if type(address) is tuple:
            port = address[1]
            host, ip = _of_peer(address[0])
        else:
            host, ip, port = "-", NO_ADDRESS, 0  # a Unix socket's client has no address
        now = reactor.now
        speaks_for_others = trusted is not None and (type(address) is not tuple or trusted.holds(ip))
        refused = entrance.greet(self._id, now) if speaks_for_others else entrance.admit(ip, host, self._id, now)
        if refused:
            self._send_away(fd, ip, port, refused)
            return
        sock = self._socket(self._family, SOCK_STREAM, 0, fd)
        row = worker.ledger.open(now, self._scope, ip, port)
        if not row:  # what cannot be counted is not served; the ledger has counted that
            sock.close()
            entrance.leave(entrance.lease, entrance.door)
            worker.pause("no row of the ledger is free")
            return
        connection = Connection(worker, self, sock, fd, row, host)
        connection.lease, connection.door = entrance.lease, entrance.door
        reactor.table[fd] = Hello(connection) if self._hears else connection
        reactor.epoll.register(fd, EDGE_IN)
        try:
            if self._ordinary:
                dial_target(connection)
            elif self._hears:
                if self._access is not None:
                    self._give_permit(connection, host, self._access)
            elif trusted is not None:
                self._await_header(connection, host, port, trusted, speaks_for_others=speaks_for_others)
            else:
                self._admit(connection, Facts(host, port, self._rules, challenges=self._challenges))
        except Exception as error:
            worker.crashed(connection, error)

    def _send_away(self, fd: int, ip: bytes, port: int, outcome: int) -> None:
        """Close a client that may not come in, without a word; a row tells why, or a count where rows are scarce."""
        os.close(fd)  # without a socket of Python's, which would ask the kernel for its name first
        self._sluice.refused += 1
        ledger, now = self.worker.ledger, self.worker.reactor.now
        row = 0 if ledger.scarce else ledger.open(now, self._scope, ip, port)
        if row:
            if self._entrance.why:
                ledger.describe(row, "", "", self._entrance.why)
            ledger.end(row, now, outcome)
        else:
            ledger.turn_away(outcome)
        if self.worker.access is not None and self.worker.access.refusals is not None:
            self.worker.access.refusals.tell(self.plan, ip, outcome)

    def _await_header(
        self, connection: Connection, host: str, port: int, trusted: Networks, *, speaks_for_others: bool
    ) -> None:
        def admit(header: ProxyHeader | None) -> None:
            client = client_of(header, host, port)
            ip = _of_peer(client.host)[1]
            if header is not None:
                connection.introduce(header, client, ip)
            believed = client.host == "-" or trusted.holds(ip)  # who passes bytes on vouches for none
            if speaks_for_others and not believed and (refused := self._admit_client(connection, client.host, ip)):
                connection.end(refused)
            elif self._brief and connection.route.routes is self.route.routes:
                dial_target(connection)
            else:
                facts = Facts(client.host, client.port, self._rules, trusted=believed, challenges=self._challenges)
                self._admit(connection, facts, behind_header=True)

        required = self.plan.accept_proxy == "required"
        Preface(connection, required=required, trusted=speaks_for_others, then=admit).start()

    def _admit_client(self, connection: Connection, host: str, ip: bytes) -> int:
        """Return 0 if the client that a header names may come in, or the outcome that refuses it."""
        entrance = self._entrance
        refused = entrance.admit(ip, host, self._id, self.worker.reactor.now, greeted=True)
        connection.lease, connection.detail = entrance.lease, entrance.why
        return refused

    def _admit(self, connection: Connection, facts: Facts, *, behind_header: bool = False) -> None:
        """Shake hands, or begin what the listener is for."""
        if self._access is not None:
            self._give_permit(connection, facts.client_host, self._access)
        if self._shakes:
            self._shake_hands(connection, facts, now=behind_header)
        else:
            self._serve(connection, facts)
