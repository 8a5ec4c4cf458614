"""The self-audit: all ways to add up agree, and a fault in any of them is found, to the byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.metrics.audit import BYTES, DIMENSIONS, AuditLine, Books, KernelView, compare, sheet
from penstock.metrics.fold import LedgerReader
from penstock.metrics.growth import BYTES_IN, CLOSED, COLUMNS, OPENED
from penstock.metrics.keys import C_IN, FIRST, OTHER
from penstock.metrics.registry import Registry
from penstock.testing.pen import Pen
from penstock.testing.standin import PLAN, StandIn
from penstock.testing.steps import steps


@pytest.fixture
def node():
    """A node with two listeners, which take two routes, and a worker."""
    node = StandIn()
    yield node
    node.close()


def traffic(node, seconds=130):
    """Move bytes of both listeners and several clients for longer than two minutes; rows open, end and are reused."""
    rows = []
    for second in range(seconds):
        client = (f"192.0.2.{second % 7}", 4_000 + second)
        rows.append(node.pen.open(listener=1 + second % 2, client=client))
        for row in rows:
            node.pen.move(row, 1_000 + second, 3 * second + 1, 5, 7, second % 3)
        if len(rows) > 5:
            node.pen.end(rows.pop(0))
        node.tick()
        node.pen.ledger.collect()
    return node.snapshot().audit


def residuals(audit):
    """Return what is not 0."""
    return {(line.dimension, line.quantity): line.residual for line in audit.lines if line.residual}


def test_every_way_adds_up_to_the_total(node):
    """After two minutes of traffic each dimension has all of its quantities, and no residual is left."""
    audit = traffic(node)
    totals = node.snapshot().totals
    assert audit.exact
    assert residuals(audit) == {}
    assert audit.residual_bytes == dict.fromkeys(DIMENSIONS, 0)
    found = {(line.dimension, line.quantity): (line.total, line.sum) for line in audit.lines}
    for dimension in ("listeners", "clients", "minutes"):
        assert found[dimension, "bytes_in"] == (totals.bytes_in,) * 2
        assert found[dimension, "bytes_out"] == (totals.bytes_out,) * 2
        assert found[dimension, "connections"] == (130, 130)
    assert found["minutes", "requests"] == found["listeners", "requests"] == (totals.requests,) * 2
    assert totals.bytes_in > 130_000


def test_a_fresh_node_shows_every_dimension_at_zero(node):
    """Before anything moved all residuals are there, and 0."""
    assert node.snapshot().audit.residual_bytes == dict.fromkeys(DIMENSIONS, 0)
    assert node.snapshot().audit.exact


def lose_a_listener(registry):
    """Lose what the second listener counted."""
    registry.listeners._totals[:, 2] = registry.listeners._sealed[:, 2] = 0  # and no tracker is told


def lose_a_client(registry):
    """Forget the numbers of one address."""
    registry.kinds.trackers["client"]._totals[:, FIRST] = 0


def move_a_client_to_nowhere(registry):
    """Vacate a place and do not add it to `other`."""
    registry.kinds.trackers["client"]._totals[:, OTHER] -= 1


def lose_a_minute(registry):
    """Seal a minute without adding it."""
    registry.trackers._sealed[:] = 0


def count_the_open_minute_twice(registry):
    """Seal the open minute and leave it open."""
    registry.trackers._sealed += registry.trackers._growth


FAULTS = {
    lose_a_listener: "listeners",
    lose_a_client: "clients",
    move_a_client_to_nowhere: "clients",
    lose_a_minute: "minutes",
    count_the_open_minute_twice: "minutes",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_where_it_is(node, fault):
    """What one dimension loses or counts twice is its residual, and nobody else's."""
    traffic(node)
    fault(node.sampler.registry)
    audit = node.tick().audit
    assert not audit.exact
    assert {dimension for dimension, _ in residuals(audit)} == {FAULTS[fault]}
    assert audit.residual_bytes[FAULTS[fault]] > 0
    assert sum(audit.residual_bytes.values()) == audit.residual_bytes[FAULTS[fault]]


@settings(max_examples=50, deadline=None)
@given(
    off=st.integers(1, 2**40),
    sign=st.sampled_from([1, -1]),
    column=st.sampled_from(["bytes_in", "bytes_out"]),
    table=st.sampled_from(["listeners", "clients", "minutes"]),
)
def test_a_table_that_is_off_by_any_number_shows_that_number(off, sign, column, table):
    """A residual is the distance in bytes, whichever way it goes."""
    node = StandIn()
    try:
        node.pen.move(node.pen.open(), 2**41, 2**41)
        node.tick()
        registry = node.sampler.registry
        number = BYTES.index(column)
        if table == "listeners":
            registry.listeners._totals[BYTES_IN + number, 1] += sign * off
            registry.listeners._sealed[BYTES_IN + number, 1] += sign * off  # the tracker is not told
        elif table == "clients":
            registry.kinds.trackers["client"]._totals[C_IN + number, OTHER] += sign * off
        else:
            registry.trackers._growth[0, number] += sign * off
        assert residuals(node.tick().audit) == {(table, column): off}
    finally:
        node.close()


def test_a_fault_of_the_fold_is_found(node, monkeypatch):
    """A row that is left out when rows are grouped by listener shows: the total is not made of the groups."""
    honest = LedgerReader.fold

    def forgetful(reader, **how):
        growth = honest(reader, **how)
        growth.listeners[BYTES_IN, 1] -= 1
        return growth

    monkeypatch.setattr(LedgerReader, "fold", forgetful)
    node.pen.move(node.pen.open(), 10)
    audit = node.tick().audit
    assert residuals(audit) == {("listeners", "bytes_in"): 1, ("minutes", "bytes_in"): 1}


def test_a_dead_worker_leaves_no_residual(node):
    """What a worker had moved until it was killed is in every sum."""
    pen = Pen()
    node.sampler.attach(2, pen.fd)
    pen.move(pen.open(listener=2, client=("192.0.2.9", 1)), 10, 20)
    node.tick()
    pen.move(pen.open(listener=1, client=("192.0.2.8", 1)), 30, 40)
    node.sampler.detach(2)
    audit = node.tick().audit
    assert audit.exact
    assert {line.sum for line in audit.lines if line.quantity == "bytes_in"} == {40}
    pen.close()


def test_the_books_count_what_the_fold_read():
    """The own total has connections, ends and every byte of every row."""
    pen, books = Pen(), Books()
    reader = LedgerReader(pen.fd, 1)
    first, second = pen.open(), pen.open(listener=7)
    pen.move(first, 1, 2, 3, 4, 5)
    pen.move(second, 10, 20, 30, 40, 50)
    pen.end(second)
    books.add(reader.fold())
    pen.move(first, 100)
    books.add(reader.fold())
    assert books.total.tolist() == [2, 1, 111, 22, 33, 44, 55]
    assert len(books.total) == COLUMNS > OPENED + CLOSED
    pen.close()


def test_the_kernel_is_a_dimension(node):
    """What the kernel said last is part of every sheet, until it says something else."""
    line = AuditLine("kernel", "sockets", "bytes_in", 100, 93, 7)
    audit = sheet(compare({}, {}), KernelView(lines=(line,)), "now")
    assert (audit.exact, audit.residual_bytes["kernel"], audit.lines) == (False, 7, (line,))
    node.sampler.registry.witnessed = KernelView(lines=(line,))
    assert node.tick().audit.residual_bytes["kernel"] == 7
    node.sampler.registry.witnessed = KernelView()
    assert node.tick().audit.exact


def test_connections_make_a_sheet_inexact_and_no_bytes():
    """A connection that is missing is no byte, and no less a fault."""
    audit = sheet(compare({"connections": 5}, {"clients": {"connections": 4}}), KernelView(), "now")
    assert (audit.exact, audit.residual_bytes) == (False, dict.fromkeys(DIMENSIONS, 0))


def audited(count):
    """Return the steps that books and comparison take with so many rows that all moved."""
    pen = Pen(rows=count)
    words = np.frombuffer(pen.ledger._map, np.uint64)
    rows = [pen.open(client=(f"10.{n >> 8 & 255}.{n & 255}.1", 4_000)) for n in range(count)]
    registry, reader = Registry(PLAN, 0), LedgerReader(pen.fd, 1)
    registry.add(reader.fold())
    words[np.array(rows) + 1] += 10
    growth = reader.fold()
    taken = steps(lambda: registry.books.add(growth)) + steps(registry._audit)
    del words
    pen.close()
    return taken


def test_the_audit_costs_a_tick_little():
    """With 50,000 rows that all moved, books and comparison take as many steps of Python as with 50."""
    assert audited(50_000) == audited(50)
