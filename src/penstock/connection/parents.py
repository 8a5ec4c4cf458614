"""
What we say to another proxy, so that it connects us to a target: as its client, in SOCKS5 or with HTTP CONNECT.

A parent that cannot or will not is an error; nobody goes around it.
"""

from collections.abc import Callable, Generator
from typing import NoReturn

from penstock.base.bounds import HTTP_HEAD_BYTES
from penstock.base.errors import RemoteError
from penstock.config.plan import ParentPlan
from penstock.connection.commands import DialError, DialFailed, Need, Send, Until
from penstock.protocols import socks5
from penstock.protocols.http1.credentials import serialize_basic

Talk = Generator[Need | Until | Send, bytes, None]
"""Says and asks for bytes until the parent has connected us; raises `DialFailed` or RemoteError if it does not."""

_CODES = {
    socks5.NETWORK_UNREACHABLE: DialError.NETWORK_UNREACHABLE,
    socks5.HOST_UNREACHABLE: DialError.HOST_UNREACHABLE,
    socks5.REFUSED: DialError.REFUSED,
    socks5.TTL_EXPIRED: DialError.TIMEOUT,
}
"""What a SOCKS5 parent says of its own dial; whatever else it says is its own failure."""

_STATUS = {504: DialError.TIMEOUT}


def through_socks5(parent: ParentPlan, host: str, port: int) -> Talk:
    """
    Ask a SOCKS5 parent (RFC 1928 sections 3 to 6, RFC 1929).

    Args:
        parent: Where its login is asked for, ours is in it.
        host, port: The target; a name is resolved by the parent.
    """
    methods = bytes((socks5.NO_LOGIN, socks5.PASSWORD)) if parent.user else bytes((socks5.NO_LOGIN,))
    yield Send(socks5.serialize_greeting(methods))
    method = socks5.parse_method((yield Need(2)))
    if method == socks5.PASSWORD and parent.user:
        yield Send(socks5.serialize_login(parent.user.encode(), parent.password.encode()))
        if (yield Need(2))[1]:
            _fail(parent, "it refuses our login")
    elif method != socks5.NO_LOGIN:
        _fail(parent, "it wants a login that we do not have")
    yield Send(socks5.serialize_request(socks5.CONNECT, host, port))
    code, _, rest = socks5.parse_request_head((yield Need(socks5.REQUEST_HEAD)))
    if code != socks5.SUCCEEDED:
        _fail(parent, f"its answer is {code}", _CODES.get(code, DialError.FAILED))
    yield Need(rest)


def through_http(parent: ParentPlan, host: str, port: int) -> Talk:
    """
    Ask an HTTP parent (RFC 9110 section 9.3.6).

    Args:
        parent: Its login, where there is one, goes with the request.
        host, port: The target; a name is resolved by the parent.
    """
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode()
    if parent.user:
        head += b"Proxy-Authorization: " + serialize_basic(parent.user, parent.password) + b"\r\n"
    yield Send(head + b"\r\n")
    answer = yield Until(b"\r\n\r\n", HTTP_HEAD_BYTES)
    version, _, rest = answer.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        _fail(parent, "its answer is no HTTP")
    if status[:1] != b"2":
        _fail(parent, f"its answer is {status.decode()}", _STATUS.get(int(status), DialError.FAILED))


def _fail(parent: ParentPlan, why: str, error: DialError = DialError.FAILED) -> NoReturn:
    raise DialFailed(error, f"{parent.kind} parent {parent.host}:{parent.port}: {why}")


TALKS: dict[str, Callable[[ParentPlan, str, int], Talk]] = {
    "socks5": through_socks5,
    "http": through_http,
    "https": through_http,
}
"""By `ParentPlan.kind`."""

BROKEN_TALK = (DialFailed, RemoteError)
"""What a talk may raise."""
