"""Tests of `penstock.node.bans.writing`: what a worker finds in a table is what the networks say."""

import os
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.addresses import pack_ip
from penstock.dataplane.ban_ranges import FOREVER, BanRanges
from penstock.dataplane.bans import BY_HAND, Bans
from penstock.node.bans import writing
from penstock.node.bans.ranges import Span, columns_of, disjoint
from penstock.node.bans.writing import write
from penstock.policy.ranges import address_number, network_ranges

TOP4, TOP6 = 2**32 - 1, 2**128 - 1


def table(spans):
    """Return a view of the table of spans, which may overlap."""
    fd = write(columns_of(disjoint(spans)))
    try:
        return BanRanges(fd)
    finally:
        os.close(fd)


NEAR4 = st.builds(
    lambda base, shift, number: min(base + (number << shift), TOP4),
    st.sampled_from([0, 0x0A00_0000, 0xC000_0200, 0xFFFF_FF00]),
    st.sampled_from([0, 1, 8, 16]),
    st.integers(0, 20),
)
NEAR6 = st.builds(
    lambda base, shift, number, low: min(base + (number << shift) + low, TOP6),
    st.sampled_from([0, 0x2001_0DB8 << 96, 0xFFFF << 32, TOP6 - (1 << 70)]),
    st.sampled_from([0, 1, 32, 60, 64, 65, 80]),
    st.integers(0, 20),
    st.sampled_from([0, 0, 1, (1 << 64) - 1]),
)
"""Addresses that crowd at a few places, at the edges of families, of halves, and within the same 64 bits."""

IPV4_NETWORKS = st.builds(lambda number, bits: ip_network((number, bits), strict=False), NEAR4, st.integers(1, 32))
IPV6_NETWORKS = st.builds(lambda number, bits: ip_network((number, bits), strict=False), NEAR6, st.integers(1, 128))
ADDRESSES = st.one_of(NEAR4.map(IPv4Address), NEAR6.filter(bool).map(IPv6Address))
ENDS = st.sampled_from([None, None, 50, 100, 150])
"""When a ban ends: never, before now, now, after now."""

NOW = 100


def beside(network):
    """Return the addresses at both ends of a network and beside them."""
    low, high = int(network.network_address), int(network.broadcast_address)
    top = TOP4 if network.version == 4 else TOP6
    kind = type(network.network_address)
    return [
        kind(number) for number in (low - 1, low, high, high + 1) if (network.version == 6) <= number <= top
    ]  # `::` is nobody


def is_in(address, network):
    """Return whether a client has an address of a network: mapped addresses are IPv4, whatever holds them."""
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        network = ip_network((int(network.network_address) & TOP4, network.prefixlen - 96))
    return address in network


@given(
    st.lists(st.tuples(st.one_of(IPV4_NETWORKS, IPV6_NETWORKS), ENDS), min_size=1, max_size=30),
    st.lists(ADDRESSES, max_size=10),
    st.sampled_from([1, 2, 5, 2_048]),
    st.sampled_from([1, 2, 12]),
    st.sampled_from([1, 3, 22]),
)
def test_a_client_is_banned_as_the_networks_themselves_say(networks, addresses, block, bits6, bits4):
    """Nested, equal, adjacent and mixed networks, ends in past and future, any index: all give the right answer."""
    spans = [
        Span(first, last, FOREVER if end is None else end)
        for network, end in networks
        for first, last in network_ranges(str(network))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BLOCK", block)
        patch.setattr(writing, "CELL_BITS", bits6)
        patch.setattr(writing, "CELL_BITS4", bits4)
        fd = write(columns_of(disjoint(spans)))
    bans = Bans((-1, fd, -1), lambda: NOW)
    os.close(fd)
    for address in [*addresses, *(each for network, _ in networks for each in beside(network))]:
        expected = any(is_in(address, network) and (end is None or end > NOW) for network, end in networks)
        assert bans.holds(pack_ip(str(address))) == expected, address
    bans.close()


PLACES = st.builds(
    lambda shift, number, more: ((0x2001 << 48) + (number << shift)) << 64 | more,
    st.sampled_from([0, 1, 8, 16, 32, 47]),
    st.integers(0, 15),
    st.sampled_from([0, 0, 1, 7, (1 << 64) - 1]),
)


@given(st.lists(PLACES, min_size=1, max_size=40, unique=True), st.sampled_from([1, 2, 3, 1_024]))
def test_networks_are_found_however_they_crowd(places, block):
    """Blocks begin and end anywhere, many in the same 64 bits, and an address beside a range is in none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BLOCK", block)
        banned = table([Span(place, place, 7) for place in places])
    for place in places:
        for address in (place - 1, place, place + 1, place ^ 1 << 64, place ^ 1 << 100, place | 0xFFFF << 112):
            assert banned.until(address) == (7 if address in places else 0), hex(address)


def test_both_families_stand_in_one_table():
    """A table answers for IPv4 and IPv6 alike, at every edge of its ranges, each with its own end."""
    networks = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "2001:db9::1/128", "2001:db9::4/126", "::/128"]
    some = [Span(*each, 7 + place) for place, text in enumerate(networks) for each in network_ranges(text)]
    banned = table(some)
    for each in some:
        beside = (max(each.first - 1, 1), each.first, each.last, each.last + 1)
        assert [banned.until(n) for n in beside] == [0, each.until, each.until, 0]
    assert banned.until(address_number("10.0.0.0")) == 0


def test_everybody_and_nobody():
    """A table of all addresses has no address outside; one of a single family has none of the other."""
    for text, inside, outside in (
        ("0.0.0.0/0", ["0.0.0.0", "10.0.0.1", "255.255.255.255"], ["::", "::1", "ffff::"]),
        ("::/0", ["::", "::1", "ffff:" * 7 + "ffff"], ["0.0.0.1", "255.255.255.255"]),
    ):
        banned = table([Span(first, last, 7) for first, last in network_ranges(text)])
        assert [banned.until(int.from_bytes(pack_ip(each))) for each in inside] == [7] * len(inside)
        assert [banned.until(int.from_bytes(pack_ip(each))) for each in outside] == [0] * len(outside)


def test_where_nothing_is_banned_there_is_no_table():
    """No networks need no memory; a worker that is told so looks into none."""
    assert write(columns_of([])) == -1
    bans = Bans((-1, -1, -1))
    bans.take(BY_HAND, -1)
    assert not bans.holds(pack_ip("192.0.2.1"))
