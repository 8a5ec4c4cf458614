"""
The head of a request to a reverse proxy: validated and understood, and what of it goes on to the target.

The same judgement as for a forward proxy (heads.py), but the request-target is a path, and Host says whose
(RFC 9112 section 3.2). A target that is an absolute URL is taken as its host and path, as every server must.
"""

import re

from msgspec import Struct

from penstock.protocols.http1.blocks import Blocks, split_plain
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.fields import Fields, end_to_end, read_fields, without
from penstock.protocols.http1.framing import NO_BODY, Framing
from penstock.protocols.http1.heads import check_host, framing_of, may_upgrade, parse_line, validate
from penstock.protocols.http1.paths import normalize, split_query
from penstock.protocols.http1.target import parse_authority, split_target


class OriginRequest(Struct, frozen=True, gc=False):
    """
    What a reverse proxy must know of a request.

    Args:
        method: As sent.
        path: As rules see it: normalised, without query; `*` for the server as a whole.
        target: Path and query as the target shall get them.
        authority: Whose path it is, as sent and in lower case; empty if an HTTP/1.0 client did not say.
        host, port: The same; the port is 0 where none is named.
        lines: The other fields that go on, each with CRLF before it; without Host.
        framing, keep_alive, http_1_0, upgrade: As in `request.Request`.
    """

    method: bytes
    path: str
    target: bytes
    authority: bytes
    host: str
    port: int
    lines: bytes
    framing: Framing
    keep_alive: bool
    http_1_0: bool
    upgrade: bool

    @property
    def retriable(self) -> bool:
        """Whether it may be sent a second time if a pooled connection dies unanswered (RFC 9110 section 9.2.2)."""
        return self.framing is NO_BODY and self.method in _IDEMPOTENT


class _Block(Struct, frozen=True, gc=False):
    """What the fields of a request without a body meant when they were last seen; see `request.Block`."""

    authority: bytes
    host: str
    port: int
    lines: bytes
    keep_alive: bool


_BLOCKS: Blocks[_Block] = Blocks()

_KNOWN_TARGET = re.compile(rb"/[!\x22\x24-\x7e]*")

_PLAIN_TARGET = re.compile(rb"((?:/[\w~-][\w.~-]*)*/?)(?:\?[!\x22\x24-\x7e]*)?", re.ASCII)
"""Those whose path rules see as it came: no escapes, no empty segments, none that begins with a dot."""

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
_HOST = frozenset((b"host",))
_EXPECT = frozenset((b"expect",))
_UPGRADES = b"\r\nConnection: upgrade"


def parse_origin(head: bytes) -> OriginRequest:
    """
    Return what a request head says.

    Args:
        head: From the message's first byte to its first CRLF CRLF, which it ends with.

    Raises:
        BadRequest: With the status to answer, if it is not one that this proxy may take.
    """
    if head.startswith(b"\r\n"):
        head = head[2:]  # after a body, by old clients (RFC 9112 section 2.2); one is tolerated
    line_end = head.find(b"\r")
    lines = head[line_end:]
    block = _BLOCKS.get(lines)
    if block is not None:
        request = _parse_known(head[:line_end], block)
        if request is not None:
            return request
    method, target, http_1_0 = parse_line(head[:line_end])
    validate(method, head)
    fields = read_fields(lines)
    framing = framing_of(lines, fields, http_1_0)
    authority, target = _whose(method, target, fields, http_1_0)
    host, port = _named(authority)
    path, forwarded = _path(target)
    keep_alive = not http_1_0 and b"close" not in fields.options
    upgrade = fields.upgrade is not None and not http_1_0 and framing.done and may_upgrade(fields)
    kept = without(lines, _HOST)
    if fields.hops or fields.named or fields.upgrade_lines:
        kept = end_to_end(kept, fields, upgrade=upgrade)
    if http_1_0 and fields.expects:
        kept = without(kept, _EXPECT)  # such a client knows no interim response (RFC 9110 section 10.1.1)
    kept = kept[:-4] + _UPGRADES if upgrade else kept[:-4]
    if framing is NO_BODY and not (http_1_0 or upgrade or fields.expects) and fields.host == authority:
        _BLOCKS.remember(lines, _Block(authority, host, port, kept, keep_alive))
    return OriginRequest(
        method, path, forwarded, authority, host, port, kept, framing, keep_alive, http_1_0, upgrade
    )  # fmt: skip


def _parse_known(line: bytes, block: _Block) -> OriginRequest | None:
    """Return the request of this line and fields that are known; None if the line needs a closer look."""
    parts = split_plain(line)
    if parts is None:
        return None
    target = forwarded = parts[1]
    match = _PLAIN_TARGET.fullmatch(target)
    if match is not None and match[1]:
        path = match[1].decode("ascii")
    elif _KNOWN_TARGET.fullmatch(target) is not None:
        path, forwarded = _path(target)
    else:
        return None
    return OriginRequest(
        parts[0], path, forwarded, block.authority, block.host, block.port, block.lines, NO_BODY, block.keep_alive,
        False, False,
    )  # fmt: skip


def _whose(method: bytes, target: bytes, fields: Fields, http_1_0: bool) -> tuple[bytes, bytes]:
    """Return the authority in lower case, and path and query."""
    if method == b"CONNECT":
        raise BadRequest(405, "this is no forward proxy: it opens no tunnels")
    if method == b"TRACE":
        raise BadRequest(405, "requests are not traced through this proxy")
    check_host(fields, http_1_0)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return fields.host or b"", target
    if target[:8].lower() == b"https://":
        target = b"http" + target[5:]
    authority, path = split_target(target)  # it decides, whatever Host says (RFC 9112 section 3.2.2)
    return authority.lower(), path


def _named(authority: bytes) -> tuple[str, int]:
    if not authority:
        return "", 0
    host, port = parse_authority(authority, 80)
    return host, port if authority.endswith(b":%d" % port) else 0


def _path(target: bytes) -> tuple[str, bytes]:
    """Return the path as rules see it, and path and query as the target gets them."""
    if target == b"*":
        return "*", target
    path, query = split_query(target)
    if b"#" in target:
        raise BadRequest(400, "a fragment has no place in a request-target")
    seen, forwarded = normalize(path)
    return seen, forwarded + query if query or forwarded is not path else target
