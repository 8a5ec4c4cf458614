"""
Paths of requests, brought into the one spelling that rules are written in (RFC 3986 section 6.2.2).

What a rule sees and what a target does must not differ: a path with `..` in it, spelled in whatever way, is forwarded
as the rule saw it. Targets differ about what else is a slash: many decode %2F before they look, Windows takes a
backslash for one. Rules take all of them for slashes, as nginx does, and the target gets what came; where a `..` would
then lead one reader elsewhere than another, the request is refused, as Envoy does when it is told to be strict.
"""

import re
from functools import lru_cache

from penstock.protocols.http1.errors import BadRequest

_REMEMBERED = 1_024

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What means the same whether it is percent-encoded or not (RFC 3986 section 2.3)."""

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})?")
_SLASHES = re.compile(rb"(?:[/\\]|%2F|%5C)+", re.IGNORECASE)
"""What a target may take for the end of a segment."""

_DOTS = re.compile(rb"/\.\.?(?:[/;]|$)")
"""A dot segment; parameters behind it are cut off by servlets before they look at it."""


def split_query(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query of an origin-form target; the query with its question mark, empty for none."""
    path, mark, query = target.partition(b"?")
    return path, mark + query


@lru_cache(_REMEMBERED)
def normalize(path: bytes) -> tuple[str, bytes]:
    """
    Return a path as rules see it, and as it is forwarded.

    Rules see unreserved characters decoded, dot segments removed, and one slash for any number of slashes, backslashes
    and their encodings; all else as it came. Forwarded is what came, unless there were dot segments: then they are
    removed there too.

    Args:
        path: Begins with a slash; visible ASCII.

    Raises:
        BadRequest: 400, if a percent sign stands for nothing or for a zero byte, or if two readers would differ about
            where a dot segment leads.
    """
    if b"%" not in path and b"/." not in path and b"//" not in path and b"\\" not in path:
        return path.decode("latin-1"), path
    decoded = _ENCODED.sub(_decode, path)
    resolved = _remove_dots(decoded) if b"/." in decoded else decoded
    seen = _SLASHES.sub(b"/", resolved)
    if _DOTS.search(seen):
        raise BadRequest(400, "the path can be read in two ways")
    return seen.decode("latin-1"), path if resolved is decoded else resolved


def without_prefix(path: bytes, prefix: bytes) -> bytes | None:
    """
    Return what of a path is left behind a prefix, as it came; None if rules do not see the path below the prefix.

    Args:
        path: As it is forwarded, so without dot segments; without query.
        prefix: As rules see it, and without a slash at its end.

    Returns:
        Empty, or something that begins with a slash.
    """
    if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] == b"/":  # as nearly all are
        return path[len(prefix) :]
    place = 0
    for segment in prefix.split(b"/")[1:]:
        slash = _SLASHES.match(path, place)
        if slash is None:
            return None
        following = _SLASHES.search(path, slash.end())
        place = len(path) if following is None else following.start()
        if _ENCODED.sub(_decode, path[slash.end() : place]) != segment:
            return None
    rest = path[place:]
    return rest if not rest or rest.startswith(b"/") else _SLASHES.sub(b"/", rest, 1)


def spelled(path: bytes) -> bytes:
    """Return an operator's path as rules see it; one that no request may have stays as it is, and is never met."""
    try:
        return normalize(path)[0].encode("latin-1")
    except BadRequest:
        return path


def _decode(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise BadRequest(400, "a percent sign in the path stands for nothing")
    byte = int(digits, 16)
    if not byte:
        raise BadRequest(400, "a zero byte has no place in a path")
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
