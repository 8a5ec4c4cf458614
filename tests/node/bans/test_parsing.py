"""Tests of `penstock.node.bans.parsing`."""

from ipaddress import IPv6Address, ip_network

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.node.bans.parsing import parse_list
from penstock.node.bans.ranges import IPV4
from penstock.policy.ranges import network_ranges

NETWORKS = st.builds(
    lambda number, bits: f"{ip_network((number, bits), strict=False)}", st.integers(0, 2**32 - 1), st.integers(1, 32)
)


WRITTEN = st.one_of(
    NETWORKS,
    st.builds(lambda number, bits: f"{IPv6Address(number)}/{bits}", st.integers(0, 2**128 - 1), st.integers(0, 130)),
    st.sampled_from(
        [
            "::/1",
            "::ffff:10.1.2.0/120",
            "::/96",
            "1::/3",
            "2001:db8::",
            "2001:db8::/",
            "10.0.0.1/",
            "1.2.3.4/010",
            "10.0.0.0/255.0.0.0",
            "\u00a010.0.0.1\u2003",
            "10.0.0.0 /8",
        ]
    ),
    st.text("0123456789abf:./ #", max_size=20),
)


@given(st.lists(WRITTEN, max_size=8))
def test_each_line_means_what_it_means_alone(lines):
    """Lines are read in one go where they are plain, and no line means more or less there."""
    ranges, mistakes = parse_list("\n".join(["#", *lines]).encode())
    expected, wrong = [], []
    for number, line in enumerate(lines, 2):
        words = line.partition("#")[0].strip()
        try:
            network = ip_network(words, strict=False) if words else None
        except ValueError:
            network = ip_network("::/0")
        if network is not None and network.prefixlen:
            expected += network_ranges(str(network))
        elif network is not None:
            wrong.append(number)
    ends = [
        (IPV4 + first, IPV4 + last) for first, last in zip(ranges.first4.tolist(), ranges.last4.tolist(), strict=True)
    ]
    pairs = zip(ranges.first6.tolist(), ranges.last6.tolist(), strict=True)
    ends += [(first[0] << 64 | first[1], last[0] << 64 | last[1]) for first, last in pairs]
    assert sorted(ends) == sorted(expected)
    assert [number for number, _ in mistakes] == wrong


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_mistakes(raw):
    """No file makes it fail."""
    ranges, mistakes = parse_list(raw)
    assert (ranges.first4 <= ranges.last4).all()
    assert all(1 <= line <= raw.count(b"\n") + 1 for line, _ in mistakes)


def test_lines_are_counted_over_chunks(monkeypatch):
    """Where a mistake stands in a large file is told, whatever was read fast before it."""
    monkeypatch.setattr("penstock.node.bans.parsing.CHUNK_BYTES", 64)
    raw = b"192.0.2.0/24\n" * 100 + b"nonsense\r\n" + b"192.0.2.1\r\n" * 100
    ranges, mistakes = parse_list(raw)
    assert [line for line, _ in mistakes] == [101]
    assert len(ranges.first4) == 200
    assert ranges.first4.dtype == np.uint32
