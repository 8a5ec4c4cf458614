"""Tests of `penstock.node.bans.ranges`."""

import os
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.dataplane.ban_ranges import FOREVER, BanRanges
from penstock.node.bans.ranges import IPV4, Ranges, Span, columns_of, disjoint, merged
from penstock.node.bans.writing import write


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


def test_nothing_is_no_table():
    """Where nothing is banned there is no memory to hand over."""
    assert write(columns_of([])) == -1
    assert write(merged(as_ranges([]))) == -1


NUMBERS = st.builds(
    lambda high, low: (0x2001 << 112) + (high << 64) + low,
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 5, (1 << 64) - 3, (1 << 64) - 2, (1 << 64) - 1]),
) | st.sampled_from([1, (1 << 128) - 2, (1 << 128) - 1])
RANGES = st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple)


@given(st.lists(RANGES, min_size=1, max_size=12), st.lists(RANGES, max_size=4))
def test_ranges_of_ipv6_are_joined_and_cut_as_their_numbers_are(listed, spared):
    """Ends that share 64 bits or not, in any order: what is left is sorted, apart, and holds what it should."""
    columns = merged(as_ranges([Span(first, last, 7) for first, last in listed]), spared).ipv6
    first, low_first, last, low_last, _ = (each.tolist() for each in columns)
    found = [(a << 64 | b, c << 64 | d) for a, b, c, d in zip(first, low_first, last, low_last, strict=True)]
    assert all(low <= high for low, high in found)
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(found)) or spared
    assert found == sorted(found)
    edges = {number + step for pair in listed + spared for number in pair for step in (-1, 0, 1)}
    for number in edges:
        wanted = any(low <= number <= high for low, high in listed)
        kept = any(low <= number <= high for low, high in spared)
        assert any(low <= number <= high for low, high in found) == (wanted and not kept), hex(number)
