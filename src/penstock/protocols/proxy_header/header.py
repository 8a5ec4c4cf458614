"""What a PROXY header says, whichever version wrote it."""

from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from penstock.base.addresses import Endpoint, pack_ip, unpack_ip
from penstock.base.errors import RemoteError
from penstock.protocols.proxy_header.tlv import Tlv


class Command(IntEnum):
    """On whose behalf the connection was opened; the lower half of byte 13 (section 2.2)."""

    LOCAL = 0
    PROXY = 1


class Family(IntEnum):
    """Of the addresses; the upper half of byte 14."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


class Transport(IntEnum):
    """Of the connection that is forwarded; the lower half of byte 14."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


class ProxyHeaderError(RemoteError):
    """The bytes are no PROXY header; the message says why and repeats none of them."""


class ProxyHeader(Struct, frozen=True, kw_only=True):
    """
    One header.

    Args:
        command: LOCAL for a connection of the proxy's own, such as a health check: the socket's addresses count.
        family: Of both addresses. INET6 may hold IPv4-mapped addresses, which are given as their IPv4.
        transport: STREAM for TCP.
        source: The client; None where the header names nobody, and the socket's addresses count.
        destination: What the client connected to; None with `source`.
        tlvs: What else is said, in its order, without checksum and padding: those belong to the bytes.
    """

    command: Command = Command.PROXY
    family: Family = Family.UNSPEC
    transport: Transport = Transport.UNSPEC
    source: Endpoint | None = None
    destination: Endpoint | None = None
    tlvs: tuple[Tlv, ...] = ()


class Parsed(NamedTuple):
    """
    A header and how long it was.

    Args:
        header: What it says.
        size: Bytes that it takes; what stands behind them is the client's.
    """

    header: ProxyHeader
    size: int


LOCAL = ProxyHeader(command=Command.LOCAL)
"""What a proxy says of its own connections."""

UNKNOWN = ProxyHeader()
"""A connection of somebody whose addresses cannot be told."""

_MAPPED = b"\0" * 10 + b"\xff\xff"
_NOTHING = bytes(16)


def describe(source: Endpoint, destination: Endpoint, tlvs: tuple[Tlv, ...] = ()) -> ProxyHeader:
    """
    Return the header of a TCP or Unix connection: the narrowest family that holds both ends.

    Args:
        source: The client.
        destination: What it connected to.
        tlvs: What else is to be said.
    """
    family = common_family(source.host, destination.host)
    if not family:
        return ProxyHeader(tlvs=tlvs)
    return ProxyHeader(family=family, transport=Transport.STREAM, source=source, destination=destination, tlvs=tlvs)


def common_family(source: str, destination: str) -> Family:
    """Return the narrowest family that holds both hosts; UNSPEC if none does."""
    one, other = _family(source), _family(destination)
    if one is other:
        return one
    return Family.INET6 if {one, other} == {Family.INET, Family.INET6} else Family.UNSPEC


def unpack_inet6(packed: bytes) -> str:
    """Return the text of 16 bytes, an IPv4-mapped address as its IPv4: one client is one text everywhere."""
    host = unpack_ip(packed)
    return "::" if host == "-" else host


def _family(host: str) -> Family:
    if host.startswith("unix:"):
        return Family.UNIX
    packed = pack_ip(host)
    if packed == _NOTHING and host != "::":
        return Family.UNSPEC
    return Family.INET if packed.startswith(_MAPPED) else Family.INET6
