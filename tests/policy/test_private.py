"""Which addresses are not of the public Internet."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.private import carried, is_private


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fd00::1", "ff02::1",
        "::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::",
        "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "2001:0:7f00:1::1",
    ],
)  # fmt: skip
def test_private_in_any_spelling(host):
    """Private, link-local, loopback and multicast addresses, mapped, translated and tunnelled ones included."""
    assert is_private(host)


@pytest.mark.parametrize(
    "host",
    ["1.1.1.1", "172.15.255.255", "172.32.0.1", "2606:4700::1", "64:ff9b::8.8.8.8", "2002:808:808::", "::ffff:8.8.8.8"],
)
def test_public(host):
    """Neighbours of private networks, and public addresses in IPv6 clothes, are public."""
    assert not is_private(host)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_no_address_that_is_unreachable_passes(address):
    """Whatever Python's ipaddress calls private, loopback, link-local, multicast or reserved for others is private."""
    private = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    lan = any(address in ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
              if ipaddress.ip_network(n).version == address.version)  # fmt: skip
    assert is_private(str(address)) or not (private or lan)


def test_what_is_no_address_is_not_public():
    """A name that was not resolved is nobody's public address."""
    assert is_private("example.org")


@pytest.mark.parametrize("host", ["64:ff9b::10.0.0.1", "0064:FF9B::A00:1", "2002:a00:1::", "2002:0A00:0001::7"])
def test_what_comes_out_as_ipv4_says_so(host):
    """NAT64 and 6to4 addresses carry the IPv4 address that they lead to, however they are written."""
    assert carried(host) == "10.0.0.1"


@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::a00:1", "64:ff9b:1::a00:1", "2003:a00:1::", "example.org", ""])
def test_what_carries_nothing(host):
    """An IPv4 address, any other IPv6 address and a name carry none."""
    assert carried(host) == ""
