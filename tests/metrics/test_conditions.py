"""How targets are, as it is published."""

from penstock.metrics.conditions import GONE, WELL, Condition
from penstock.testing.standin import StandIn


def test_who_is_not_spoken_of_is_well():
    """Up with its weight, and never checked; one that is gone has neither."""
    assert Condition() == WELL == ("up", "", "", 1.0, 0, 0, 0)
    assert (GONE.state, GONE.weight) == ("gone", 0.0)


def test_a_snapshot_shows_how_targets_are():
    """What is known at the tick stands beside the totals."""
    node = StandIn()
    node.sampler.registry.conditions = {2: Condition("down", "refused", "2024-01-01T00:00:00.000Z", 0.5, 3, 4, 5)}
    one, two = node.tick().targets
    assert (one.state, one.weight) == ("up", 1.0)
    assert (two.state, two.why, two.since, two.weight) == ("down", "refused", "2024-01-01T00:00:00.000Z", 0.5)
    assert (two.checks, two.ejections) == ({"passed": 3, "failed": 4}, 5)
    node.close()
