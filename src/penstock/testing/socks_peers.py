"""A SOCKS5 client to test a proxy with, which says and reads exactly what a test wants and counts it."""

import socket
import struct
from typing import NamedTuple

from penstock.testing.http_peers import Wire

GREETING = b"\x05\x01\x00"
CONNECT, BIND, ASSOCIATE = 1, 2, 3


class Reply(NamedTuple):
    """
    A reply to a request.

    Args:
        code: 0 for success.
        host, port: BND.ADDR and BND.PORT.
    """

    code: int
    host: str
    port: int


def address(host: str, port: int) -> bytes:
    """Return address type, address and port; a host that is no IPv4 or IPv6 address goes as a name."""
    packed = struct.pack("!H", port)
    if ":" in host:
        return b"\x04" + socket.inet_pton(socket.AF_INET6, host) + packed
    try:
        return b"\x01" + socket.inet_aton(host) + packed
    except OSError:
        return b"\x03" + bytes((len(host),)) + host.encode() + packed


def command(code: int, host: str, port: int) -> bytes:
    """Return a request."""
    return b"\x05" + bytes((code, 0)) + address(host, port)


def read_reply(wire: Wire) -> Reply:
    """Return the next reply, whose address is IPv4 or IPv6."""
    _, code, _, kind = wire.read(4)
    size, family = (16, socket.AF_INET6) if kind == 4 else (4, socket.AF_INET)
    host = socket.inet_ntop(family, wire.read(size))
    return Reply(code, host, int.from_bytes(wire.read(2)))


def ask(wire: Wire, code: int, host: str, port: int) -> Reply:
    """Greet without a login, send a request and return the reply."""
    wire.send(GREETING)
    assert wire.read(2) == b"\x05\x00"
    wire.send(command(code, host, port))
    return read_reply(wire)


def datagram(host: str, port: int, payload: bytes, fragment: int = 0) -> bytes:
    """Return a datagram as it goes to an association."""
    return b"\0\0" + bytes((fragment,)) + address(host, port) + payload
