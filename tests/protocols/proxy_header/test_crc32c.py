"""CRC-32C against the published vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.proxy_header.crc32c import crc32c

READ_10 = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (READ_10, 0xD9963A56),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_published_vectors(data, expected):
    """The five examples of RFC 3720 appendix B.4, the check value of the catalogue, and nothing."""
    assert crc32c(data) == expected


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_parts_sum_up(head, tail):
    """What was summed so far goes on as if it were one piece."""
    assert crc32c(tail, crc32c(head)) == crc32c(head + tail)
