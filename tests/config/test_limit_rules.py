"""Limits that could never apply are mistakes; those that can are none."""

import pytest

from penstock.config.limit_rules import limit_mistakes
from penstock.config.model import Config

DOOR = {"name": "s", "listen": ":1", "protocol": "socks5", "users": {"ann": "x"}}


def wrong(limits=None, listener=None, route=None):
    """Return the mistakes of limits as pairs of key and explanation."""
    sections = {"listener": [DOOR | ({"limits": listener} if listener else {})]}
    if route is not None:
        sections["route"] = [{"name": "r", "limits": route}]
    config = Config.model_validate(sections | ({"limits": limits} if limits else {}))
    return [(".".join(map(str, each.key)), each.what) for each in limit_mistakes(config)]


@pytest.mark.parametrize(
    ("sections", "key", "what"),
    [
        ({"limits": {"connections": 9, "connections_per_ip": 10}}, "limits.connections_per_ip", "takes 9 connections"),
        ({"limits": {"connections": 9, "connections_per_user": 10}}, "limits.connections_per_user", "never reached"),
        (
            {"limits": {"connections": 9, "users": [{"name": "ann", "connections": 10}]}},
            "limits.users.0.connections", "never reached",
        ),
        ({"limits": {"connections": 9}, "listener": {"connections": 10}}, "listener.0.limits.connections", "never"),
        ({"limits": {"connections": 9}, "route": {"connections": 10}}, "route.0.limits.connections", "never reached"),
        (
            {"route": {"bandwidth": "1MiB/s", "bandwidth_per_connection": "2MiB/s"}},
            "route.0.limits.bandwidth_per_connection", "together have 1MiB/s",
        ),
        ({"limits": {"quota_reset_day": 3}}, "limits.quota_reset_day", "no quota"),
        ({"route": {"quota_throttle": "1MiB/s"}}, "route.0.limits.quota_throttle", "no quota"),
        ({"route": {"quota": "1GiB", "quota_throttle": "1MiB/s"}}, "route.0.limits.quota_throttle", "throttled"),
        (
            {"route": {"quota": "1GiB", "quota_action": "throttle", "quota_throttle": "off"}},
            "route.0.limits.quota_throttle", "none to throttle to",
        ),
        (
            {"route": {"quota": "1GiB", "quota_action": "throttle", "quota_throttle": "1MiB/s", "bandwidth": "1MiB/s"}},
            "route.0.limits.quota_throttle", "slows nobody down",
        ),
    ],
)  # fmt: skip
def test_what_never_applies(sections, key, what):
    """More than all together may have, and quotas that are none or slow nobody down."""
    ((found, said),) = wrong(**sections)
    assert found == key
    assert what in said


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"limits": {"connections": 9}},
        {"limits": {"connections": 9, "connections_per_ip": 9, "connections_per_user": "off"}},
        {"listener": {"connections": 10, "bandwidth": "1MiB/s", "bandwidth_per_connection": "1MiB/s"}},
        {"route": {"quota": "1GiB", "quota_reset_day": 3, "quota_action": "stop", "quota_throttle": "off"}},
        {"route": {"quota": "1GiB", "quota_action": "throttle", "bandwidth": "1MiB/s"}},
        {"limits": {"quota_per_user": "1GiB", "quota_action": "throttle", "quota_throttle": "1KiB/s"}},
    ],
)
def test_what_may_apply(sections):
    """Defaults that nobody wrote, limits that are equal, and quotas that are whole."""
    assert wrong(**sections) == []
