"""
The few header fields that a proxy must know, found in a head without taking it apart.

A head that llhttp has accepted holds no obs-fold, no bare CR or LF and no space before a colon, so CRLF, a name and a
colon are a field and nothing else. One search finds the lines that concern a proxy; what is to go is cut out of the
head, and everything else is forwarded as it came, in its order and its letter case.

These few lines are the same from request to request, so what they mean is remembered: reading a head costs one search
and one look-up. Only a length differs from one message to the next, so it is no part of what is remembered.
"""

import re
from collections.abc import Set
from functools import lru_cache

from msgspec import Struct

VIA = b"Via: 1.1 penstock\r\n"
VIA_1_0 = b"Via: 1.0 penstock\r\n"
"""Whence a message came (RFC 9110 section 7.6.3): the version it was received in, and a pseudonym for our address."""

_CONCERNING = re.compile(
    rb"\r\n(?=[CcEeHhKkPpTtUu])"  # most names fall here, a third sooner than by the list below
    rb"(?i:content-length:|(?:connection|expect|host|keep-alive|proxy-[^:]*|te|transfer-encoding|upgrade):[^\r]*)"
)

_END_TO_END = frozenset((b"content-length", b"expect", b"host", b"transfer-encoding"))
"""Of those, the ones that are forwarded. Trailer is none of those: trailers are forwarded, so it stays true."""

_NO_NAMES: frozenset[bytes] = frozenset()

_HANDLED = frozenset((b"", b"close", b"keep-alive", b"proxy-connection", b"te", b"upgrade"))
"""Connection options that name no field, or one that goes anyhow."""

_PLAIN = frozenset((b"connection", b"content-length", b"keep-alive"))
_KEEP_ALIVE = frozenset((b"keep-alive",))

_REMEMBERED = 1_024
_REMEMBERED_BYTES = 1_024  # longer heads are read afresh, so that the memory holds a few MiB at most

_LENGTH_DIGITS = 18  # an exabyte; what does not fit 63 bits is read differently by different programs

_FEW_CUTS = 4  # beyond it the head is taken apart once, instead of being searched and copied for each cut


class Fields(Struct, frozen=True, gc=False):
    """
    What the fields that concern a proxy say. The values of a repeated field are joined by commas; None for no field.

    Args:
        host: Value of Host, in lower case.
        length: The name Content-Length as it is written, with the CRLF before and the colon behind it.
        coding: Value of Transfer-Encoding, in lower case.
        expects: Whether there is an Expect field.
        options: Connection options, in lower case.
        upgrade: Value of Upgrade, in lower case.
        credentials: Value of Proxy-Authorization.
        hops: The hop-by-hop lines, Upgrade apart, each with the CRLF before it.
        upgrade_lines: The Upgrade lines likewise.
        named: Other fields that Connection names.
        repeated: Whether a field is repeated, so that one line may begin another.
        plain: Whether there is nothing to think about: at most a length, one hop-by-hop line, no option that matters.
    """

    host: bytes | None
    length: bytes | None
    coding: bytes | None
    expects: bool
    options: frozenset[bytes]
    upgrade: bytes | None
    credentials: bytes | None
    hops: tuple[bytes, ...]
    upgrade_lines: tuple[bytes, ...]
    named: frozenset[bytes]
    repeated: bool
    plain: bool


def read_fields(lines: bytes) -> Fields:
    """
    Return what the fields of a head say that concern a proxy.

    Args:
        lines: A sound head from the end of its first line on.
    """
    found = tuple(_CONCERNING.findall(lines))
    return _interpret(found) if len(lines) <= _REMEMBERED_BYTES else _interpret.__wrapped__(found)


@lru_cache(_REMEMBERED)
def _interpret(found: tuple[bytes, ...]) -> Fields:
    values: dict[bytes, bytes] = {}
    hops = []
    upgrade_lines = []
    for line in found:
        name, _, value = line[2:].partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length":
            value = line
        values[name] = values[name] + b", " + value if name in values else value
        if name == b"upgrade":
            upgrade_lines.append(line)
        elif name not in _END_TO_END:
            hops.append(line)
    options = _split(values.get(b"connection"))
    plain = values.keys() <= _PLAIN and len(found) == len(values) and len(hops) <= 1 and options <= _KEEP_ALIVE
    return Fields(
        _lower(values.get(b"host")),
        values.get(b"content-length"),
        _lower(values.get(b"transfer-encoding")),
        b"expect" in values,
        options,
        _lower(values.get(b"upgrade")),
        values.get(b"proxy-authorization"),
        tuple(hops),
        tuple(upgrade_lines),
        options - _HANDLED,
        len(values) < len(found),
        plain,
    )


def _lower(value: bytes | None) -> bytes | None:
    return None if value is None else value.lower()


def _split(connection: bytes | None) -> frozenset[bytes]:
    if connection is None:
        return _NO_NAMES
    return frozenset(option.strip(b" \t") for option in connection.lower().split(b","))


def content_length(lines: bytes, fields: Fields) -> int | None:
    """
    Return the number that Content-Length gives, None if there is no such field, -1 if it is no number.

    Args:
        lines: A sound head from the end of its first line on; llhttp lets no second Content-Length pass.
        fields: What `read_fields` returned for it.
    """
    name = fields.length
    if name is None:
        return None
    start = lines.find(name) + len(name)
    digits = lines[start : lines.find(b"\r", start)].strip(b" \t")
    return int(digits) if digits.isdigit() and len(digits) <= _LENGTH_DIGITS else -1


def end_to_end(lines: bytes, fields: Fields, *, upgrade: bool = False) -> bytes:
    """
    Return a head without its hop-by-hop fields (RFC 9110 section 7.6.1).

    Args:
        lines: A sound head from the end of its first line on.
        fields: What `read_fields` returned for it.
        upgrade: Whether the Upgrade field stays.
    """
    cuts = fields.hops if upgrade else fields.hops + fields.upgrade_lines
    if fields.named or fields.repeated or len(cuts) > _FEW_CUTS:
        names = {line[2:].partition(b":")[0].lower() for line in cuts}
        return without(lines, names | fields.named)
    for line in cuts:
        lines = lines.replace(line, b"", 1)
    return lines


def without(head: bytes, names: Set[bytes]) -> bytes:
    """
    Return a head without the fields of these names, at a cost that no number of them multiplies.

    Args:
        head: A sound head, or a part of one that begins with a line's end.
        names: In lower case.
    """
    first, *lines = head.split(b"\r\n")
    return b"\r\n".join([first, *[line for line in lines if line.partition(b":")[0].lower() not in names]])
