"""
Quotas of a node: what routes and users have had of their month, counted from the ledgers, kept in the store.

Bytes are those between clients and the node, both ways. They are counted at each tick, exactly: what a connection moved
before its user was known counts for that user. Workers are told whose quota is used up, within a tick.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.base.clock import NS, Clock
from penstock.config.limit_plan import LimitPlan, QuotaPlan
from penstock.config.plan import WorkerPlan
from penstock.config.units import serialize_size
from penstock.dataplane.limit_table import ROUTE, USER
from penstock.metrics.growth import BYTES_IN, BYTES_OUT, Numbers
from penstock.metrics.keyed import Part, Told
from penstock.metrics.quotas import QuotaFigures, QuotasView
from penstock.node.log import Log
from penstock.policy.quota import Used, month_of, next_month
from penstock.store.tables import Entry

KIND = "quota"
"""Of entries in the store."""

ACCOUNTS = 65_536
"""Routes and users that are counted at once, as many as the limit table has slots; who comes later has no quota."""

SCOPES = {ROUTE: "route", USER: "user"}

Who = tuple[int, str]
"""ROUTE or USER, and the name."""

NOT_SEEN, UNNAMED, OTHERS = 0, 1, 2
"""What stands for a row in place of an account: it was open before anybody looked, nobody is named yet, or somebody
without a quota."""

_DECODER = msgspec.json.Decoder(dict[str, int])
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class QuotaView(NamedTuple):
    """
    A quota, and how much of it is used.

    Args:
        size: Bytes of a month.
        used: Bytes of this month.
        month: Day on which it began.
        resets: Day on which the next one begins.
    """

    size: int
    used: int
    month: str
    resets: str


class Quotas:
    """
    The accounts of a node.

    Args:
        plan: Who has a quota.
        clock: Gives the time, and with it the month.
        log: Where it says whose quota is used up, and whose is new.

    Attributes:
        kinds: Of its entries in the store.
        spent: Whose quota is used up.
        version: Of `spent`; 0 for nobody's.
    """

    kinds: tuple[str, ...] = (KIND,)

    def __init__(self, plan: WorkerPlan, clock: Clock, log: Log) -> None:
        self._clock, self._log = clock, log
        self._used: dict[Who, Used] = {}
        self._changed: set[Who] = set()
        self._grown: set[Who] = set()
        self._months: dict[int, str] = {}
        self._places: dict[str, int] = {}
        self._names: list[str] = ["", "", ""]
        self._rows: dict[int, NDArray[np.int32]] = {}
        self.spent: tuple[Who, ...] = ()
        self.version = 0
        self.replan(plan)

    def replan(self, plan: WorkerPlan) -> None:
        """Go by another plan; what was used stays."""
        routes = (*(each.route for each in plan.listeners), *plan.routes)
        self._routes: dict[str, tuple[int, QuotaPlan]] = {
            each.name: (each.id, each.limits.quota)
            for each in routes
            if each.limits is not None and each.limits.quota is not None
        }
        self._per_user, self._users = plan.limits.per_user, plan.limits.users
        self._grown = set(self._used)
        self._places.clear()  # who had no quota may have one now
        self._names = ["", "", ""]
        self._rows = {generation: np.minimum(rows, OTHERS) for generation, rows in self._rows.items()}

    def __bool__(self) -> bool:
        return bool(self._routes) or self._has_users

    @property
    def _has_users(self) -> bool:
        plans: Iterable[LimitPlan] = (self._per_user, *self._users.values())
        return any(each.quota is not None for each in plans)

    def _quota(self, who: Who) -> QuotaPlan | None:
        kind, name = who
        if kind == ROUTE:
            return self._routes[name][1] if name in self._routes else None
        return self._users.get(name, self._per_user).quota

    # Counting --------------------------------------------------------------------------------------------------------

    def add(self, generation: int, part: Part, told: Told) -> None:
        """Add what the fold of one worker's ledger returned, of whose rows these say who their users are."""
        sums = part.growth.routes
        for name, (number, _) in self._routes.items():
            if number < sums.shape[1]:
                self._count((ROUTE, name), int(sums[BYTES_IN, number] + sums[BYTES_OUT, number]))
        if self._has_users:
            self._add_users(generation, part, told)

    def _add_users(self, generation: int, part: Part, told: Told) -> None:
        position = part.growth.rows.position
        rows = self._rows.get(generation, np.zeros(0, np.int32))
        if len(position) and (missing := int(position[-1]) + 1 - len(rows)) > 0:
            rows = np.pad(rows, (0, missing))
        places = rows[position]
        places[part.fresh] = UNNAMED
        before = places[told.rows]
        places[told.rows] = np.array([self._place(str(key)) for key in told.keys], np.int32)[told.each]
        late = told.rows[(before == UNNAMED) & (places[told.rows] > UNNAMED)]
        volume: Numbers = part.volume.copy()
        volume[late] = part.growth.now[late, 0] + part.growth.now[late, 1]
        rows[position] = places
        self._rows[generation] = rows
        theirs = np.flatnonzero((places > OTHERS) & (volume > 0))
        sums = np.zeros(len(self._names), np.int64)
        np.add.at(sums, places[theirs], volume[theirs])
        for place in np.flatnonzero(sums).tolist():
            self._count((USER, self._names[place]), int(sums[place]))

    def _place(self, user: str) -> int:
        """Return what stands for a user in rows."""
        place = self._places.get(user)
        if place is None:
            place = UNNAMED if not user else OTHERS
            if user and self._quota((USER, user)) is not None and len(self._names) < ACCOUNTS:
                place = len(self._names)
                self._names.append(user)
            if len(self._places) < 2 * ACCOUNTS:
                self._places[user] = place
        return place

    def _count(self, who: Who, count: int) -> None:
        quota = self._quota(who)
        if not count or quota is None:
            return
        used = self._used.get(who)
        if used is None:
            if len(self._used) >= ACCOUNTS:
                return
            used = self._used[who] = Used()
        used.add(self._month(quota), count)
        self._changed.add(who)
        self._grown.add(who)

    def forget(self, generation: int) -> None:
        """Let go of a worker that is no more."""
        self._rows.pop(generation, None)

    def _month(self, quota: QuotaPlan) -> str:
        """Return the present month of a quota; the same until the tick."""
        month = self._months.get(quota.reset_day)
        if month is None:
            month = self._months[quota.reset_day] = self._month_of(quota.reset_day)
        return month

    def _month_of(self, reset_day: int) -> str:
        return month_of(self._clock.wall_ns() // NS, reset_day)

    def _is_spent(self, who: Who) -> bool:
        quota = self._quota(who)
        return quota is not None and self._used[who].months.get(self._month(quota), 0) >= quota.size

    # What follows ----------------------------------------------------------------------------------------------------

    def tick(self, tell: Callable[[Sequence[Who], int], None]) -> None:
        """Find out whose quota is used up, and have workers told of it: of those that they do not know yet."""
        if not self and not self.spent:
            return
        days = {each: self._month_of(each) for each in self._months}
        again = self._used if days != self._months else self._grown  # a new month, or a clock that was set
        self._months, self._grown = days, set()
        spent = {who for who in self.spent if who not in again} | {who for who in again if self._is_spent(who)}
        if (now := tuple(sorted(spent))) != self.spent:
            self._say(set(now) - set(self.spent), set(self.spent) - set(now))
            self.spent, self.version = now, self.version + 1
        tell(self.spent, self.version)

    def _say(self, over: Iterable[Who], new: Iterable[Who]) -> None:
        for kind, name in sorted(over):
            quota = self._quota((kind, name))
            assert quota is not None  # noqa: S101 - it was found to be used up
            resets = next_month(self._month(quota))
            self._log.warning("quota used up", **{SCOPES[kind]: name}, quota=serialize_size(quota.size), resets=resets)
        for kind, name in sorted(new):
            self._log.info("quota open again", **{SCOPES[kind]: name})

    def view(self, kind: int, name: str) -> QuotaView | None:
        """Return the quota of a route or user; None if it has none."""
        quota = self._quota((kind, name))
        if quota is None:
            return None
        month, used = self._month_of(quota.reset_day), self._used.get((kind, name))
        had = 0 if used is None else used.months.get(month, 0)
        return QuotaView(quota.size, had, month, next_month(month))

    def figures(self, users: Iterable[str]) -> QuotasView:
        """Return what is published: all routes that have a quota, and these users, if they have one."""
        routes = tuple(self._figures((ROUTE, name), quota) for name, (_, quota) in self._routes.items())
        plans = ((name, self._quota((USER, name))) for name in users) if self._has_users else ()
        theirs = tuple(self._figures((USER, name), quota) for name, quota in plans if quota is not None)
        spent = sum(1 for kind, _ in self.spent if kind == ROUTE)
        return QuotasView(routes, theirs, spent, len(self.spent) - spent)

    def _figures(self, who: Who, quota: QuotaPlan) -> QuotaFigures:
        used = self._used.get(who)
        return QuotaFigures(who[1], quota.size, 0 if used is None else used.months.get(self._month(quota), 0))

    def users(self) -> list[str]:
        """Return users that have had something of a quota."""
        return [name for kind, name in self._used if kind == USER and self._quota((kind, name)) is not None]

    # What is kept ----------------------------------------------------------------------------------------------------

    def take(self, *, everything: bool = False) -> dict[tuple[str, str], str | None]:
        """Return what is to be written, by kind and key; everything, if what was given out was lost."""
        changed, self._changed = set(self._used) if everything else self._changed, set()
        return {
            (KIND, f"{SCOPES[who[0]]} {who[1]}"): msgspec.json.encode(self._used[who].months).decode()
            for who in changed
        }

    def restore(self, kept: Mapping[str, Sequence[Entry]]) -> list[str]:
        """Take what an earlier run has left, by kind; returns a line for each that is not what was once written."""
        faults = []
        kinds = {scope: kind for kind, scope in SCOPES.items()}
        for entry in kept.get(KIND, ()):
            scope, _, name = entry.key.partition(" ")
            try:
                months = _DECODER.decode(entry.body)
            except msgspec.MsgspecError as error:
                faults.append(f"quota of {entry.key[:64]!r}: {error}")
                continue
            if scope not in kinds or not all(_MONTH.fullmatch(month) and used >= 0 for month, used in months.items()):
                faults.append(f"quota of {entry.key[:64]!r}: not what was written")
                continue
            used = self._used.setdefault((kinds[scope], name), Used())
            self._grown.add((kinds[scope], name))
            for month, count in months.items():
                used.add(month, count)
        return faults
