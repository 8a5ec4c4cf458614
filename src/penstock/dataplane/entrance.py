"""
The entrance: who may come in, asked once for each accepted connection before anything of it is read.

Steps, cheapest and hardest first: ban, access, connections of the node, connections and rate of the listener,
connections of the address, rate of the address. Each answers 0, or the packed outcome that refuses (`REFUSE_*`); the
first refusal ends it.

Seams, for who adds a step:
- `admit` is the whole first stage: one call a connection, microseconds. It is given the packed address (16 bytes, IPv4
  mapped), the same as text, and the time. What a step needs is made when the plan comes (`equip`) or remembered in a
  bounded dict; a step makes no tuples, no text and no system calls.
- `bans` is what tells whether an address is banned: a callable of the packed address.
- `access` is what tells whether client, listener and time may: a callable of (packed address, listener id, time).
- Both are None where there is nothing to ask; whoever sets them may set others between two turns of the reactor.
- `greet` counts a socket's peer in the node where a PROXY header of a trusted one is to come, which speaks for others;
  `admit_client` follows once the client is known. `admit` is both at once, for whoever is a client itself.
- What a connection holds is in its `lease` (address) and `places` (listener, route, user), and given back once, by
  `Connection.end`, on every path. Steps that hold nothing (bans, access, rates) have nothing to give back.
- What is asked once route and user are known is the second stage: dataplane/shares.py.

A client that is refused holds nothing when `admit` or `admit_client` returns, but for the place in the node that
`greet` gave it.
"""

from collections.abc import Callable

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import WorkerPlan
from penstock.dataplane.limit_table import IP, KNOWN, LISTENER, NODE, LimitTable
from penstock.dataplane.shares import Share
from penstock.policy.networks import Networks

REFUSE_BAN, REFUSE_ACCESS, REFUSE_GLOBAL, REFUSE_IP, REFUSE_RATE = (
    Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason).pack()
    for reason in (Reason.BAN, Reason.ACCESS, Reason.GLOBAL_LIMIT, Reason.IP_LIMIT, Reason.RATE_LIMIT)
)

Bans = Callable[[bytes], bool]
"""From a packed address to whether it is banned."""

Access = Callable[[bytes, int, int], int]
"""From a packed address, a listener's id and the monotonic time to 0, or the outcome that refuses."""

NO_ADDRESS = bytes(16)
"""What `pack_ip` returns for the client of a Unix socket."""


class Entrance:
    """
    The first stage of one worker.

    Args:
        table: Where all workers count.

    Attributes:
        bans, access: Steps of others; None where there is nothing to ask.
        door: The slot of the listener, where the client that was admitted last holds a place of one; else 0.
        lease: The slot of the address that was admitted last, where it holds a place of one; else 0.
        why: More of why the last one was refused, for the log; empty where the reason says all.
    """

    __slots__ = (
        "_connections", "_doors", "_exempt", "_limited", "_passes", "_per_ip", "_rate", "_span", "_window", "access",
        "bans", "door", "lease", "table", "why",
    )  # fmt: skip

    def __init__(self, table: LimitTable) -> None:
        self.table = table
        self.bans: Bans | None = None
        self.access: Access | None = None
        self.door = self.lease = 0
        self.why = ""
        self._doors: dict[int, Share] = {}
        self._connections = self._per_ip = self._window = 0
        self._passes, self._rate, self._span = table.terms(None)
        self._exempt = Networks(())
        self._limited: dict[bytes, bool] = {}

    def equip(self, plan: WorkerPlan) -> None:
        """Ask what this plan says from the next connection on; what is counted stays."""
        limits = plan.limits
        self._connections, self._per_ip = plan.connections, limits.connections_per_ip
        self._passes, self._rate, self._span = self.table.terms(limits.rate_per_ip)
        self._window = limits.rate_per_ip.window if limits.rate_per_ip else 0
        self._exempt, self._limited = Networks(limits.exempt), {}
        self._doors = {
            each.id: Share(self.table, LISTENER, each.name, each.limits)
            for each in plan.listeners
            if each.limits is not None
        }

    def greet(self, listener: int, now: int) -> int:
        """Return 0 if a socket's peer may say for whom it comes, or the outcome that refuses it."""
        self.lease, self.why = 0, ""
        return self._enter(listener, now)

    def admit(self, ip: bytes, host: str, listener: int, now: int) -> int:
        """
        Return 0 if a client may come in, or the outcome that refuses it.

        Args:
            ip: 16 bytes of `pack_ip`; zeros for the client of a Unix socket.
            host: The same as text.
            listener: Id of the listener that it came to.
            now: Monotonic time; unit ns.
        """
        self.lease, self.why = 0, ""
        if self.bans is not None and self.bans(ip):
            return REFUSE_BAN
        if self.access is not None and (refused := self.access(ip, listener, now)):
            return refused
        if self._doors:
            if refused := self._enter(listener, now):
                return refused
        else:
            self.door = 0
            if not self.table.enter(NODE, self._connections):
                return REFUSE_GLOBAL
        limited = self._limited.get(ip)
        if limited is None:
            limited = self._look(ip, host)
        if limited and (refused := self._take(ip, now)):
            self.table.leave(NODE)
            if self.door:
                self.table.leave(self.door)
                self.door = 0
            return refused
        return 0

    def admit_client(self, ip: bytes, host: str, listener: int, now: int) -> int:
        """Return what `admit` does, for a client whose peer has a place in the node already."""
        self.lease, self.why = 0, ""
        if self.bans is not None and self.bans(ip):
            return REFUSE_BAN
        if self.access is not None and (refused := self.access(ip, listener, now)):
            return refused
        limited = self._limited.get(ip)
        if limited is None:
            limited = self._look(ip, host)
        return self._take(ip, now) if limited else 0

    def _enter(self, listener: int, now: int) -> int:
        """Take a place of the node, and of the listener where that has a limit."""
        self.door = 0
        if not self.table.enter(NODE, self._connections):
            return REFUSE_GLOBAL
        if not self._doors or (share := self._doors.get(listener)) is None:
            return 0
        slot = share.slot(now)
        if slot and share.connections:
            if not self.table.enter(slot, share.connections):
                self.table.leave(NODE)
                self.why = f"{share.name} has {share.connections} connections"
                return REFUSE_GLOBAL
            self.door = slot
        if slot and share.rate and not share.passes(slot, share.rate, share.span, now):
            self.leave(self.door)
            self.door, self.why = 0, share.had()
            return REFUSE_RATE
        return 0

    def leave(self, lease: int) -> None:
        """Give back a connection's place in the node, and that of its address if it has a lease of one."""
        words, column = self.table.words, self.table.column
        words[NODE + column] -= 1
        if lease:
            words[lease + column] -= 1

    def _look(self, ip: bytes, host: str) -> bool:
        """Return whether the limits of an address are for this one, and remember it."""
        limited = bool(self._per_ip or self._rate) and ip != NO_ADDRESS and host not in self._exempt
        if len(self._limited) >= KNOWN:
            self._limited.clear()
        self._limited[ip] = limited
        return limited

    def _take(self, ip: bytes, now: int) -> int:
        """Count one more connection of an address."""
        table = self.table
        slot = table.slot(ip, IP, self._window, now)
        if not slot:
            return 0  # no room for it: better uncounted than refused
        if self._per_ip:
            if not table.enter(slot, self._per_ip):
                return REFUSE_IP
            self.lease = slot
        if self._rate and not self._passes(slot, self._rate, self._span, now):
            if self.lease:
                table.leave(slot)
                self.lease = 0
            return REFUSE_RATE
        return 0
