"""
Version 2: sixteen bytes, two addresses, and what else the sender knows (section 2.2).

The specification leaves a receiver some freedom. Taken here:
- A PROXY command whose family or transport is UNSPEC is accepted, and its addresses are ignored: the socket's count.
- The block of a LOCAL command is skipped whatever it holds, its family byte included. So is that of an UNSPEC one.
  Where it does hold TLVs, they are kept, and a checksum among them must be right.
- Everywhere else a block that is cut short, or holds a known TLV that is malformed, is refused.
"""

from collections.abc import Callable
from struct import Struct

from penstock.base.addresses import Endpoint, pack_ip
from penstock.base.bounds import PROXY_AUTHORITY_BYTES, PROXY_UNIQUE_ID_BYTES, PROXY_V2_BYTES
from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.crc32c import crc32c
from penstock.protocols.proxy_header.header import (
    Command,
    Family,
    Parsed,
    ProxyHeader,
    ProxyHeaderError,
    Transport,
    unpack_inet6,
)
from penstock.protocols.proxy_header.tls import parse_tls
from penstock.protocols.proxy_header.tlv import Tlv

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

HEAD_BYTES = 16
"""Signature, version and command, family and transport, length of the rest."""

_VERSION = 0x20
_LOCAL, _PROXY = _VERSION | Command.LOCAL, _VERSION | Command.PROXY
_LENGTH_HIGH = (PROXY_V2_BYTES - HEAD_BYTES) >> 8
_UNIX_PATH_BYTES = 108

_OF_THE_BYTES = frozenset((tlv.CRC32C, tlv.NOOP))
"""Types that speak of the header's bytes, not of the connection: never handed on."""

_HEAD = Struct("!BBH")
_INET = Struct("!4s4sHH")
_INET6 = Struct("!16s16sHH")
_UNIX = Struct(f"!{_UNIX_PATH_BYTES}s{_UNIX_PATH_BYTES}s")
_unpack_head = _HEAD.unpack_from
_unpack_inet = Struct("!8BHH").unpack_from

Ends = tuple[Endpoint, Endpoint]


def parse_v2(data: bytes) -> Parsed | int:
    """
    Return the header, or how many bytes there must be before it makes sense to look again.

    Args:
        data: What there is, from its first byte on.

    Raises:
        ProxyHeaderError: In the first sixteen bytes as soon as one is wrong, and for the rest when all of it is there.
    """
    if len(data) < HEAD_BYTES:
        _check_beginning(data)
        return len(data) + 1
    verb, form, length = _unpack_head(data, len(SIGNATURE))
    size: int = HEAD_BYTES + length
    family, transport, addresses, read = _FORMS.get(form, _NO_FORM)
    if verb != _PROXY or form not in _FORMS or length < addresses or size > PROXY_V2_BYTES:
        _check_beginning(data)
    elif not data.startswith(SIGNATURE):
        raise ProxyHeaderError("the first bytes are no PROXY header")
    if len(data) < size:
        return size
    if verb == _LOCAL or read is None:
        tlvs = _read_ignored(data, HEAD_BYTES + min(addresses, length), size)
        command = Command.LOCAL if verb == _LOCAL else Command.PROXY
        return Parsed(ProxyHeader(command=command, tlvs=tlvs), size)
    source, destination = read(data)
    tlvs = () if length == addresses else _read_tlvs(data, HEAD_BYTES + addresses, size)
    header = ProxyHeader(family=family, transport=transport, source=source, destination=destination, tlvs=tlvs)
    return Parsed(header, size)


def serialize_v2(header: ProxyHeader, checksum: bool = False) -> bytes:
    """
    Return the header's bytes.

    Args:
        header: Its checksum and padding, if it has any, are left out: they belong to other bytes.
        checksum: Whether to add a CRC32C.

    Raises:
        ValueError: If it would be longer than `bounds.PROXY_V2_BYTES`, or a Unix path longer than 108 bytes.
    """
    addresses = b""
    if header.source is not None and header.destination is not None and header.command is Command.PROXY:
        addresses = pack_addresses(header.family, header.source, header.destination)
    rest = tlv.join_tlvs([each for each in header.tlvs if each.kind not in _OF_THE_BYTES])
    data = addresses + rest + b"\x03\0\x04\0\0\0\0" * checksum
    if HEAD_BYTES + len(data) > PROXY_V2_BYTES:
        raise ValueError(f"the header would have {HEAD_BYTES + len(data)} bytes, over {PROXY_V2_BYTES}")
    family, transport = (header.family, header.transport) if addresses else (Family.UNSPEC, Transport.UNSPEC)
    data = serialize_head(family, transport, len(data), header.command) + data
    return data[:-4] + crc32c(data).to_bytes(4) if checksum else data


def serialize_head(family: Family, transport: Transport, length: int, command: Command = Command.PROXY) -> bytes:
    """Return the first sixteen bytes of a header of which `length` bytes follow."""
    return SIGNATURE + _HEAD.pack(_VERSION | command, family << 4 | transport, length)


def pack_addresses(family: Family, source: Endpoint, destination: Endpoint) -> bytes:
    """
    Return the address block.

    Args:
        family: Of both.
        source, destination: IP addresses, or `unix:` and a path, `@` before an abstract one.
    """
    (host, port), (other, other_port) = source, destination
    if family is Family.INET:
        return _INET.pack(pack_ip(host)[12:], pack_ip(other)[12:], port, other_port)
    if family is Family.INET6:
        return _INET6.pack(pack_ip(host), pack_ip(other), port, other_port)
    return _UNIX.pack(_pack_path(host), _pack_path(other)) if family is Family.UNIX else b""


def _check_beginning(data: bytes) -> None:
    """Refuse what no later byte can mend, as far as it is within the first sixteen."""
    start = data[: len(SIGNATURE)]
    if not SIGNATURE.startswith(start):
        raise ProxyHeaderError("the first bytes are no PROXY header")
    head = data[len(SIGNATURE) : HEAD_BYTES]
    if head and head[0] >> 4 != 2:
        raise ProxyHeaderError(f"the version is {head[0] >> 4}, not 2")
    if head and head[0] & 15 > Command.PROXY:
        raise ProxyHeaderError(f"the command is {head[0] & 15}, which is none")
    proxied = bool(head) and head[0] & 15 == Command.PROXY
    if proxied and len(head) > 1 and head[1] not in _FORMS:
        raise ProxyHeaderError(f"the family and transport are {head[1]:#04x}, which are none")
    if len(head) > 2 and head[2] > _LENGTH_HIGH:
        raise ProxyHeaderError(f"the header is longer than {PROXY_V2_BYTES} bytes")
    if len(head) > 3:
        length = head[2] << 8 | head[3]
        if length > PROXY_V2_BYTES - HEAD_BYTES:
            raise ProxyHeaderError(f"the header is longer than {PROXY_V2_BYTES} bytes")
        if proxied and _FORMS[head[1]][3] is not None and length < _FORMS[head[1]][2]:
            raise ProxyHeaderError("the header is too short for its addresses")


def _read_inet(data: bytes) -> Ends:
    a, b, c, d, e, f, g, h, port, other = _unpack_inet(data, HEAD_BYTES)
    return Endpoint(f"{a}.{b}.{c}.{d}", port), Endpoint(f"{e}.{f}.{g}.{h}", other)


def _read_inet6(data: bytes) -> Ends:
    source, destination, port, other = _INET6.unpack_from(data, HEAD_BYTES)
    return Endpoint(unpack_inet6(source), port), Endpoint(unpack_inet6(destination), other)


def _read_unix(data: bytes) -> Ends:
    source, destination = _UNIX.unpack_from(data, HEAD_BYTES)
    return Endpoint(_unpack_path(source), 0), Endpoint(_unpack_path(destination), 0)


def _unpack_path(raw: bytes) -> str:
    """Return `unix:/path`, `unix:@name` for an abstract address as ss(8) writes it, `unix:` for one without a name."""
    abstract = raw.startswith(b"\0")
    name = tlv.printable(raw.strip(b"\0") if abstract else raw.partition(b"\0")[0])
    if name is None:
        raise ProxyHeaderError("a Unix address is not printable UTF-8")
    if abstract:
        return f"unix:@{name}" if name else "unix:"
    return f"unix:./{name}" if name.startswith("@") else f"unix:{name}"


def _pack_path(host: str) -> bytes:
    path = host.removeprefix("unix:").encode()
    path = b"\0" + path[1:] if path.startswith(b"@") else path
    if len(path) > _UNIX_PATH_BYTES:
        raise ValueError(f"a Unix path has {len(path)} bytes, over {_UNIX_PATH_BYTES}")
    return path


_FORMS: dict[int, tuple[Family, Transport, int, Callable[[bytes], Ends] | None]] = {
    family << 4 | transport: (family, transport, size, read if transport else None)
    for family, size, read in (
        (Family.UNSPEC, 0, None),
        (Family.INET, _INET.size, _read_inet),
        (Family.INET6, _INET6.size, _read_inet6),
        (Family.UNIX, _UNIX.size, _read_unix),
    )
    for transport in Transport
}
"""What byte 14 means: family, transport, bytes of both addresses, and how they are read, if they are."""

_NO_FORM = (Family.UNSPEC, Transport.UNSPEC, 0, None)


def _read_ignored(data: bytes, start: int, size: int) -> tuple[Tlv, ...]:
    try:
        return _read_tlvs(data, start, size)
    except _ChecksumError:
        raise
    except ProxyHeaderError:
        return ()


class _ChecksumError(ProxyHeaderError):
    """A checksum is wrong, which is never ignored."""


def _read_tlvs(data: bytes, start: int, size: int) -> tuple[Tlv, ...]:
    found = tlv.split_tlvs(data, start, size)
    if found is None:
        raise ProxyHeaderError("a TLV is cut short")
    kept = found
    if not _OF_THE_BYTES.isdisjoint([each.kind for each in found]):
        _check_sum(data[:size], start, found)
        kept = tuple([each for each in found if each.kind not in _OF_THE_BYTES])
    for kind, value in kept:
        check = _CHECKS.get(kind)
        if check is not None and not check(value):
            raise ProxyHeaderError(f"the TLV of type {kind:#04x} is malformed")
    return kept


def _check_sum(header: bytes, start: int, found: tuple[Tlv, ...]) -> None:
    place = expected = None
    for kind, value in found:
        start += tlv.HEAD_BYTES + len(value)
        if kind != tlv.CRC32C:
            continue
        if len(value) != 4 or place is not None:
            raise ProxyHeaderError("the checksum is malformed")
        place, expected = start - 4, int.from_bytes(value)
    if place is not None and crc32c(header[:place] + bytes(4) + header[place + 4 :]) != expected:
        raise _ChecksumError("the checksum is wrong")


_CHECKS: dict[int, Callable[[bytes], bool]] = {
    tlv.UNIQUE_ID: lambda value: len(value) <= PROXY_UNIQUE_ID_BYTES,
    tlv.AUTHORITY: lambda value: len(value) <= PROXY_AUTHORITY_BYTES and tlv.printable(value) is not None,
    tlv.NETNS: lambda value: value.isascii() and tlv.printable(value) is not None,
    tlv.SSL: lambda value: parse_tls(value) is not None,
}
"""What a known value must be."""
