"""A route as it is written: its defaults, and which ones are their listeners' own."""

import pytest

from penstock.config.plan import RoutePlan
from penstock.config.route import Match, Route, is_own
from penstock.config.table import HOLE


def route(**keys):
    """Return a route."""
    return Route.model_validate({"name": "r", **keys})


@pytest.mark.parametrize(
    ("match", "own"),
    [
        ({}, True),
        ({"domains": [], "users": []}, True),
        ({"domains": "a.example"}, False),
        ({"sni": False}, False),
        ({"ports": 25}, False),
        (HOLE, False),
    ],
)
def test_what_is_a_listeners_own(match, own):
    """A route without anything to match is its listeners' own; one whose match is unknown may not be."""
    assert is_own(route(match=match)) is own
    assert is_own(route())


def test_every_key_of_a_match_counts():
    """No key of a match can be written without making it one."""
    values = {"path": "/x", "clients": "::1", "ports": 1, "tls_versions": "1.3", "sni": True}
    for name in Match.model_fields:
        assert not is_own(route(match={name: values.get(name, "x")}))


def test_defaults_are_those_of_the_plan():
    """What nobody wrote is what the plan has for it."""
    plan, written = RoutePlan(id=1, name="r"), route()
    for name in ("priority", "action", "balance", "send_proxy", "content_type", "handler_timeout"):
        assert getattr(written, name) == getattr(plan, name)


def test_secrets_are_not_printed():
    """A route prints no password."""
    assert "hunter2" not in repr(route(users={"ann": "hunter2"}, parent="http://a:hunter2@h:1"))
