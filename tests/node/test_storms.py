"""The whole sampler under what nobody plans for: floods of clients, texts of any bytes, clocks that jump."""

import os

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE
from penstock.config.plan import MetricsPlan
from penstock.metrics import ledger
from penstock.metrics.exporters.compat import served
from penstock.metrics.exporters.prometheus import Format, render
from penstock.metrics.view import Metrics
from penstock.node.supervisor import SHORTEST_TICK_NS, until_tick
from penstock.testing.pen import Pen
from penstock.testing.procfs import memory
from penstock.testing.standin import PLAN, StandIn

CLIENTS = 1_000_000
MINUTE = 60
FLAT_BYTES = 20_000_000
"""What allocators may keep between two ticks; 667,000 addresses, users and destinations would be above 200 MB."""


class Flood:
    """
    A worker whose every row holds a new connection, begun and ended between two ticks, of an address, a user and a
    destination that never were before. Written at once: by hand a million would take a minute.
    """

    def __init__(self, rows):
        self.pen, self.rows, self.serial = Pen(rows=rows), rows, 0
        words = np.frombuffer(self.pen.ledger._map, np.uint64)
        first = ledger.HEADER_WORDS
        self._header = words[:first]
        self._words = words[first : first + rows * ledger.ROW_WORDS].reshape(rows, ledger.ROW_WORDS)
        start = (first + rows * ledger.ROW_WORDS) * 8
        texts = np.frombuffer(self.pen.ledger._map, np.uint8, rows * ledger.TEXT_BYTES, start)
        self._texts = texts.reshape(rows, ledger.TEXT_BYTES)

    def wave(self, moved):
        """Begin and end a connection in every row; each moves so many bytes in."""
        numbers = np.arange(self.serial, self.serial + self.rows, dtype=np.uint64)
        self.serial += self.rows
        words = self._words
        words[:, ledger.CLIENT_RX] = moved
        words[:, ledger.CLIENT_TX : ledger.PHASE] = 0
        words[:, ledger.SCOPE] = ledger.pack_scope(1)
        words[:, ledger.OUTCOME] = COMPLETE.pack()
        words[:, ledger.IP_HIGH] = 0x20_0D_B8_00
        words[:, ledger.IP_LOW] = numbers
        name = np.char.zfill(numbers.astype(str), 8).astype("S8").view(np.uint8).reshape(self.rows, 8)
        self._texts[:, 0], self._texts[:, 1:9], self._texts[:, 9], self._texts[:, 10:18] = ord("d"), name, 0, name
        words[:, ledger.TEXT] = 19
        self._texts[:, 18] = 0
        self._header[ledger.H_HIGH] = self.rows
        words[:, ledger.STATE] = numbers + np.uint64(1) << np.uint64(2) | np.uint64(ledger.REST)

    def close(self):
        """Let go of the ledger."""
        del self._header, self._words, self._texts
        self.pen.close()


@pytest.mark.parametrize("part", ["all", "none"])
def test_a_million_clients_in_a_minute_take_no_memory(part):
    """A million addresses, users and destinations in a minute: memory stays flat, totals and all sums are exact."""
    node, flood = StandIn(plan=replace(PLAN, metrics=MetricsPlan(connection_records=1_000))), Flood(CLIENTS // MINUTE)
    node.sampler.attach(2, flood.pen.fd)
    if part == "none":
        node.sampler.switch({"all": False})
    before = 0
    for second in range(MINUTE):
        flood.wave(moved=second)
        snapshot = node.tick()
        if second == 20:
            before = memory(os.getpid())
    grown = memory(os.getpid()) - before
    assert snapshot.totals.connections == flood.serial > 0.99 * CLIENTS
    assert snapshot.totals.active == 0
    assert snapshot.totals.bytes_in == sum(range(MINUTE)) * flood.rows
    assert snapshot.audit.exact
    assert grown < FLAT_BYTES
    flood.close()
    node.close()


texts = st.binary(max_size=ledger.TEXT_BYTES)


@settings(max_examples=30, deadline=None)
@given(st.lists(texts, min_size=1, max_size=8))
@example([b"\xff\x00\xfe\x00\x80", b'"\\\n\x00"\\\n', b"\x00\x00\x00", b"a\x00b\x00" + b"\x1b[2J", b"{}=,#\x00\r\n"])
def test_texts_of_any_bytes_are_told_by_every_exporter(found):
    """Whatever stands where users and destinations are: both forms of Prometheus parse, and JSON decodes."""
    metrics = MetricsPlan(labels=("client", "user", "destination"))
    node = StandIn(plan=replace(PLAN, metrics=metrics))
    for raw in found:
        row = node.pen.open(listener=2, phase=4)
        start = node.pen.ledger._texts + (row - ledger.HEADER_WORDS) // ledger.ROW_WORDS * ledger.TEXT_BYTES
        node.pen.ledger._map[start : start + len(raw)] = raw
        node.pen.ledger.words[row + ledger.TEXT] = len(raw)
        node.pen.move(row, 10)
    snapshot = node.tick()
    for form, parse in ((Format.OPENMETRICS, openmetrics), (Format.TEXT, classic)):
        families = list(parse(render(served(snapshot, None, compat_names=True), form).decode()))
        assert {family.name for family in families} >= {"penstock_bytes", "penstock_requests"}
    msgspec.json.decode(msgspec.json.encode(Metrics(snapshot).everything()))
    assert len(msgspec.json.decode(msgspec.json.encode(snapshot.live.page().connections))) == len(found)
    assert snapshot.audit.exact
    node.close()


RATE = 1_000_000
"""Bytes per second that move all the while."""

jumps = st.sampled_from([0.0] * 8 + [-3_600.0, -0.4, 0.3, 1.0, 7_200.0]) | st.floats(-1e7, 1e7)
lateness = st.sampled_from([0.0] * 8 + [0.02, 0.3]) | st.floats(0, 30)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(jumps, lateness), max_size=40))
def test_the_ticker_holds_its_pace_whatever_the_clock_does(steps):
    """Clocks set at any moment, ticks late by any time: the next tick is due within 1.1 s, rates stay true to 1 %."""
    node = StandIn()
    row, moved = node.pen.open(listener=1), 0
    began = node.clock.monotonic_ns()
    for jump, late in [*steps, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]:
        due = until_tick(node.clock.wall_ns())
        assert SHORTEST_TICK_NS <= due < NS + SHORTEST_TICK_NS
        node.clock.advance(due / NS + late)
        now = (node.clock.monotonic_ns() - began) * RATE // NS
        node.pen.move(row, now - moved)
        moved = now
        snapshot = node.sampler.tick()
        assert snapshot.totals.bytes_in == moved
        node.clock._wall += round(jump * NS)
    assert node.clock.wall_ns() % NS == 0  # two ticks after the last jump it sits on the wall second again
    for seconds in (1, 10, 60):
        assert snapshot.series.rates("node", seconds).bytes_in == pytest.approx(RATE, rel=0.01)
    assert snapshot.audit.exact
    node.close()


@pytest.mark.parametrize("asleep", [90, 3 * 3_600])
@pytest.mark.parametrize("counted", [False, True], ids=["monotonic time stands still", "monotonic time goes on"])
def test_a_machine_that_slept(asleep, counted):
    """After a sleep rates are those of the time that was covered, the graph has a gap, and nothing is lost."""
    node = StandIn()
    row = node.pen.open(listener=1)
    for _ in range(30):
        node.pen.move(row, RATE)
        node.tick()
    node.clock._wall += asleep * NS
    node.clock._now += asleep * NS * counted
    for _ in range(5):
        node.pen.move(row, RATE)
        snapshot = node.tick()
    rates = snapshot.series.rates("node", 3)
    assert (rates.bytes_in, rates.covered) == (RATE, 3)
    _, history = snapshot.series.history("node", 3_600)
    drawn = history.rates()[:, 0]
    assert drawn[-5] == (pytest.approx(RATE / (asleep + 1)) if counted else RATE)
    assert np.nanmax(drawn) == RATE
    assert (history.covered == 0).sum() == (asleep if asleep < 3_600 else 0)  # an hour ago is not in the graph
    assert snapshot.totals.bytes_in == 35 * RATE
    assert snapshot.audit.exact
    node.close()
