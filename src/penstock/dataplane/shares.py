"""
The second stage: what a route and a user may have, asked once it is known who wants what, before anything is dialed.

A connection takes a place of its route and of its user at its first dial or request, and holds both to its end; one
that goes over to another route or user gives the places back. Each connection counts in the rate, and of HTTP each
request.
What is refused fails as a dial that is not allowed does, so each protocol has its word for it.
Source: docs/decisions/0015-limits.md.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock.base.clock import NS
from penstock.config.limit_plan import LimitPlan, LimitsPlan, RatePlan
from penstock.connection.commands import DialError, DialFailed
from penstock.dataplane.limit_table import ROUTE, USER, LimitTable
from penstock.dataplane.meters import SharedMeter
from penstock.dataplane.shaping import shape

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

USERS_KNOWN = 4_096
"""Users whose shares a worker has at hand; the others are made afresh."""

FULL = {ROUTE: DialError.ROUTE_FULL, USER: DialError.USER_FULL}
BUSY = {ROUTE: DialError.ROUTE_BUSY, USER: DialError.USER_BUSY}


class Share:
    """
    What one route, user or listener may have.

    Args:
        table: Where all workers count.
        kind: LISTENER, ROUTE or USER.
        name: Its name, which is its key in the table: so it keeps its counts when a plan changes.
        plan: How much.

    Attributes:
        passes: Counts one more of its rate at a slot, by `rate` and `span`; the table knows which terms these are.
        rate: 0 for no limit.
        plain: Whether its rate, if it has one, is one of windows.
        per_connection: The bandwidth of each of its connections; None for no limit.
        quota: The bytes of a month; likewise.
        shapes: Whether it has, or may get, a bandwidth.
    """

    __slots__ = (
        "_kind", "_meter", "_rate", "_slow", "connections", "key", "name", "passes", "per_connection", "plain", "quota",
        "rate", "shapes", "span", "table", "window",
    )  # fmt: skip

    def __init__(self, table: LimitTable, kind: int, name: str, plan: LimitPlan) -> None:
        self.table, self._kind, self.name = table, kind, name
        self.key = table.key(kind, name)
        self.connections = plan.connections
        self._rate, self.window = plan.rate, plan.rate.window if plan.rate else 0
        self.passes, self.rate, self.span = table.terms(plan.rate)
        self.plain = not (plan.rate and plan.rate.burst)
        self.per_connection = plan.bandwidth_per_connection
        self._meter = None if plan.bandwidth is None else SharedMeter(table, self.slot, plan.bandwidth)
        self.quota, self._slow = plan.quota, self._meter
        if plan.quota is not None and plan.quota.throttle is not None:
            slow = plan.quota.throttle
            if plan.bandwidth is None or slow.rate < plan.bandwidth.rate:
                self._slow = SharedMeter(table, self.slot, slow)
        self.shapes = self.per_connection is not None or self._slow is not None

    def slot(self, now: int) -> int:
        """Return where it is counted; 0 where the table has no room."""
        return self.table.slot(self.key, self._kind, self.window, now)

    @property
    def meter(self) -> SharedMeter | None:
        """Return the bandwidth of all its connections together, now; None for no limit."""
        return self._slow if self.spent else self._meter

    @property
    def spent(self) -> bool:
        """Return whether its quota is used up."""
        return self.quota is not None and self.key in self.table.spent

    @property
    def may_slow(self) -> bool:
        """Return whether its flows must be ready to be slowed down at any time."""
        return self.quota is not None and self.quota.throttle is not None

    @property
    def stopped(self) -> bool:
        """Return whether its quota is used up, and nothing is left."""
        return self.quota is not None and self.quota.throttle is None and self.key in self.table.spent

    def full(self) -> DialFailed:
        """Return what a connection hears that gets no place."""
        return DialFailed(FULL[self._kind], f"{self.name} has {self.connections} connections")

    def busy(self, now: int) -> DialFailed:
        """Return what a connection or request hears that comes too soon."""
        wait = self.table.wait_of(self.slot(now), self._rate, now) if self._rate else 0
        return DialFailed(BUSY[self._kind], self.had(), -(-wait // NS))

    def had(self) -> str:
        """Return what is said of one that comes too soon."""
        rate = self._rate or RatePlan(count=0, window=0)
        at_once = f"{rate.burst} at once, and has " if rate.burst else ""
        return f"{self.name} has had {at_once}{rate.count} in {rate.window // NS} s"

    def take_back(self, slot: int) -> None:
        """Take back what this worker has counted last in its rate, in the same turn of its reactor."""
        if self._rate is not None and self._rate.burst:
            self.table.put_back(slot, self._rate.cost)
        else:
            self.table.uncount(slot)


class UserShares:
    """
    What users may have.

    Args:
        table: Where all workers count.
        plan: For each user, and for some by name.
    """

    __slots__ = ("_known", "_named", "_plan", "_table")

    def __init__(self, table: LimitTable, plan: LimitsPlan) -> None:
        self._table, self._plan = table, plan.per_user
        self._named: Mapping[str, LimitPlan] = plan.users
        self._known: dict[str, Share | None] = {}

    def __bool__(self) -> bool:
        return self._plan != LimitPlan() or bool(self._named)

    def of(self, user: str) -> Share | None:
        """Return the share of a user; None where nothing limits it."""
        if user in self._known:
            return self._known[user]
        plan = self._named.get(user, self._plan)
        if len(self._known) >= USERS_KNOWN:
            self._known.clear()
        share = self._known[user] = None if plan == LimitPlan() else Share(self._table, USER, user, plan)
        return share


class Places:
    """
    The places that one connection holds in its route and of its user.

    Attributes:
        route, user: Whose place it holds, or asked for last; None for nobody's.
    """

    __slots__ = ("_route_slot", "_user_slot", "route", "user")

    def __init__(self) -> None:
        self._route_slot = self._user_slot = 0
        self.route: Share | None = None
        self.user: Share | None = None

    def give_back(self, table: LimitTable) -> None:
        """Give all of them back."""
        for slot in (self._route_slot, self._user_slot):
            if slot:
                table.leave(slot)

    def turn_to_route(self, share: Share | None, now: int) -> bool:
        """Hold a place of this route, and of no other; returns whether there was one."""
        self._route_slot, self.route = _turn(self._route_slot, self.route, share, now)
        return self.route is share

    def turn_to_user(self, share: Share | None, now: int) -> bool:
        """Hold a place of this user, and of no other; returns whether there was one."""
        self._user_slot, self.user = _turn(self._user_slot, self.user, share, now)
        return self.user is share


def _turn(slot: int, held: Share | None, share: Share | None, now: int) -> tuple[int, Share | None]:
    """Give a place back and take another; returns its slot, 0 where none is needed or counted, and whose it is."""
    if slot and held is not None:
        held.table.leave(slot)
    if share is None or not share.connections:
        return 0, share
    slot = share.slot(now)
    return (slot, share) if not slot or share.table.enter(slot, share.connections) else (0, None)


def refuse(connection: "Connection") -> DialFailed | None:
    """
    Let a connection, or a request of it, have what it needs of its route and its user.

    Returns:
        Why it may not; None if it may. Asked where its route is `limited`, or where it holds a place.
    """
    places, now = connection.places, connection.worker.reactor.now
    if places is None:
        places = connection.places = Places()
    route = connection.route
    share, user = route.share, None
    if route.users and connection.described is not None and connection.described.user:
        user = route.users.of(connection.described.user)
    for each in (share, user):
        if each is not None and each.quota is not None and each.stopped:
            return DialFailed(DialError.SPENT, f"the quota of {each.name}")
    if places.route is not share and not places.turn_to_route(share, now):
        assert share is not None  # noqa: S101 - there is always a place for nobody
        return share.full()
    if places.user is not user and not places.turn_to_user(user, now):
        assert user is not None  # noqa: S101 - likewise
        return user.full()
    failed = _count(share, user, now)
    if failed is None and (
        route.shaped
        or (share is not None and share.shapes)
        or (user is not None and user.shapes)
        or connection.shaped is not None
    ):
        shape(connection, share, user)
    return failed


def _count(share: Share | None, user: Share | None, now: int) -> DialFailed | None:
    """Count in the rates; one that is refused by the second does not count in the first."""
    slot = share.slot(now) if share is not None and share.rate else 0
    if share is not None and slot and not share.passes(slot, share.rate, share.span, now):
        return share.busy(now)
    mine = user.slot(now) if user is not None and user.rate else 0
    if user is None or not mine or user.passes(mine, user.rate, user.span, now):
        return None
    if share is not None and slot:
        share.take_back(slot)
    return user.busy(now)
