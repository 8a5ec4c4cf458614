"""
The entrance: who may come in, asked once for each accepted connection before anything of it is read.

Steps, cheapest and hardest first: ban, access, connections of the node, connections of the address, rate of the
address. Each answers 0, or the packed outcome that refuses (`REFUSE_*`); the first refusal ends it.

Seams, for who adds a step:
- `admit` is the whole first stage: one call a connection, microseconds. It is given the packed address (16 bytes, IPv4
  mapped), the same as text, and the time. What a step needs is made when the plan comes (`equip`) or remembered in a
  bounded dict; a step makes no tuples, no text and no system calls.
- `bans` is what tells whether an address is banned: a callable of the packed address.
- `access` is what tells whether client, listener and time may: a callable of (packed address, listener id, time).
- Both are None where there is nothing to ask; whoever sets them may set others between two turns of the reactor.
- `greet` is the part of it that is asked about a socket's peer where a PROXY header is to come, which may speak for
  others; `admit` follows once the client is known.
- What a connection holds is given back in `leave`, called by `Connection.end`, once, on every path.
"""

from collections.abc import Callable

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import WorkerPlan
from penstock.dataplane.limit_table import LimitTable

REFUSE_BAN, REFUSE_ACCESS, REFUSE_GLOBAL, REFUSE_IP, REFUSE_RATE = (
    Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason).pack()
    for reason in (Reason.BAN, Reason.ACCESS, Reason.GLOBAL_LIMIT, Reason.IP_LIMIT, Reason.RATE_LIMIT)
)

Bans = Callable[[bytes], bool]
"""From a packed address to whether it is banned."""

Access = Callable[[bytes, int, int], int]
"""From a packed address, a listener's id and the monotonic time to 0, or the outcome that refuses."""


class Entrance:
    """
    The first stage of one worker.

    Args:
        table: Where all workers count.

    Attributes:
        bans, access: Steps of others; None where there is nothing to ask.
        why: More of why the last one was refused, for the log; empty where the reason says all.
    """

    __slots__ = ("access", "bans", "table", "why")

    def __init__(self, table: LimitTable) -> None:
        self.table = table
        self.bans: Bans | None = None
        self.access: Access | None = None
        self.why = ""

    def equip(self, plan: WorkerPlan) -> None:
        """Ask what this plan says from the next connection on; what is counted stays."""

    def greet(self, ip: bytes, now: int) -> int:
        """Return 0 if a socket's peer may say for whom it comes, or the outcome that refuses it."""
        return 0

    def admit(self, ip: bytes, host: str, listener: int, now: int) -> int:
        """
        Return 0 if a client may come in, or the outcome that refuses it.

        Args:
            ip: 16 bytes of `pack_ip`; zeros for the client of a Unix socket.
            host: The same as text.
            listener: Id of the listener that it came to.
            now: Monotonic time; unit ns.
        """
        self.why = ""
        if self.bans is not None and self.bans(ip):
            return REFUSE_BAN
        return self.access(ip, listener, now) if self.access is not None else 0
