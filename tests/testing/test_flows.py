"""The simulation finds a rate or a total that is wrong."""

import pytest

from penstock.testing.flows import FLOWS, MEGABYTE, Simulation


@pytest.fixture
def run():
    """A minute of every flow."""
    run = Simulation()
    for _ in range(60):
        run.tick()
    yield run
    run.close()


def test_flows_have_their_shapes():
    """After a minute each flow has sent what its name promises."""
    sent = {name: flow(60) for name, flow in FLOWS.items()}
    assert (sent["constant"], sent["bursty"], sent["on-off"]) == (60 * MEGABYTE, 300 * MEGABYTE, 90 * MEGABYTE)
    assert (sent["slow"], sent["waving"]) == (60, pytest.approx(71.5 * MEGABYTE, rel=0.01))
    assert all(flow(t + 0.25) >= flow(t) for flow in FLOWS.values() for t in range(100))


def test_what_is_true_passes(run):
    """A true rate and true totals are not complained of, and the covered time is told."""
    assert run.check(10) == 10
    run.check_totals()


def test_a_wrong_rate_is_found(run):
    """A sample that is off by a byte a second is found where a byte is much, and one of a thousandth elsewhere."""
    ring = run.registry.trackers._seconds
    slot = run.registry.trackers.series().slots["listener:slow"]
    ring.samples[:, slot, 0] += 1
    with pytest.raises(AssertionError):
        run.check(10)


def test_a_wrong_total_is_found(run):
    """One byte in a total is found."""
    run.registry.listeners._totals[2, 1] += 1
    with pytest.raises(AssertionError):
        run.check_totals()


def test_a_residual_is_found(run):
    """Totals that are right and do not add up are found."""
    run.registry.books.total[2] += 1
    run.tick()
    with pytest.raises(AssertionError):
        run.check_totals()


def test_flows_can_stop(run):
    """What is told to stop sends nothing more, and time goes on."""
    before = {name: sent[-1] for name, sent in run.sent.items()}
    run.flowing = False
    run.tick(5.0)
    assert {name: sent[-1] for name, sent in run.sent.items()} == before
    assert run.now == 65
