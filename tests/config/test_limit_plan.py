"""Limits in the plan: what is written is what workers are told."""

import pytest

from penstock.config.compile_routes import limit_plan, plan_of
from penstock.config.limit_plan import BandwidthPlan, LimitPlan, LimitsPlan, RatePlan
from penstock.config.limits import Limit


@pytest.mark.parametrize(
    ("connections", "rate", "plan"),
    [
        ("off", None, LimitPlan()),
        (7, None, LimitPlan(connections=7)),
        ("off", (3, 10, 0), LimitPlan(rate=RatePlan(count=3, window=10))),
        (5, (3, 10, 2), LimitPlan(connections=5, rate=RatePlan(count=3, window=10, burst=2))),
    ],
)
def test_what_is_written_is_planned(connections, rate, plan):
    """Off is 0 connections or no rate."""
    assert limit_plan(connections, rate) == plan


def test_bandwidths_are_planned():
    """A table of limits has a bandwidth of all, and one of each connection."""
    plan = plan_of(Limit(bandwidth="1MiB/s", bandwidth_per_connection="64KiB/s burst 1MiB"))
    assert plan.bandwidth == BandwidthPlan(rate=1 << 20, burst=1 << 18)
    assert plan.bandwidth_per_connection == BandwidthPlan(rate=1 << 16, burst=1 << 20)
    assert plan_of(Limit()) == LimitPlan()


def test_a_plan_of_nothing_limits_nothing():
    """A plan that a test or a program builds by itself has no limits."""
    assert LimitsPlan() == LimitsPlan(connections_per_ip=0, rate_per_ip=None, per_user=LimitPlan(), users={})
