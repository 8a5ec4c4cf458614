"""Graphs that reach further back than memory does: minutes and hours from the store."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from penstock.config.plan import MetricsPlan
from penstock.metrics.keys import NOBODY_NAME, OTHER_NAME
from penstock.metrics.kinds import KINDS as KEYED
from penstock.metrics.rings import History
from penstock.metrics.rollups import KINDS, split
from penstock.metrics.view import HistoryView, drawn
from penstock.store.rollups import HOUR, MINUTE, Step


class Span(NamedTuple):
    """
    What is to be read for a graph.

    Args:
        kind, key: Whose.
        length: Of a step; unit s.
        after, until: Ends of steps; unit s since the epoch.
    """

    kind: str
    key: str
    length: int
    after: int
    until: int


def span(scope: str, seconds: int, now: int, plan: MetricsPlan) -> Span | None:
    """
    Return what to read; None for a scope that has no rows.

    Args:
        scope: As for `Metrics.history`.
        seconds: How far to look back; unit s.
        now: Unit s since the epoch.
        plan: How much is kept.

    Raises:
        ValueError: If nothing is kept for so long.
    """
    kind, name = split(scope)
    if kind not in KINDS:
        return None
    if seconds > plan.hours * HOUR:
        raise ValueError(f"a time to {plan.hours}h is needed: hours are kept for so long")
    length = MINUTE if seconds <= plan.minutes * MINUTE else HOUR
    until = -(-now // length) * length
    return Span(kind, _key(kind, name), length, until - -(-seconds // length) * length, until)


def _key(kind: str, name: str) -> str:
    """Return a name as rows have it: an address in its shortest form, say."""
    if kind not in KEYED or name in (OTHER_NAME, NOBODY_NAME):
        return name
    key = KEYED[kind].parse(name)
    return name if key is None else KEYED[kind].text(key)


def graph(scope: str, length: int, steps: Sequence[Step]) -> HistoryView:
    """
    Return a graph, from the first step that was measured to the last.

    Args:
        scope: As it was asked for.
        length: Of a step; unit s.
        steps: Oldest first.
    """
    at = np.array([step.at for step in steps], np.int64)
    size = int(at[-1] - at[0]) // length + 1 if len(at) else 0
    places = (at - at[:1]) // length
    covered, sums = np.zeros(size), np.zeros((size, 4))
    covered[places] = [step.covered / 1_000 for step in steps]
    sums[places] = [(step.bytes_in, step.bytes_out, step.requests, step.connections) for step in steps] or 0
    grid = at[:1] + length * np.arange(size)
    return drawn(scope, length, History(grid, covered, sums))
