"""
Fields of requests that were judged sound, remembered with what they meant.

A client repeats its fields from request to request, letter by letter, and only the request line changes: what HTTP/2's
header compression lives on. So one look-up stands for the judgement, a third of what a request costs. Only requests
without a body, in HTTP/1.1, are remembered: a line that needs a closer look gets it.
"""

from typing import TypeVar

from penstock.base.bounds import HTTP_REQUEST_LINE_BYTES

T = TypeVar("T")

BLOCKS_REMEMBERED = 1_024
BLOCK_BYTES = 1_024
"""So that a memory holds a few MiB at most."""

_METHODS = frozenset((b"GET", b"HEAD", b"DELETE"))


class Blocks(dict[bytes, T]):
    """What blocks of fields meant, by the block: from the CRLF before the first field to the empty line."""

    def remember(self, lines: bytes, block: T) -> None:
        """Remember a block; a long one is not, and when there are too many all are forgotten."""
        if len(lines) <= BLOCK_BYTES:
            if len(self) >= BLOCKS_REMEMBERED:
                self.clear()
            self[lines] = block


def split_plain(line: bytes) -> list[bytes] | None:
    """
    Return method, target and version of a request line.

    Args:
        line: Without its end.

    Returns:
        None if it is none of a usual request in HTTP/1.1 without a body; the target is still to be judged.
    """
    parts = line.split(b" ")
    if len(parts) != 3 or parts[0] not in _METHODS or parts[2] != b"HTTP/1.1" or len(line) > HTTP_REQUEST_LINE_BYTES:
        return None
    return parts
