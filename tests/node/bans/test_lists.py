"""Tests of `penstock.node.bans.lists`."""

from ipaddress import IPv6Address, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.node.bans.lists import MISTAKES, parse_list, parse_plain, read_lists, stamps
from penstock.node.bans.ranges import IPV4
from penstock.policy.ranges import address_number, network_ranges

TEXT = b"""# bad people
192.0.2.0/24 ; a whole network
198.51.100.7
  203.0.113.9/28\t# bits behind the length are ignored

2001:db8::/32
::ffff:10.1.2.3
2001:DB9::1
"""


def test_a_list_holds_what_it_lists(tmp_path):
    """Comments, blanks, both families, mapped addresses: each line is its network."""
    (tmp_path / "x").write_bytes(TEXT)
    (found,) = read_lists([(str(tmp_path / "x"), "bad")])
    assert (len(found), found.reason) == (6, "bad")
    for host, listed in {
        "192.0.2.255": True, "192.0.3.0": False, "198.51.100.7": True, "198.51.100.8": False, "203.0.113.0": True,
        "203.0.113.16": False, "2001:db8:ffff::1": True, "2001:db9::1": True, "2001:db9::2": False, "10.1.2.3": True,
    }.items():  # fmt: skip
        assert found.holds(address_number(host)) == listed, host


def test_every_mistake_is_told_with_its_line_and_no_more_than_a_screenful(tmp_path):
    """All files are looked at before anything is said; a file of nonsense is not told line by line."""
    (tmp_path / "a").write_text("10.0.0.0/8\nexample.org\n10.0.0.0/33\n0.0.0.0/0\n" + "x" * 500 + "\n")
    (tmp_path / "b").write_text("nonsense\n" * 100)
    with pytest.raises(ConfigurationError) as error:
        read_lists([(str(tmp_path / name), "") for name in "abc"])
    told = error.value.mistakes
    assert told[0].startswith(f"{tmp_path}/a:2: 'example.org': no address and no network")
    assert told[1].startswith(f"{tmp_path}/a:3: '10.0.0.0/33'")
    assert told[2] == f"{tmp_path}/a:4: '0.0.0.0/0': would ban everybody"
    assert told[3].startswith(f"{tmp_path}/a:5: 'xxx")
    assert len(told[3]) < 250
    assert told[4 + MISTAKES] == f"{tmp_path}/b: and {100 - MISTAKES} more of them"
    assert told[-1] == f"blocklist: {tmp_path}/c: no such file"


NETWORKS = st.builds(
    lambda number, bits: f"{ip_network((number, bits), strict=False)}", st.integers(0, 2**32 - 1), st.integers(1, 32)
)


@given(st.lists(NETWORKS, min_size=1, max_size=20), st.booleans())
def test_the_fast_way_reads_what_the_slow_way_reads(networks, bare):
    """Files without comments are read by columns, and mean the same."""
    lines = [each.partition("/")[0] if bare else each for each in networks]
    raw = "\n".join(lines).encode()
    fast = parse_plain(raw)
    slow, mistakes = parse_list(b"#\n" + raw)
    assert fast is not None
    assert mistakes == []
    assert [each.tolist() for each in fast] == [slow.first4.tolist(), slow.last4.tolist()]


@given(st.lists(st.text("0123456789./", max_size=20), max_size=4))
def test_what_the_fast_way_takes_the_slow_way_takes(lines):
    """It is no looser: `010.0.0.1`, `1.2.3`, `256.0.0.0` and `1.2.3.4/0` go to the slow way, which tells."""
    raw = "\n".join(lines).encode()
    fast = parse_plain(raw) if raw else None
    if fast is not None:
        slow, mistakes = parse_list(b"#\n" + raw)
        assert mistakes == []
        assert [each.tolist() for each in fast] == [slow.first4.tolist(), slow.last4.tolist()]


WRITTEN = st.one_of(
    NETWORKS,
    st.builds(lambda number, bits: f"{IPv6Address(number)}/{bits}", st.integers(0, 2**128 - 1), st.integers(0, 130)),
    st.sampled_from(
        ["::/1", "::ffff:10.1.2.0/120", "::/96", "1::/3", "2001:db8::", "2001:db8::/", "10.0.0.1/", "1.2.3.4/010"]
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
    monkeypatch.setattr("penstock.node.bans.lists.CHUNK_BYTES", 64)
    raw = b"192.0.2.0/24\n" * 100 + b"nonsense\r\n" + b"192.0.2.1\r\n" * 100
    ranges, mistakes = parse_list(raw)
    assert [line for line, _ in mistakes] == [101]
    assert len(ranges.first4) == 200
    assert ranges.first4.dtype == np.uint32


def test_a_file_that_changed_has_another_stamp(tmp_path):
    """Nobody reads a million lines again for nothing."""
    (tmp_path / "x").write_text("192.0.2.1\n")
    lists = [(str(tmp_path / "x"), "bad"), (str(tmp_path / "missing"), "bad")]
    before = stamps(lists)
    assert stamps(lists) == before
    (tmp_path / "x").write_text("192.0.2.1\n192.0.2.2\n")
    assert stamps(lists) != before
