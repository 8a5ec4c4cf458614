"""An access rule as it is written, and what it becomes."""

import pytest
from pydantic import ValidationError

from penstock.config.access import Access
from penstock.config.attached import Attached
from penstock.config.compile_routes import compile_served
from penstock.config.model import Config
from penstock.config.plan import AccessRulePlan, DestinationPlan

SOCKS = {"listen": ":1080", "protocol": "socks5", "name": "egress"}
LOCAL = {"listen": "127.0.0.1:1081", "protocol": "socks5", "name": "local"}


def served(*rules, listeners=(SOCKS, LOCAL)):
    """Return what a configuration with these rules becomes."""
    config = Config.model_validate({"listener": list(listeners), "access": list(rules)})
    return compile_served(config, Attached())


def test_every_key_arrives():
    """What is written stands in the plan: lists, single values, days and hours as minutes of the week."""
    written = {
        "name": "mail", "action": "block", "priority": 7, "listeners": ["local"], "clients": "10.0.0.0/8",
        "destinations": ["*.internal:25"], "users": "ann", "ports": [25, "80-90"], "days": "tue",
        "hours": "08:00-18:00",
    }  # fmt: skip
    (rule,) = served(written).rules
    assert rule == AccessRulePlan(
        name="mail", action="block", priority=7, listeners=(2,), clients=("10.0.0.0/8",), users=("ann",),
        ports=((25, 25), (80, 90)), destinations=(DestinationPlan(host="*.internal", ports=((25, 25),)),),
        times=((1_440 + 480, 1_440 + 1_079),),
    )  # fmt: skip


def test_rules_without_a_name_get_one():
    """By their place, and never that of another."""
    rules = served({"action": "allow"}, {"action": "block", "name": "access-1"}, {"action": "block"}).rules
    assert [rule.name for rule in rules] == ["access-1-", "access-1", "access-3"]


def test_private_addresses_follow_the_listener():
    """Clients of a forward proxy may go to private addresses only where this machine alone has them, or it was said."""
    open_ = {**SOCKS, "name": "open", "listen": ":1082", "allow_private": True}
    found = {each.name: each.allow_private for each in served(listeners=[SOCKS, LOCAL, open_]).listeners}
    assert found == {"egress": False, "local": True, "open": True}
    behind = LOCAL | {"accept_proxy": "required", "trusted_proxies": ["127.0.0.1"]}
    (found,) = served(listeners=[behind]).listeners
    assert not found.allow_private, "whoever sends PROXY headers brings others"


@pytest.mark.parametrize(
    "rule", [{}, {"action": "deny"}, {"action": "block", "days": "funday"}, {"action": "block", "client": "::1"}]
)
def test_what_is_no_rule(rule):
    """An action is needed, and keys and values are known ones."""
    with pytest.raises(ValidationError):
        Access.model_validate(rule)
