"""The way to targets: short forms, defaults that are those of the plan, and secrets that stay sealed."""

import pytest
from pydantic import ValidationError

from penstock.base.addresses import Endpoint
from penstock.config.plan import HealthPlan
from penstock.config.tls_plan import TargetTlsPlan
from penstock.config.way import HealthCheck, Parent, Passive, Target, TargetTls


def test_targets_and_parents_may_be_text():
    """Text stands for the table."""
    assert Target.model_validate("a:1") == Target.model_validate({"address": "a:1"})
    short = Parent.model_validate("socks5://ann:pw@h:1")
    assert (short.kind, short.address, short.user) == ("socks5", Endpoint("h", 1), "ann")
    assert short.password.get_secret_value() == "pw"


@pytest.mark.parametrize("table", [Target, Parent])
@pytest.mark.parametrize("value", [5, [], "x", {}])
def test_what_is_neither(table, value):
    """What is neither text nor a whole table is refused."""
    with pytest.raises(ValidationError):
        table.model_validate(value)


def test_defaults_are_those_of_the_plan():
    """What nobody wrote is what the plan has for it."""
    check, passive, plan = HealthCheck(), Passive(), HealthPlan()
    assert (check.interval, check.timeout, check.rise, check.fall) == (
        plan.interval, plan.timeout, plan.rise, plan.fall,
    )  # fmt: skip
    assert (tuple(check.expect), passive.failures, passive.ejection) == (plan.expect, plan.failures, plan.ejection)
    assert TargetTls().verify is TargetTlsPlan().verify


def test_a_parent_prints_no_password():
    """Neither a parent nor the validator's error shows the password."""
    assert "hunter2" not in repr(Parent.model_validate("http://ann:hunter2@h:1"))
    with pytest.raises(ValidationError) as caught:
        Parent.model_validate({"kind": "x", "address": "h:1", "user": "ann", "password": "hunter2"})
    assert "hunter2" not in str(caught.value)
