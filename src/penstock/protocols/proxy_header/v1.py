"""
Version 1: one line of text (section 2.1).

    PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\\r\\n

As strict as the specification: single spaces, no zeros in front of numbers, CRLF. Of IPv6 addresses it also takes
those that end in an IPv4 address, because `inet_ntop` writes IPv4-mapped ones so, and with it most senders.
"""

import re
from collections.abc import Callable

from penstock.base.addresses import Endpoint, is_ip, pack_ip
from penstock.base.bounds import PROXY_V1_BYTES
from penstock.protocols.proxy_header.header import (
    UNKNOWN,
    Command,
    Family,
    Parsed,
    ProxyHeader,
    ProxyHeaderError,
    Transport,
    unpack_inet6,
)

SIGNATURE = b"PROXY "

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rb"(?:" + _OCTET + rb"\.){3}" + _OCTET
_IPV6 = rb"(?:[0-9A-Fa-f]{0,4}[:.]){2,10}[0-9A-Fa-f]{0,4}"
_PORT = rb"(?:0|[1-9][0-9]{0,4})"

_TCP4 = re.compile(rb"PROXY TCP4 (%b) (%b) (%b) (%b)\r\n" % (_IPV4, _IPV4, _PORT, _PORT))
_TCP6 = re.compile(rb"PROXY TCP6 (%b) (%b) (%b) (%b)\r\n" % (_IPV6, _IPV6, _PORT, _PORT))
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")

_ONE_OCTET = re.compile(_OCTET)
_ONE_PORT = re.compile(_PORT)
_LIKE_IPV6 = re.compile(_IPV6)

_OPENINGS = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r\n")

_NO_ADDRESS = bytes(16)


def parse_v1(data: bytes) -> Parsed | int:
    """
    Return the header, or how many bytes there must be before it makes sense to look again.

    Args:
        data: What there is, from its first byte on.

    Raises:
        ProxyHeaderError: As soon as no further byte could make a header of it.
    """
    if match := _TCP4.match(data):
        host, destination, port, other = match.groups()
        source = Endpoint(host.decode(), _port(port))
        return _parsed(Family.INET, source, Endpoint(destination.decode(), _port(other)), match.end())
    if (match := _TCP6.match(data)) and match.end() <= PROXY_V1_BYTES:
        host, destination, port, other = match.groups()
        source = Endpoint(_inet6(host), _port(port))
        return _parsed(Family.INET6, source, Endpoint(_inet6(destination), _port(other)), match.end())
    if (match := _UNKNOWN.match(data, 0, PROXY_V1_BYTES)) is not None:
        return Parsed(UNKNOWN, match.end())
    _check_beginning(data[:PROXY_V1_BYTES])
    if len(data) >= PROXY_V1_BYTES:
        raise ProxyHeaderError(f"no end of line within {PROXY_V1_BYTES} bytes")
    return len(data) + 1


def serialize_v1(header: ProxyHeader) -> bytes:
    """Return the line. What is neither TCP over IPv4 nor over IPv6 becomes UNKNOWN; TLVs have no place in it."""
    source, destination = header.source, header.destination
    told = header.command is Command.PROXY and header.transport is Transport.STREAM
    if not told or source is None or destination is None or header.family not in (Family.INET, Family.INET6):
        return b"PROXY UNKNOWN\r\n"
    return line(header.family, source, destination)


def line(family: Family, source: Endpoint, destination: Endpoint) -> bytes:
    """
    Return the line of a TCP connection.

    Args:
        family: INET or INET6.
        source, destination: IP addresses; an IPv4 is written as IPv4-mapped where the family is INET6.
    """
    (host, port), (other, other_port) = source, destination
    if family is Family.INET:
        return b"PROXY TCP4 %b %b %d %d\r\n" % (host.encode(), other.encode(), port, other_port)
    host = host if ":" in host else f"::ffff:{host}"
    other = other if ":" in other else f"::ffff:{other}"
    return b"PROXY TCP6 %b %b %d %d\r\n" % (host.encode(), other.encode(), port, other_port)


def _parsed(family: Family, source: Endpoint, destination: Endpoint, size: int) -> Parsed:
    header = ProxyHeader(family=family, transport=Transport.STREAM, source=source, destination=destination)
    return Parsed(header, size)


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 65_535:
        raise ProxyHeaderError("a port is malformed")
    return port


def _inet6(raw: bytes) -> str:
    packed = _pack_ipv6(raw.decode())
    if packed is None:
        raise ProxyHeaderError("an address is malformed")
    return unpack_inet6(packed)


def _check_beginning(data: bytes) -> None:
    """Refuse what no later byte can mend. It is asked only about what is no header yet."""
    if any(opening.startswith(data) for opening in _OPENINGS):
        return
    if data.startswith(_OPENINGS[:2]):
        _check_fields(data[len(_OPENINGS[0]) :].split(b" "), _could_be_ipv4 if data[9:10] == b"4" else _could_be_ipv6)
    elif not data.startswith(_OPENINGS[2]):
        raise ProxyHeaderError("the first bytes are no PROXY header")
    elif b"\r" in data[:-1] or b"\n" in data:
        raise ProxyHeaderError("the line ends without CRLF")


def _check_fields(fields: list[bytes], could_be_address: Callable[[bytes, bool], bool]) -> None:
    if len(fields) > 4:
        raise ProxyHeaderError("there is a space too many")
    for place, field in enumerate(fields):
        whole = place < len(fields) - 1
        if place == 3 and field.endswith(b"\r"):
            field, whole = field[:-1], True  # noqa: PLW2901 - the port is what stands before the end of the line
        if not (_could_be_port if place >= 2 else could_be_address)(field, whole):
            raise ProxyHeaderError("a port is malformed" if place >= 2 else "an address is malformed")


def _could_be_port(text: bytes, whole: bool) -> bool:
    return not (text or whole) or (_ONE_PORT.fullmatch(text) is not None and int(text) <= 65_535)


def _could_be_ipv4(text: bytes, whole: bool) -> bool:
    octets = text.split(b".")
    if not octets[-1] and not whole:
        octets.pop()
        return len(octets) < 4 and all(map(_ONE_OCTET.fullmatch, octets))
    return (len(octets) == 4 if whole else len(octets) <= 4) and all(map(_ONE_OCTET.fullmatch, octets))


def _could_be_ipv6(text: bytes, whole: bool) -> bool:
    if whole:
        return _is_ipv6(text)
    dots = text.count(b".")
    if dots:
        return dots < 4 and _is_ipv6(text + b"0" * text.endswith(b".") + b".0" * (3 - dots))
    return any(_is_ipv6(text + rest) for rest in (b"::", b":", b"", b"0"))


def _is_ipv6(text: bytes) -> bool:
    """Return whether it is one. Any beginning of one becomes one by few endings, so this also tells beginnings."""
    return _LIKE_IPV6.fullmatch(text) is not None and _pack_ipv6(text.decode()) is not None


def _pack_ipv6(text: str) -> bytes | None:
    """Return an address as sixteen bytes, or None for a text that only looks like one."""
    if ":" not in text:
        return None
    packed = pack_ip(text)
    return packed if packed != _NO_ADDRESS or is_ip(text) else None
