"""Tests of `penstock.node.bans.bulk`."""

from ipaddress import IPv6Address, IPv6Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from penstock.node.bans.bulk import cut, parse_bulk, parse_plain
from penstock.node.bans.parsing import parse_list

ODD = b"10.0.0.0/255.0.0.0\n"
"""A line that is looked at with care, and all others of its text with it."""

NETWORKS = st.builds(
    lambda number, bits: f"{ip_network((number, bits), strict=False)}", st.integers(0, 2**32 - 1), st.integers(1, 32)
)


@given(st.lists(NETWORKS, min_size=1, max_size=20), st.booleans())
def test_the_fast_way_reads_what_the_slow_way_reads(networks, bare):
    """Files without comments are read by columns, and mean the same."""
    lines = [each.partition("/")[0] if bare else each for each in networks]
    raw = "\n".join(lines).encode()
    fast = parse_plain(raw)
    slow, mistakes = parse_list(ODD + raw)
    assert fast is not None
    assert mistakes == []
    assert [each.tolist() for each in fast] == [slow.first4.tolist()[:-1], slow.last4.tolist()[:-1]]


@given(st.lists(st.text("0123456789./", max_size=20), max_size=4))
def test_what_the_fast_way_takes_the_slow_way_takes(lines):
    """It is no looser: `010.0.0.1`, `1.2.3`, `256.0.0.0` and `1.2.3.4/0` go to the slow way, which tells."""
    raw = "\n".join(lines).encode()
    fast = parse_plain(raw) if raw else None
    if fast is not None:
        slow, mistakes = parse_list(ODD + raw)
        assert mistakes == []
        assert [each.tolist() for each in fast] == [slow.first4.tolist()[:-1], slow.last4.tolist()[:-1]]


SIX = st.builds(lambda number, bits: f"{IPv6Address(number)}/{bits}", st.integers(0, 2**128 - 1), st.integers(1, 128))
ENDS = st.sampled_from(["", "", " # x", ";x", "\t", "#"])


@given(st.lists(st.builds(lambda line, bare, end: (line.partition("/")[0] if bare else line) + end,
    st.one_of(NETWORKS, SIX, st.just("")), st.booleans(), ENDS), max_size=20))  # fmt: skip
def test_plain_lines_of_both_families_are_read_at_once(lines):
    """Networks and addresses, comments and blanks in any order: each line is its network, and none needs more care."""
    found = parse_bulk("\n".join(lines).encode())
    assert found is not None
    fours, sixes = found
    words = [cut(each) for each in lines]
    expected = [ip_network(each, strict=False) for each in words if each]
    ends = [pair for first, last in fours for pair in zip(first.tolist(), last.tolist(), strict=True)]
    assert sorted(ends) == sorted(
        (int(each.network_address), int(each.broadcast_address)) for each in expected if each.version == 4
    )
    networks = [
        IPv6Network((high << 64 | low, bits), strict=False)
        for six in sixes
        for (high, low), bits in zip(six.addresses.tolist(), six.lengths.tolist(), strict=True)
    ]
    assert sorted(networks) == sorted(each for each in expected if each.version == 6)


@given(
    st.lists(st.sampled_from(["2001:db8::", "2001:db8::/32", "10.0.0.1", "10.0.0.0/8"]), max_size=3),
    st.sampled_from(
        ["64", "/64", "::/0", "::/129", "1::/064", "1::/", "1::/3/4", "1::\0", "fe80::1%1", "1.2.3.4/0", "x", "\xe4::"]
    ),
    st.booleans(),
)
def test_a_line_that_is_not_plain_leaves_all_to_who_looks_with_care(lines, odd, first):
    """Nothing is guessed: a length alone never belongs to the line above it."""
    assert parse_bulk("\n".join([odd, *lines] if first else [*lines, odd]).encode()) is None
