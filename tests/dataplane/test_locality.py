"""Whether an address reaches this node is judged however the address is written."""

import socket

import pytest

from penstock.dataplane import locality
from penstock.dataplane.locality import OwnAddresses, can_bind


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "::FFFF:127.0.0.1",
        "::ffff:7f00:1",
        "0:0:0:0:0:ffff:7f00:1",
        "0.0.0.0",
        "::",
        "0:0:0:0:0:0:0:0",
    ],
)
def test_own_address_in_every_spelling(host):
    """A listener on one address is reached by that address in any form, and by the wildcards."""
    assert OwnAddresses((("127.0.0.1", 8080),)).holds(host, 8080)


@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1", "::0001", "::1%lo"])
def test_own_ipv6_address_in_every_spelling(host):
    """The same for IPv6, with and without the interface."""
    assert OwnAddresses((("::1", 8080),)).holds(host, 8080)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.2", 8080), ("127.0.0.1", 8081), ("203.0.113.77", 8080)])
def test_others_are_others(host, port):
    """Another address or another port is not this node."""
    assert not OwnAddresses((("127.0.0.1", 8080),)).holds(host, port)


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_wildcard_listener_is_reached_by_every_address_of_the_machine(wildcard):
    """A listener on all addresses is reached by loopback and every local address, and by no other."""
    own = OwnAddresses(((wildcard, 8080),))
    assert own.holds("127.0.0.1", 8080)
    assert own.holds("127.1.2.3", 8080)
    assert own.holds("::1", 8080)
    assert not own.holds("203.0.113.77", 8080)
    assert not own.holds("2001:db8::1", 8080)
    assert not own.holds("127.0.0.1", 8081)


def test_what_can_be_bound_is_local():
    """Only an address of this machine can be bound."""
    assert can_bind("127.0.0.1")
    assert not can_bind("203.0.113.77")
    if socket.has_ipv6:
        assert not can_bind("2001:db8::1")


def test_memory_is_bounded(monkeypatch):
    """Addresses asked about are remembered up to a bound."""
    monkeypatch.setattr(locality, "ENTRIES", 8)
    own = OwnAddresses((("0.0.0.0", 8080),))
    for index in range(50):
        own.holds(f"203.0.113.{index}", 8080)
    assert len(own._local) <= 8
