"""Distributions: percentiles within the stated error on any shape of data, and counts that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.histogram import SCALE, SCALES, Bounded, Distribution, Exponential, error_of
from penstock.metrics.saved import Bins, SavedError

RANDOM = np.random.default_rng(11)
SHARES = (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)

SHAPES = {
    "constant": np.full(1_000, 123_456_789),
    "uniform": RANDOM.integers(1, 10**9, 20_000),
    "normal": np.abs(RANDOM.normal(1e9, 1e8, 20_000)).astype(np.int64),
    "exponential": RANDOM.exponential(5e7, 20_000).astype(np.int64),
    "log-normal": RANDOM.lognormal(15, 3, 20_000).astype(np.int64),
    "pareto": (RANDOM.pareto(1.1, 20_000) * 1_000).astype(np.int64),
    "two peaks": np.concatenate((RANDOM.integers(900, 1_100, 9_000), RANDOM.integers(10**9, 2 * 10**9, 1_000))),
    "mostly zero": np.concatenate((np.zeros(9_000, np.int64), RANDOM.integers(1, 100, 1_000))),
    "small numbers": RANDOM.integers(0, 5, 1_000),
    "powers of two": 2 ** RANDOM.integers(0, 62, 5_000),
    "one": np.array([7]),
}


def of(values, scale=SCALE):
    """Return a histogram of these numbers."""
    histogram = Exponential(scale)
    histogram.add(np.asarray(values, np.int64))
    return histogram


@pytest.mark.parametrize("scale", [0, 3, SCALE, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_are_within_the_stated_error(shape, scale):
    """On every shape of data each percentile is as far from numpy's exact one as is stated, at most."""
    exact = np.quantile(SHAPES[shape], SHARES, method="inverted_cdf")
    found = of(SHAPES[shape], scale).quantiles(SHARES)
    assert found == pytest.approx(exact.tolist(), rel=error_of(scale) + 1e-9)


def test_the_stated_error():
    """The default's percentiles are within 1.1 %; one scale more halves the error."""
    assert error_of(SCALE) < 0.011
    assert error_of(0) == pytest.approx(1 / 3)
    assert error_of(SCALE + 1) == pytest.approx(error_of(SCALE) / 2, rel=0.01)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=200), st.sampled_from(SHARES))
def test_any_numbers(values, share):
    """The same for whatever numbers there are, up to the largest."""
    exact = float(np.quantile(np.array(values), share, method="inverted_cdf"))
    assert of(values).quantiles([share])[0] == pytest.approx(exact, rel=error_of(SCALE) + 1e-9)


def test_nothing_has_no_percentiles():
    """Without a number there is no percentile, and adding nothing adds nothing."""
    histogram = of([])
    assert (len(histogram), histogram.quantiles(SHARES)) == (0, [])


def test_what_is_below_one_is_zero():
    """Zero and nonsense below it count, as zero."""
    histogram = of([0, -5, 3])
    assert (len(histogram), histogram.zeros) == (3, 2)
    assert histogram.quantiles([0.5, 1.0]) == pytest.approx([0, 3], rel=error_of(SCALE))


@pytest.mark.parametrize(("one", "two"), [(SCALE, SCALE), (SCALE, 2), (0, 7)])
def test_merging_is_counting_together(one, two):
    """Two histograms merged are the histogram of all numbers, bucket by bucket, at the coarser scale."""
    left, right = SHAPES["log-normal"], SHAPES["powers of two"]
    both = of(left, one).merged(of(right, two))
    together = of(np.concatenate((left, right)), min(one, two))
    assert both.scale == min(one, two)
    assert both.counts.tolist() == together.counts.tolist()
    assert (both.zeros, both.least, both.most) == (together.zeros, together.least, together.most)


def test_detail_that_is_gone_does_not_come_back():
    """A coarse histogram is not made finer, and scales are bounded."""
    with pytest.raises(ValueError, match="detail"):
        of([1], 3).coarser(4)
    for scale in (SCALES.start - 1, SCALES.stop):
        with pytest.raises(ValueError, match="scale"):
            Exponential(scale)


def test_memory_is_fixed():
    """16 KB, whatever is counted."""
    histogram = of([1])
    size = histogram.counts.nbytes
    for shape in SHAPES.values():
        histogram.add(shape)
    assert histogram.counts.nbytes == size < 17_000


def test_counts_by_bound():
    """A number on a bound is in the bucket below it; sums and cumulative counts are those of each key."""
    counts = Bounded((1.0, 2.0, 5.0), keys=2)
    counts.add(np.array([0.5, 1.0, 1.5, 5.0, 99.0, 3.0]), np.array([0, 0, 0, 0, 0, 1]))
    counts.add(np.array([7.0]), np.array([2]))  # nobody's
    assert counts.of(0) == Distribution((1.0, 2.0, 5.0), (2, 1, 1, 1), 107.0)
    assert counts.of(0).cumulative() == [2, 3, 4, 5]
    assert (counts.of(0) + counts.of(1)).counts == (2, 1, 2, 1)
    assert counts.of(1).sum == 3.0


def test_a_copy_stays_as_it_is():
    """A copy says the same, and nothing that is counted later."""
    histogram = Exponential()
    histogram.add(np.array([0, 5, 9]))
    copy = histogram.copy()
    histogram.add(np.array([0, 1_000]))
    assert (len(copy), copy.zeros, copy.least, copy.most, copy.scale) == (3, 1, 0, 9, histogram.scale)
    assert len(histogram) == 5


@given(st.lists(st.integers(-5, 2**63 - 1), max_size=30), st.integers(0, 10))
def test_a_histogram_is_kept_whole(numbers, scale):
    """What is exported comes back with every count, at any scale."""
    histogram = Exponential(scale)
    histogram.add(np.array(numbers, np.int64))
    again = histogram.export().restore()
    assert again.export() == histogram.export()
    assert again.quantiles((0.5, 0.99)) == histogram.quantiles((0.5, 0.99))


def test_counts_by_bound_are_kept():
    """What is carried is added to what is there; counts by other bounds are refused."""
    one, two = Bounded((1.0, 2.0), 2), Bounded((1.0, 2.0), 2)
    one.add(np.array([0.5, 1.5, 9.0]), np.array([0, 0, 1]))
    two.add(np.array([0.5]), np.array([0]))
    two.carry(0, one.export(0))
    assert two.of(0) == Distribution((1.0, 2.0), (2, 1, 0), 2.5)
    with pytest.raises(SavedError, match="other bounds"):
        two.carry(0, Bins((1,), 1.0))
    with pytest.raises(SavedError, match="too large"):
        two.carry(0, Bins((2**62, 2**62, 0), 1.0))
