"""What the keys of one listener mean together, and what its routes need of it: each rule alone."""

import pytest

from penstock.config.listener import Listener
from penstock.config.listener_rules import listener_mistakes, served_mistakes
from penstock.config.model import Config
from penstock.config.route import Route
from penstock.config.serving import services
from penstock.config.table import HOLE

TLS = {"protocol": "tls", "listen": ":443", "name": "web"}
WITH = {**TLS, "certificates": ["a.pem"]}
TCP = {"protocol": "tcp", "listen": ":1", "name": "web"}


def wrong(listener, routes=(), matched=()):
    """Return the mistakes of one listener: the keys below it, and what is wrong."""
    config = Config.model_validate({"listener": [listener], "route": list(routes)})
    (service,) = services(config)
    others = [Route.model_validate({"name": "m", **each}) for each in matched]
    found = [*listener_mistakes(0, service), *served_mistakes(0, service, others)]
    return [(mistake.key[2:], mistake.what) for mistake in found]


REVERSE = {"protocol": "http", "listen": ":80", "reverse": True, "name": "web"}
TO = {"targets": ["a:1"]}
OWN = {"name": "own", **TO}


@pytest.mark.parametrize(
    ("listener", "routes", "matched"),
    [
        ({**WITH, **TO}, [], []),
        (WITH, [OWN], []),
        (TLS, [{**OWN, "tls": "passthrough"}], []),
        (TLS, [], [{**TO, "tls": "passthrough"}]),
        (TLS, [], [{"action": "block"}]),
        ({**WITH, "inside": "http"}, [OWN], []),
        (REVERSE, [], [{"action": "answer"}]),
        (TCP, [], [TO]),
        ({**TCP, **TO, "accept_proxy": "optional", "trusted_proxies": "10.0.0.0/8"}, [], []),
        ({**TCP, **TO, "listen": "unix:/run/x", "accept_proxy": "required"}, [], []),
        ({**WITH, **TO, "tls": {"client_certificates": "optional", "client_ca": "x"}}, [], []),
        ({**REVERSE, **TO}, [], []),
    ],
)
def test_what_is_right(listener, routes, matched):
    """What fits together is not found fault with."""
    assert wrong(listener, routes, matched) == []


@pytest.mark.parametrize(
    ("listener", "routes", "matched", "key", "what"),
    [
        ({**TLS, **TO}, [], [], ("certificates",), "the listener terminates TLS"),
        (TLS, [OWN], [], ("certificates",), "route own terminates TLS"),
        (TLS, [], [TO], ("certificates",), "route m terminates TLS"),
        ({**WITH, "inside": "http"}, [], [], ("targets",), "missing: a tls listener with http inside sends somewhere"),
        (REVERSE, [], [], ("targets",), "missing: a reverse http listener sends somewhere"),
        ({**REVERSE, **TO, "auth": "a:b"}, [], [], ("auth",), "a reverse http listener asks nobody"),
        ({**TCP, **TO, "reverse": True}, [], [], ("reverse",), "is for http listeners, and this one is tcp"),
        ({**REVERSE, **TO, "reverse": False}, [], [], ("targets",), "the clients of http say where they go"),
        (WITH, [], [], ("targets",), "missing: a tls listener with tcp inside sends somewhere"),
        ({**TCP, **TO, "certificates": ["x"]}, [], [], ("certificates",), "this one is tcp"),
        ({**TCP, **TO, "tls": {}}, [], [], ("tls",), "this one is tcp"),
        ({**TCP, **TO, "inside": "http"}, [], [], ("inside",), "this one is tcp"),
        ({**WITH, **TO, "auth": "a:b"}, [], [], ("auth",), "a tls listener asks nobody"),
        ({**TCP, **TO, "accept_proxy": "required"}, [], [], ("trusted_proxies",), "missing: whoever"),
        ({**TCP, **TO, "trusted_proxies": "::1"}, [], [], ("trusted_proxies",), "no PROXY header is taken"),
        (
            {**WITH, **TO, "tls": {"client_certificates": "required"}},
            [],
            [],
            ("tls", "client_ca"),
            "missing: nobody could have issued",
        ),
        ({**WITH, **TO, "tls": {"client_ca": "x"}}, [], [], ("tls", "client_ca"), "asked for no certificate"),
        ({**WITH, **TO, "inside": "http", "tls": {"alpn": "h2"}}, [], [], ("tls", "alpn", 0), "HTTP inside TLS is 1.1"),
        ({"protocol": "socks5", "listen": ":1", **TO}, [], [], ("targets",), "the clients of socks5"),
        (TCP, [OWN, {**OWN, "name": "two"}], [], ("targets",), "routes own and two both serve it"),
    ],
)
def test_each_mistake(listener, routes, matched, key, what):
    """One mistake is found once, at its key, and causes no other."""
    ((where, found),) = wrong(listener, routes, matched)
    assert where == key
    assert what in found


@pytest.mark.parametrize("key", [key for key in Listener.model_fields if key != "name"])
@pytest.mark.parametrize("listener", [{**WITH, **TO}, {**TCP, **TO}, TLS])
def test_what_is_unknown_is_not_judged(listener, key):
    """A hole in any key is found no fault with, and no rule fails."""
    assert [where for where, _ in wrong({**listener, key: HOLE}) if where[:1] == (key,)] == []


def test_holes_in_its_tls():
    """A table of TLS whose values are unknown is not judged."""
    assert wrong({**WITH, **TO, "tls": {"client_certificates": HOLE, "client_ca": HOLE, "alpn": HOLE}}) == []
