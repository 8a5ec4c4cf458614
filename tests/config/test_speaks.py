"""Which routes a listener can serve, by what it speaks."""

import pytest

from penstock.config.listener import Listener
from penstock.config.route import Route
from penstock.config.speaks import speaks, unfit, unheard
from penstock.config.table import HOLE

LISTENERS = {
    "tcp": {"protocol": "tcp"},
    "http": {"protocol": "http"},
    "reverse": {"protocol": "http", "reverse": True},
    "socks5": {"protocol": "socks5"},
    "socks5 with users": {"protocol": "socks5", "auth": "a:b"},
    "auto": {"protocol": "auto"},
    "auto http": {"protocol": "auto", "detect": ["http"]},
    "tls": {"protocol": "tls"},
    "tls http": {"protocol": "tls", "inside": "http"},
}
ALL = set(LISTENERS)
FORWARD = {"http", "socks5", "socks5 with users", "auto", "auto http"}
WEB = {"reverse", "tls http"}
SENDS = {"tcp", "reverse", "auto", "tls", "tls http"}
TLS = {"tls", "tls http"}
TO = {"targets": ["a:1"]}


def said(listener):
    """Return what a listener speaks."""
    return speaks(Listener.model_validate({"listen": ":1", **LISTENERS[listener]}))


@pytest.mark.parametrize(
    ("route", "served"),
    [
        ({"action": "block"}, ALL),
        ({"action": "handler", "handler": "a:b"}, ALL),
        ({}, FORWARD),
        ({"parent": "socks5://h:1"}, FORWARD),
        ({**TO, "match": {"ports": 1}}, ALL),
        (TO, SENDS),
        ({**TO, "tls": "passthrough"}, TLS),
        ({**TO, "tls": "terminate"}, TLS),
        ({**TO, "tls": "terminate_and_reencrypt"}, TLS),
        ({**TO, "tls": "none"}, SENDS - TLS),
        ({**TO, "target_tls": {}}, SENDS),
        ({"action": "redirect", "location": "/"}, WEB),
        ({"action": "answer"}, WEB),
        ({**TO, "match": {"path": "/x"}}, WEB),
        ({**TO, "rewrite": {"host": "x"}}, WEB),
        ({**TO, "users": {"a": "b"}}, WEB),
        ({**TO, "users_file": "u"}, WEB),
        ({**TO, "match": {"domains": "a.example"}}, ALL - {"tcp"}),
        ({"action": "block", "match": {"destinations": "*.internal"}}, FORWARD),
        ({"action": "block", "match": {"tls_versions": "1.2"}}, TLS),
        ({"action": "block", "match": {"sni": False}}, TLS),
        ({"action": "block", "match": {"users": "a"}}, {"socks5 with users"}),
        ({**TO, "timeouts": {"response": "1s"}, "match": {"clients": "::1"}}, ALL),
        ({"action": "block", "match": {"clients": "::1"}}, ALL),
    ],
)
def test_who_can_serve_what(route, served):
    """Each route can be served by those listeners alone that know what it is about."""
    model = Route.model_validate({"name": "r", **route})
    assert {name for name in LISTENERS if unfit(model, said(name)) is None} == served


def test_why_not():
    """The answer names the key, says what is wrong with it, and what to write instead."""
    found = unfit(Route.model_validate({"name": "r", **TO, "tls": "passthrough"}), said("tcp"))
    assert (found.key, found.what) == (("tls",), "a tcp listener speaks no TLS")
    found = unfit(Route.model_validate({"name": "r", "action": "answer"}), said("tls"))
    assert found.write == 'inside = "http" in the listener'
    found = unfit(Route.model_validate({"name": "r", "action": "answer"}), said("http"))
    assert found.write == "reverse = true in the listener"
    found = unfit(Route.model_validate({"name": "r"}), said("tcp"))
    assert (found.key, found.present) == (("targets",), False)


@pytest.mark.parametrize("key", [key for key in Route.model_fields if key != "name"])
def test_what_is_unknown_is_in_nobodys_way(key):
    """A hole is no reason against any listener."""
    model = Route.model_validate({"name": "r", "targets": ["a:1"], "match": {"ports": 1}, key: HOLE})
    if key == "targets":
        assert unfit(model, said("tcp")) is None
    assert unfit(model, said("http")) is None


@pytest.mark.parametrize("key", ["protocol", "detect", "inside", "reverse", "users", "auth"])
def test_what_is_unknown_of_a_listener(key):
    """A listener with a hole in what matters speaks nobody knows what."""
    assert speaks(Listener.model_validate({"listen": ":1", "protocol": "auto", key: HOLE})) is None


def test_who_needs_targets():
    """Targets that are there for all go to those that have nothing else to do."""
    assert {name for name in LISTENERS if said(name).sends} == SENDS


@pytest.mark.parametrize(
    ("listeners", "right"),
    [
        ({"tcp"}, False),
        ({"socks5"}, False),
        ({"tls"}, False),
        ({"tcp", "socks5 with users"}, False),
        ({"http"}, True),
        ({"reverse"}, True),
        ({"auto"}, True),
        ({"tls http"}, True),
        ({"tcp", "http"}, True),
        (set(), True),
    ],
)
def test_who_waits_for_answers(listeners, right):
    """A timeout for answers of HTTP says nothing where nobody sees one."""
    route = Route.model_validate({"name": "r", **TO, "timeouts": {"response": "1s"}})
    found = unheard(route, [said(each) for each in sorted(listeners)])
    assert (found is None) is right
    assert unheard(Route.model_validate({"name": "r", **TO, "timeouts": {"idle": "1s"}}), [said("tcp")]) is None


def test_what_is_unknown_of_answers_is_in_nobodys_way():
    """Neither the table nor the key."""
    for timeouts in (HOLE, {"response": HOLE}):
        assert unheard(Route.model_validate({"name": "r", **TO, "timeouts": timeouts}), [said("tcp")]) is None
