"""From samples to figures: medians, spreads, ratios round by round. Pure arithmetic."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Sample:
    """
    What one proxy did in one round of a scenario.

    Args:
        scenario: The scenario's name.
        proxy: The proxy's name.
        round: The round, from 1.
        values: Metric key to number.
        errors: What went wrong, in words; a sample with errors is reported and not used.
        others: Share of the proxy's core that ran something else meanwhile, 0 to 1; what tells a noisy round.
    """

    scenario: str
    proxy: str
    round: int
    values: dict[str, float]
    errors: str = ""
    others: float = 0.0


@dataclass(frozen=True)
class Figure:
    """
    One number over its rounds.

    Args:
        median: The middle.
        low: The least.
        high: The most.
        rounds: How many rounds it is made of.
    """

    median: float
    low: float
    high: float
    rounds: int


def figure(values: Iterable[float]) -> Figure | None:
    """
    Sum up one number.

    Args:
        values: It, once a round.

    Returns:
        Its figure; None if there is no value.
    """
    rounds = list(values)
    return Figure(median(rounds), min(rounds), max(rounds), len(rounds)) if rounds else None


def by_round(samples: Iterable[Sample], proxy: str, key: str) -> dict[int, float]:
    """
    Pick one proxy's one number.

    Args:
        samples: All samples of one scenario.
        proxy: Whose.
        key: The metric's key.

    Returns:
        Round to value, only of rounds without errors.
    """
    return {
        sample.round: sample.values[key]
        for sample in samples
        if sample.proxy == proxy and not sample.errors and key in sample.values
    }


def ratio(samples: Iterable[Sample], proxy: str, reference: str, key: str) -> Figure | None:
    """
    Compare two proxies round by round, so that what disturbed a whole round cancels out.

    Args:
        samples: All samples of one scenario.
        proxy: The one that is divided.
        reference: The one that it is divided by.
        key: The metric's key.

    Returns:
        The figure of the ratios of rounds in which both have a value; None if there is no such round.
    """
    samples = list(samples)
    ours, theirs = by_round(samples, proxy, key), by_round(samples, reference, key)
    return figure(value / theirs[number] for number, value in ours.items() if theirs.get(number))


def difference(samples: Iterable[Sample], proxy: str, reference: str, key: str) -> Figure | None:
    """
    Tell two proxies apart round by round.

    Args:
        samples: All samples of one scenario.
        proxy: The one that is subtracted from.
        reference: The one that is subtracted.
        key: The metric's key.

    Returns:
        The figure of the differences of rounds in which both have a value; None if there is no such round.
    """
    samples = list(samples)
    ours, theirs = by_round(samples, proxy, key), by_round(samples, reference, key)
    return figure(value - theirs[number] for number, value in ours.items() if number in theirs)
