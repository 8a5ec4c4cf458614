"""Once a second: all ledgers become one snapshot."""

import os

import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase
from penstock.metrics.fold import TROUBLES
from penstock.metrics.parts import Kept, export, restore
from penstock.metrics.registry import Registry
from penstock.node.sampler import Sampler
from penstock.testing.pen import Pen
from penstock.testing.standin import PLAN, StandIn

FAILED = Outcome(EndedBy.TARGET, Phase.DIAL)


@pytest.fixture
def second(node):
    """A second worker, generation 2."""
    pen = Pen(rows=512)
    node.sampler.attach(2, pen.fd)
    yield pen
    pen.close()


def test_a_node_that_has_done_nothing_has_a_snapshot(node):
    """Before the first tick readers find a snapshot of zeros that says starting."""
    fresh = StandIn()
    assert fresh.snapshot().node.state == "starting"
    assert fresh.snapshot().totals.connections == 0
    fresh.close()


def test_workers_are_added_up(node, second):
    """Totals and throughput are those of all workers together, over the time that really passed."""
    for pen, moved in ((node.pen, 100), (second, 23)):
        pen.move(pen.open(listener=1), moved, 2 * moved)
    snapshot = node.tick(0.5)
    assert (snapshot.totals.connections, snapshot.totals.active, snapshot.totals.bytes_in) == (2, 2, 123)
    assert (snapshot.throughput.bytes_in, snapshot.throughput.bytes_out) == (246, 492)
    assert snapshot.listeners[0].throughput.bytes_in == 246
    assert node.tick(2).throughput.bytes_in == 0
    assert len(snapshot.live) == 2


def test_a_dead_worker_takes_nothing_along(node, second):
    """What a worker counted until it died is in the totals; its open connections have ended, its successor begins."""
    row = second.open(listener=2)
    second.move(row, 10)
    node.tick()
    second.move(row, 90)
    node.sampler.detach(2)
    node.sampler.registry.respawned()
    third = Pen()
    node.sampler.attach(3, third.fd)
    third.move(third.open(listener=2), 1)
    snapshot = node.tick()
    assert (snapshot.totals.connections, snapshot.totals.active, snapshot.totals.bytes_in) == (2, 1, 101)
    assert snapshot.throughput.bytes_in == 91
    assert (snapshot.workers.alive, snapshot.workers.respawns) == (2, 1)
    (lost,) = [o for o in snapshot.outcomes if o.ended_by == "internal" and o.phase == "relay"]
    assert lost.count == 1
    assert [trouble.id for trouble in snapshot.troubles] == [(2 << 32) + 1]
    third.close()


def test_readers_are_those_of_living_workers(node, second):
    """Whoever compares ledgers with something else gets each of them once, and none of a worker that is gone."""
    assert [reader.generation for reader in node.sampler.readers()] == [1, 2]
    node.sampler.detach(1)
    assert [reader.generation for reader in node.sampler.readers()] == [2]


def test_detaching_twice_or_what_is_not_there_is_nothing(node, second):
    """A worker's last reading happens once, whoever asks again."""
    second.open()
    for generation in (2, 2, 77):
        node.sampler.detach(generation)
    assert node.tick().totals.connections == 1


def test_a_generation_is_attached_once(node):
    """The same ledger under the same number would count twice, and is refused."""
    with pytest.raises(ValueError, match="generation 1"):
        node.sampler.attach(1, node.pen.fd)


def test_the_descriptor_may_be_closed_after_attaching(node):
    """The reader keeps the ledger by itself."""
    pen = Pen()
    copy = os.dup(pen.fd)
    node.sampler.attach(2, copy)
    os.close(copy)
    pen.open()
    assert node.tick().totals.connections == 1
    pen.close()


def test_troubles_are_told_once_and_bounded(node, second):
    """A tick tells at most a hundred troubles of all workers together, counts all, and the next one is silent."""
    for _ in range(60):
        node.pen.end(node.pen.open(), FAILED)
    for _ in range(120):
        second.end(second.open(), FAILED)
        second.end(second.open(), COMPLETE)
    snapshot = node.tick()
    assert (len(snapshot.troubles), node.sampler.troubled.counts.tolist()) == (TROUBLES, [TROUBLES + 80])
    snapshot = node.tick()
    assert (snapshot.troubles, node.sampler.troubled.counts.tolist()) == ((), [])


def test_the_node_says_who_and_how_it_is(node):
    """Name, state, start and uptime follow plan, supervisor and clock."""
    node.sampler.state = "draining"
    view = node.tick(2.5).node
    assert (view.name, view.state, view.uptime, view.pid) == ("edge-1", "draining", 2.5, os.getpid())
    assert view.started_at == view.counts_since == "2023-11-14T22:13:20.000Z"
    assert node.snapshot().taken_at == "2023-11-14T22:13:22.500Z"


def test_workers_that_have_not_begun_count_but_have_no_process(node):
    """A ledger whose worker is still loading is alive without a process number."""
    from penstock.metrics import ledger

    fd = ledger.create(4)
    node.sampler.attach(2, fd)
    os.close(fd)
    workers = node.tick().workers
    assert (workers.alive, workers.pids) == (2, (os.getpid(),))


def test_ages_are_those_of_the_tick(node):
    """A connection that opened while the tick was under way is not younger than nothing."""
    node.pen.open(now_ns=node.clock.monotonic_ns() + 5 * NS)
    assert node.tick().live.page().connections[0].age == 0


def test_switching_shows_at_once(node):
    """What is switched off shows nothing from the same moment on, before the next tick; what was held stays."""
    node.pen.move(node.pen.open(), 10)
    before = node.tick()
    order = {"series": False, "percentiles": False, "clients": False}
    assert node.sampler.switch(order) == order
    after = node.snapshot()
    assert ("client" in before.kinds, "client" in after.kinds) == (True, False)
    assert (before.series.rates("node", 1).bytes_in, after.series.rates("node", 1).covered) == (10, 0)
    assert (before.collection.series, after.collection.series) == (True, False)
    assert after.totals == before.totals


def test_records_pause_while_they_are_off(node):
    """Switched off, connections that end leave no record, and older records stay; switched on again, new ones come."""
    for order in ({}, {"records": False}, {"records": True}):
        node.sampler.switch(order)
        node.pen.end(node.pen.open())
        node.tick()
    numbers = node.snapshot().records.read()
    assert len(numbers) == 2
    assert node.snapshot().totals.connections == 3


def test_another_supervisor_reads_on(node):
    """Totals go on with open connections still open, and the same ledger is read to its end: each counts once."""
    rows = [node.pen.open(1), node.pen.open(2), node.pen.open(2)]
    for row in rows:
        node.pen.move(row, 10, 20)
    node.pen.end(rows[0])
    node.tick()
    node.pen.move(rows[1], 1, 2)  # nobody has read that yet
    (saved,), parts = node.sampler.export(), export(node.sampler.registry)
    heir = Sampler(node.clock, Registry(PLAN, node.clock.monotonic_ns()))
    assert restore(heir.registry, Kept(parts, goes_on=True)) == []
    heir.adopt(node.pen.fd, saved)
    with pytest.raises(ValueError, match="attached already"):
        heir.adopt(node.pen.fd, saved)
    totals = heir.tick().totals
    assert (totals.connections, totals.active, totals.bytes_in, totals.bytes_out) == (3, 2, 31, 62)
    node.pen.end(rows[1])
    heir.detach(1)
    node.clock.advance(1)
    snapshot = heir.tick()
    assert (snapshot.totals.connections, snapshot.totals.active, snapshot.totals.bytes_in) == (3, 0, 31)
    assert sum(each.count for each in snapshot.outcomes) == 3
    assert [line for line in snapshot.audit.lines if line.residual] == []


def test_a_ledger_of_another_layout_is_not_read_on(node):
    """Its numbers would be nonsense; and so would those of more rows than there are."""
    (saved,) = node.sampler.export()
    heir = Sampler(node.clock, Registry(PLAN, node.clock.monotonic_ns()))
    for wrong in (replace(saved, magic=1), replace(saved, state=bytes(8 * 10_000_000))):
        with pytest.raises(ValueError, match=r"layout|rows"):
            heir.adopt(node.pen.fd, wrong)
    assert heir.readers() == []
