"""What the keys of one route mean together: each rule alone."""

import pytest

from penstock.config.route import Route
from penstock.config.route_rules import ONLY_FOR, REDIRECTS, route_mistakes
from penstock.config.table import HOLE

TO = {"targets": ["a:1"]}
REDIRECT = {"action": "redirect", "location": "/"}


def wrong(route):
    """Return the mistakes of a route: the keys below it, and what is wrong."""
    model = Route.model_validate({"name": "r", **route})
    return [(mistake.key[2:], mistake.what) for mistake in route_mistakes(0, model)]


@pytest.mark.parametrize(
    "route",
    [
        {},
        TO,
        REDIRECT,
        {"action": "block"},
        {"action": "answer"},
        {"action": "answer", "body": "x", "status": 404, "content_type": "text/html"},
        {"action": "handler", "handler": "a:b", "handler_timeout": "1s", **TO},
        {"parent": "https://h:1", **TO, "send_proxy": "v2"},
        {"parent": "http://h:1", **TO, "target_tls": {}},
        {"parent": "http://h:1", **TO, "passive": {"failures": 0}},
        {**TO, "tls": "passthrough", "match": {"domains": "a.example"}, "send_proxy": "v1", "balance": "source_hash"},
        {"tls": "passthrough", "action": "block"},
        {**TO, "health_check": {"kind": "http", "path": "/", "expect": [200]}},
        {**TO, "health_check": {"timeout": "5s"}},
    ],
)
def test_what_is_right(route):
    """What fits together is not found fault with."""
    assert wrong(route) == []


@pytest.mark.parametrize(
    ("route", "key", "what"),
    [
        ({"action": "redirect"}, ("location",), "missing: a redirect sends somewhere"),
        ({**REDIRECT, "status": 200}, ("status",), "a redirect is 301"),
        ({**REDIRECT, **TO}, ("targets",), "is for forward and handler, and the action is redirect"),
        ({**REDIRECT, "parent": "http://h:1"}, ("parent",), "is for forward and handler"),
        ({"action": "block", "rewrite": {"host": "x"}}, ("rewrite",), "is for forward"),
        ({**TO, "location": "/"}, ("location",), "is for redirect, and the action is forward"),
        ({**TO, "body": "x"}, ("body",), "is for answer"),
        ({**TO, "handler": "a:b"}, ("handler",), "is for handler"),
        ({"action": "answer", "body": "x", "body_file": "y"}, ("body_file",), "keep one"),
        ({"action": "handler"}, ("handler",), "missing"),
        ({**TO, "tls": "passthrough", "match": {"path": "/x"}}, ("match", "path"), "nobody reads what"),
        ({**REDIRECT, "tls": "passthrough"}, ("action",), "nobody reads what"),
        ({"action": "answer", "tls": "passthrough"}, ("action",), "nobody reads what"),
        ({**TO, "tls": "passthrough", "rewrite": {"host": "x"}}, ("rewrite",), "nobody reads what"),
        ({**TO, "tls": "passthrough", "users": {"a": "b"}}, ("users",), "nobody reads what"),
        ({**TO, "tls": "passthrough", "users_file": "u"}, ("users_file",), "nobody reads what"),
        ({**TO, "tls": "passthrough", "target_tls": {}}, ("target_tls",), "nobody reads what"),
        ({"tls": "passthrough"}, ("targets",), "missing: what is passed through goes somewhere"),
        ({"balance": "source_hash"}, ("balance",), "is about targets"),
        ({"health_check": {}}, ("health_check",), "is about targets"),
        ({"send_proxy": "v1"}, ("send_proxy",), "is about targets"),
        ({"target_tls": {}}, ("target_tls",), "is about targets"),
        ({"slow_start": "1s"}, ("slow_start",), "is about targets"),
        ({"tls": "terminate_and_reencrypt"}, ("tls",), "is about targets"),
        ({**TO, "health_check": {"timeout": "6s"}}, ("health_check", "timeout"), "the next begins after 5s"),
        ({**TO, "health_check": {"interval": "1s"}}, ("health_check", "interval"), "a check may take 2s"),
        ({**TO, "health_check": {"path": "/"}}, ("health_check", "path"), "is for checks by HTTP"),
        ({**TO, "health_check": {"expect": 200}}, ("health_check", "expect"), "is for checks by HTTP"),
        ({**TO, "health_check": {"kind": "http", "expect": []}}, ("health_check", "expect"), "no status"),
        ({**TO, "target_tls": {}, "parent": "https://h:1"}, ("target_tls",), "does not fit into"),
        ({**TO, "tls": "terminate_and_reencrypt", "parent": "https://h:1"}, ("tls",), "does not fit into"),
        (
            {**TO, "parent": "http://h:1", "passive": {"ejection": "9s"}},
            ("passive",),
            "the parent may be what has failed",
        ),
        ({"parent": {"kind": "http", "address": "h:1", "tls": {}}}, ("parent", "tls"), "is for a parent of kind https"),
        ({"parent": {"kind": "http", "address": "h:1", "user": "a"}}, ("parent", "password"), "missing"),
        ({"parent": {"kind": "http", "address": "h:1", "password": "a"}}, ("parent", "user"), "missing"),
        ({**TO, "target_tls": {"key": "k"}}, ("target_tls", "cert"), "missing"),
        ({**TO, "target_tls": {"ca": "k", "verify": False}}, ("target_tls", "ca"), "verify is false"),
        ({"targets": ["a:1", "a:1"]}, ("targets", 1, "address"), "is there twice"),
    ],
)
def test_each_mistake(route, key, what):
    """One mistake is found once, at its key, and causes no other."""
    ((where, found),) = wrong(route)
    assert where == key
    assert what in found


def test_the_right_statuses_of_a_redirect():
    """Each status that a redirect may have is taken."""
    assert [wrong({**REDIRECT, "status": status}) for status in REDIRECTS] == [[]] * len(REDIRECTS)


@pytest.mark.parametrize("key", [key for key in Route.model_fields if key != "name"])
@pytest.mark.parametrize("route", [TO, REDIRECT, {**TO, "tls": "passthrough", "health_check": {}}])
def test_what_is_unknown_is_not_judged(route, key):
    """A hole in any key is found no fault with, and no rule fails."""
    assert [where for where, _ in wrong({**route, key: HOLE}) if where[:1] == (key,)] == []


@pytest.mark.parametrize("table", ["health_check", "target_tls", "parent"])
def test_tables_of_holes(table):
    """A table whose values are unknown is not judged."""
    fields = Route.model_fields[table].annotation.__args__[0].model_fields
    assert wrong({**TO, table: dict.fromkeys(fields, HOLE)}) == []


def test_every_rule_is_about_a_key():
    """The table of actions names keys of routes alone."""
    assert set(ONLY_FOR) <= set(Route.model_fields)
