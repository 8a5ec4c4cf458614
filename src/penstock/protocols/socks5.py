"""SOCKS5 on the wire (RFC 1928) and its user/password login (RFC 1929): bytes to values and back."""

from functools import lru_cache

from penstock.base.addresses import is_ip, pack_ip, unpack_ip
from penstock.base.errors import RemoteError
from penstock.protocols.hostname import parse_hostname

VERSION = 5

NO_LOGIN, PASSWORD, NOT_ACCEPTABLE = 0x00, 0x02, 0xFF
"""Methods, RFC 1928 section 3."""

LOGIN_VERSION = 1
"""RFC 1929 section 2: the login has a version of its own."""

CONNECT, BIND, ASSOCIATE = 1, 2, 3
"""Commands, RFC 1928 section 4."""

IPV4, DOMAIN, IPV6 = 1, 3, 4
"""Address types, RFC 1928 section 5."""

SUCCEEDED, FAILED, NOT_ALLOWED, NETWORK_UNREACHABLE, HOST_UNREACHABLE = 0, 1, 2, 3, 4
REFUSED, TTL_EXPIRED, COMMAND_NOT_SUPPORTED, ADDRESS_TYPE_NOT_SUPPORTED = 5, 6, 7, 8
"""Replies, RFC 1928 section 6."""

GREETING_HEAD, LOGIN_HEAD, REQUEST_HEAD = 2, 2, 5
"""Bytes that tell how long the rest is. The fifth of a request is the first of its address: a name's length."""

_MAPPED = b"\0" * 10 + b"\xff\xff"


class AddressTypeError(RemoteError):
    """An address of a type that RFC 1928 does not know; answered with ADDRESS_TYPE_NOT_SUPPORTED."""


def parse_greeting_head(head: bytes) -> int:
    """
    Return how many bytes of methods follow.

    Args:
        head: The first two bytes of a client: version, number of methods.

    Raises:
        RemoteError: If the version is not 5 or no method follows.
    """
    if head[0] != VERSION:
        raise RemoteError(f"the first byte is {head[0]:#04x}, which is no version of SOCKS")
    if not head[1]:
        raise RemoteError("the greeting offers no method")
    return head[1]


def serialize_method(method: int) -> bytes:
    """Return the answer to a greeting."""
    return bytes((VERSION, method))


def serialize_greeting(methods: bytes) -> bytes:
    """Return what a client begins with: the methods that it offers."""
    return bytes((VERSION, len(methods))) + methods


def parse_method(answer: bytes) -> int:
    """
    Return the method that the server has chosen.

    Args:
        answer: Its two bytes.

    Raises:
        RemoteError: If the version is not 5.
    """
    if answer[0] != VERSION:
        raise RemoteError(f"the first byte is {answer[0]:#04x}, which is no version of SOCKS")
    return answer[1]


def serialize_login(user: bytes, password: bytes) -> bytes:
    """Return a login; each of both has 1 to 255 bytes."""
    return b"%c%c%b%c%b" % (LOGIN_VERSION, len(user), user, len(password), password)


def parse_login_head(head: bytes) -> int:
    """
    Return the length of the user name that follows; behind it stand the password's length and the password.

    Args:
        head: Two bytes: version of the login, length of the name.

    Raises:
        RemoteError: If the version is not 1.
    """
    if head[0] != LOGIN_VERSION:
        raise RemoteError(f"the login's version is {head[0]}, not 1")
    return head[1]


def serialize_login_reply(success: bool) -> bytes:
    """Return the answer to a login; anything but zero is a failure, after which the server closes (RFC 1929)."""
    return bytes((LOGIN_VERSION, not success))


def serialize_request(command: int, host: str, port: int) -> bytes:
    """
    Return a client's request.

    Args:
        command: CONNECT, BIND or ASSOCIATE.
        host: IP address, or a name of at most 255 bytes in ASCII.
        port: 0 to 65535.
    """
    name = host.encode("ascii")
    kind = serialize_address(host, port) if is_ip(host) else b"%c%c%b%b" % (DOMAIN, len(name), name, port.to_bytes(2))
    return bytes((VERSION, command, 0)) + kind


def parse_request_head(head: bytes) -> tuple[int, int, int]:
    """
    Return the command, the type of the address, and how many bytes follow. A reply has the same shape, and its code in
    the command's place.

    Args:
        head: Version, command, a zero, address type, and the first byte of the address.

    Raises:
        AddressTypeError: If the address type is unknown, and so the length of the rest.
        RemoteError: If the version is not 5 or the reserved byte not 0.
    """
    version, command, reserved, kind, first = head
    if version != VERSION:
        raise RemoteError(f"the request's version is {version}, not 5")
    if reserved:
        raise RemoteError(f"the request's reserved byte is {reserved:#04x}, not 0")
    return command, kind, _address_size(kind, first) - 1


def parse_address(kind: int, data: bytes) -> tuple[str, int]:
    """
    Return host and port.

    Args:
        kind: Address type.
        data: Address and port, whole and nothing behind.

    Raises:
        AddressTypeError: If the address type is unknown.
        RemoteError: If the length does not fit, or a name is none.
    """
    if not data or len(data) != _address_size(kind, data[0]):
        raise RemoteError("the address is cut short")
    port = data[-2] << 8 | data[-1]
    if kind == IPV4:
        a, b, c, d = data[:4]
        return f"{a}.{b}.{c}.{d}", port
    if kind == DOMAIN:
        return parse_hostname(data[1:-2]), port
    host = unpack_ip(data[:-2])
    return "::" if host == "-" else host, port


def serialize_address(host: str, port: int) -> bytes:
    """Return address type, address and port of an IP address; 0.0.0.0 for what is none, such as a Unix socket."""
    return _serialize_host(host) + port.to_bytes(2)


def serialize_reply(reply: int, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """
    Return the reply to a request.

    Args:
        reply: SUCCEEDED to ADDRESS_TYPE_NOT_SUPPORTED.
        host, port: BND.ADDR and BND.PORT, RFC 1928 section 6; an IP address.
    """
    return b"\x05%c\0%b" % (reply, serialize_address(host, port))


def parse_datagram_head(datagram: bytes | memoryview) -> tuple[str, int, int]:
    """
    Return host, port and where the payload begins.

    Args:
        datagram: As it came from the client: two zeros, fragment number, address type, address, port, payload.

    Raises:
        RemoteError: If it is cut short, has an address or port that is none, or is a fragment: RFC 1928 section 7
            lets a server drop those, and nothing that is in use sends them.
    """
    if len(datagram) < REQUEST_HEAD:
        raise RemoteError("the datagram is cut short")
    if datagram[0] or datagram[1]:
        raise RemoteError("the datagram's reserved bytes are not 0")
    if datagram[2]:
        raise RemoteError("the datagram is a fragment")
    kind = datagram[3]
    end = 4 + _address_size(kind, datagram[4])
    host, port = parse_address(kind, bytes(datagram[4:end]))
    if not port:
        raise RemoteError("the datagram's port is 0")
    return host, port, end


def serialize_datagram_head(host: str, port: int) -> bytes:
    """Return what stands before the payload of a datagram that came from `host` and `port`."""
    return b"\0\0\0" + serialize_address(host, port)


@lru_cache(1_024)  # our own addresses are few, and the senders of an association's datagrams come again
def _serialize_host(host: str) -> bytes:
    packed = pack_ip(host)
    if packed.startswith(_MAPPED):
        return b"\x01" + packed[12:]
    return b"\x04" + packed if any(packed) or host == "::" else b"\x01\0\0\0\0"


def _address_size(kind: int, first: int) -> int:
    """Return the bytes of address and port, of which the first tells the length of a name."""
    if kind == IPV4:
        return 6
    if kind == DOMAIN:
        return first + 3
    if kind == IPV6:
        return 18
    raise AddressTypeError(f"the address type is {kind:#04x}, which is none")
