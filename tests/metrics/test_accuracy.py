"""
Rates are true, whatever the flow and whatever the ticks.

The truth of a window is what clients had sent when it ended, less what they had sent when its first sample began, over
the time between. Flows are functions of time that know nothing of ticks (`penstock.testing.flows`).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.metrics.tracker import WINDOWS
from penstock.testing.flows import Simulation


@pytest.fixture
def run():
    """Every flow, each on its own listener."""
    run = Simulation()
    yield run
    run.close()


def test_even_ticks_give_every_window_its_exact_length(run):
    """Once a second, all flows at once: each window covers exactly its seconds and is the truth of them."""
    for second in range(1, 200):
        run.tick(1.0)
        for seconds in (*WINDOWS.values(), 2, 7, 33, 120):
            assert run.check(seconds) == min(seconds, second)
    run.check_totals()


def test_a_steady_flow_reads_within_a_tenth_of_a_percent_of_its_pace(run):
    """Not only over what is covered: a megabyte a second reads as that in every window, however ticks jitter."""
    random = np.random.default_rng(1)
    for _ in range(200):
        run.tick(1 + random.uniform(-0.05, 0.05))
        series = run.registry.trackers.series()
        for seconds in (*WINDOWS.values(), 7, 120):
            assert series.rates("listener:constant", seconds).bytes_in == pytest.approx(1_000_000, rel=0.001)


SPANS = st.one_of(st.just(1.0), st.floats(0.9, 1.1), st.floats(0.51, 9.0))
JUMPS = st.one_of(st.just(0.0), st.just(0.0), st.floats(-90_000, 90_000))


@settings(max_examples=60, deadline=None)
@given(
    ticks=st.lists(st.tuples(SPANS, JUMPS), min_size=1, max_size=60),
    windows=st.lists(st.integers(1, 3_600), max_size=4),
)
def test_whatever_ticks_and_clocks_do_every_window_is_true(ticks, windows):
    """
    Late ticks, a clock set back and forward, any window: the rate is the truth of the time covered.

    That time is the window's, to half of its oldest tick; and it is all there is while the node is young.
    """
    run = Simulation()
    try:
        for span, jump in ticks:
            run.tick(span, jump)
        spans = [span for span, _ in reversed(ticks)]
        for seconds in {1, 10, 60, *windows}:
            covered = run.check(seconds)
            taken = int(np.searchsorted(np.cumsum(spans), covered - 1e-6)) + 1
            if taken < len(spans) and taken > 1:
                assert abs(covered - seconds) <= max(spans[taken - 1], spans[taken]) / 2 + 1e-6
        run.check_totals()
    finally:
        run.close()


def test_a_rate_returns_to_zero_after_the_last_byte(run):
    """When flows stop, each window is zero once it has passed, and totals stay."""
    for _ in range(100):
        run.tick(1.0)
    run.flowing = False
    total = run.registry.listeners.whole().bytes_in
    for second in range(62):
        for seconds in WINDOWS.values():
            flowing = run.registry.trackers.series().rates("node", seconds).bytes_in > 0
            assert flowing == (second < seconds)
        run.tick()
    assert run.registry.listeners.whole().bytes_in == total


def test_a_suspended_machine_leaves_a_gap_and_no_false_rate(run):
    """Ten minutes asleep, on a clock that does not count sleep: rates as before, a gap of ten minutes in the graph."""
    for second in range(240):
        run.tick(1.0, 600.0 if second == 120 else 0.0)
    assert [run.check(seconds) for seconds in (1, 10, 60, 200)] == [1, 10, 60, 200]
    _, history = run.registry.trackers.series().history("node", 3_600)
    assert (len(history.at), int((history.covered == 0).sum())) == (840, 600)
    assert np.isnan(history.rates()[history.covered == 0]).all()
    assert history.sums[:, 0].sum() == pytest.approx(sum(sent[-1] for sent in run.sent.values()), rel=1e-6)


def test_ticks_late_by_seconds_are_marked(run):
    """A tick that is four seconds late covers five, the seconds that it missed are gaps, and nothing is lost."""
    for second in range(60):
        run.tick(5.0 if second == 30 else 1.0)
    _, history = run.registry.trackers.series().history("node", 3_600)
    assert (len(history.at), int((history.covered == 0).sum()), history.covered.max()) == (64, 4, 5)
    assert history.covered.sum() == 64
    assert run.check(60) == pytest.approx(60, abs=2.5)
