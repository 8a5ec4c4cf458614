"""
Bandwidth: a client's socket that takes and gives no more than its buckets have room for.

It has the calls of a socket, so relay, inbox and exchange do not know the difference, and flows that nothing limits
keep their plain socket and pay nothing. Where there is no room it says what a socket says that would block, and a timer
of the reactor makes the edge that the kernel will not make again. Nobody asks before.

- What comes from the client is read no faster, so the kernel's window tells it; what is for the client is held by its
  end, at most one buffer, and then its target is read no faster.
- It is put in the place of the socket when the second stage knows route and user (dataplane/shares.py): the little that
  a client says before that is bounded already.
- The kernel's pipes move what they find, so a shaped flow takes none.

Source: docs/decisions/0019-bandwidth.md.
"""

from _socket import MSG_DONTWAIT
from _socket import socket as RawSocket
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from penstock.base.addresses import pack_ip
from penstock.config.limit_plan import BandwidthPlan
from penstock.config.plan import WorkerPlan
from penstock.dataplane.limit_table import IP, LISTENER, LimitTable
from penstock.dataplane.meters import DOWN, UP, Meter, SharedMeter
from penstock.dataplane.reactor import IN, OUT, URGENT
from penstock.dataplane.relay import End
from penstock.dataplane.tls import TLS_BOTH, TLS_IN, TlsSocket
from penstock.policy.bandwidth import LEAST_BYTES
from penstock.policy.networks import Networks

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection
    from penstock.dataplane.shares import Share

LOOK = IN | URGENT
"""Read until the socket would block: an edge that was not followed at once."""

MARKS = (LOOK, OUT)
"""What the end is told when there is room, by direction."""


class ShapedSocket:
    """
    The socket of a client whose bytes are metered.

    Args:
        connection: The client's, whose socket stands behind it from now on.
        whole: Whether nothing is cut in this turn: an edge that says the end may have been fetched already.

    Attributes:
        share, user: Whose meters it has.
        meters: All that it pays to.
    """

    __slots__ = (
        "_closed", "_counted", "_fd", "_kernel_full", "_owed", "_reactor", "_sock", "_tls", "_visit", "_wanted",
        "_whole", "meters", "share", "user",
    )  # fmt: skip

    def __init__(self, connection: "Connection", *, whole: bool) -> None:
        client, self._reactor = connection.client, connection.worker.reactor
        self._sock, self._fd, self._tls = client.sock, client.fd, connection.secure
        self.share: Share | None = None
        self.user: Share | None = None
        self.meters: tuple[Meter | SharedMeter, ...] = ()
        self._counted = [False, False]
        self._closed = self._kernel_full = False
        self._owed = self._visit = self._wanted = 0
        self._whole = self._reactor.now if whole else 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    # What a socket does ----------------------------------------------------------------------------------------------

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = MSG_DONTWAIT) -> int:
        """Receive as `socket.recv_into`, no more than there is room for; raises BlockingIOError where there is none."""
        size = nbytes or len(buffer)
        room = self._room(UP, size)
        count = self._sock.recv_into(buffer, room, flags)
        self._received(count, room, size)
        return count

    def recv(self, size: int, flags: int = MSG_DONTWAIT) -> bytes:
        """Receive as `socket.recv`, likewise."""
        room = self._room(UP, size)
        data = self._sock.recv(room, flags)
        self._received(len(data), room, size)
        return data

    def send(self, data: Any, flags: int = MSG_DONTWAIT) -> int:
        """Send as `socket.send`, likewise; what it did not take is told of when there is room."""
        size = len(data)
        room = self._room(DOWN, size)
        part = data if size <= room else memoryview(data)[:room]
        try:
            sent = self._sock.send(part, flags)
        except BlockingIOError:
            self._await_kernel(room)
            raise
        self._pay(DOWN, sent)
        if sent < room:
            self._await_kernel(room - sent)
        else:
            self._owed = 0
            if self._kernel_full:
                self._kernel_full = False
                self._watch()
            if sent < size:
                self._await_room(DOWN)
        return sent

    def passes(self, way: int, count: int) -> bool:
        """Return whether a datagram of so many bytes may pass, and pay for it if it may; nobody tells of room later."""
        now = self._reactor.clock()
        if any(meter.room(way, now) < count for meter in self.meters):
            return False
        self._pay(way, count)
        return True

    def close(self) -> None:
        """Close the socket, and wait for nothing any more."""
        self.equip(())
        self._closed = True
        self._sock.close()

    # Room ------------------------------------------------------------------------------------------------------------

    def _room(self, way: int, size: int) -> int:
        """Return how many of so many bytes may pass; raises BlockingIOError, and asks for a later look, at none."""
        if way == UP and self._whole == self._reactor.now:
            return size
        now = self._reactor.clock()
        room = size
        for meter in self.meters:
            room = min(room, meter.room(way, now))
        if way == DOWN and room >= min(size, LEAST_BYTES):  # OpenSSL wants a write again as it was
            room = max(room, min(self._owed, size))
        if self._counted[way]:
            self._count(way, -1)
        if room < min(size, LEAST_BYTES):
            self._count(way, 1)
            self._want(way, max(meter.ready_at(way, min(size, LEAST_BYTES), now) for meter in self.meters))
            raise BlockingIOError
        return room

    def _received(self, count: int, room: int, size: int) -> None:
        self._pay(UP, count)
        if count == room < size:
            self._await_room(UP)
        elif self._tls is None and count:
            self._watch()  # what is left, or the end, makes an edge

    def _pay(self, way: int, count: int) -> None:
        now = self._reactor.clock()
        for meter in self.meters:
            meter.pay(way, count, now)

    def _await_room(self, way: int) -> None:
        """More is there than had room: look again in the next turn, when the others have had theirs."""
        self._count(way, 1)
        self._wanted |= MARKS[way]
        self._reactor.soon(self._look)

    def _want(self, way: int, deadline: int) -> None:
        self._wanted |= MARKS[way]
        if not self._visit or deadline < self._visit:
            self._visit = deadline
            self._reactor.at(deadline, self)

    def wake(self, now: int) -> None:
        """There may be room."""
        if self._visit and now >= self._visit:
            self._visit = 0
            self._look()

    def _look(self) -> None:
        wanted, self._wanted = self._wanted, 0
        if wanted and not self._closed:
            handler = self._reactor.table.get(self._fd)
            if handler is not None:
                handler.ready(self._fd, wanted)

    def _count(self, way: int, by: int) -> None:
        """Say to the meters that this flow waits, or waits no more."""
        if self._counted[way] != (by > 0):
            self._counted[way] = by > 0
            for meter in self.meters:
                meter.waiting[way] += by

    # The kernel ------------------------------------------------------------------------------------------------------

    def _await_kernel(self, owed: int) -> None:
        """The kernel takes no more: it will say when it does."""
        if self._tls is not None:
            self._owed = owed
        elif not self._kernel_full:
            self._kernel_full = True
            self._watch()

    def _watch(self) -> None:
        """Have edges of what is there now; never of a hang-up, which would stand for the end of what was cut."""
        self._reactor.epoll.modify(self._fd, TLS_BOTH if self._kernel_full else TLS_IN)

    # Meters ----------------------------------------------------------------------------------------------------------

    def equip(self, meters: tuple[Meter | SharedMeter, ...]) -> None:
        """Pay to these from now on."""
        for way in (UP, DOWN):
            self._count(way, -1)
        self.meters = meters


class Shaping:
    """
    What the node and its listeners allow flows.

    Args:
        table: Where all workers count.
        plan: What it is.
    """

    def __init__(self, table: LimitTable, plan: WorkerPlan) -> None:
        limits = plan.limits
        self._table = table
        self._window = limits.rate_per_ip.window if limits.rate_per_ip else 0
        self.per_connection, self._per_ip = limits.bandwidth_per_connection, limits.bandwidth_per_ip
        self._exempt = Networks(limits.exempt)
        self._addresses: WeakValueDictionary[str, SharedMeter] = WeakValueDictionary()
        self._doors = {
            each.id: (each.limits.bandwidth_per_connection, self._door(each.name, each.limits.bandwidth))
            for each in plan.listeners
            if each.limits is not None and (each.limits.bandwidth or each.limits.bandwidth_per_connection)
        }

    def __bool__(self) -> bool:
        return bool(self.per_connection or self._per_ip or self._doors)

    def _door(self, name: str, plan: BandwidthPlan | None) -> SharedMeter | None:
        table, key = self._table, self._table.key(LISTENER, name)
        return None if plan is None else SharedMeter(table, lambda now: table.slot(key, LISTENER, 0, now), plan)

    def of_address(self, host: str) -> SharedMeter | None:
        """Return what flows of an address share; None for no limit."""
        if self._per_ip is None or host == "-" or host in self._exempt:
            return None
        meter = self._addresses.get(host)
        if meter is None:
            table, window, ip = self._table, self._window, pack_ip(host)
            meter = SharedMeter(table, lambda now: table.slot(ip, IP, window, now), self._per_ip)
            self._addresses[host] = meter
        return meter

    def of_listener(self, listener: int) -> tuple[BandwidthPlan | None, SharedMeter | None]:
        """Return what a connection of a listener may have, and what all of them share."""
        return self._doors.get(listener, (None, None))


def shape(connection: "Connection", share: "Share | None", user: "Share | None", *, anew: bool = False) -> None:
    """
    Let a connection have the bandwidth of its route and user from now on.

    Args:
        connection: Whose route and user are known.
        share: Of its route; None where that has no limits.
        user: Of its user; likewise.
        anew: Whether they have another bandwidth now.
    """
    shaped = connection.shaped
    if shaped is not None and shaped.share is share and shaped.user is user and not anew:
        return
    meters = _meters(connection, share, user)
    if shaped is None:
        if not meters and not any(each is not None and each.may_slow for each in (share, user)):
            return
        shaped = _put_before(connection)
    shaped.share, shaped.user = share, user
    shaped.equip(meters)


def _meters(connection: "Connection", share: "Share | None", user: "Share | None") -> tuple[Meter | SharedMeter, ...]:
    shaping, now = connection.route.routes.shaping, connection.worker.reactor.now
    own: list[BandwidthPlan | None] = []
    shared: list[SharedMeter | None] = []
    if shaping is not None:
        of_door, door = shaping.of_listener(connection.listener.plan.id)
        own, shared = [shaping.per_connection, of_door], [shaping.of_address(connection.host), door]
    for each in (share, user):
        if each is not None:
            own.append(each.per_connection)
            shared.append(each.meter)
    plans = [plan for plan in own if plan is not None]
    least = [Meter(min(plans, key=lambda plan: plan.rate), now)] if plans else []
    return (*least, *(meter for meter in shared if meter is not None))


def _put_before(connection: "Connection") -> ShapedSocket:
    """Put a shaped socket in the place of the client's own."""
    client = connection.client
    connection.shaped = shaped = ShapedSocket(connection, whole=connection.exchange is not None)
    connection.inbox.doubt_ends()
    client.sock = cast(RawSocket, shaped)
    if isinstance(connection.secure, TlsSocket):
        client.__class__ = End  # what calls OpenSSL by itself would pass by the meters
    elif client.held is None:
        client.watches_out = True  # it is told by the shaped socket
        connection.worker.reactor.epoll.modify(client.fd, TLS_IN)
    else:
        shaped._kernel_full = client.watches_out = True
        connection.worker.reactor.epoll.modify(client.fd, TLS_BOTH)
    return shaped
