"""Tests of `penstock.config.ban_plan`."""

import msgspec

from penstock.config.ban_plan import BanPlan, DetectorPlan


def test_detectors_only_tell_unless_somebody_says_so():
    """A plan that nobody wrote refuses nobody, and protects loopback; a detector without a threshold is off."""
    assert (BanPlan().detect, BanPlan().protect_loopback) == ("shadow", True)
    assert DetectorPlan().threshold == 0


def test_it_travels_as_json():
    """As all plans do."""
    plan = BanPlan(detectors=(("floods", DetectorPlan(threshold=7)),), lists=(("/x", "y"),))
    assert msgspec.json.decode(msgspec.json.encode(plan), type=BanPlan) == plan
