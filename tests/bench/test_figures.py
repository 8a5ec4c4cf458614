"""Medians, spreads and ratios."""

from bench.figures import Figure, Sample, by_round, figure, ratio


def sample(proxy, number, cpu, errors=""):
    """One sample of a scenario."""
    return Sample("tcp-short", proxy, number, {"cpu": cpu}, errors)


def test_figure():
    """A figure is the median with least and most; of nothing there is none."""
    assert figure([3.0, 9.0, 1.0]) == Figure(3.0, 1.0, 9.0, 3)
    assert figure([]) is None


def test_errors_are_not_used():
    """A sample with errors, or without the metric, gives no value."""
    samples = [sample("a", 1, 5.0), sample("a", 2, 6.0, "connect 1"), Sample("tcp-short", "a", 3, {})]
    assert by_round(samples, "a", "cpu") == {1: 5.0}


def test_ratio_is_taken_round_by_round():
    """A round that was slow for both does not move the ratio."""
    samples = [sample("a", 1, 10.0), sample("b", 1, 5.0), sample("a", 2, 100.0), sample("b", 2, 50.0)]
    assert ratio(samples, "a", "b", "cpu") == Figure(2.0, 2.0, 2.0, 2)


def test_ratio_leaves_out_half_rounds():
    """Rounds in which one side has no value, or a zero below the line, give no ratio; none at all gives None."""
    samples = [sample("a", 1, 10.0), sample("a", 2, 9.0), sample("b", 2, 3.0), sample("a", 3, 1.0), sample("b", 3, 0.0)]
    assert ratio(samples, "a", "b", "cpu") == Figure(3.0, 3.0, 3.0, 1)
    assert ratio(samples, "a", "c", "cpu") is None
