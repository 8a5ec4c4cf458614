"""An immutable picture of a node at one tick. Every reader of numbers sees one such object: all of them agree."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.metrics.audit import AuditView, sheet
from penstock.metrics.banned import BannedView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import Collection
from penstock.metrics.conditions import GONE, WELL, Condition
from penstock.metrics.endings import EndingsView
from penstock.metrics.fold import Trouble
from penstock.metrics.keys import Picture
from penstock.metrics.labels import KeySeries
from penstock.metrics.ledger import ROUTE_SHIFT, TARGET_SHIFT
from penstock.metrics.live import Live, number_of, rfc3339
from penstock.metrics.records import RecordsView
from penstock.metrics.registry import Count, Registry
from penstock.metrics.requests import RequestsView
from penstock.metrics.scopes import Scopes, TargetScope
from penstock.metrics.tracker import Series

_ENDS = [((who, phase), (who.name.lower(), phase.name.lower())) for who in EndedBy for phase in Phase]
"""Every outcome, and what it is called."""

Counts = Mapping[tuple[int, int], Count]
"""Totals by listener and route."""

State = Literal["starting", "serving", "draining"]


class NodeView(Struct, frozen=True, kw_only=True):
    """
    The node.

    Args:
        name: As configured.
        version: Of Penstock.
        started_at: RFC 3339, UTC.
        counts_since: When its totals were zero: in an earlier life, if they were kept; RFC 3339, UTC.
        uptime: Unit s.
        state: starting, serving or draining.
        pid: The supervisor's.
    """

    name: str
    version: str
    started_at: str
    counts_since: str
    uptime: float
    state: State
    pid: int


class WorkersView(Struct, frozen=True, kw_only=True):
    """
    The workers.

    Args:
        configured: How many there shall be; 0 for all in one process.
        alive: How many ledgers are being written.
        respawns: How often a dead one was replaced.
        accept_pauses: How often one paused accepting.
        pids: Processes of those that have begun.
    """

    configured: int
    alive: int
    respawns: int
    accept_pauses: int
    pids: tuple[int, ...]


class Throughput(Struct, frozen=True):
    """Bytes per second in the last tick."""

    bytes_in: float
    bytes_out: float


class Totals(Struct, frozen=True, kw_only=True):
    """Totals since counting began; `active` as of the tick. See `registry.Count`."""

    connections: int
    active: int
    bytes_in: int
    bytes_out: int
    target_rx: int
    target_tx: int
    requests: int


class ListenerView(Totals, frozen=True, kw_only=True):
    """Totals and throughput of a listener. See `scopes.ListenerScope`."""

    id: int
    name: str
    protocol: str
    address: str
    route: str
    throughput: Throughput


class RouteView(Totals, frozen=True, kw_only=True):
    """
    Totals and throughput of a route.

    Args:
        id: Its number in the ledger; 0 for connections that took none.
        name: As configured; `-` for none, and for one that is no more.
    """

    id: int
    name: str
    throughput: Throughput


class PairView(Totals, frozen=True, kw_only=True):
    """Totals of the connections of a listener that took one route; both by name, `-` as in `RouteView`."""

    listener: str
    route: str


class TargetView(Totals, frozen=True, kw_only=True):
    """
    Totals and throughput of the connections that a target served, and how it is. See `scopes.TargetScope`.

    Args:
        state, why, since, weight: See `conditions.Condition`.
        checks: How many had which result: `passed`, `failed`.
        ejections: How often failed dials have taken it out.
    """

    id: int
    route: str
    address: str
    throughput: Throughput
    state: str
    why: str
    since: str
    weight: float
    checks: dict[str, int]
    ejections: int


def conditioned(view: TargetView, condition: Condition) -> TargetView:
    """Return the view of a target that is like this now."""
    return replace(view, **_condition(condition))


def _condition(now: Condition) -> dict[str, Any]:
    return {
        "state": now.state,
        "why": now.why,
        "since": now.since,
        "weight": now.weight,
        "checks": {"passed": now.passed, "failed": now.failed},
        "ejections": now.ejections,
    }


class AuthView(Struct, frozen=True):
    """
    Logins since the start, right and wrong; what is no attempt and what is one is said in docs/words.md.

    Args:
        success, failure: So many.
        users_file_errors: How often a users file could not be read since this process began.
    """

    success: int
    failure: int
    users_file_errors: int = 0


class OutcomeCount(Struct, frozen=True):
    """How many connections ended this way."""

    ended_by: str
    phase: str
    count: int


class EndedView(Struct, frozen=True, kw_only=True):
    """
    A connection that was refused or went wrong, for the log.

    Args:
        id: The number that it had while it was open.
        client: `ip:port`, or `-`.
        listener: Name of the listener.
        target: `host:port` of the configured target; empty where there is none.
        destination: What the client asked for; empty for unknown.
        user: Who it was; empty for unknown.
        ended_by: Who ended it.
        phase: In which phase.
        close_reason: The published word for that.
        reason: Why it was refused; empty where nothing was refused.
        detail: One line; empty for none.
        duration: From accept to end; unit s. 0 where a worker died with it.
    """

    id: int
    client: str
    listener: str
    target: str
    destination: str
    user: str
    ended_by: str
    phase: str
    close_reason: str
    reason: str
    detail: str
    duration: float


class Snapshot(Struct, frozen=True, kw_only=True):
    """
    A node at one tick.

    Args:
        node, workers, totals, throughput, listeners, routes, targets: As their types say.
        pairs: Every listener with every route that it has or had.
        outcomes: Every pair of who and phase, those that never happened included.
        auth: Logins.
        refused: Every reason, those that never were one included.
        taken_at: RFC 3339, UTC.
        live: The open connections.
        series: What the node, listeners, routes and targets did, by the second.
        kinds: The same of client addresses, users and destinations: `client`, `user`, `destination`; without those that
            are switched off.
        evictions: Keys of each kind that lost their place to others.
        labelled: Series of each kind that has labels.
        endings: What ended connections measured.
        banned: How many are banned.
        requests: Requests that are over, by status, and how long they took.
        audit: Whether all ways to add up agree.
        records: The newest ended connections.
        collection: Which parts are on; what is off shows nothing.
        certificates: Those that listeners serve, as they were when one of them last changed.
        troubles: Connections that ended badly since the last tick; at most `fold.TROUBLES`.
    """

    node: NodeView
    workers: WorkersView
    totals: Totals
    throughput: Throughput
    listeners: tuple[ListenerView, ...]
    routes: tuple[RouteView, ...]
    pairs: tuple[PairView, ...]
    targets: tuple[TargetView, ...]
    outcomes: tuple[OutcomeCount, ...]
    refused: Mapping[str, int]
    auth: AuthView
    taken_at: str
    live: Live
    scopes: Scopes
    series: Series
    kinds: Mapping[str, Picture]
    evictions: Mapping[str, int]
    labelled: Mapping[str, Sequence[KeySeries]]
    endings: EndingsView
    banned: BannedView
    requests: RequestsView
    audit: AuditView
    records: RecordsView
    collection: Collection
    certificates: tuple[CertificateView, ...] = ()
    troubles: tuple[EndedView, ...] = ()

    def stats(self) -> dict[str, Any]:
        """Return what `GET /api/v1/stats` answers: all but the single connections."""
        return {name: getattr(self, name) for name in _STATS}


_STATS = (
    "node", "workers", "totals", "throughput", "listeners", "routes", "targets", "outcomes", "refused", "taken_at"
)  # fmt: skip


class Usage(Struct, frozen=True, kw_only=True):
    """
    Resources of the supervisor and its workers together.

    Args:
        cpu_seconds: User and system time, of dead workers too; never goes back.
        resident_bytes: Resident memory, shared pages counted in each process.
        virtual_bytes: Virtual memory.
        open_fds: Open descriptors.
        max_fds: Descriptors that they may open.
        started_at: Start of the supervisor; unit s since the epoch.
    """

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    open_fds: int
    max_fds: int
    started_at: float


def picture(
    registry: Registry,
    *,
    node: NodeView,
    pids: Iterable[int],
    live: Live,
    wall_ns: int,
    troubles: tuple[EndedView, ...] = (),
) -> Snapshot:
    """
    Return the snapshot of what a registry holds.

    Args:
        registry: Ticked just now.
        node: Who it is and how it is.
        pids: One of each ledger that is written; 0 for a worker that has not begun.
        live: Its open connections.
        wall_ns: Time since the epoch; unit ns.
        troubles: Some of what went wrong since the last tick.
    """
    pids, whole, counts = tuple(pids), registry.listeners.whole(), registry.pairs.counts()
    return Snapshot(
        node=node,
        workers=WorkersView(
            configured=registry.plan.workers,
            alive=len(pids),
            respawns=registry.respawns,
            accept_pauses=registry.pauses,
            pids=tuple(pid for pid in pids if pid),
        ),
        totals=Totals(**_totals(whole)),
        throughput=Throughput(whole.rate_in, whole.rate_out),
        listeners=_listeners(registry),
        routes=tuple(_routes(registry, counts)),
        pairs=tuple(_pairs(registry, counts)),
        targets=_targets(registry),
        outcomes=tuple([OutcomeCount(*names, registry.outcomes[pair]) for pair, names in _ENDS]),
        auth=AuthView(registry.logins, registry.failed_logins, registry.users_file_errors),
        refused={str(reason): registry.refused[reason] for reason in Reason},
        taken_at=rfc3339(wall_ns),
        live=live,
        scopes=registry.scopes,
        series=registry.trackers.series(),
        kinds=registry.kinds.pictures(),
        evictions=registry.kinds.evictions(),
        labelled=registry.kinds.labelled(),
        banned=registry.banned,
        endings=registry.endings.view(),
        requests=registry.requests.view(),
        audit=sheet(registry.audited, registry.witnessed, rfc3339(wall_ns)),
        collection=registry.collection,
        records=registry.records.view(wall_ns),
        certificates=registry.certificates,
        troubles=troubles,
    )


def switched(snapshot: Snapshot, registry: Registry) -> Snapshot:
    """Return a snapshot without what was just switched off: between two ticks, too, nothing old is shown as new."""
    return replace(
        snapshot,
        series=registry.trackers.series(),
        kinds=registry.kinds.pictures(),
        endings=registry.endings.view(),
        collection=registry.collection,
    )


def _listeners(registry: Registry) -> tuple[ListenerView, ...]:
    scopes, gone = registry.scopes.listeners, registry.scopes.gone.listeners
    return tuple(
        ListenerView(
            id=scope.id,
            name=scope.name,
            protocol=scope.protocol,
            address=scope.address,
            route=scope.route,
            throughput=Throughput(count.rate_in, count.rate_out),
            **_totals(count),
        )
        for scope, count in zip(scopes.values(), registry.listeners.every(scopes), strict=True)
        if count.active or scope.id not in gone
    )


def _routes(registry: Registry, counts: Counts) -> Iterator[RouteView]:
    active: Counter[int] = Counter()
    for (_, route), count in counts.items():
        active[route] += count.active
    gone = registry.scopes.gone.routes
    numbers = [each for each in registry.scopes.routes | active if active[each] or each not in gone]
    for number, count in zip(numbers, registry.routes.every(numbers), strict=True):
        scope = registry.scopes.route_of(number << ROUTE_SHIFT)
        yield RouteView(
            id=number,
            name=scope.name,
            throughput=Throughput(count.rate_in, count.rate_out),
            **_totals(count._replace(active=active[number])),
        )


def _pairs(registry: Registry, counts: Counts) -> Iterator[PairView]:
    for (listener, route), count in counts.items():
        if not (count.active or registry.scopes.serves(listener, route)):
            continue
        scope = listener | route << ROUTE_SHIFT
        name = registry.scopes.of(scope)[0].name
        yield PairView(listener=name, route=registry.scopes.route_of(scope).name, **_totals(count))


def _targets(registry: Registry) -> tuple[TargetView, ...]:
    scopes, gone, now = registry.scopes.targets, registry.scopes.gone.targets, registry.conditions
    return tuple(
        _target(scope, count, GONE if scope.id in gone else now.get(scope.id, WELL))
        for scope, count in zip(scopes.values(), registry.targets.every(scopes), strict=True)
        if count.active or scope.id not in gone
    )


def _target(scope: TargetScope, count: Count, now: Condition) -> TargetView:
    """There are many of them each second: with names written out this takes half as long as with `_totals`."""
    return TargetView(
        id=scope.id,
        route=scope.route,
        address=scope.address,
        throughput=Throughput(count.rate_in, count.rate_out),
        connections=count.connections,
        active=count.active,
        bytes_in=count.bytes_in,
        bytes_out=count.bytes_out,
        target_rx=count.target_rx,
        target_tx=count.target_tx,
        requests=count.requests,
        state=now.state,
        why=now.why,
        since=now.since,
        weight=now.weight,
        checks={"passed": now.passed, "failed": now.failed},
        ejections=now.ejections,
    )


def _totals(count: Count) -> dict[str, Any]:
    return {
        "connections": count.connections,
        "active": count.active,
        "bytes_in": count.bytes_in,
        "bytes_out": count.bytes_out,
        "target_rx": count.target_rx,
        "target_tx": count.target_tx,
        "requests": count.requests,
    }


def ended_view(trouble: Trouble, generation: int, scopes: Scopes) -> EndedView:
    """Return the published form of a connection that went wrong."""
    listener, target = scopes.of(trouble.listener | trouble.target << TARGET_SHIFT)
    return EndedView(
        id=number_of(generation, trouble.serial),
        client=trouble.client,
        listener=listener.name,
        target=target.address,
        destination=trouble.texts.destination,
        user=trouble.texts.user,
        ended_by=trouble.outcome.ended_by.name.lower(),
        phase=trouble.outcome.phase.name.lower(),
        close_reason=trouble.outcome.close_reason,
        reason=str(trouble.outcome.reason or ""),
        detail=trouble.texts.detail,
        duration=trouble.age_ns / NS,
    )
