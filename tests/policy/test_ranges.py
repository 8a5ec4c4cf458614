"""Ranges of ports and addresses: one bisection against asking each."""

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.ranges import (
    NOT_AN_ADDRESS,
    RangeIndex,
    address_number,
    contains,
    merge,
    network_ranges,
    prefix_length,
)

RANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=4)
NETWORKS = st.builds(
    lambda ip, length: f"{ip}/{min(length, ip.max_prefixlen)}",
    st.ip_addresses() | st.sampled_from(["10.0.0.0", "10.1.0.0", "::", "::ffff:10.0.0.0"]).map(ipaddress.ip_address),
    st.integers(0, 128),
)


@given(st.lists(st.none() | RANGES, max_size=6), st.integers(-1, 25))
def test_finding_is_asking_each(rules, number):
    """At each number exactly the rules hold of which a range holds it, and those that hold everywhere."""
    expected = 0
    for place, some in enumerate(rules):
        if some is None or any(first <= number <= last for first, last in some):
            expected |= 1 << place
    everywhere = sum(1 << place for place, some in enumerate(rules) if some is None)
    index = RangeIndex(((place, some) for place, some in enumerate(rules) if some is not None), everywhere)
    assert index.find(number) == expected


@given(RANGES)
def test_merging_keeps_the_numbers(ranges):
    """The same numbers, in ranges that neither meet nor touch."""
    merged = merge(ranges)
    assert numbers(merged) == numbers(ranges)
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(merged))


@given(RANGES, RANGES)
def test_containing_is_holding_all_numbers(ranges, others):
    """Ranges that touch hold together what none of them holds alone."""
    assert contains(ranges, others) == (numbers(ranges) >= numbers(others))


def numbers(ranges):
    """All numbers of some ranges."""
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(NETWORKS, st.ip_addresses())
def test_networks_hold_their_addresses(network, ip):
    """As the standard library says, of addresses that are what they look like: IPv4-mapped ones are IPv4."""
    parsed = ipaddress.ip_network(network, strict=False)
    folded = getattr(ip, "ipv4_mapped", None) or ip
    number = address_number(str(ip))
    held = any(first <= number <= last for first, last in network_ranges(network))
    if parsed.version == 6 and parsed.prefixlen >= 96 and parsed.network_address.ipv4_mapped:
        expected = folded.version == 4 and ipaddress.ip_address(f"::ffff:{folded}") in parsed
    else:
        expected = folded.version == parsed.version and folded in parsed
    assert held == (expected and number != NOT_AN_ADDRESS)


@pytest.mark.parametrize(
    ("network", "client", "held"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("0.0.0.0/0", "255.255.255.255", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "10.1.2.3", False),
        ("::/80", "10.1.2.3", False),
        ("::fffe:0:0/95", "10.1.2.3", False),
        ("::fffe:0:0/95", "::fffe:1:1", True),
        ("::/0", "-", False),
        ("0.0.0.0/0", "-", False),
        ("::/0", "example.org", False),
    ],
)
def test_clients_of_networks(network, client, held):
    """Who is in and who is not: the families apart, but for mapped addresses; who has no address is nowhere."""
    index = RangeIndex([(0, network_ranges(network))], 0b10)
    assert index.find(address_number(client)) == (0b11 if held else 0b10)


def test_lengths_compare_across_families():
    """An IPv4 network is as narrow as its mapped twin."""
    assert prefix_length("10.0.0.0/8") == prefix_length("::ffff:10.0.0.0/104") == 104
    assert prefix_length("10.0.0.1") == 128


def test_what_is_no_network():
    """Is the caller's mistake, and says so."""
    with pytest.raises(ValueError, match="does not appear to be"):
        network_ranges("10.0.0.0/33")
