"""Tests of `penstock.dataplane.ban_ranges`; what it finds is tested where tables are made."""

import os
import struct

import pytest

from penstock.dataplane.ban_ranges import HEADER_WORDS, MAGIC, WINDOWS4, BanRanges, Counts, parse, serialize, size_of

SOME = Counts(times=3, edges4=3, cells4=4, edges6=5, cells6=7, blocks=3, insides=2, inner_edges=3)


@pytest.mark.parametrize(
    "content",
    [b"", bytes(4_096), struct.pack("=9Q", MAGIC, *range(8)).ljust(HEADER_WORDS * 8, b"\0"), b"\xff" * 4_096],
    ids=["nothing", "zeros", "cut", "ones"],
)
def test_what_is_no_table_is_refused(content):
    """A descriptor of anything else, and a table that was cut, is told and not read."""
    fd = os.memfd_create("x")
    os.write(fd, content)
    with pytest.raises(ValueError, match="not a table of banned networks"):
        BanRanges(fd)
    os.close(fd)


def test_a_header_is_read_as_it_was_written():
    """Each count stands in a word of its own."""
    words = struct.pack(f"={HEADER_WORDS}Q", *serialize(SOME), *[0] * (HEADER_WORDS - len(serialize(SOME))))
    assert parse(memoryview(words).cast("Q")) == SOME


def test_columns_are_padded():
    """An odd number of edges, cells or blocks leaves all columns of eight bytes where they can be read."""
    ipv4, ipv6 = 16 + 16 + 16 + WINDOWS4 * 4, 40 + 24 + 32 + 24 + 16 + 16 + 16
    assert size_of(SOME) == HEADER_WORDS * 8 + ipv4 + ipv6 + 16 + 24 + 16 + 24
