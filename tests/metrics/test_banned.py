"""Tests of `penstock.metrics.banned`."""

from penstock.config.compile import DETECTORS
from penstock.metrics.banned import ORIGINS, REASONS, BannedView
from penstock.node.bans.judge import COUNTED


def test_every_detector_has_its_reason():
    """What can be configured, what counts and what is published are the same detectors."""
    assert set(REASONS) == {"manual", *COUNTED}
    assert {*DETECTORS, "connections"} == set(COUNTED)
    assert "shadow" in ORIGINS


def test_nothing_is_banned_at_first():
    """A node that never banned has zeros."""
    assert (BannedView().active, BannedView().made, BannedView().shadowed) == ({}, {}, 0)
