"""How a snapshot is made."""

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.testing.standin import StandIn


@pytest.fixture
def node():
    """A node with two listeners and a worker."""
    node = StandIn()
    yield node
    node.close()


def test_what_never_happened_is_zero(node):
    """A fresh node shows every outcome and every reason, all of them 0."""
    stats = node.snapshot().stats()
    assert len(stats["outcomes"]) == len(EndedBy) * len(Phase)
    assert {outcome.count for outcome in stats["outcomes"]} == {0}
    assert stats["refused"] == {str(reason): 0 for reason in Reason}


def test_outcomes_are_counted(node):
    """An end shows under its two words, a refusal under its reason too."""
    node.pen.end(node.pen.open(), COMPLETE)
    node.pen.end(node.pen.open(), Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS))
    snapshot = node.tick()
    counted = {(outcome.ended_by, outcome.phase) for outcome in snapshot.outcomes if outcome.count == 1}
    assert counted == {("complete", "done"), ("proxy", "decide")}
    assert snapshot.refused["access"] == 1


def test_a_trouble_is_told_in_words(node):
    """A connection that went wrong is told with names, published words and its duration."""
    row = node.pen.open(listener=1, client=("192.0.2.1", 5), now_ns=10**9)
    node.pen.aim(row, 1, 1, Phase.DIAL)
    node.pen.describe(row, "192.0.2.10:80", "ada", "timed out")
    node.pen.end(row, Outcome(EndedBy.TARGET_TIMEOUT, Phase.DIAL), now_ns=6 * 10**9)
    (view,) = node.tick().troubles
    assert (view.id, view.client, view.listener, view.target) == ((1 << 32) + 1, "192.0.2.1:5", "web", "192.0.2.10:80")
    assert (view.ended_by, view.phase, view.close_reason, view.reason) == ("target_timeout", "dial", "timeout", "")
    assert (view.destination, view.user, view.detail, view.duration) == ("192.0.2.10:80", "ada", "timed out", 5.0)
