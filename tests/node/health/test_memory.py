"""Targets are found again by their names, and their counts go on."""

from penstock.metrics.conditions import WELL
from penstock.node.health.memory import SavedTarget, found_again, resumed
from penstock.policy.health import Remembered, TargetOrder

KNOWN = Remembered(TargetOrder.READY, 1, 1)


def test_targets_are_found_by_route_and_address():
    """Whoever is gone is left out; several of one name, as two listeners may have, are taken in their order."""
    saved = tuple(SavedTarget(route, "a:1", KNOWN, passed=n) for n, route in enumerate(("web", "gone", "web", "web")))
    names = {7: ("web", "a:1"), 8: ("app", "a:1"), 9: ("web", "a:1")}
    assert [(number, each.passed) for number, each in found_again(saved, names)] == [(7, 0), (9, 2)]


def test_counts_are_those_of_both():
    """All else is as it is here."""
    ours = WELL._replace(state="down", why="refused", passed=1, failed=2, ejections=3)
    both = resumed(SavedTarget("web", "a:1", KNOWN, 10, 20, 30), ours)
    assert both == ours._replace(passed=11, failed=22, ejections=33)
