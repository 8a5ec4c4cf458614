"""Targets for tests of balancers."""

from penstock.config.plan import TargetPlan
from penstock.policy.balance import Standing


def standings(*weights):
    """Return one target for each weight, called a, b, c and so on."""
    plans = (TargetPlan(id=i + 1, host=chr(97 + i), port=80, weight=weight) for i, weight in enumerate(weights))
    return [Standing(plan) for plan in plans]


def names(found):
    """Return what targets are called, `-` for none."""
    return "".join("-" if each is None else each.plan.host for each in found)


def picks(balancer, count):
    """Return the first picks."""
    return names(balancer.pick("192.0.2.1") for _ in range(count))
