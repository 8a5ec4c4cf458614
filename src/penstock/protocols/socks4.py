"""
SOCKS4 and its extension 4a on the wire.

Neither has an RFC: the sources are the memo "SOCKS: A protocol for TCP proxy across firewalls" and the note "SOCKS 4A:
A Simple Extension to SOCKS 4 Protocol", both by Ying-Da Lee.
"""

from penstock.base.addresses import pack_ip, unpack_ip
from penstock.base.errors import RemoteError

VERSION = 4

CONNECT, BIND = 1, 2
"""Commands."""

GRANTED, REJECTED = 0x5A, 0x5B
"""Replies. The other two, 0x5C and 0x5D, speak of identd, which nobody asks any more."""

REQUEST_HEAD = 8
"""Bytes of version, command, port and IPv4 address; the user id follows, with a zero at its end."""

_MAPPED = b"\0" * 10 + b"\xff\xff"


def parse_request_head(head: bytes) -> tuple[int, str, int]:
    """
    Return command, host and port; the host is empty where a name follows the user id (SOCKS4a).

    Args:
        head: The first eight bytes of a client.

    Raises:
        RemoteError: If the version is not 4.
    """
    if head[0] != VERSION:
        raise RemoteError(f"the request's version is {head[0]}, not 4")
    port = head[2] << 8 | head[3]
    address = head[4:REQUEST_HEAD]
    if address[:3] == b"\0\0\0" and address[3]:  # 4a: 0.0.0.x with x not zero is nobody's address
        return head[1], "", port
    return head[1], unpack_ip(_MAPPED + address), port


def serialize_reply(reply: int, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """
    Return the reply to a request.

    Args:
        reply: GRANTED or REJECTED.
        host, port: Where a BIND listens or whom it accepted; 0.0.0.0 for what is no IPv4 address.
    """
    packed = pack_ip(host)
    address = packed[12:] if packed.startswith(_MAPPED) else bytes(4)
    return b"\0%c%b%b" % (reply, port.to_bytes(2), address)
