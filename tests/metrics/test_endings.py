"""What ended connections measured, read from a real ledger."""

import numpy as np
import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.metrics.endings import Endings, PercentilesView, SavedEndings
from penstock.metrics.histogram import SCALE, SavedExponential, error_of
from penstock.metrics.ledger import DIALED
from penstock.metrics.saved import Bins, SavedError, parse, serialize
from penstock.metrics.scopes import Scopes
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, PLAN, StandIn

MS = NS // 1_000


@pytest.fixture
def node():
    """A node."""
    node = StandIn()
    yield node
    node.close()


def close(value):
    """Compare within the stated error."""
    return pytest.approx(value, rel=error_of(SCALE) + 1e-9)


def test_nothing_ended(node):
    """Before the first end there are no percentiles, and every distribution is there with zeros."""
    view = node.tick().endings
    assert (view.percentiles.connection_duration.count, view.percentiles.bytes_in.p50) == (0, None)
    assert view.durations.cumulative()[-1] == 0
    assert [(route, target) for route, target, _ in view.dials] == [
        ("default", "192.0.2.10:80"),
        ("default", "[2001:db8::2]:80"),
        ("default", "-"),
        ("out", "-"),
    ]


def test_percentiles_of_a_thousand_connections(node):
    """Durations, bytes and dial times of what ended, against numpy's quantiles."""
    pen = Pen(rows=1_000)
    node.sampler.attach(2, pen.fd)
    random = np.random.default_rng(2)
    durations, sizes = random.lognormal(0, 1, 1_000) * NS, random.pareto(1.2, 1_000) * 1_000
    for duration, size in zip(durations.astype(int).tolist(), sizes.astype(int).tolist(), strict=True):
        row = pen.open(now_ns=5 * NS)
        pen.move(row, size, 3 * size)
        pen.ledger.words[row + DIALED] = duration // 10
        pen.end(row, now_ns=5 * NS + duration)
    found = node.tick().endings.percentiles
    for name, values, unit in (
        ("connection_duration", durations.astype(int), NS),
        ("bytes_in", sizes.astype(int), 1),
        ("bytes_out", 3 * sizes.astype(int), 1),
        ("bytes_transferred", 4 * sizes.astype(int), 1),
        ("dial_duration", durations.astype(int) // 10, NS),
    ):
        p50, p95, p99 = np.quantile(values, (0.5, 0.95, 0.99), method="inverted_cdf") / unit
        measured = getattr(found, name)
        assert (measured.p50, measured.p95, measured.p99) == (close(p50), close(p95), close(p99))
        assert measured.count == 1_000
    pen.close()


def test_a_connection_is_measured_when_it_ends_and_once(node):
    """Open ones are not measured, ended ones once, with all that they moved."""
    row = node.pen.open(now_ns=0)
    node.pen.move(row, 100)
    assert node.tick().endings.percentiles.bytes_in.count == 0
    node.pen.move(row, 900)
    node.pen.end(row, now_ns=2 * NS)
    first = node.tick().endings
    assert (first.percentiles.bytes_in.count, first.percentiles.bytes_in.p50) == (1, 1_000)
    assert first.durations.counts == (0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    assert first.durations.sum == 2
    assert {name: len(histogram) for name, histogram in first.exact.items()} == {
        name: int(name not in ("dial_duration", "request_duration")) for name in PercentilesView.__struct_fields__
    }
    node.pen.end(node.pen.open())
    node.tick()
    assert len(first.exact["bytes_in"]) == 1


def test_nothing_is_made_anew_while_nothing_ends(node):
    """A tick in which nothing ended has the measurements of the one before."""
    first = node.tick().endings
    assert node.tick().endings is first


def test_dials_by_target_and_without(node):
    """A dial counts for its target, or under the route alone where the client chose; no dial counts nowhere."""
    for listener, target, took in ((1, 2, 3 * MS), (1, 2, 30 * MS), (2, 0, 700 * MS), (2, 0, 0)):
        row = node.pen.open(listener=listener)
        node.pen.aim(row, listener, target)
        node.pen.ledger.words[row + DIALED] = took
        node.pen.end(row)
    view = node.tick().endings
    counts = {(route, target): found.counts for route, target, found in view.dials if any(found.counts)}
    assert counts == {
        ("default", "[2001:db8::2]:80"): (0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
        ("out", "-"): (0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
    }
    assert view.percentiles.dial_duration.count == 3


def test_a_dead_workers_connections_have_no_duration(node):
    """Nobody knows when they ended: they are not measured, and those that had ended before are."""
    pen = Pen()
    node.sampler.attach(2, pen.fd)
    pen.move(pen.open(now_ns=0), 5)
    pen.end(pen.open(now_ns=0), now_ns=NS)
    node.sampler.detach(2)
    assert node.tick().endings.percentiles.connection_duration.count == 1
    pen.close()


def test_nonsense_measures_as_nothing(node):
    """An end before the start, or bytes that are no number of bytes, count as zero."""
    row = node.pen.open(now_ns=9 * NS)
    node.pen.ledger.words[row + 1] = 2**64 - 1
    node.pen.end(row, now_ns=NS)
    found = node.tick().endings.percentiles
    assert (found.connection_duration.p50, found.bytes_in.p50) == (0, 0)


def test_measurements_continue():
    """After a restart percentiles and histograms are those of both runs; a target that is gone keeps its own."""
    node = StandIn()
    rows = [node.pen.open() for _ in range(20)]
    for number, row in enumerate(rows, 1):
        node.pen.move(row, number, number * 100)
        node.pen.aim(row, 1, 2)
        node.pen.ledger.words[row + DIALED] = number * NS // 100
        node.pen.end(row, now_ns=number * NS)
    node.tick()
    before = node.sampler.registry.endings
    after = Endings(Scopes((EGRESS,)))
    after.restore(parse(serialize(before.export()), SavedEndings))
    assert after.view().percentiles == before.view().percentiles
    assert after.view().durations == before.view().durations
    again = Endings(node.sampler.registry.scopes)
    again.restore(after.export())
    again.restore(before.export())
    assert again.view().percentiles.bytes_in.count == 40
    assert again.view().percentiles.bytes_in.p50 == before.view().percentiles.bytes_in.p50
    (dials,) = [each for _, address, each in again.view().dials if address == "[2001:db8::2]:80"]
    assert sum(dials.counts) == 40
    node.close()


@pytest.mark.parametrize(
    "change",
    [
        {"dial_bounds": (1.0,)},
        {"durations": Bins((1, 2), 3.0)},
        {"dials": ((("default",), Bins((0,) * 3, 0.0)),)},
        {"exact": {"bytes_in": SavedExponential(5, 0, 0, 0, ((10**6, 1),))}},
        {"exact": {"bytes_in": SavedExponential(99, 0, 0, 0, ())}},
        {"exact": {"bytes_in": SavedExponential(5, 2**62, 0, 0, ((1, 2**62),))}},
    ],
)
def test_measurements_of_another_kind_are_refused(change):
    """Other bounds, other scales and impossible counts are one error, and nothing is added."""
    endings = Endings(Scopes(PLAN.worker.listeners))
    with pytest.raises(SavedError):
        endings.restore(replace(endings.export(), **change))
    assert endings.view().percentiles.bytes_in.count == 0
    assert sum(endings.view().durations.counts) == 0
