"""
Which protocol a client speaks, from its first bytes. Looking takes nothing, and more bytes never change an answer.

The longest look is `bounds.DETECT_BYTES`. Where the server speaks first there are no bytes to tell it by.
"""

from enum import StrEnum

from penstock.base.bounds import DETECT_BYTES


class Wire(StrEnum):
    """What the first bytes are."""

    TLS = "tls"
    HTTP = "http"
    SOCKS5 = "socks5"
    SOCKS4 = "socks4"
    RAW = "tcp"


def detect(head: bytes) -> Wire | None:
    """
    Return what a client speaks, or None if more bytes are needed to tell.

    Args:
        head: Its first bytes, at least those that were there at the last look.
    """
    if not head:
        return None
    first = head[0]
    if first in _OPENINGS:
        wire, told = _OPENINGS[first]
        return _decide(head, wire, told)
    return _method(head[:DETECT_BYTES])


def _decide(head: bytes, wire: Wire, told: tuple[frozenset[int] | None, ...]) -> Wire | None:
    for place, allowed in enumerate(told):
        if place >= len(head):
            return None
        if allowed is not None and head[place] not in allowed:
            return Wire.RAW
    return wire


def _method(head: bytes) -> Wire | None:
    if head.startswith(_METHODS):
        return Wire.HTTP
    return None if any(method.startswith(head) for method in _METHODS) else Wire.RAW


_ANY = None

_OPENINGS: dict[int, tuple[Wire, tuple[frozenset[int] | None, ...]]] = {
    0x05: (Wire.SOCKS5, (_ANY, frozenset(range(1, 256)))),  # version, number of methods: at least one
    0x04: (Wire.SOCKS4, (_ANY, frozenset((1, 2)))),  # version, command: CONNECT or BIND
    # A TLS record of a handshake (RFC 8446 section 5.1): type 22, version 3.0 to 3.4, two bytes of length, ClientHello.
    0x16: (Wire.TLS, (_ANY, frozenset((3,)), frozenset(range(5)), _ANY, _ANY, frozenset((1,)))),
}

_METHODS = (
    b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH ",
    b"COPY ", b"LOCK ", b"MOVE ", b"MKCOL ", b"PROPFIND", b"PROPPATC", b"UNLOCK ",
    b"PRI * HT",
)  # fmt: skip
"""Methods of RFC 9110 and 5789, WebDAV's (RFC 4918), and the preface of HTTP/2 (RFC 9113), which HTTP is to refuse.
Not any token and a space: SMTP's `EHLO ` and FTP's `USER ` look like that too."""
