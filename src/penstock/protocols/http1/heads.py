"""
What holds for the head of every request, whoever it is for: its line, its fields, and how its body ends.

llhttp validates the complete head once, strictly; what it lets pass and a proxy must not is refused here.
"""

import re

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from penstock.base.bounds import HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_REQUEST_LINE_BYTES
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.fields import Fields, content_length
from penstock.protocols.http1.framing import NO_BODY, Chunked, Framing, Length
from penstock.protocols.http1.target import parse_authority

_SILENT = object()
"""What llhttp tells about a head: nothing. A callback for each field would cost more than all that is done here."""

_FEW_FIELDS_BYTES = 4 * HTTP_HEADERS
"""A shorter head cannot hold too many fields: each takes four bytes or more."""

_KNOWN_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_FRAMING = frozenset((b"content-length", b"host", b"transfer-encoding"))
"""Who names these as hop-by-hop asks us to forward another message than we read."""


def parse_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """Return method, request-target, and whether the version is HTTP/1.0."""
    if len(line) > HTTP_REQUEST_LINE_BYTES:
        raise BadRequest(414, "the request line is too long")
    parts = line.split(b" ")
    if len(parts) != 3 or line[0] <= 32:  # llhttp would skip what stands before a method
        raise BadRequest(400, "a request line is a method, a target and a version with one space between")
    method, target, version = parts
    if version == b"HTTP/1.1":
        return method, target, False
    if version == b"HTTP/1.0":
        return method, target, True
    if _KNOWN_VERSION.fullmatch(version):
        raise BadRequest(505, "this proxy speaks HTTP/1.1 and HTTP/1.0")
    raise BadRequest(400, "the HTTP version is malformed")


def validate(method: bytes, head: bytes) -> None:
    """Let llhttp judge every byte of the head."""
    if len(head) > _FEW_FIELDS_BYTES and (len(head) > HTTP_HEAD_BYTES or head.count(b"\r\n") - 2 > HTTP_HEADERS):
        raise BadRequest(431, "the head holds too much")
    try:
        HttpRequestParser(_SILENT).feed_data(head)
    except HttpParserUpgrade:  # news and no error: after this head the protocol may change
        pass
    except HttpParserError as error:
        detail = str(error)
        unknown_method = isinstance(error, HttpParserInvalidMethodError) or "method for HTTP" in detail
        if (unknown_method and _TOKEN.fullmatch(method)) or "has invalid `Transfer-Encoding`" in detail:
            raise BadRequest(501, detail) from None
        raise BadRequest(400, detail) from None


def check_host(fields: Fields, http_1_0: bool) -> None:
    """Refuse a request that has not one valid Host field (RFC 9112 section 3.2)."""
    if fields.host:
        if b"," in fields.host:
            raise BadRequest(400, "Host is there more than once")
        parse_authority(fields.host, 80)
    elif fields.host is None and not http_1_0:
        raise BadRequest(400, "an HTTP/1.1 request needs a Host field")


def framing_of(lines: bytes, fields: Fields, http_1_0: bool) -> Framing:
    """
    Return how the request's body ends.

    Args:
        lines: The head from the end of its first line on.
        fields: What `read_fields` returned for it.
        http_1_0: Whether the client speaks HTTP/1.0.

    Raises:
        BadRequest: If two readers could differ about it.
    """
    if not fields.named.isdisjoint(_FRAMING):
        raise BadRequest(400, "Connection names a field that says where the message ends or goes")
    if fields.length is None and fields.coding is None:
        return NO_BODY
    if fields.coding is not None:
        if http_1_0 or fields.length is not None:
            raise BadRequest(400, "Transfer-Encoding has no place in HTTP/1.0, nor beside Content-Length")
        if fields.coding != b"chunked":
            raise BadRequest(501, "the only transfer coding known here is chunked")
        return Chunked()
    length = content_length(lines, fields)
    if length is None or length < 0:
        raise BadRequest(400, "Content-Length is no length")
    return Length(length) if length else NO_BODY


def may_upgrade(fields: Fields) -> bool:
    """Return whether the target may hear of the upgrade. HTTP/2 over cleartext (h2c) would pass requests unseen."""
    return b"upgrade" in fields.options and b"h2c" not in (fields.upgrade or b"")
