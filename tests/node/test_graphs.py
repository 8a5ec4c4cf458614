"""Graphs from the store."""

import pytest

from penstock.config.plan import MetricsPlan
from penstock.node.graphs import graph, span
from penstock.store.rollups import HOUR, MINUTE, Step

PLAN = MetricsPlan()
NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("seconds", "length", "steps"),
    [(1, MINUTE, 1), (300, MINUTE, 5), (86_400, MINUTE, 1_440), (86_401, HOUR, 25), (400 * 86_400, HOUR, 9_600)],
)
def test_minutes_answer_as_long_as_they_are_kept_and_hours_beyond(seconds, length, steps):
    """As many steps as reach so far; the one that is not over is the last."""
    found = span("node", seconds, NOW, PLAN)
    assert (found.kind, found.key, found.length) == ("node", "", length)
    assert found.until % length == 0
    assert found.until - length < NOW <= found.until
    assert (found.until - found.after) // length == steps


def test_nothing_is_kept_for_longer():
    """More than the hours that are kept is a mistake of who asks."""
    with pytest.raises(ValueError, match="9600h"):
        span("node", 9_600 * HOUR + 1, NOW, PLAN)


@pytest.mark.parametrize(
    ("scope", "kind", "key"),
    [
        ("listener:web", "listener", "web"),
        ("target:[2001:db8::2]:80", "target", "[2001:db8::2]:80"),
        ("client:2001:DB8:0::9", "client", "2001:db8::9"),
        ("client:::ffff:192.0.2.1", "client", "192.0.2.1"),
        ("client:other", "client", "other"),
        ("client:-", "client", "-"),
        ("client:nonsense", "client", "nonsense"),
        ("user:Ann:x", "user", "Ann:x"),
    ],
)
def test_names_are_as_rows_have_them(scope, kind, key):
    """An address is found in whichever form it is written."""
    assert span(scope, 60, NOW, PLAN)[:2] == (kind, key)


def test_other_scopes_have_no_rows():
    """Destinations, and what is no scope, are memory's alone."""
    assert span("destination:example.com:80", 60, NOW, PLAN) is None
    assert span("nonsense", 60, NOW, PLAN) is None


def test_a_graph_has_a_step_for_each_and_gaps_between():
    """Rates divide by covered time; a step that was not measured is a gap, one in which nothing moved is zero."""
    steps = [Step(3_600, 3_600_000, 36, 72, 7_200, 3_600), Step(14_400, 1_800_000, 0, 0, 0, 0)]
    view = graph("node", HOUR, steps)
    assert (view.scope, view.step, view.at) == ("node", HOUR, [3_600, 7_200, 10_800, 14_400])
    assert view.covered == [3_600, 0, 0, 1_800]
    assert view.series == {
        "bytes_in": [2, None, None, 0], "bytes_out": [1, None, None, 0],
        "requests": [0.02, None, None, 0], "connections": [0.01, None, None, 0],
    }  # fmt: skip


def test_a_name_that_was_never_measured_has_an_empty_graph():
    """Known, and nothing to draw."""
    view = graph("user:ann", MINUTE, [])
    assert (view.at, view.covered, view.series["bytes_in"]) == ([], [], [])
