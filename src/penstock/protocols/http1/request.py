"""
The head of a request to a forward proxy: validated, understood, and rewritten for the target.

llhttp validates the complete head once, strictly; what it lets pass and a proxy must not is refused here. A head that
two readers could read in two ways is refused, never repaired: repairing is what request smuggling lives on
(RFC 9112 section 11.2).
"""

import re

from msgspec import Struct

from penstock.protocols.http1.blocks import Blocks, split_plain
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.fields import VIA, VIA_1_0, end_to_end, read_fields, without
from penstock.protocols.http1.framing import NO_BODY, Framing
from penstock.protocols.http1.heads import check_host, framing_of, may_upgrade, parse_line, validate
from penstock.protocols.http1.target import parse_authority, split_target


class Request(Struct, frozen=True, gc=False):
    """
    What a proxy must know of a request.

    Args:
        method: As sent.
        host: Destination, without brackets; empty if `final` and none is named.
        port: Destination, 1 to 65535; 0 if there is no host.
        head: As the target shall get it; empty for CONNECT; for a final TRACE what is to be reflected.
        framing: How the request's body ends.
        keep_alive: Whether the client may send another request on this connection. An HTTP/1.0 client may not: a
            proxy must not keep its connection (RFC 9112 section 9.3).
        http_1_0: Whether it speaks HTTP/1.0: no chunked body and no interim response for it.
        upgrade: Whether it asks to change protocols, and the target may hear it.
        final: Whether the proxy itself is asked (`OPTIONS *`, or Max-Forwards has come to 0).
        credentials: Value of Proxy-Authorization; None if it has none.
    """

    method: bytes
    host: str
    port: int
    head: bytes
    framing: Framing
    keep_alive: bool
    http_1_0: bool
    upgrade: bool
    final: bool
    credentials: bytes | None

    @property
    def destination(self) -> str:
        """Host and port as text, an IPv6 address in brackets; empty if there is none."""
        if not self.host:
            return ""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def retriable(self) -> bool:
        """Whether it may be sent a second time if a pooled connection dies unanswered (RFC 9110 section 9.2.2)."""
        return self.framing is NO_BODY and self.method in _IDEMPOTENT


_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
_UNUSUAL = frozenset((b"CONNECT", b"OPTIONS", b"TRACE"))

_MAX_FORWARDS = re.compile(rb"\r\nmax-forwards:[ \t]*([^\r]*)", re.IGNORECASE)

_EXPECT = frozenset((b"expect",))
_HOST = frozenset((b"host",))
_MAX_FORWARDS_NAME = frozenset((b"max-forwards",))

_UNREFLECTED = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
"""What a TRACE must not show to a script that could not read it otherwise (RFC 9110 section 9.3.8)."""

_END = VIA + b"\r\n"
_END_1_0 = VIA_1_0 + b"\r\n"
_END_UPGRADE = VIA + b"Connection: upgrade\r\n\r\n"


class Block(Struct, frozen=True, gc=False):
    """
    What the fields of a request without a body meant when they were last seen.

    Args:
        authority: The host that they name.
        lines: As the target gets them.
        keep_alive, credentials: As in `Request`.
    """

    authority: bytes
    lines: bytes
    keep_alive: bool
    credentials: bytes | None


_BLOCKS: Blocks[Block] = Blocks()

_KNOWN_URL = re.compile(rb"http://([^/?#]+)(/[!\x22\x24-\x7e]*)")
"""The targets that need no second opinion: a plain scheme, a path, visible characters, no fragment."""


def parse_request(head: bytes) -> Request:
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
    keep_alive = not http_1_0 and b"close" not in fields.options
    if method in _UNUSUAL:
        check_host(fields, http_1_0)
        if method == b"CONNECT":
            host, port = _tunnel(target, framing)
            return Request(method, host, port, b"", NO_BODY, keep_alive, http_1_0, False, False, fields.credentials)
        forwards = _max_forwards(lines)
        if forwards == 0 or (target == b"*" and method == b"OPTIONS"):
            return _final(method, head, framing, keep_alive, http_1_0, fields.credentials)
        lines = _count_down(lines, forwards)
    authority, path = split_target(target)
    host, port = parse_authority(authority, 80)
    if fields.host != authority:  # the target decides, whatever Host says (RFC 9112 section 3.2.2)
        check_host(fields, http_1_0)
        lines = b"\r\nHost: " + authority + without(lines, _HOST)
    upgrade = fields.upgrade is not None and not http_1_0 and framing.done and may_upgrade(fields)
    if fields.hops or fields.named or fields.upgrade_lines:
        lines = end_to_end(lines, fields, upgrade=upgrade)
    if method == b"OPTIONS" and len(target) == len(authority) + 7:
        path = b"*"  # the last proxy says so of the whole server (RFC 9112 section 3.2.4)
    if http_1_0 and fields.expects:
        lines = without(lines, _EXPECT)  # such a client knows no interim response (RFC 9110 section 10.1.1)
    end = _END_1_0 if http_1_0 else _END_UPGRADE if upgrade else _END
    forwarded = b"".join((method, b" ", path, b" HTTP/1.1", lines[:-2], end))
    if fields.host == authority and framing is NO_BODY and not (http_1_0 or upgrade or fields.expects):
        _BLOCKS.remember(head[line_end:], Block(authority, lines[:-2] + end, keep_alive, fields.credentials))
    return Request(method, host, port, forwarded, framing, keep_alive, http_1_0, upgrade, False, fields.credentials)


def _parse_known(line: bytes, block: Block) -> Request | None:
    """Return the request of this line and fields that are known; None if the line needs a closer look."""
    parts = split_plain(line)
    match = None if parts is None else _KNOWN_URL.fullmatch(parts[1])
    if parts is None or match is None or match[1] != block.authority:
        return None
    host, port = parse_authority(block.authority, 80)
    head = b"".join((parts[0], b" ", match[2], b" HTTP/1.1", block.lines))
    return Request(
        parts[0], host, port, head, NO_BODY, block.keep_alive, False, False, False, block.credentials
    )  # fmt: skip


def _tunnel(target: bytes, framing: Framing) -> tuple[str, int]:
    """Return the destination of a CONNECT, which names its port (RFC 9110 section 9.3.6)."""
    if not framing.done:  # the tunnel's first bytes would be taken for it, or it for them
        raise BadRequest(400, "CONNECT has no body")
    return parse_authority(target, 0)


def _max_forwards(lines: bytes) -> int | None:
    """Return how many more proxies may forward this OPTIONS or TRACE (RFC 9110 section 7.6.2); None for any number."""
    values = _MAX_FORWARDS.findall(lines)
    if not values:
        return None
    digits = values[0].rstrip(b" \t")
    if len(values) > 1 or not digits.isdigit() or len(digits) > 9:
        raise BadRequest(400, "Max-Forwards is no number")
    return int(digits)


def _count_down(lines: bytes, forwards: int | None) -> bytes:
    if forwards is None:
        return lines
    return b"\r\nMax-Forwards: %d%b" % (forwards - 1, without(lines, _MAX_FORWARDS_NAME))


def _final(
    method: bytes, head: bytes, framing: Framing, keep_alive: bool, http_1_0: bool, credentials: bytes | None
) -> Request:
    """Return a request whose last recipient is the proxy itself."""
    reflected = without(head, _UNREFLECTED) if method == b"TRACE" else b""
    return Request(method, "", 0, reflected, framing, keep_alive, http_1_0, False, True, credentials)
