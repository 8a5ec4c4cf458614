"""Rings: rates that are true whatever the ticks and the clock did."""

import numpy as np
import pytest

from penstock.metrics.rings import SPARE, Ring

START = 1_700_000_000


def ring_of(*samples, depth=100):
    """Return a ring of one key and one column, from (growth, at, covered)."""
    ring = Ring(depth, 1, 1)
    for growth, at, covered in samples:
        ring.push(np.array([[growth]]), START + at, covered)
    return ring


def rate(ring, seconds):
    """Return the rate of its only number."""
    return float(ring.view().window(seconds, 0).rates()[0])


def test_an_empty_ring_has_nothing():
    """Before the first sample rates are zero, nothing is covered, and graphs are empty."""
    view = ring_of().view()
    assert view.window(10, 0).rates().tolist() == [0]
    assert view.window(10).sums.shape == (1, 1)
    assert view.window(10, 0).covered == 0
    assert view.history(10, 0).rates().shape == (0, 1)


def test_a_window_divides_its_growth_by_its_time():
    """A rate is what grew inside the window only, not all that was ever counted."""
    ring = ring_of(*((1_000_000 if at <= 50 else 10, at, 1.0) for at in range(1, 61)))
    assert rate(ring, 10) == 10
    assert rate(ring, 1) == 10
    assert rate(ring, 20) == 500_005


def test_the_divisor_is_the_time_covered():
    """After three samples of a second an average divides by three seconds: not by two, nor by sixty."""
    ring = ring_of((30, 1, 1.0), (30, 2, 1.0), (30, 3, 1.0))
    window = ring.view().window(60, 0)
    assert (window.covered, window.sums.tolist()) == (3, [90])
    assert rate(ring, 60) == 30


def test_a_rate_returns_to_zero():
    """Each window is exactly zero as soon as it has been silent for its length."""
    ring = ring_of((12_345.678, 1, 1.0), *((0, at, 1.0) for at in range(2, 62)))
    assert [rate(ring, seconds) for seconds in (1, 10, 60)] == [0, 0, 0]
    assert rate(ring, 61) > 0


def test_a_late_tick_keeps_rates_true():
    """Five seconds in one sample are divided by five, and the seconds between are gaps in the graph."""
    ring = ring_of((100, 1, 1.0), (100, 2, 1.0), (500, 7, 5.0), (100, 8, 1.0))
    assert rate(ring, 1) == 100
    assert rate(ring, 10) == 100
    assert rate(ring, 3) == 100
    history = ring.view().history(8, 0)
    assert (history.at - START).tolist() == list(range(1, 9))
    assert history.covered.tolist() == [1, 1, 0, 0, 0, 0, 5, 1]
    assert np.isnan(history.rates()[2:6]).all()
    assert history.rates()[6:, 0].tolist() == [100, 100]


def test_uneven_ticks_keep_windows_at_their_length():
    """Ticks that come up to 40 ms early or late do not make a window of ten seconds one of nine or eleven."""
    random = np.random.default_rng(7)
    ends = np.arange(1, 90) + random.uniform(-0.04, 0.04, 89)
    covered = np.diff(ends, prepend=0.0)
    ring = Ring(100, 1, 1)
    for at, span in enumerate(covered, start=1):
        ring.push(np.array([[1_000 * span]]), START + at, span)
        for seconds in (1, 10, 60):
            window = ring.view().window(seconds, 0)
            assert window.covered == pytest.approx(min(seconds, at), abs=0.1)
            assert window.rates()[0] == pytest.approx(1_000)


def test_a_clock_set_forward_or_a_suspended_machine_is_a_gap():
    """Seconds that the machine did not live through are gaps in the graph and change no rate."""
    ring = ring_of((50, 1, 1.0), (50, 2, 1.0), (50, 32, 1.0))
    assert rate(ring, 10) == 50
    history = ring.view().history(60, 0)
    assert len(history.at) == 32
    assert history.covered.sum() == 3
    assert history.covered[2:-1].sum() == 0


def test_a_clock_set_back_changes_no_rate():
    """Windows look along real time; the graph leaves out what lies in what is the future now."""
    ring = ring_of(*((10, at, 1.0) for at in range(1, 21)), *((70, at, 1.0) for at in range(11, 16)))
    assert rate(ring, 5) == 70
    assert rate(ring, 10) == 40
    history = ring.view().history(60, 0)
    assert (history.at - START).tolist() == list(range(1, 16))
    assert history.rates()[:, 0].tolist() == [10] * 10 + [40] + [70] * 4


def test_a_full_ring_forgets_the_oldest():
    """Memory is fixed: the newest samples stay, as many as the depth."""
    ring = ring_of(*((at, at, 1.0) for at in range(1, 1_001)), depth=10)
    assert ring.view().window(1_000, 0).sums.tolist() == [sum(range(991, 1_001))]
    assert ring.view().history(1_000, 0).sums[:, 0].tolist() == list(range(991, 1_001))
    assert ring.nbytes == (10 + SPARE) * (4 + 8 + 8)


def test_a_view_does_not_move():
    """A view shows the same numbers for a minute; then the oldest are missing from it, and none is wrong."""
    ring = ring_of(*((1, at, 1.0) for at in range(1, 11)), depth=10)
    view = ring.view()
    before = view.history(10, 0)
    for at in range(11, 11 + SPARE):
        ring.push(np.array([[1_000]]), START + at, 1.0)
    assert view.history(10, 0).sums.tolist() == before.sums.tolist()
    for at in range(4):
        ring.push(np.array([[1_000]]), START + 200 + at, 1.0)
    assert view.history(10, 0).sums.tolist() == before.sums[4:].tolist()
    for _ in range(100):
        ring.push(np.array([[1_000]]), START + 300, 1.0)
    assert len(view.history(10, 0).at) == 0


def test_all_keys_at_once_are_each_key_alone():
    """A window of everybody has the numbers of each."""
    ring = Ring(20, 5, 2)
    random = np.random.default_rng(1)
    for at in range(30):
        ring.push(random.integers(0, 1_000, (5, 2)), START + at, 1.0)
    whole = ring.view().window(10)
    for key in range(5):
        assert whole.rates()[key].tolist() == ring.view().window(10, key).rates().tolist()


def test_samples_of_one_second_are_one_step():
    """Two samples that end on the same second are drawn as one, with the time of both."""
    history = ring_of((10, 1, 1.0), (5, 2, 0.5), (7, 2, 0.5)).view().history(10, 0)
    assert history.covered.tolist() == [1, 1]
    assert history.sums[:, 0].tolist() == [10, 12]


def test_steps_of_a_minute():
    """A ring of minutes is drawn by the minute, its gaps too."""
    ring = ring_of((60, 60, 60.0), (60, 120, 60.0), (30, 300, 30.0))
    history = ring.view().history(10, 0, 60)
    assert (history.at - START).tolist() == [60, 120, 180, 240, 300]
    assert history.rates()[[0, 1, 4], 0].tolist() == [1, 1, 1]
    assert history.covered.tolist() == [60, 60, 0, 0, 30]
