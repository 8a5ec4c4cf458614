"""
Either version, told by its first byte.

The header is asked for where the operator says that one comes, never guessed (section 2). A conversation reads it so:

    needed = 1
    while isinstance(answer := parse((yield Peek(needed))), int):
        needed = answer
    yield Need(answer.size)
"""

from penstock.protocols.proxy_header import v1, v2
from penstock.protocols.proxy_header.header import Parsed, ProxyHeaderError


def parse(data: bytes) -> Parsed | int:
    """
    Return the header and how long it is, or how many bytes there must be before it makes sense to look again.

    The same bytes give the same answer however often it was asked before. It asks for no byte that a header could do
    without, so one that a server waits for before it speaks is never waited behind.

    Args:
        data: What there is, from the connection's first byte on.

    Raises:
        ProxyHeaderError: If it is no header, and will be none.
    """
    first = data[:1]
    if first == b"P":
        return v1.parse_v1(data)
    if first == b"\r":
        return v2.parse_v2(data)
    if first:
        raise ProxyHeaderError("the first bytes are no PROXY header")
    return 1
