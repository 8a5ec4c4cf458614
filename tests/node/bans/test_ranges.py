"""Tests of `penstock.node.bans.ranges`."""

import os
from ipaddress import ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dataplane.ban_ranges import FOREVER, BanRanges
from penstock.node.bans import ranges
from penstock.node.bans.ranges import IPV4, Ranges, Span, columns_of, disjoint, merged, write
from penstock.policy.ranges import network_ranges


def table(columns):
    """Return a view of a table with these columns; None where there is none."""
    fd = write(columns)
    if fd < 0:
        return None
    try:
        return BanRanges(fd)
    finally:
        os.close(fd)


def spans(draw_numbers, base):
    """Return spans within 256 addresses from a base on."""
    return st.lists(
        st.builds(
            lambda first, length, until: Span(base + first, base + min(first + length, 255), until),
            draw_numbers,
            draw_numbers,
            st.sampled_from([10, 20, 30, FOREVER]),
        ),
        max_size=12,
    )


BASES = {
    "IPv4": IPV4 + 0x0A00_0000,
    "IPv6": (0x2001_0DB8 << 96) + (1 << 64) - 128,
    "across the first 16 bits": (0x2400 << 112) - 128,
    "across those of IPv4": IPV4 + 0x0A01_0000 - 128,
    "first": 1,
    "last": (1 << 128) - 256,
}


@given(
    st.sampled_from(list(BASES.values())).flatmap(
        lambda base: st.tuples(st.just(base), spans(st.integers(0, 255), base))
    )
)
def test_an_address_is_banned_as_long_as_the_longest_of_its_networks_says(found):
    """However networks overlap, a look-up gives the latest end among those that hold the address."""
    base, some = found
    banned = table(columns_of(disjoint(some)))
    for address in range(base - 1, base + 256):
        expected = max((each.until for each in some if each.first <= address <= each.last), default=0)
        assert (banned.until(address) if banned else 0) == expected


def as_ranges(some):
    """Return spans as a block list reads them."""
    ipv4 = [each for each in some if each.first >> 32 == 0xFFFF]
    ipv6 = [each for each in some if each.first >> 32 != 0xFFFF]
    pairs = lambda numbers: np.array([[n >> 64, n & (1 << 64) - 1] for n in numbers], np.uint64).reshape(-1, 2)  # noqa: E731
    return Ranges(
        np.array([each.first - IPV4 for each in ipv4], np.uint32),
        np.array([each.last - IPV4 for each in ipv4], np.uint32),
        pairs([each.first for each in ipv6]),
        pairs([each.last for each in ipv6]),
    )


@given(
    st.sampled_from(list(BASES.values())).flatmap(
        lambda base: st.tuples(st.just(base), spans(st.integers(0, 255), base), spans(st.integers(0, 255), base))
    )
)
def test_block_lists_ban_what_they_list_but_what_is_spared(found):
    """Overlapping, nested and equal networks of a list become one set of ranges, and what is spared is not in it."""
    base, some, spared = found
    banned = table(merged(as_ranges(some), [(each.first, each.last) for each in spared]))
    for address in range(base, min(base + 256, (1 << 128) - 1)):
        listed = any(each.first <= address <= each.last for each in some)
        kept = any(each.first <= address <= each.last for each in spared)
        assert bool(banned and banned.until(address)) == (listed and not kept)


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
        patch.setattr(ranges, "BLOCK", block)
        banned = table(columns_of([Span(place, place, 7) for place in sorted(places)]))
    for place in places:
        for address in (place - 1, place, place + 1, place ^ 1 << 64, place ^ 1 << 100, place | 0xFFFF << 112):
            assert banned.until(address) == (7 if address in places else 0), hex(address)


def test_both_families_stand_in_one_table():
    """A table answers for IPv4 and IPv6 alike, at every edge of its ranges."""
    networks = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "2001:db9::1/128", "2001:db9::4/126"]
    some = [Span(first, last, 7) for each in networks for first, last in network_ranges(each)]
    banned = table(columns_of(disjoint(some)))
    assert len(banned) == 5
    for each in some:
        assert [banned.until(n) for n in (each.first - 1, each.first, each.last, each.last + 1)] == [0, 7, 7, 0]
    assert banned.until(int(ip_network("10.0.0.0/32").network_address)) == 0


def test_nothing_is_no_table():
    """Where nothing is banned there is no memory to hand over."""
    assert write(columns_of([])) == -1
    assert write(merged(as_ranges([]))) == -1
