"""How a snapshot is made: what the registry holds, with the names that the plan gives to its numbers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.metrics.audit import sheet
from penstock.metrics.conditions import GONE, WELL, Condition
from penstock.metrics.growth import Trouble
from penstock.metrics.ledger import ROUTE_SHIFT, TARGET_SHIFT
from penstock.metrics.live import Live, number_of, rfc3339
from penstock.metrics.registry import Count, Registry
from penstock.metrics.scopes import Scopes, TargetScope
from penstock.metrics.snapshot import (
    AuthView,
    EndedView,
    ListenerView,
    NodeView,
    OutcomeCount,
    PairView,
    RouteView,
    Snapshot,
    TargetView,
    Throughput,
    Totals,
    WorkersView,
)

_ENDS = [((who, phase), (who.name.lower(), phase.name.lower())) for who in EndedBy for phase in Phase]
"""Every outcome, and what it is called."""

Counts = Mapping[tuple[int, int], Count]
"""Totals by listener and route."""


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
        proxy_headers=registry.proxy_headers,
        evictions=registry.kinds.evictions(),
        labelled=registry.kinds.labelled(),
        banned=registry.banned,
        endings=registry.endings.view(),
        requests=registry.requests.view(),
        audit=sheet(registry.audited, registry.witnessed, rfc3339(wall_ns)),
        collection=registry.collection,
        records=registry.records.view(wall_ns),
        certificates=registry.certificates,
        quotas=registry.quotas,
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
