"""
The entrance: who may come in, asked once for each accepted connection before anything of it is read.

Steps, cheapest and hardest first: ban, access, connections of the node, connections and rate of the listener,
connections of the address, rate of the address. Each answers 0, or the packed outcome that refuses (`REFUSE_*`); the
first refusal ends it.

Seams, for who adds a step:
- `admit` is the whole first stage: one call a connection, microseconds. It is given the packed address (16 bytes, IPv4
  mapped), the same as text, and the time. What a step needs is made when the plan comes (`equip`) or remembered in a
  bounded dict; a step makes no tuples, no text and no system calls.
- `ask` says what tells whether an address is banned, and what tells whether client, listener and time may; None where
  there is nothing to ask. Whoever was let in by both is a regular of the listener, and is not asked again until
  somebody calls `forget`: another plan, another table of banned networks, another minute. Bans of single clients come
  at any time: so a regular is asked about again where the crowd (dataplane/ban_table.py) has one like it.
- `greet` counts a socket's peer in the node where a PROXY header of a trusted one is to come, which speaks for others;
  `admit` follows once the client is known, and does both at once for whoever is a client itself.
- What a connection holds is in its `lease` (address), `door` (listener) and `places` (route, user), and given back
  once, by `Connection.end`, on every path. Steps that hold nothing (bans, access, rates) have nothing to give back.
- What is asked once route and user are known is the second stage: dataplane/shares.py.

A client that is refused holds nothing when `admit` returns, but for the places in the node and the listener that
`greet` gave it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import WorkerPlan
from penstock.dataplane.limit_table import IP, KNOWN, LISTENER, NODE, LimitTable
from penstock.dataplane.shares import Share
from penstock.policy.networks import Networks

REFUSE_BAN, REFUSE_ACCESS, REFUSE_GLOBAL, REFUSE_IP, REFUSE_RATE = (
    Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason).pack()
    for reason in (Reason.BAN, Reason.ACCESS, Reason.GLOBAL_LIMIT, Reason.IP_LIMIT, Reason.RATE_LIMIT)
)


class Bans(Protocol):
    """
    What tells whether an address is banned (dataplane/bans.py).

    Attributes:
        crowd: By remainder of an address, how many bans of single clients have it; anything but 0 where one has.
    """

    crowd: Sequence[int]

    def holds(self, packed: bytes) -> bool:
        """Return whether it is banned."""

    def remainder(self, packed: bytes) -> int:
        """Return its place in the crowd."""


Access = Callable[[bytes, int, int], int]
"""From a packed address, a listener's id and the monotonic time to 0, or the outcome that refuses."""

NO_ADDRESS = bytes(16)
"""What `pack_ip` returns for the client of a Unix socket."""

NOBODY: Sequence[int] = b"\0"
"""The crowd of a node that bans nobody."""


class Regular(NamedTuple):
    """
    What is remembered of a client that bans and access rules have let in; read by place, since each connection pays.

    Args:
        remainder: Its place in the crowd.
        limited: Whether limits of an address are for it.
    """

    remainder: int
    limited: bool


class Door:
    """
    What one listener asks for.

    Args:
        share: What it may have; None for no limit.

    Attributes:
        regulars: Clients that came in by it, by packed address.
    """

    __slots__ = ("regulars", "share")

    def __init__(self, share: Share | None) -> None:
        self.share = share
        self.regulars: dict[bytes, Regular] = {}


class Entrance:
    """
    The first stage of one worker.

    Args:
        table: Where all workers count.

    Attributes:
        door: The slot of the listener, where the client that was admitted last holds a place of one; else 0.
        lease: The slot of the address that was admitted last, where it holds a place of one; else 0.
        why: More of why the last one was refused, for the log; empty where the reason says all.
    """

    __slots__ = (
        "_access", "_bans", "_connections", "_crowd", "_doors", "_exempt", "_passes", "_per_ip", "_plain", "_rate",
        "_regulars", "_side_door", "_span", "_window", "door", "lease", "table", "why",
    )  # fmt: skip

    def __init__(self, table: LimitTable) -> None:
        self.table = table
        self.door = self.lease = 0
        self.why = ""
        self._bans: Bans | None = None
        self._access: Access | None = None
        self._crowd = NOBODY
        self._connections = self._per_ip = self._window = 0
        self._passes, self._rate, self._span = table.terms(None)
        self._plain, self._exempt = True, Networks(())
        self._doors: dict[int, Door] = {}
        self._side_door, self._regulars = Door(None), KNOWN

    def equip(self, plan: WorkerPlan) -> None:
        """Ask what this plan says from the next connection on; what is counted stays."""
        limits = plan.limits
        self._connections, self._per_ip = plan.connections, limits.connections_per_ip
        self._passes, self._rate, self._span = self.table.terms(limits.rate_per_ip)
        self._window = limits.rate_per_ip.window if limits.rate_per_ip else 0
        self._plain = not (limits.rate_per_ip and limits.rate_per_ip.burst)
        self._exempt = Networks(limits.exempt)
        self.table.forget_plain()
        self._doors = {
            each.id: Door(None if each.limits is None else Share(self.table, LISTENER, each.name, each.limits))
            for each in plan.listeners
        }
        self._side_door = Door(None)  # of a listener that has gone from the plan, and empties its backlog
        self._regulars = KNOWN // max(1, len(self._doors))

    def ask(self, *, bans: Bans | None, access: Access | None) -> None:
        """Ask these from the next connection on."""
        self._bans, self._access = bans, access
        self._crowd = NOBODY if bans is None else bans.crowd
        self.forget()

    def forget(self) -> None:
        """Ask about everybody again: what bans of networks or access rules say may have changed."""
        self._side_door.regulars.clear()
        for door in self._doors.values():
            door.regulars.clear()

    def greet(self, listener: int, now: int) -> int:
        """Return 0 if a socket's peer may say for whom it comes, or the outcome that refuses it."""
        self.lease, self.why = 0, ""
        return self._enter(self._doors.get(listener, self._side_door).share, now)

    def admit(self, ip: bytes, host: str, listener: int, now: int, *, greeted: bool = False) -> int:
        """
        Return 0 if a client may come in, or the outcome that refuses it.

        Args:
            ip: 16 bytes of `pack_ip`; zeros for the client of a Unix socket.
            host: The same as text.
            listener: Id of the listener that it came to.
            now: Monotonic time; unit ns.
            greeted: Whether its peer has its places in the node and the listener already.
        """
        self.lease, self.why = 0, ""
        door = self._doors.get(listener, self._side_door)
        regular = door.regulars.get(ip)
        if regular is None or self._crowd[regular[0]]:
            if refused := self._examine(ip, listener, now):
                return refused
            regular = regular or self._remember(door, ip, host)
        if not greeted and (refused := self._enter(door.share, now)):
            return refused
        if regular[1] and (refused := self._take(ip, now)):
            if not greeted:
                self.leave(0, self.door)
                self.door = 0
            return refused
        return 0

    def leave(self, lease: int, door: int) -> None:
        """Give back a connection's place in the node, and those of its address and its listener if it has them."""
        words, column = self.table.words, self.table.column
        words[NODE + column] -= 1
        if lease:
            words[lease + column] -= 1
        if door:
            words[door + column] -= 1

    def _examine(self, ip: bytes, listener: int, now: int) -> int:
        """Return 0 if neither bans nor access rules keep a client out, or the outcome that refuses it."""
        if self._bans is not None and self._bans.holds(ip):
            return REFUSE_BAN
        return 0 if self._access is None else self._access(ip, listener, now)

    def _remember(self, door: Door, ip: bytes, host: str) -> Regular:
        limited = bool(self._per_ip or self._rate) and ip != NO_ADDRESS and host not in self._exempt
        remainder = 0 if self._bans is None else self._bans.remainder(ip)
        if len(door.regulars) >= self._regulars:
            door.regulars.clear()
        regular = door.regulars[ip] = Regular(remainder, limited)
        return regular

    def _enter(self, share: Share | None, now: int) -> int:
        """Take a place of the node, and of the listener where that has a limit."""
        self.door = 0
        table = self.table
        if not table.enter(NODE, self._connections):
            return REFUSE_GLOBAL
        if share is None:
            return 0
        if share.plain and (slot := table.take(share.key, share.connections, share.rate, now)):
            self.door = slot if share.connections else 0
            return 0
        refused = self._enter_by(share, now)
        if refused:
            table.leave(NODE)
        return refused

    def _enter_by(self, share: Share, now: int) -> int:
        """Take a place of a listener."""
        slot = share.slot(now)
        if not slot:
            return 0  # no room for it: better uncounted than refused
        if share.connections and not self.table.enter(slot, share.connections):
            self.why = f"{share.name} has {share.connections} connections"
            return REFUSE_GLOBAL
        if share.rate and not share.passes(slot, share.rate, share.span, now):
            if share.connections:
                self.table.leave(slot)
            self.why = share.had()
            return REFUSE_RATE
        if share.plain:
            self.table.make_plain(share.key, slot, share.rate, share.window, now)
        self.door = slot if share.connections else 0
        return 0

    def _take(self, ip: bytes, now: int) -> int:
        """Count one more connection of an address."""
        table = self.table
        if self._plain and (slot := table.take(ip, self._per_ip, self._rate, now)):
            self.lease = slot if self._per_ip else 0
            return 0
        slot = table.slot(ip, IP, self._window, now)
        if not slot:
            return 0  # as above
        if self._per_ip and not table.enter(slot, self._per_ip):
            return REFUSE_IP
        if self._rate and not self._passes(slot, self._rate, self._span, now):
            if self._per_ip:
                table.leave(slot)
            return REFUSE_RATE
        if self._plain:
            table.make_plain(ip, slot, self._rate, self._window, now)
        self.lease = slot if self._per_ip else 0
        return 0
