"""The supervisor's side of the limit table: it is made here, a dead worker's columns are emptied, and it is read."""

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from penstock.base.addresses import unpack_ip
from penstock.config.limit_plan import BandwidthPlan, LimitPlan, RatePlan
from penstock.config.plan import WorkerPlan
from penstock.config.units import serialize_bandwidth, serialize_rate, serialize_size
from penstock.dataplane import limit_table
from penstock.dataplane.limit_table import (
    COLUMNS,
    COUNT_BITS,
    COUNT_MASK,
    DRAWN,
    GLOBAL,
    HEADER_WORDS,
    IP,
    KIND,
    LISTENER,
    NODE,
    ORIGIN,
    PAID,
    ROUTE,
    TAG_MASK,
    TAG_SHIFT,
    UNTRACKED,
    USER,
    LimitTable,
    Seats,
    slot_words,
)
from penstock.node.quotas import Quotas, QuotaView
from penstock.node.seating import SavedSeats, Seating
from penstock.policy.bandwidth import reach_of

Words = NDArray[np.int64]

TOP = 20
"""Addresses that are shown: those with the most open connections and the most used of their rate."""

PIECE_BYTES = 1_048_576
"""Of the table that are read at once; a pread of pages that nobody has written allocates none."""

USERS = 4_096
"""Users that are looked for, besides those that the configuration names; a microsecond each."""

EACH = "*"
"""Stands for each address or user that has no limit of its own."""


class LimitView(Struct, frozen=True, kw_only=True):
    """
    A limit, and how much of it is used.

    Args:
        scope: node, listener, ip, route or user.
        name: Whose; `*` for each that is not named.
        connections: Open at once that it may have; null for no limit.
        open: That it has now.
        rate: That it may have, such as `300/1m` or `300/1m burst 20`; null for no limit.
        used: Of the rate; of its burst where it has one.
        bandwidth: Of all its connections together, such as `10MiB/s`; null for no limit.
        bandwidth_per_connection: Of each; likewise.
        quota: Bytes that it may have in a month, such as `100GiB`; null for no limit.
        quota_used: Bytes of the present month.
        quota_resets: Day on which the next month begins, such as `2026-12-01`; empty without a quota.
        quota_left: Bytes until it is used up.
        bandwidth_used_in, bandwidth_used_out: Part of the burst that is used, 0 to 1, from clients and to them; at 1
            somebody waits. Null for no limit.
        full: The greatest part of any of these limits that is used, 0 to 1 and beyond.
        fullest: Which one that is: connections, rate, bandwidth or quota; empty while nothing is used.
    """

    scope: str
    name: str
    connections: int | None
    open: int
    rate: str | None
    used: int
    bandwidth: str | None = None
    bandwidth_per_connection: str | None = None
    quota: str | None = None
    quota_used: int = 0
    quota_resets: str = ""
    quota_left: int = 0
    bandwidth_used_in: float | None = None
    bandwidth_used_out: float | None = None
    full: float = 0.0
    fullest: str = ""


class LimitsView(Struct, frozen=True, kw_only=True):
    """
    All limits of a node.

    Args:
        limits: In force, addresses that use the most of theirs among them.
        addresses: How many addresses have a place in the table.
        untracked: Connections and requests that found no room in it, and were let in uncounted.
    """

    limits: tuple[LimitView, ...]
    addresses: int
    untracked: int


class Limits:
    """
    What all workers of a node count together.

    Args:
        workers: Processes that count in it; 0 for one thread.
        given: Descriptor of the table of a process that we succeed, owned from now on; None for no such process.
        saved: Whose columns it has.

    Attributes:
        fd: Descriptor of the table.
        anew: Why counts begin anew though there is a process that we succeed; empty if they do not.
        table: A view of it that only looks.
        quotas: What routes and users have had of their months; None for nobody has one.
    """

    def __init__(self, workers: int, given: int | None = None, saved: SavedSeats | None = None) -> None:
        self.anew, self._workers, self._dirty = "", max(1, workers), False
        if given is None or not self._take_over(given, saved):
            self.fd = limit_table.create(limit_table.columns_for(workers))
            self._seating = Seating(self._workers, limit_table.columns_for(workers))
        self.table = LimitTable(self.fd, self._seating.first)
        self._sum_up()
        self.quotas: Quotas | None = None
        self._map = mmap.mmap(self.fd, os.fstat(self.fd).st_size)
        words: Words = np.frombuffer(self._map, np.int64)
        self._header = words[:HEADER_WORDS]
        self._slots = words[HEADER_WORDS:].reshape(-1, slot_words(self.table.columns))
        if given is not None and not self.anew:
            self._empty(self._seating.own)

    def _take_over(self, given: int, saved: SavedSeats | None) -> bool:
        """Count in the table of the process that we succeed; returns whether that is possible."""
        columns = limit_table.columns_of(given)
        if saved is None or not columns:
            self.anew = "the old process has another kind of table"
        else:
            self.fd, self._seating = given, Seating(self._workers, columns, saved)
            if self._seating.first >= 0:
                return True
            self.anew = f"its table has no {self._workers} columns left: other processes drain"
        os.close(given)
        return False

    @property
    def seats(self) -> Seats:
        """Return what workers are given."""
        return self._seating.seats(self.fd)

    def saved(self, lives: Iterable[tuple[int, int]]) -> SavedSeats:
        """
        Return what a successor must know, and let all columns count from now on.

        Args:
            lives: Generation and number of each worker.
        """
        self._seating.widen()
        self._sum_up()
        self._empty(self._seating.idle)
        self._dirty = True
        own = {generation: self._seating.first + number for generation, number in lives}
        return SavedSeats(self._seating.first, self._workers, self._seating.elders | own)

    def follow(self, generations: Iterable[int]) -> None:
        """Know which workers of other processes still hold places."""
        if not self.anew:
            self._seating.follow({each: self._seating.elders.get(each, -1) for each in generations})

    def left(self, generation: int) -> None:
        """Give back what a worker of another process had open, which is no more: nobody else may have done that."""
        self._empty(self._seating.left(generation))

    def settle(self, plan: WorkerPlan, now: int) -> bool:
        """
        Sum our own columns alone again, as soon as no others have anything in them; returns whether that has come.

        Called at each tick while no upgrade is under way: one that failed leaves columns behind.
        """
        if self._dirty:
            self._dirty = False
            self._empty(self._seating.idle)
        if not self._seating.settle(plan, now):
            return False
        self._sum_up()
        return True

    def _sum_up(self) -> None:
        self.table.sum_up(*self.seats[2:])

    def forget(self, seat: int) -> None:
        """
        Give back what a dead worker had open; called before its seat has an heir.

        Its rates stay: what it let in has come in, and counts until its window is over.
        """
        self._empty([self._seating.first + seat])

    def _empty(self, columns: Iterable[int]) -> None:
        if not (wanted := list(columns)):
            return
        self._header[[GLOBAL + each for each in wanted]] = 0
        for first, slots in self._read():
            for column in wanted:
                held = first + np.flatnonzero(slots[:, COLUMNS + column])
                self._slots[held, COLUMNS + column] = 0

    @property
    def _held(self) -> slice:
        """Return the columns of open connections that are summed."""
        seats = self.seats
        return slice(COLUMNS + seats.first, COLUMNS + seats.first + (seats.columns or self.table.columns))

    def _read(self) -> Iterator[tuple[int, Words]]:
        """Yield copies of all slots in pieces, each with its place: a look through the map would fill its pages."""
        size, step = self._slots.strides[0], PIECE_BYTES // self._slots.strides[0]
        for first in range(0, len(self._slots), step):
            count = min(step, len(self._slots) - first)
            data = os.pread(self.fd, count * size, HEADER_WORDS * 8 + first * size)
            yield first, np.frombuffer(data, np.int64).reshape(count, -1)

    def view(self, plan: WorkerPlan, now: int, users: Iterable[str] = ()) -> LimitsView:
        """
        Return all limits that a plan has, and how much of each is used.

        Args:
            plan: What workers serve.
            now: Monotonic time; unit ns.
            users: Names that the plan does not know: of users files, the busiest first.
        """
        slots = np.concatenate([each[each[:, KIND] == IP] for _, each in self._read()])
        return LimitsView(
            limits=(*self._named(plan, now), *self._users(plan, users, now), *self._addresses(plan, slots, now)),
            addresses=len(slots),
            untracked=int(self._header[UNTRACKED : UNTRACKED + self.table.columns].sum()),
        )

    def _named(self, plan: WorkerPlan, now: int) -> Iterator[LimitView]:
        held = self.table.open_in(NODE)
        each = _bandwidth(plan.limits.bandwidth_per_connection)
        node = _view("node", "", plan.connections, held, None, 0)
        yield _filled(replace(node, bandwidth_per_connection=each))
        for listener in plan.listeners:
            if listener.limits is not None:
                yield self._one("listener", LISTENER, listener.name, listener.limits, now)
        routes = {each.name: each for each in (*(listener.route for listener in plan.listeners), *plan.routes)}
        for route in routes.values():
            if route.limits is not None:
                yield self._one("route", ROUTE, route.name, route.limits, now)

    def _users(self, plan: WorkerPlan, others: Iterable[str], now: int) -> Iterator[LimitView]:
        """Yield what each user may have, those that the plan names, and of the others those with the most in use."""
        routes = (*(each.route for each in plan.listeners), *plan.routes)
        named = {name for each in plan.listeners for name in each.users} | set(plan.limits.users)
        named |= {name for each in routes for name in each.users}
        if plan.limits.per_user != LimitPlan():
            yield self._planned("user", EACH, plan.limits.per_user)
        for name in sorted(named):
            share = plan.limits.users.get(name, plan.limits.per_user)
            if share != LimitPlan():
                yield self._one("user", USER, name, share, now)
        if plan.limits.per_user != LimitPlan():
            with_quota = () if self.quotas is None else self.quotas.users()
            looked = islice((each for each in dict.fromkeys((*others, *with_quota)) if each not in named), USERS)
            found = [self._one("user", USER, name, plan.limits.per_user, now) for name in looked]
            yield from sorted(found, key=lambda each: (-each.full, each.name))[:TOP]

    def _planned(self, scope: str, name: str, plan: LimitPlan) -> LimitView:
        view = _view(scope, name, plan.connections, 0, plan.rate, 0)
        return replace(
            view,
            bandwidth=_bandwidth(plan.bandwidth),
            bandwidth_per_connection=_bandwidth(plan.bandwidth_per_connection),
            quota=None if plan.quota is None else serialize_size(plan.quota.size),
        )

    def _one(self, scope: str, kind: int, name: str, plan: LimitPlan, now: int) -> LimitView:
        slot = self.table.look(self.table.key(kind, name))
        used = self.table.used_of(slot, plan.rate, now) if slot and plan.rate else 0
        held = self.table.open_in(slot) if slot else 0
        quota = None if self.quotas is None else self.quotas.view(kind, name)
        bandwidth = _in_force(plan, quota)
        paid = self.table.words[slot + PAID : slot + PAID + 2].tolist() if slot else [0, 0]
        up, down = _used_bandwidth(bandwidth, paid, now) if slot else _used_bandwidth(bandwidth, None, now)
        view = replace(
            self._planned(scope, name, plan),
            open=held,
            used=used,
            bandwidth=_bandwidth(bandwidth),
            bandwidth_used_in=up,
            bandwidth_used_out=down,
        )
        if quota is None:
            return _filled(view, plan.rate)
        left = max(0, quota.size - quota.used)
        view = replace(view, quota_used=quota.used, quota_resets=quota.resets, quota_left=left)
        return _filled(view, plan.rate, quota.size)

    def _addresses(self, plan: WorkerPlan, slots: Words, now: int) -> Iterator[LimitView]:
        most, rate = plan.limits.connections_per_ip, plan.limits.rate_per_ip
        bandwidth = _bandwidth(plan.limits.bandwidth_per_ip)
        if not most and rate is None and bandwidth is None:
            return
        yield replace(_view("ip", EACH, most, 0, rate, 0), bandwidth=bandwidth)
        held = slots[:, self._held].sum(axis=1)
        used = used_of(slots, self.table.columns, rate, now) if rate else np.zeros(len(slots), np.int64)
        share = np.maximum(held / (most or np.inf), used / (rate.most if rate else np.inf))
        shaped = plan.limits.bandwidth_per_ip
        if shaped is not None:
            reach = reach_of(shaped.rate, shaped.burst)
            behind = np.clip(now - slots[:, PAID : PAID + 2].max(axis=1), 0, reach)
            share = np.maximum(share, 1 - behind / reach)
        for place in np.argsort(-share, kind="stable")[:TOP]:
            if share[place] > 0:
                name = unpack_ip(slots[place, :2].tobytes())
                found = _view("ip", name, most, int(held[place]), rate, int(used[place]))
                up, down = _used_bandwidth(shaped, slots[place, PAID : PAID + 2].tolist(), now)
                found = replace(found, bandwidth=bandwidth, bandwidth_used_in=up, bandwidth_used_out=down)
                yield _filled(found, rate)

    def close(self) -> None:
        """Let go of the table; workers that still live keep theirs."""
        self.table.close()
        os.close(self.fd)


def used_of(slots: Words, columns: int, rate: RatePlan, now: int) -> Words:
    """Return what `LimitTable.used_of` does, of many slots."""
    if rate.burst:
        drawn: Words = np.maximum(-((now - rate.reach - slots[:, DRAWN]) // rate.cost), 0)
        return drawn
    window = rate.window
    elapsed = np.maximum(now - slots[:, ORIGIN], 0)
    number = elapsed // window
    rates = slots[:, COLUMNS + columns : COLUMNS + 2 * columns]
    late = ((number & TAG_MASK)[:, None] - (rates >> TAG_SHIFT)) & TAG_MASK
    here, before = rates & COUNT_MASK, rates >> COUNT_BITS & COUNT_MASK
    current = np.where(late == 0, here, 0).sum(axis=1)
    previous = (np.where(late == 0, before, 0) + np.where(late == 1, here, 0)).sum(axis=1)
    left = 1.0 - (elapsed - number * window) / window
    result: Words = current + (previous * left).astype(np.int64)
    return result


def _in_force(plan: LimitPlan, quota: QuotaView | None) -> BandwidthPlan | None:
    """Return the bandwidth that somebody has now: beyond a quota, what it leaves."""
    slow = None if plan.quota is None or quota is None or quota.used < quota.size else plan.quota.throttle
    if slow is None or (plan.bandwidth is not None and plan.bandwidth.rate <= slow.rate):
        return plan.bandwidth
    return slow


def _used_bandwidth(
    plan: BandwidthPlan | None, paid: Sequence[int] | None, now: int
) -> tuple[float, float] | tuple[None, None]:
    """Return which part of the burst of each direction is used."""
    if plan is None:
        return None, None
    reach = reach_of(plan.rate, plan.burst)
    up, down = (round(1 - min(max(now - each, 0), reach) / reach, 3) for each in paid or (now - reach, now - reach))
    return up, down


def _filled(view: LimitView, rate: RatePlan | None = None, quota: int = 0) -> LimitView:
    """Return a view that says how full the fullest of its limits is."""
    parts = {
        "connections": view.open / view.connections if view.connections else 0,
        "rate": view.used / rate.most if rate is not None else 0,
        "bandwidth": max(view.bandwidth_used_in or 0, view.bandwidth_used_out or 0),
        "quota": view.quota_used / quota if quota else 0,
    }
    fullest = max(parts, key=lambda name: parts[name])
    return replace(view, full=round(parts[fullest], 3), fullest=fullest if parts[fullest] else "")


def _bandwidth(plan: BandwidthPlan | None) -> str | None:
    return None if plan is None else serialize_bandwidth(plan.rate)


def _view(scope: str, name: str, most: int, held: int, rate: RatePlan | None, used: int) -> LimitView:
    text = None if rate is None else serialize_rate(rate.count, rate.window, rate.burst)
    return LimitView(scope=scope, name=name, connections=most or None, open=held, rate=text, used=used)
