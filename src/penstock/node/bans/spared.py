"""Whom nobody may ban at this node now: what is written down, what is around the machine, and who operates it."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from penstock.base.clock import Clock
from penstock.config.plan import NodePlan, RoutePlan
from penstock.node.bans.surroundings import look_around
from penstock.policy.protection import LOOPBACK, Guarded, Protection
from penstock.policy.ranges import address_number

ADMINS = 64
"""Addresses that operators came from, over TCP, that are remembered."""

ADMIN_NS = 3_600 * 10**9
"""For how long: an hour."""

AROUND_NS = 5 * 10**9
"""For how long the machine's own addresses, gateways and name servers are remembered."""

PROTECTED, TRUSTED = "in bans.protect", "a proxy that is trusted"
_WRITTEN = (PROTECTED, TRUSTED)
"""Why addresses are protected though loopback is not: somebody has written them down."""


class Spared:
    """
    Who is protected.

    Args:
        plan: Whom the configuration names.
        clock: Gives the time.
        look: Finds what is to be protected around this machine.

    Attributes:
        plan: The same; whoever reloads sets another one.
    """

    def __init__(self, plan: NodePlan, clock: Clock, look: Callable[[], list[Guarded]] = look_around) -> None:
        self.plan, self._clock, self._look = plan, clock, look
        self._admins: OrderedDict[str, int] = OrderedDict()
        self._names: tuple[Guarded, ...] = ()
        self._around: tuple[int, tuple[Guarded, ...]] | None = None

    def protection(self, asker: str = "", *, auto: bool = False) -> Protection:
        """
        Return who cannot be banned now.

        Args:
            asker: Address of the operator who asks; empty for none, or for one at the Unix socket.
            auto: Whether a detector asks: it lets those alone, too, whom limits let alone.
        """
        plan, now = self.plan, self._clock.monotonic_ns()
        guarded = [Guarded(each, PROTECTED) for each in plan.bans.protect]
        guarded += LOOPBACK if plan.bans.protect_loopback else ()
        guarded += [*self._nearby(), *self._of_plan(), *self._names]
        guarded += [
            Guarded(host, "an operator of this node") for host, at in self._admins.items() if now - at < ADMIN_NS
        ]
        guarded += [Guarded(asker, "the address that you come from")] if asker else []
        guarded += [Guarded(each, "in limits.exempt") for each in plan.worker.limits.exempt] if auto else []
        if not plan.bans.protect_loopback:
            guarded = [each for each in guarded if each.why in _WRITTEN or not _is_loopback(each)]
        return Protection(guarded)

    def _nearby(self) -> tuple[Guarded, ...]:
        """Return what is to be protected around this machine; looked up again after a while."""
        now = self._clock.monotonic_ns()
        if self._around is None or now - self._around[0] >= AROUND_NS:
            self._around = now, tuple(self._look())
        return self._around[1]

    def _of_plan(self) -> Iterator[Guarded]:
        for listener in self.plan.worker.listeners:
            yield Guarded(listener.host, "an address that this node listens on")
            yield from (Guarded(each, TRUSTED) for each in listener.trusted_proxies)
        for route in self._routes():
            yield from (Guarded(each.host, f"a target of route {route.name}") for each in route.targets)

    def _routes(self) -> Iterator[RoutePlan]:
        worker = self.plan.worker
        yield from (each.route for each in worker.listeners)
        yield from worker.routes

    def targets(self) -> list[str]:
        """Return the names of targets, whose addresses somebody else finds."""
        return sorted({each.host for route in self._routes() for each in route.targets})

    def resolved(self, addresses: Iterable[tuple[str, str]]) -> None:
        """Protect the addresses of targets: pairs of name and address."""
        self._names = tuple(Guarded(address, f"the target {name}") for name, address in addresses)

    def saw_admin(self, host: str) -> None:
        """Remember whom the admin door has let in over TCP."""
        self._admins[host] = self._clock.monotonic_ns()
        self._admins.move_to_end(host)
        if len(self._admins) > ADMINS:
            self._admins.popitem(last=False)


def _is_loopback(guarded: Guarded) -> bool:
    number = address_number(guarded.network)
    return number == 1 or number >> 24 == 0xFFFF_7F
