"""The model: defaults, holes, and what it prints of secrets."""

import pytest
from pydantic import ValidationError

from penstock.base.addresses import Endpoint
from penstock.config.compile import compile_plan, this_machine
from penstock.config.model import Config
from penstock.config.plan import MetricsPlan, TimeoutPlan, WorkerPlan
from penstock.config.settle import Settled
from penstock.config.table import HOLE, known

LISTENER = {"listen": ":80", "protocol": "http", "users": {"bob": "hunter2"}, "auth": "al:hunter2"}


def test_everything_has_a_default():
    """An empty file has a value for every key."""
    config = Config.model_validate({})
    assert config.admin.listen == Endpoint("127.0.0.1", 9190)
    assert config.node.workers == "auto"
    assert config.listener == config.route == []


def test_defaults_are_those_of_the_plan():
    """Model and plan agree on every default that both have."""
    config = Config.model_validate({})
    assert compile_plan(Settled(config, None, None), this_machine({})).worker.timeouts == TimeoutPlan()
    plan = WorkerPlan(listeners=())
    assert (config.limits.connections, config.node.splice) == (plan.connections, plan.splice)
    assert (config.dns.ttl, config.dns.negative_ttl) == (plan.dns_ttl, plan.dns_negative_ttl)
    assert compile_plan(Settled(config, None, None), this_machine({})).metrics == MetricsPlan()


def test_secrets_are_not_printed():
    """Neither the model nor the validator's error shows a password."""
    assert "hunter2" not in repr(Config.model_validate({"listener": [LISTENER]}))
    url = "http://ann:hunter2@host/"
    assert "hunter2" not in repr(Config.model_validate({"metrics": {"push": url, "otlp": url}}))
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"listener": [LISTENER | {"auth": "hunter2", "listen": ":99999"}]})
    assert "hunter2" not in str(caught.value)


def test_targets_are_text_or_tables():
    """A target is written as text, or as a table with a weight."""
    tables = [{**LISTENER, "targets": ["a:1", {"address": "b:2", "weight": 3}]}]
    first, second = Config.model_validate({"listener": tables}).listener[0].targets
    assert (first.address, first.weight) == (Endpoint("a", 1), 1)
    assert (second.address, second.weight) == (Endpoint("b", 2), 3)


def test_holes_pass_wherever_a_value_stands():
    """A hole in the place of any value is kept, so that the rest of its table can be judged."""
    tree = {"node": {"workers": HOLE}, "listener": [dict.fromkeys(LISTENER, HOLE)], "route": HOLE}
    config = Config.model_validate(tree)
    assert not known(config.listener[0].listen)
    assert not known(config.route)
    assert known(config.listener[0].name)
