"""
Paths of requests, brought into the one spelling that rules are written in (RFC 3986 section 6.2.2).

What a rule sees and what a target does must not differ: a path with `..` in it, spelled in whatever way, is forwarded
as the rule saw it.
"""

import re
from functools import lru_cache

from penstock.protocols.http1.errors import BadRequest

_REMEMBERED = 1_024

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What means the same whether it is percent-encoded or not (RFC 3986 section 2.3)."""

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})?")
_SLASHES = re.compile(rb"//+")


def split_query(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query of an origin-form target; the query with its question mark, empty for none."""
    path, mark, query = target.partition(b"?")
    return path, mark + query


@lru_cache(_REMEMBERED)
def normalize(path: bytes) -> tuple[str, bytes]:
    """
    Return a path as rules see it, and as it is forwarded.

    Rules see unreserved characters decoded, dot segments removed and slashes merged, all else as it came. Forwarded is
    what came, unless there were dot segments: then they are removed there too.

    Args:
        path: Begins with a slash; visible ASCII.

    Raises:
        BadRequest: 400, if a percent sign stands for nothing.
    """
    if b"%" not in path and b"/." not in path and b"//" not in path:
        return path.decode("latin-1"), path
    decoded = _ENCODED.sub(_decode, path)
    resolved = _remove_dots(decoded) if b"/." in decoded else decoded
    seen = _SLASHES.sub(b"/", resolved).decode("latin-1")
    return seen, path if resolved is decoded else resolved


def _decode(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise BadRequest(400, "a percent sign in the path stands for nothing")
    byte = int(digits, 16)
    return bytes((byte,)) if byte in _UNRESERVED else b"%" + digits.upper()


def _remove_dots(path: bytes) -> bytes:
    """Remove `.` and `..` segments (RFC 3986 section 5.2.4); none leads above the root."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)
