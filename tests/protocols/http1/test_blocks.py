"""A bounded memory of blocks, and request lines that need no closer look."""

import pytest

from penstock.base.bounds import HTTP_REQUEST_LINE_BYTES
from penstock.protocols.http1.blocks import BLOCK_BYTES, BLOCKS_REMEMBERED, Blocks, split_plain


def test_what_is_remembered_is_bounded():
    """However many blocks come, no more than so many are kept, and none that is long."""
    blocks = Blocks[int]()
    for number in range(3 * BLOCKS_REMEMBERED):
        blocks.remember(b"\r\nX: %d\r\n\r\n" % number, number)
        assert len(blocks) <= BLOCKS_REMEMBERED
    assert blocks[b"\r\nX: %d\r\n\r\n" % number] == number
    blocks.remember(bytes(BLOCK_BYTES + 1), 1)
    assert bytes(BLOCK_BYTES + 1) not in blocks


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"GET /x HTTP/1.1", [b"GET", b"/x", b"HTTP/1.1"]),
        (b"DELETE a:b HTTP/1.1", [b"DELETE", b"a:b", b"HTTP/1.1"]),
        (b"POST /x HTTP/1.1", None),
        (b"GET /x HTTP/1.0", None),
        (b"GET  /x HTTP/1.1", None),
        (b"GET /x", None),
        (b"get /x HTTP/1.1", None),
        (b"", None),
        (b"GET /" + b"x" * HTTP_REQUEST_LINE_BYTES + b" HTTP/1.1", None),
    ],
)
def test_lines(line, parts):
    """Usual requests of HTTP/1.1 without a body are split; all others are left to who looks closer."""
    assert split_plain(line) == parts
