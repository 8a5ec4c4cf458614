"""Access rules together, and with listeners."""

import pytest

from penstock.config.access_rules import ACCESS_RULES
from penstock.config.model import Config
from penstock.config.rules import check
from penstock.config.table import HOLE

TCP = {"protocol": "tcp", "listen": ":1", "targets": ["a:1"], "name": "plain"}
SOCKS = {"protocol": "socks5", "listen": ":2", "name": "egress"}
LOGIN = {"protocol": "socks5", "listen": ":3", "name": "login", "auth": "ann:secret"}
BLOCK = {"action": "block"}


def wrong(*rules, listeners=(TCP, SOCKS, LOGIN)):
    """Return the mistakes, as pairs of key and explanation."""
    config = Config.model_validate({"listener": list(listeners), "access": list(rules)})
    return [(mistake.key, mistake.what) for mistake in check(config)]


def test_right_rules_have_no_mistakes():
    """Rules for all listeners, and rules with keys that their listeners have a use for."""
    assert wrong(BLOCK, BLOCK | {"destinations": "*.a", "listeners": ["egress"]}, BLOCK | {"users": "ann"}) == []


@pytest.mark.parametrize(
    ("rule", "key", "what"),
    [
        ({"name": "first"}, ("name",), "is the name of access rule 1 too"),
        ({"listeners": ["egres"]}, ("listeners", 0), "there is no such listener"),
        ({"listeners": ["plain"], "destinations": "*.a"}, ("destinations",), "say where they go"),
        ({"listeners": ["egress"], "users": "ann"}, ("users",), "asks anybody who they are"),
    ],
)
def test_mistakes(rule, key, what):
    """Names that are taken, listeners that there are not, and keys that hold for nobody."""
    ((found, said),) = wrong(BLOCK | {"name": "first"}, BLOCK | rule)
    assert found == ("access", 1, *key)
    assert what in said


def test_too_many():
    """There is a bound, and it is told."""
    assert wrong(*[BLOCK] * (ACCESS_RULES + 1)) == [(("access",), "10001 of them; a node takes at most 10000")]


def test_nothing_is_said_of_what_is_unknown():
    """Holes are no mistakes of their own."""
    holes = {"name": HOLE, "action": HOLE, "listeners": HOLE, "users": HOLE, "destinations": HOLE}
    assert wrong(holes) == []
    assert wrong(BLOCK | {"users": "ann"}, listeners=[SOCKS | {"auth": HOLE}]) == []


def test_private_addresses_are_for_forward_proxies():
    """Where clients do not say where they go, there is nothing to allow."""
    ((key, what),) = wrong(listeners=[TCP | {"allow_private": True}])
    assert key == ("listener", 0, "allow_private")
    assert "do not say where they go" in what
