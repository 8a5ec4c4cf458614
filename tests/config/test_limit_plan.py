"""Limits in the plan: what is written is what workers are told."""

import pytest

from penstock.config.compile_routes import limit_plan
from penstock.config.limit_plan import LimitPlan, LimitsPlan, RatePlan


@pytest.mark.parametrize(
    ("connections", "rate", "plan"),
    [
        ("off", None, LimitPlan()),
        (7, None, LimitPlan(connections=7)),
        ("off", (3, 10), LimitPlan(rate=RatePlan(count=3, window=10))),
    ],
)
def test_what_is_written_is_planned(connections, rate, plan):
    """Off is 0 connections or no rate."""
    assert limit_plan(connections, rate) == plan


def test_a_plan_of_nothing_limits_nothing():
    """A plan that a test or a program builds by itself has no limits."""
    assert LimitsPlan() == LimitsPlan(connections_per_ip=0, rate_per_ip=None, per_user=LimitPlan(), users={})
