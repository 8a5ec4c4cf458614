"""Totals that only grow, and rates that return to zero."""

import numpy as np
import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import MetricsPlan, RoutePlan, TargetPlan
from penstock.metrics.collection import CollectionError
from penstock.metrics.fold import LedgerReader
from penstock.metrics.growth import COLUMNS
from penstock.metrics.registry import Registry, Table
from penstock.testing.pen import Pen
from penstock.testing.standin import PLAN


@pytest.fixture
def pen():
    """A worker's ledger."""
    pen = Pen()
    yield pen
    pen.close()


def growth(scope, *numbers):
    """Return a table of growth with these numbers for one scope."""
    table = np.zeros((COLUMNS, scope + 1), np.int64)
    table[: len(numbers), scope] = numbers
    return table


def test_totals_add_up_by_scope_and_together():
    """A scope has its own sum; the whole is the sum of all, those that no plan names included."""
    table = Table()
    table.add(growth(2, 3, 1, 100, 200, 300, 400, 5))
    table.add(growth(700, 1, 0, 1))
    table.add(growth(2, 0, 1, 11))
    assert table.of(2)[:7] == (3, 1, 111, 200, 300, 400, 5)
    assert table.whole()[:7] == (4, 2, 112, 200, 300, 400, 5)
    assert table.of(65_535)[:7] == (0,) * 7


def test_totals_are_plain_integers():
    """Totals leave as Python's integers, exact beyond 2**53."""
    table = Table()
    table.add(growth(1, 0, 0, 2**60 + 1))
    table.add(growth(1, 0, 0, 2**60))
    assert table.of(1).bytes_in == 2**61 + 1
    assert all(type(number) is int for number in table.whole()[:7])


def test_rates_are_growth_over_the_time_that_passed():
    """A rate divides by the real length of its tick, and is zero after a tick without traffic."""
    registry = Registry(PLAN, now_ns=10 * NS)
    registry.listeners.add(growth(1, 1, 0, 3_000, 600))
    registry.tick(10 * NS + NS // 2, 0)
    count = registry.listeners.of(1)
    assert (count.rate_in, count.rate_out) == (6_000, 1_200)
    registry.listeners.add(growth(2, 1, 0, 50))
    registry.tick(12 * NS + NS // 2, 2 * NS)
    assert registry.listeners.of(1).rate_in == 0
    assert registry.listeners.whole().rate_in == 25


def test_a_tick_without_time_loses_nothing():
    """At the same time as the last tick nothing is divided by zero, and the growth counts for the next one."""
    registry = Registry(PLAN, now_ns=NS)
    registry.listeners.add(growth(1, 1, 0, 500))
    for now in (NS, NS - 5):
        registry.tick(now, NS)
        assert registry.listeners.of(1).rate_in == 0
    registry.tick(2 * NS, 2 * NS)
    assert registry.listeners.of(1).rate_in == 500


def test_ends_refusals_and_pauses_are_counted(pen):
    """Each end counts once under who and phase, each refusal under its reason, those without a row too."""
    registry, reader = Registry(PLAN, 0), LedgerReader(pen.fd, 1)
    for outcome in (COMPLETE, COMPLETE, Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)):
        pen.end(pen.open(), outcome)
    pen.ledger.words[5] += 1
    while pen.open():
        pass
    pen.ledger.turn_away(Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH).pack())
    registry.add(reader.fold())
    assert registry.outcomes == {(EndedBy.COMPLETE, Phase.DONE): 2, (EndedBy.PROXY, Phase.NEGOTIATE): 1}
    assert registry.refused == {Reason.AUTH: 2, Reason.OVERLOAD: 1}
    assert registry.pauses == 1
    registry.respawned()
    assert registry.respawns == 1


def test_totals_outlive_workers(pen):
    """What a dead worker counted stays, and its successor's numbers come on top."""
    registry = Registry(PLAN, 0)
    for generation in (1, 2, 3):
        worker = Pen()
        worker.move(worker.open(), 1_000)
        registry.add(LedgerReader(worker.fd, generation).fold(dead=True))
        worker.close()
    count = registry.listeners.of(1)
    assert (count.connections, count.active, count.bytes_in) == (3, 0, 3_000)


def test_routes_are_counted_beside_listeners(pen):
    """A listener's connections count for the routes that they take; who has none yet is active under no route."""
    registry, reader = Registry(PLAN, 0), LedgerReader(pen.fd, 1)
    for route, amount in ((1, 10), (2, 200), (0, 3_000)):
        pen.move(pen.open(listener=1, route=route), amount)
    registry.add(reader.fold(), generation=1)
    counts = registry.pairs.counts()
    assert {pair: (count.connections, count.active, count.bytes_in) for pair, count in counts.items()} == {
        (1, 1): (1, 1, 10), (1, 2): (1, 1, 200), (1, 0): (0, 1, 3_000), (2, 2): (0, 0, 0),
    }  # fmt: skip
    assert [registry.routes.of(route).bytes_in for route in range(3)] == [3_000, 10, 200]
    assert registry.routes.whole().bytes_in == registry.listeners.whole().bytes_in == 3_210
    registry.add(reader.fold(dead=True), generation=1)
    registry.detach(1)
    counts = registry.pairs.counts()
    assert {pair: (count.connections, count.active) for pair, count in counts.items()} == {
        (1, 1): (1, 0), (1, 2): (1, 0), (1, 0): (1, 0), (2, 2): (0, 0),
    }  # fmt: skip


def fed(registry, pen, reader, second, row, moved):
    """One tick: bytes move, are folded and sealed."""
    pen.move(row, moved)
    registry.add(reader.fold(), 1)
    registry.tick(second * NS, second * NS)


@pytest.mark.parametrize("parts", [["series"], ["percentiles"], ["series", "percentiles"], ["all"]])
def test_parts_are_switched_while_totals_and_audit_stay_exact(pen, parts):
    """Whatever is switched off and on again while bytes move: totals go on, and no way to add up differs."""
    registry, reader = Registry(PLAN, 0), LedgerReader(pen.fd, 1)
    row = pen.open(listener=1)
    fed(registry, pen, reader, 1, row, 100)
    assert registry.switch(dict.fromkeys(parts, False))
    fed(registry, pen, reader, 2, row, 30)
    assert registry.trackers.series().rates("node", 60).covered == (0 if parts != ["percentiles"] else 2)
    pen.end(row)
    registry.add(reader.fold(), 1)
    measured = registry.endings.view().percentiles.connection_duration.count
    assert measured == (1 if parts == ["series"] else 0)
    registry.switch(dict.fromkeys(parts, True))
    registry.tick(4 * NS, 4 * NS)
    assert registry.listeners.whole().bytes_in == 130
    assert [line for line in registry.audited if line.residual] == []


def test_an_order_that_cannot_be_switches_nothing():
    """A part without room is refused, and so is all that was asked for with it."""
    registry = Registry(replace(PLAN, metrics=MetricsPlan(clients=0)), 0)
    with pytest.raises(CollectionError, match=r"metrics\.clients is 0"):
        registry.switch({"series": False, "clients": True})
    assert registry.collection.series
    assert registry.switch({"series": True}) == {}


def test_a_node_that_collects_nothing_still_counts(pen):
    """With enabled = false there are totals, and no windows and no percentiles."""
    registry, reader = Registry(replace(PLAN, metrics=MetricsPlan(enabled=False)), 0), LedgerReader(pen.fd, 1)
    row = pen.open(listener=1)
    fed(registry, pen, reader, 1, row, 100)
    assert registry.listeners.whole().bytes_in == 100
    assert registry.trackers.series().rates("node", 1).covered == 0


def test_many_scopes_are_told_as_each_is():
    """Totals of many ids at once are those of each, of ids that were never seen and that came after the tick too."""
    table = Table()
    table.add(growth(2, 5, 1, 100, 200))
    table.seal(NS // 2)
    table.add(growth(4, 1, 0, 7))
    assert table.every(range(7)) == [table.of(scope) for scope in range(7)]
    assert table.every([2])[0].rate_in == 200
    assert Table().every([0, 3]) == [Table().of(0), Table().of(3)]


MOVED = RoutePlan(id=3, name="moved", targets=(TargetPlan(id=3, host="192.0.2.30", port=80),))
OTHER = replace(PLAN, worker=replace(PLAN.worker, listeners=(replace(PLAN.worker.listeners[0], route=MOVED),)))


def test_another_plan_loses_nothing(pen):
    """Through a reload the node's totals and the audit stay exact, and old names go on."""
    registry, reader = Registry(PLAN, now_ns=0), LedgerReader(pen.fd, 1)
    first, second = pen.open(listener=1, route=1), pen.open(listener=2, route=2)
    pen.aim(first, 1, 1)
    pen.move(first, 10, 20)
    registry.add(reader.fold())
    registry.tick(NS, NS)
    registry.replan(OTHER)
    pen.move(first, 1, 2)
    pen.move(second, 5)
    fresh = pen.open(listener=1, route=3)
    pen.aim(fresh, 1, 3)
    pen.move(fresh, 100)
    registry.add(reader.fold())
    registry.tick(2 * NS, 2 * NS)
    assert registry.listeners.whole()[:4] == (3, 3, 116, 22)
    assert registry.routes.of(3).bytes_in == 100
    assert not [line for line in registry.audited if line.residual]
    assert "listener:egress" not in registry.trackers.series().slots
    assert registry.trackers.series().rates("route:moved", 1).bytes_in == 100
    assert registry.trackers.series().rates("listener:web", 2).bytes_in == (10 + 101) / 2
    registry.replan(PLAN)
    assert registry.routes.of(1).bytes_in == 11
    registry.tick(3 * NS, 3 * NS)
    assert not [line for line in registry.audited if line.residual]
