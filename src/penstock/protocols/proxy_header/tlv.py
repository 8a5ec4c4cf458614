"""
What a header of version 2 says besides addresses: type, length, value (sections 2.2.1 to 2.2.8).

Types that nobody here knows are kept as they came, and passed on so.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID = 0x01, 0x02, 0x03, 0x04, 0x05
SSL, NETNS = 0x20, 0x30
"""Registered types, section 2.2."""

AWS = 0xEA
AWS_VPC_ENDPOINT = 0x01
"""Amazon's own type, of the range for applications (section 2.2.8), and its subtype: the VPC endpoint's id follows."""

HEAD_BYTES = 3

_HEAD = Struct("!BH")
_unpack_head = _HEAD.unpack_from


class Tlv(NamedTuple):
    """
    One piece.

    Args:
        kind: Its type, 0 to 255.
        value: As on the wire.
    """

    kind: int
    value: bytes


def split_tlvs(data: bytes, start: int, end: int) -> tuple[Tlv, ...] | None:
    """
    Return the pieces of `data` from `start` to `end`, or None if they do not end where they must.

    Args:
        data: Any bytes.
        start, end: Within `data`.
    """
    found = []
    while start < end:
        if start + HEAD_BYTES > end:
            return None
        kind, size = _unpack_head(data, start)
        start += HEAD_BYTES + size
        if start > end:
            return None
        found.append(Tlv(kind, data[start - size : start]))
    return tuple(found)


def join_tlvs(tlvs: Iterable[Tlv]) -> bytes:
    """Return the pieces as on the wire; ValueError if a value has over 65,535 bytes."""
    parts = []
    for kind, value in tlvs:
        if len(value) > 0xFFFF:
            raise ValueError(f"the value of type {kind:#04x} has {len(value)} bytes, over 65,535")
        parts.append(_HEAD.pack(kind, len(value)) + value)
    return b"".join(parts)


def find(tlvs: Iterable[Tlv], kind: int) -> bytes | None:
    """Return the value of the first piece of this type, or None."""
    return next((value for each, value in tlvs if each == kind), None)


def authority(tlvs: Iterable[Tlv]) -> str | None:
    """Return the host name that the client asked for (section 2.2.2), or None."""
    return _text(find(tlvs, AUTHORITY))


def vpc_endpoint(tlvs: Iterable[Tlv]) -> str | None:
    """Return the id of the AWS VPC endpoint that the client came through, or None."""
    found = (value[1:] for kind, value in tlvs if kind == AWS and value[:1] == b"\x01")
    return _text(next(found, None))


def _text(value: bytes | None) -> str | None:
    return None if value is None else printable(value)


def printable(value: bytes) -> str | None:
    """Return the text of UTF-8 that can stand in a log, or None if it is none."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
