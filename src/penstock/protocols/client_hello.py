"""
What a TLS client says in the clear: enough to route it without decrypting anything.

The ClientHello is that of RFC 8446 section 4.1.2, which older clients' fit too. Read are the server's name (RFC 6066
section 3), the protocols (RFC 7301 section 3.1), the versions (RFC 8446 section 4.2.1), and whether there is an
encrypted hello inside (RFC 9849), whose true name is not this one. All else is passed over, but for the two things
about which readers could disagree what was said: lengths that do not fit, and extensions that come twice.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct as Layout
from typing import NoReturn, TypeVar

from msgspec import Struct

from penstock.base.addresses import is_ip
from penstock.base.bounds import CLIENT_HELLO_BYTES, HANDSHAKE_BUFFER_BYTES
from penstock.base.errors import RemoteError
from penstock.protocols.hostname import parse_hostname
from penstock.protocols.tls_alert import Alert, TlsError

TLS_1_2 = 0x0303
"""Versions are two bytes: 0x0301 is TLS 1.0, 0x0304 is TLS 1.3."""

RECORD_HEAD_BYTES = 5
"""Type, version, length; RFC 8446 section 5.1."""

RECORD_BYTES = 16_384
"""Longest plaintext of a record, RFC 8446 section 5.1."""

MESSAGE_HEAD_BYTES = 4
"""Type and a length of three bytes; RFC 8446 section 4."""

T = TypeVar("T")

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS, _ENCRYPTED_CLIENT_HELLO = 0, 16, 43, 0xFE0D

_FIXED_BYTES = 34
"""Version and random, which stand before all that has a length of its own."""

_TOO_MANY = "the hello is in too many small records"  # or it would be waited for until the deadline, in a full buffer

_WHOLE_BYTES = min(RECORD_BYTES, CLIENT_HELLO_BYTES)

_REMEMBERED = 1_024
"""Values of extensions that are not read again; nginx's map_hash_max_size is 2,048. Longer ones than
`_REMEMBERED_BYTES` are read each time."""

_REMEMBERED_BYTES = 260

_unpack_heads = Layout("!BHHBBH").unpack_from
_unpack_record = Layout("!BHH").unpack_from
_unpack_pair = Layout("!HH").unpack_from


class ClientHello(Struct, frozen=True, kw_only=True):
    """
    What a client wants.

    Args:
        server_name: Host that it asks for, in lower case and without a final dot; None if it asks for none, or for an
            IP address, which RFC 6066 does not let it do. With `has_ech` it is the public name of somebody who knows
            more.
        alpn: Protocols that it offers, its favourite first.
        version: Highest version that it offers, such as 0x0304 for TLS 1.3.
        has_ech: Whether an encrypted hello is inside, or something that shall look like one.
    """

    server_name: str | None = None
    alpn: tuple[bytes, ...] = ()
    version: int = TLS_1_2
    has_ech: bool = False


class HelloReader:
    """
    Reads one client's hello from what it has sent so far: split anywhere, in records of any size.

    Each record is looked at once, whatever the client trickles, so the work is linear in what it sends. A conversation
    reads so, and takes nothing: who serves the client is to see the same bytes.

        reader, needed = HelloReader(), 1
        while isinstance(hello := reader.look((yield Peek(needed))), int):
            needed = hello
    """

    __slots__ = ("_message", "_place")

    def __init__(self) -> None:
        self._message = bytearray()  # handshake bytes of the records before `_place`
        self._place = 0

    def look(self, data: bytes) -> ClientHello | int:
        """
        Return the hello, or how many bytes there must be before it makes sense to look again.

        Args:
            data: All that the client has sent: what was there at the last look, and what came since.

        Raises:
            TlsError: If it is no hello and will be none.
        """
        if not self._place and (whole := whole_hello(data)) is not None:
            return whole
        while len(data) >= self._place + RECORD_HEAD_BYTES:
            start = self._place + RECORD_HEAD_BYTES
            end = start + _record_size(data, self._place)
            if end > HANDSHAKE_BUFFER_BYTES:
                _refuse(Alert.ILLEGAL_PARAMETER, _TOO_MANY)
            if len(data) < end:
                return self._wish(data, start, end)
            self._message += data[start:end]
            self._place = end
            size = _message_size(self._message)
            if len(self._message) == size:
                return parse_client_hello(bytes(self._message), MESSAGE_HEAD_BYTES, size)
            if len(self._message) > size:
                _refuse(Alert.UNEXPECTED_MESSAGE, "another message follows the hello in its record")
        return self._wish_head(data)

    def _wish_head(self, data: bytes) -> int:
        if self._place + RECORD_HEAD_BYTES >= HANDSHAKE_BUFFER_BYTES:
            _refuse(Alert.ILLEGAL_PARAMETER, _TOO_MANY)
        if len(data) == self._place:
            return len(data) + 1  # its first byte tells much
        _check_type(data[self._place])
        return self._place + RECORD_HEAD_BYTES

    def _wish(self, data: bytes, start: int, end: int) -> int:
        """Look at the message's head as soon as it is there: it tells whether the rest is worth waiting for."""
        missing = MESSAGE_HEAD_BYTES - len(self._message)
        if missing <= 0:
            return end
        _message_size(self._message + data[start : start + missing])
        return end if len(data) >= start + missing else min(end, start + missing)


def whole_hello(data: bytes) -> ClientHello | None:
    """
    Return the hello that comes in one record, as nearly always; None if it is not all there, or not so.

    Args:
        data: All that the client has sent.

    Raises:
        TlsError: If it is malformed.
    """
    if len(data) <= RECORD_HEAD_BYTES + MESSAGE_HEAD_BYTES:
        return None
    kind, version, size, message, high, low = _unpack_heads(data, 0)
    if (
        kind == _HANDSHAKE
        and version >> 8 == 3
        and message == _CLIENT_HELLO
        and (high << 16 | low) + MESSAGE_HEAD_BYTES == size <= _WHOLE_BYTES
        and len(data) >= RECORD_HEAD_BYTES + size
    ):
        return parse_client_hello(data, RECORD_HEAD_BYTES + MESSAGE_HEAD_BYTES, RECORD_HEAD_BYTES + size)
    return None


def parse_client_hello(data: bytes, start: int, end: int) -> ClientHello:
    """
    Return what a hello says.

    Args:
        data: Bytes that hold it.
        start, end: Where its body, behind the message's head, begins and ends in `data`.

    Raises:
        TlsError: If it is malformed.
    """
    place = start + _FIXED_BYTES
    if end <= place:
        _cut_short()
    if data[start] != 3:
        _refuse(Alert.PROTOCOL_VERSION, "the hello's version is none of TLS")
    session = data[place]
    place += 1 + session
    if session > 32 or end < place + 2:
        _cut_short()
    ciphers = data[place] << 8 | data[place + 1]
    place += 2 + ciphers
    if end <= place or not ciphers or ciphers & 1:
        _cut_short()
    place += 1 + (data[place] or _cut_short())  # compression methods: at least one
    found = _extensions(data, place, end)
    name, alpn, versions = found.get(_SERVER_NAME), found.get(_ALPN), found.get(_SUPPORTED_VERSIONS)
    return ClientHello(
        server_name=None if name is None else _read_name(data, name),
        alpn=() if alpn is None else _read_protocols(data, alpn),
        version=min(data[start] << 8 | data[start + 1], TLS_1_2)  # a higher one has no meaning, RFC 8446 section 4.1.2
        if versions is None
        else _read_versions(data, versions),
        has_ech=_ENCRYPTED_CLIENT_HELLO in found,
    )


def _refuse(alert: Alert, detail: str) -> NoReturn:
    raise TlsError(alert, detail)


def _cut_short() -> NoReturn:
    _refuse(Alert.DECODE_ERROR, "the hello's lengths do not fit")


def _check_type(kind: int) -> None:
    if kind == _HANDSHAKE:
        return
    if kind & 0x80:  # RFC 8446 appendix D.5: nobody is to speak it any more
        _refuse(Alert.PROTOCOL_VERSION, "the first byte is of no record of TLS, and maybe of an SSLv2 hello")
    _refuse(Alert.UNEXPECTED_MESSAGE, f"a record's type is {kind}, not handshake")


def _record_size(data: bytes, place: int) -> int:
    kind, version, size = _unpack_record(data, place)
    if kind != _HANDSHAKE:
        _check_type(kind)
    if version >> 8 != 3:
        _refuse(Alert.PROTOCOL_VERSION, "a record's version is none of TLS")
    if size > RECORD_BYTES:
        _refuse(Alert.RECORD_OVERFLOW, f"a record has {size} bytes, over {RECORD_BYTES}")
    if not size:  # RFC 8446 section 5.1
        _refuse(Alert.UNEXPECTED_MESSAGE, "a record of the handshake is empty")
    return int(size)


def _message_size(head: bytes | bytearray) -> int:
    """Return the bytes of the message with its head, as far as they can be told: more than there are if they cannot."""
    if head and head[0] != _CLIENT_HELLO:
        _refuse(Alert.UNEXPECTED_MESSAGE, f"the first message's type is {head[0]}, not ClientHello")
    if len(head) < MESSAGE_HEAD_BYTES:
        return MESSAGE_HEAD_BYTES
    size = MESSAGE_HEAD_BYTES + (head[1] << 16 | head[2] << 8 | head[3])
    if size > CLIENT_HELLO_BYTES:
        _refuse(Alert.ILLEGAL_PARAMETER, f"the hello has {size} bytes, over {CLIENT_HELLO_BYTES}")
    return size


def _extensions(data: bytes, place: int, end: int) -> dict[int, int]:
    """Return where the value of each extension begins; its length stands in the two bytes before."""
    found: dict[int, int] = {}
    if place == end:  # RFC 5246 section 7.4.1.2: there need be none
        return found
    if end < place + 2 or place + 2 + (data[place] << 8 | data[place + 1]) != end:
        _cut_short()
    place += 2
    last = end - 4
    while place <= last:
        kind, size = _unpack_pair(data, place)
        place += 4
        if kind in found:
            _refuse(Alert.ILLEGAL_PARAMETER, f"the extension {kind} comes twice")
        found[kind] = place
        place += size
    if place != end:
        _cut_short()
    return found


def _server_name(value: bytes) -> str | None:
    # A list of one: more names of its type are not allowed, and other types were never defined (RFC 6066 section 3).
    if len(value) < 5 or (value[0] << 8 | value[1]) != len(value) - 2 or (value[3] << 8 | value[4]) != len(value) - 5:
        _refuse(Alert.DECODE_ERROR, "the server's name is malformed")
    if value[2]:
        _refuse(Alert.ILLEGAL_PARAMETER, "the server's name is of an unknown type")
    try:
        name = parse_hostname(value[5:]).lower().removesuffix(".")
    except RemoteError:
        _refuse(Alert.ILLEGAL_PARAMETER, "the server's name is none")
    return None if (name[-1].isdigit() and is_ip(name)) or ":" in name else name


def _protocols(value: bytes) -> tuple[bytes, ...]:
    names = []
    place, end = 2, len(value)
    if end < 4 or (value[0] << 8 | value[1]) != end - 2:
        _refuse(Alert.DECODE_ERROR, "the list of protocols is malformed")
    while place < end:
        size = value[place]
        place += 1 + size
        if place > end or not size:
            _refuse(Alert.DECODE_ERROR, "a protocol's name is malformed")
        names.append(value[place - size : place])
    return tuple(names)


def _highest(value: bytes) -> int:
    if len(value) < 3 or value[0] != len(value) - 1 or value[0] & 1:
        _refuse(Alert.DECODE_ERROR, "the list of versions is malformed")
    best = -1
    for place in range(1, len(value), 2):
        if value[place] == 3 and value[place + 1] > best:  # what begins otherwise is a draft's, or GREASE (RFC 8701)
            best = value[place + 1]
    if best < 0:
        _refuse(Alert.PROTOCOL_VERSION, "no version that is offered is one of TLS")
    return 0x0300 | best


def _remembering(read: Callable[[bytes], T]) -> Callable[[bytes, int], T]:
    """
    Return what reads the value of an extension, the same one but once: clients repeat themselves.

    A malformed one is read each time. The value begins at a place of the hello; its length stands in front of it.
    """
    remembered = lru_cache(_REMEMBERED)(read)

    def look(data: bytes, place: int) -> T:
        value = data[place : place + (data[place - 2] << 8 | data[place - 1])]
        return remembered(value) if len(value) <= _REMEMBERED_BYTES else read(value)

    return look


_read_name = _remembering(_server_name)
_read_protocols = _remembering(_protocols)
_read_versions = _remembering(_highest)
