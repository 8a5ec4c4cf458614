"""Addresses as operators write them, as sockets take them, and as the ledger stores them."""

import ipaddress
import socket
from typing import NamedTuple

from penstock.base.errors import AddressError

_MAPPED = "::ffff:"
_MAPPED_PACKED = b"\0" * 10 + b"\xff\xff"


class Endpoint(NamedTuple):
    """
    A host and a port.

    Args:
        host: IP address without brackets, or a host name, or `unix:/path`.
        port: 0 to 65535; 0 for a Unix socket.
    """

    host: str
    port: int

    def __str__(self) -> str:
        if self.host.startswith("unix:"):
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Endpoint:
    """
    Return the endpoint of a listen address.

    Args:
        text: `:8080`, `8080`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`. Without a host it is all IPv4 and IPv6
            addresses, written `::`.

    Raises:
        AddressError: If the text is none of these forms.
    """
    if text.startswith("unix:"):
        return _unix(text)
    if text.isascii() and text.isdigit():
        return Endpoint("::", _port(text, text))
    host, port = _split(text)
    if not host:
        return Endpoint("::", port)
    if host != "localhost" and not is_ip(host):
        raise AddressError(f"{text!r}: a listen address needs an IP address, as in 127.0.0.1:8080, [::1]:8080 or :8080")
    return Endpoint("127.0.0.1" if host == "localhost" else host, port)


def parse_target(text: str) -> Endpoint:
    """
    Return the endpoint of a target.

    Args:
        text: `host:port`, where host is a name, an IPv4 address or an IPv6 address in brackets.

    Raises:
        AddressError: If host or port is missing or no such thing.
    """
    host, port = _split(text)
    if not host or not port:
        raise AddressError(f"{text!r}: a target is host:port, as in example.com:80 or [::1]:80")
    if len(host) > 253 or any(c in host for c in " /@?#\\\0"):
        raise AddressError(f"{text!r}: {host!r} is no host name")
    return Endpoint(host, port)


def _unix(text: str) -> Endpoint:
    path = text[5:]
    if not path.startswith("/") or len(path.encode()) > 107:  # sun_path of unix(7) holds 107 bytes and a zero
        raise AddressError(f"{text!r}: unix: needs an absolute path of at most 107 bytes")
    return Endpoint(text, 0)


def _split(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise AddressError(f"{text!r}: a port is missing, as in {text or '127.0.0.1'}:8080")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not is_ip(host) or ":" not in host:
            raise AddressError(f"{text!r}: {host!r} in brackets is no IPv6 address")
    elif ":" in host:
        raise AddressError(f"{text!r}: an IPv6 address needs brackets, as in [{host}]:{port}")
    return host, _port(port, text)


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65_535:
        raise AddressError(f"{whole!r}: {text!r} is no port from 0 to 65535")
    return int(text)


def is_ip(host: str) -> bool:
    """Return whether `host` is a literal IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`: 127.0.0.0/8, ::1, `localhost` or a Unix socket."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    return is_ip(host) and ipaddress.ip_address(unmap(host)).is_loopback


def unmap(host: str) -> str:
    """Return an IPv4-mapped IPv6 address as its IPv4: the same client is the same text on every listener."""
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    return host


def pack_ip(host: str) -> bytes:
    """Return 16 bytes that stand for an IP address, IPv4 as mapped IPv6; 16 zeros for anything else (a Unix peer)."""
    try:
        if ":" in host:
            return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        return _MAPPED_PACKED + socket.inet_aton(host)
    except OSError:
        return b"\0" * 16


def unpack_ip(packed: bytes) -> str:
    """Return the text of an address that `pack_ip` packed; `-` for 16 zeros, which no client can have."""
    if packed.startswith(_MAPPED_PACKED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed) if any(packed) else "-"
