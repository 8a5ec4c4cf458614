"""Tests of `penstock.policy.ban`."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.ban import Ban, of_client, parse_network
from penstock.policy.ranges import address_number


@pytest.mark.parametrize(
    ("text", "meant", "single", "wide"),
    [
        ("192.0.2.1", "192.0.2.1", True, False),
        ("192.0.2.1/32", "192.0.2.1", True, False),
        ("192.0.2.0/24", "192.0.2.0/24", False, False),
        ("::ffff:192.0.2.1", "192.0.2.1", True, False),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24", False, False),
        ("::ffff:c000:201", "192.0.2.1", True, False),
        ("2001:DB8:0::1", "2001:db8::1", True, False),
        ("2001:db8::/64", "2001:db8::/64", False, True),
        ("2001:db8::/32", "2001:db8::/32", False, False),
        ("0.0.0.0/0", "0.0.0.0/0", False, False),
        ("::/64", "::/64", False, False),
    ],
)
def test_a_network_has_one_name(text, meant, single, wide):
    """However a network is written, it is called the same, and IPv4-mapped is IPv4."""
    network = parse_network(text)
    assert (network.text, network.single, network.wide) == (meant, single, wide)
    assert parse_network(network.text) == network


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.1/24", "write 192.0.2.0/24"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("example.org", "an address or a network"),
        ("", "an address or a network"),
        ("fe80::1%eth0", "an address or a network"),
        ("10.0.0.0/255.0.0.0", "is a number"),
        ("10.0.0.0/33", "an address or a network"),
        ("1" * 500, "an address or a network"),
    ],
)
def test_what_is_no_network_is_told(text, said):
    """A mistake says what to write."""
    with pytest.raises(ValueError, match=said):
        parse_network(text)


@given(st.text(max_size=70))
def test_any_text_is_a_network_or_a_value_error(text):
    """Nothing else comes of any text."""
    try:
        assert parse_network(text).ranges
    except ValueError:
        pass


@given(st.ip_addresses(v=6).filter(int), st.sampled_from([64, 128]))
def test_a_client_is_banned_with_its_network(address, bits):
    """An IPv6 client is banned with all that share its first bits, an IPv4 client alone."""
    network = of_client(address_number(str(address)), bits)
    assert network.holds(address_number(str(address)))
    if address.ipv4_mapped is None and int(address) >> 64:
        assert ip_network(network.text) == ip_network((int(address) >> 128 - bits << 128 - bits, bits))
        assert network.wide == (bits == 64)


def test_ipv4_clients_are_single():
    """Whatever is said of IPv6."""
    number = address_number("192.0.2.1")
    assert [of_client(number, bits).text for bits in (64, 128)] == ["192.0.2.1"] * 2
    assert int(ip_address("192.0.2.1")) == number & 0xFFFF_FFFF


@pytest.mark.parametrize(("until", "confirm", "end"), [(None, None, None), (9, None, 9), (None, 5, 5), (9, 5, 5)])
def test_a_ban_ends_at_its_time_or_when_nobody_confirms(until, confirm, end):
    """The earlier of the two counts."""
    assert Ban(network="192.0.2.1", origin="manual", reason="", since=1, until=until, confirm_by=confirm).end == end
