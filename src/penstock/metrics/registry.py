"""
Totals since counting began: of the node, by listener, by route and by target.

They are made of growth, so they outlive the workers that counted. A total only grows; a rate is the growth between the
last two ticks over the time that really passed, and is zero again when traffic stops.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import NodePlan
from penstock.metrics.audit import AuditLine, Books, KernelView, Sums, by_quantity, compare
from penstock.metrics.banned import BannedView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import begin, changes, switched
from penstock.metrics.conditions import Condition
from penstock.metrics.endings import Endings
from penstock.metrics.growth import BYTES_IN, BYTES_OUT, COLUMNS, Growth, Numbers
from penstock.metrics.kinds import Kinds
from penstock.metrics.minutes import Minutes
from penstock.metrics.pairs import Pairs
from penstock.metrics.quotas import QuotasView
from penstock.metrics.records import Records
from penstock.metrics.requests import Requests
from penstock.metrics.scopes import Scopes
from penstock.metrics.totals import Names, SavedTotals
from penstock.metrics.tracker import Trackers
from penstock.metrics.wording import LOST

SHORTEST_NS = NS // 2
"""A tick that comes sooner after the last one, as at the order to drain, is no sample of its own."""


class Count(NamedTuple):
    """
    Totals of one scope.

    Args:
        connections: Accepted so far.
        active: Open at the last tick.
        bytes_in, bytes_out: Client to proxy, proxy to client.
        target_rx, target_tx: Target to proxy, proxy to target.
        requests: HTTP exchanges and SOCKS commands.
        rate_in, rate_out: Growth of bytes_in and bytes_out in the last tick; unit bytes/s.
    """

    connections: int
    active: int
    bytes_in: int
    bytes_out: int
    target_rx: int
    target_tx: int
    requests: int
    rate_in: float
    rate_out: float


_NOTHING = Count(0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)


class Table:
    """Totals and rates of every scope of one kind, by id."""

    def __init__(self) -> None:
        self._totals: Numbers = np.zeros((COLUMNS, 1), np.int64)
        self._sealed: Numbers = self._totals.copy()
        self._rates: NDArray[np.floating] = np.zeros((COLUMNS, 1))

    def add(self, growth: Numbers) -> None:
        """Add growth; shape (COLUMNS, any number of ids), each >= 0."""
        missing = growth.shape[1] - self._totals.shape[1]
        if missing > 0:
            self._totals = np.pad(self._totals, ((0, 0), (0, missing)))
        self._totals[:, : growth.shape[1]] += growth

    @property
    def numbers(self) -> Numbers:
        """Return the totals; shape (COLUMNS, ids)."""
        return self._totals

    def carry(self, numbers: Numbers) -> None:
        """Add what was counted before this start: it is no growth of any tick; shape (COLUMNS, any number of ids)."""
        self.add(numbers)
        self._sealed = np.pad(self._sealed, ((0, 0), (0, self._totals.shape[1] - self._sealed.shape[1])))
        self._sealed[:, : numbers.shape[1]] += numbers

    def seal(self, elapsed_ns: int) -> Numbers:
        """End a tick that lasted so long, unit ns, above 0; returns what grew in it, shape (COLUMNS, ids)."""
        growth: Numbers = self._totals.copy()
        growth[:, : self._sealed.shape[1]] -= self._sealed
        self._rates = growth * (NS / elapsed_ns)
        self._sealed = self._totals.copy()
        return growth

    def of(self, scope: int) -> Count:
        """Return the totals of one id; zeros for one that was never seen."""
        seen = scope < self._totals.shape[1]
        rated = scope < self._rates.shape[1]
        return _count(
            self._totals[:, scope].tolist() if seen else [0] * COLUMNS,
            self._rates[:, scope].tolist() if rated else [0.0] * COLUMNS,
        )

    def every(self, scopes: Iterable[int]) -> list[Count]:
        """Return the totals of many ids, as `of` does one by one, in a tenth of its time."""
        opened, closed, *others = self._totals
        rates = np.zeros((2, self._totals.shape[1]))
        rates[:, : self._rates.shape[1]] = self._rates[BYTES_IN : BYTES_OUT + 1]
        columns = (opened, opened - closed, *others, *rates)
        known = list(map(Count._make, zip(*(column.tolist() for column in columns), strict=True)))
        return [known[each] if each < len(known) else _NOTHING for each in scopes]

    def sums(self) -> Sums:
        """Return what all ids add up to."""
        return by_quantity(self._totals.sum(axis=1))

    def whole(self) -> Count:
        """Return the totals of all ids together, those that no plan names included."""
        return _count(self._totals.sum(axis=1).tolist(), self._rates.sum(axis=1).tolist())


class PairTable:
    """
    Totals by listener and route.

    Args:
        known: Pairs that are there from the start; others are once they count.

    Attributes:
        places: Where the totals of each pair are.
        table: The totals by place.
    """

    def __init__(self, known: Iterable[tuple[int, int]]) -> None:
        self.places = {pair: place for place, pair in enumerate(dict.fromkeys(known))}
        self.table = Table()
        self._active: dict[int, dict[tuple[int, int], int]] = {}

    def add(self, generation: int, pairs: Pairs) -> None:
        """Add what the fold of one worker, of this incarnation, returned."""
        ids = pairs.ids()
        places = [self.places.setdefault(pair, len(self.places)) for pair in ids]
        table = np.zeros((COLUMNS, len(self.places)), np.int64)
        table[:, places] = pairs.table
        self.table.add(table)
        self._active[generation] = dict(zip(ids, pairs.active.tolist(), strict=True))

    def meet(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Give places to pairs that have none yet."""
        for pair in pairs:
            self.places.setdefault(pair, len(self.places))

    def forget(self, generation: int) -> None:
        """Let go of a worker that is no more."""
        self._active.pop(generation, None)

    def counts(self) -> dict[tuple[int, int], Count]:
        """Return the totals of each pair; a connection is active where its row says that it is now. No rates."""
        active: Counter[tuple[int, int]] = Counter()
        for each in self._active.values():
            active.update(each)
        return {pair: self.table.of(place)._replace(active=active[pair]) for pair, place in self.places.items()}


def _count(totals: list[int], rates: list[float]) -> Count:
    opened, closed, bytes_in, bytes_out, target_rx, target_tx, requests = totals
    return Count(
        opened, opened - closed, bytes_in, bytes_out, target_rx, target_tx, requests, rates[BYTES_IN], rates[BYTES_OUT]
    )


class Registry:
    """
    All totals of a node.

    Args:
        plan: What the node serves; its listeners with the ports that they are bound to.
        now_ns: Monotonic time of the start; unit ns.

    Attributes:
        listeners: Totals by listener; all of them together are the node's.
        routes: Totals by route, 0 for none.
        pairs: Totals by listener and route.
        targets: Totals by target.
        trackers: Listeners, routes and targets second by second.
        kinds: The busiest client addresses, users and destinations.
        minutes: Minutes of clients and users, for who keeps them.
        endings: What ended connections measured.
        records: The newest ended connections, added by who folds.
        requests: Requests that are over, by status, and how long they took.
        books: The node's own total, which the audit compares with all others.
        collection: Which parts of all this are on; `switch` changes it.
        audited: What the audit found at the last tick.
        witnessed: What it found when it asked the kernel last; set by who asks.
        conditions: How targets are, by id; set by who knows.
        banned: How many are banned; set by who bans.
        quotas: What is had of months; set by who counts it.
        certificates: Those that listeners serve; the same.
        outcomes: Ended connections by who ended them and in which phase.
        refused: Refusals by reason.
        logins, failed_logins: Right and wrong ones.
        proxy_headers: Taken ones.
        users_file_errors: How often a users file could not be read; set by who reads them.
        pauses: How often a worker paused accepting.
        respawns: How often a dead worker was replaced.
        since_ns: When all of this was zero, on the wall clock; unit ns since the epoch, 0 for nobody knows.
    """

    def __init__(self, plan: NodePlan, now_ns: int) -> None:
        self.plan = plan
        self.scopes = Scopes(plan.worker.listeners, plan.worker.routes)
        self.listeners, self.routes, self.targets = Table(), Table(), Table()
        self.pairs = PairTable(self.scopes.pairs)
        self._names = Names(self.scopes, self.pairs.places)
        self.trackers, self.endings = Trackers(self.scopes, plan.metrics), Endings(self.scopes)
        self.requests = Requests(self.scopes)
        self.books, self.witnessed = Books(), KernelView()
        self.collection = begin(plan.metrics)
        self.trackers.switch(self.collection.series)
        self.kinds = Kinds(plan.metrics, self.scopes.targets, self.collection)
        self.minutes = Minutes()
        self.conditions: Mapping[int, Condition] = {}
        self.banned = BannedView()
        self.quotas = QuotasView()
        self.certificates: tuple[CertificateView, ...] = ()
        self.audited: tuple[AuditLine, ...] = self._audit()
        self.records = Records(plan.metrics.connection_records)
        self.records.wanted = self.collection.records
        self.outcomes: Counter[tuple[EndedBy, Phase]] = Counter()
        self.refused: Counter[Reason] = Counter()
        self.pauses = self.respawns = self.since_ns = self.logins = self.failed_logins = self.users_file_errors = 0
        self.proxy_headers = 0
        self._ticked_ns = now_ns

    def add(self, growth: Growth, generation: int = 0) -> None:
        """Add what the fold of one worker, of this incarnation, returned."""
        self.books.add(growth)
        if self.collection.percentiles:
            self.endings.add(growth)
        self.kinds.add(generation, growth)
        self.requests.add(growth.tallied, timed=self.collection.percentiles)
        self.listeners.add(growth.listeners)
        self.routes.add(growth.routes)
        self.pairs.add(generation, growth.pairs)
        self.targets.add(growth.targets)
        for outcome, count in growth.outcomes.items():
            self._end(outcome, count)
        if growth.overflows:  # closed unserved: no row was free, so nothing else tells of them
            self.refused[Reason.OVERLOAD] += growth.overflows
        self.refused.update(growth.turned_away)
        self.pauses += growth.pauses
        self.logins += growth.logins[0]
        self.failed_logins += growth.logins[1]
        self.proxy_headers += growth.proxy_headers

    def _end(self, outcome: Outcome, count: int) -> None:
        self.outcomes[outcome.ended_by, outcome.phase] += count
        if outcome.reason is not None:
            self.refused[outcome.reason] += count

    def tick(self, now_ns: int, wall_ns: int, *, last: bool = False) -> None:
        """
        End a tick: rates become those of the time since the last one.

        Args:
            now_ns: Monotonic time; unit ns. Sooner than `SHORTEST_NS` after the last tick nothing happens, and the
                growth counts for the next one.
            wall_ns: Time since the epoch; unit ns. It names the second of the sample and nothing else.
            last: Whether there is no next one: then a moment is a sample, too.
        """
        elapsed = now_ns - self._ticked_ns
        if elapsed < (1 if last else SHORTEST_NS):
            return
        at, covered = round(wall_ns / NS), elapsed / NS
        listeners, routes, targets = (table.seal(elapsed) for table in (self.listeners, self.routes, self.targets))
        self.trackers.push(listeners, routes, targets, at, covered)
        self.kinds.push(at, covered)
        self.minutes.tick(at, self.kinds)
        self._ticked_ns = now_ns
        self.audited = self._audit()

    def _audit(self) -> tuple[AuditLine, ...]:
        routes = self.routes.sums()
        sums = {
            "routes": {name: routes[name] for name in routes if name != "connections"},  # some have no route yet
            "listeners": self.listeners.sums(),
            "minutes": self.trackers.sums(),
        }
        sums |= {f"{name}s": tracker.sums() for name, tracker in self.kinds.trackers.items()}
        return compare(by_quantity(self.books.total), sums)

    def replan(self, plan: NodePlan) -> None:
        """
        Go on with another plan. Everything that was counted stays: what the plan no longer names is in the node's
        totals, and in views for as long as it has open connections.

        Args:
            plan: By the ids of this process: see `config.renumber`.
        """
        self.plan = plan
        self.scopes.replan(plan.worker.listeners, plan.worker.routes)
        self.pairs.meet(self.scopes.pairs)
        self._names.replan(self.scopes)
        self.trackers.replan(self.scopes)
        self.endings.replan()
        self.requests.replan()

    def switch(self, wanted: Mapping[str, bool]) -> dict[str, bool]:
        """
        Switch parts of the collection on or off, and return those that changed.

        Args:
            wanted: See `collection.switched`.

        Raises:
            CollectionError: If a part is unknown or has no room; nothing is switched then.
        """
        before = self.collection
        self.collection = switched(before, wanted, self.plan.metrics)
        changed = changes(before, self.collection)
        if "series" in changed:
            self.trackers.switch(self.collection.series)
        self.kinds.switch(self.collection, self.books.total)
        self.records.wanted = self.collection.records
        if "percentiles" in changed:
            self.endings = Endings(self.scopes)
            self.requests.forget_durations()
        return changed

    def export(self) -> SavedTotals:
        """Return all totals by name."""
        names = self._names
        return SavedTotals(
            node=tuple(self.books.total.tolist()),
            listeners=names.listeners.export(self.listeners.numbers),
            routes=names.routes.export(self.routes.numbers),
            targets=names.targets.export(self.targets.numbers),
            pairs=names.pairs.export(self.pairs.table.numbers),
            outcomes=tuple((who, phase, count) for (who, phase), count in self.outcomes.items()),
            refused=dict(self.refused),
            pauses=self.pauses,
            logins=(self.logins, self.failed_logins),
            proxy_headers=self.proxy_headers,
            respawns=self.respawns,
            since_ns=self.since_ns,
        )

    def restore(self, saved: SavedTotals, *, goes_on: bool = False) -> None:
        """
        Add totals of an earlier run. What they count of clients and minutes belongs to `other` and to no minute, until
        `kinds` and `trackers` are restored too.

        Args:
            saved: By name.
            goes_on: Whether its workers still run, and their ledgers are read on; else what was open is lost.

        Raises:
            SavedError: If they are beyond belief; nothing is added then.
        """
        found = self._names.restore(saved, goes_on=goes_on)
        self.books.total += found.node
        self.listeners.carry(found.listeners)
        self.routes.carry(found.routes)
        self.targets.carry(found.targets)
        self.pairs.table.carry(found.pairs)
        self.kinds.carry(found.node)
        self.trackers.carry(found.node)
        self.outcomes.update({(who, phase): count for who, phase, count in saved.outcomes})
        if found.lost:
            self._end(LOST, found.lost)
        self.refused.update(saved.refused)
        self.pauses += saved.pauses
        self.logins += saved.logins[0]
        self.failed_logins += saved.logins[1]
        self.proxy_headers += saved.proxy_headers
        self.since_ns = min(filter(None, (saved.since_ns, self.since_ns)), default=0)
        self.respawns += saved.respawns
        self.audited = self._audit()

    def detach(self, generation: int) -> None:
        """A worker's ledger was read for the last time."""
        self.kinds.forget(generation)
        self.pairs.forget(generation)

    def respawned(self) -> None:
        """A dead worker was replaced."""
        self.respawns += 1
