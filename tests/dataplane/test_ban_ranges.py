"""Tests of `penstock.dataplane.ban_ranges`; what it finds is tested where tables are made."""

import os
import struct

import pytest

from penstock.dataplane.ban_ranges import HALVES, HEADER_WORDS, MAGIC, BanRanges, Counts, size_of


@pytest.mark.parametrize(
    "content",
    [b"", bytes(4_096), struct.pack("=QQQ", MAGIC, 1, 0).ljust(HEADER_WORDS * 8, b"\0"), b"\xff" * 4_096],
    ids=["nothing", "zeros", "cut", "ones"],
)
def test_what_is_no_table_is_refused(content):
    """A descriptor of anything else, and a table that was cut, is told and not read."""
    fd = os.memfd_create("x")
    os.write(fd, content)
    with pytest.raises(ValueError, match="not a table of banned networks"):
        BanRanges(fd)
    os.close(fd)


def test_columns_are_padded():
    """An odd number of IPv4 ranges, blocks or cells leaves all columns of eight bytes where they can be read."""
    ipv4, ipv6 = 8 + 8 + 8 + HALVES * 4 + 4, 2 * 40 + 8 + 8 + 8 + 16
    assert size_of(Counts(1, 2, 1, 3)) == HEADER_WORDS * 8 + ipv4 + ipv6
