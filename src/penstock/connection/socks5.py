"""
The SOCKS5 conversation (RFC 1928, RFC 1929): greeting, login where users are configured, one request, its reply.

A client that speaks SOCKS4 is handed over to that conversation.

What goes wrong and what the client hears:
- A first byte that is no version of SOCKS, a greeting without methods: nothing, for there is no word to say it in.
- No method that will do: method 0xFF. A wrong login: status 1. Either ends as `auth`. A login that nobody could verify
  in time: status 1, and `overload`.
- A request that is none: reply 1; an unknown address type: 8; an unknown command: 7. They end as `protocol`.
- A dial that fails: the reply of `_REPLIES`.
"""

from collections.abc import Generator
from typing import Any, NoReturn, cast

from penstock.base.addresses import is_ip
from penstock.base.errors import RemoteError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan
from penstock.connection.commands import (
    RIGHT_LOGIN,
    WRONG_LOGIN,
    Answer,
    Associate,
    Bound,
    Close,
    Command,
    Conversation,
    Datagrams,
    Describe,
    DialError,
    DialFailed,
    Facts,
    Need,
    Relay,
    Send,
)
from penstock.connection.deciding import Refused
from penstock.connection.destinations import connect, go_straight, listen, receive
from penstock.connection.endings import ending
from penstock.connection.logins import BUSY, BUSY_DETAIL, TooManyLogins, prove
from penstock.connection.routing import is_straight, route_of
from penstock.connection.socks4 import socks4
from penstock.protocols import socks4 as version4
from penstock.protocols import socks5 as wire

_AUTH = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
_PROTOCOL = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)

# A command is a value: those that every connection uses are made once.
_NEEDS = tuple(Need(count) for count in range(260))  # a name of 255 bytes and a port are the most
_GREETING_HEAD = _NEEDS[wire.GREETING_HEAD]
_LOGIN_HEAD = _NEEDS[wire.LOGIN_HEAD]
_REQUEST_HEAD = _NEEDS[wire.REQUEST_HEAD]
_NO_LOGIN, _PASSWORD, _NOT_ACCEPTABLE = (
    Send(wire.serialize_method(method)) for method in (wire.NO_LOGIN, wire.PASSWORD, wire.NOT_ACCEPTABLE)
)
_LOGIN_RIGHT, _LOGIN_WRONG = (Send(wire.serialize_login_reply(success)) for success in (True, False))
_FAILURES = tuple(Answer(wire.serialize_reply(reply)) for reply in range(wire.ADDRESS_TYPE_NOT_SUPPORTED + 1))
_FAILED = _FAILURES[wire.FAILED]
_COMMAND = _FAILURES[wire.COMMAND_NOT_SUPPORTED]
_NOT_ALLOWED = _FAILURES[wire.NOT_ALLOWED]
_ADDRESS_TYPE = _FAILURES[wire.ADDRESS_TYPE_NOT_SUPPORTED]
_RELAY, _DATAGRAMS = Relay(), Datagrams()

_UNKNOWN = bytes(4)
"""What a name in a UDP ASSOCIATE means: PySocks says "0" there, and the client's address is its connection's anyway."""

_REPLIES = {
    DialError.REFUSED: wire.REFUSED,
    DialError.NETWORK_UNREACHABLE: wire.NETWORK_UNREACHABLE,
    DialError.HOST_UNREACHABLE: wire.HOST_UNREACHABLE,
    DialError.UNRESOLVED: wire.HOST_UNREACHABLE,  # the RFC has no word for names; this one sends nobody looking here
    DialError.TIMEOUT: wire.TTL_EXPIRED,  # so that a client can tell silence from an answer of "unreachable"
    DialError.LOOP: wire.NOT_ALLOWED,
    DialError.RESOURCE: wire.FAILED,
    DialError.NO_TARGET: wire.FAILED,
    DialError.DENIED: wire.NOT_ALLOWED,
    DialError.FORBIDDEN: wire.NOT_ALLOWED,
    DialError.ROUTE_FULL: wire.NOT_ALLOWED,
    DialError.ROUTE_BUSY: wire.NOT_ALLOWED,
    DialError.USER_FULL: wire.NOT_ALLOWED,
    DialError.USER_BUSY: wire.NOT_ALLOWED,
    DialError.SPENT: wire.NOT_ALLOWED,
    DialError.FAILED: wire.FAILED,
}


def socks5(facts: Facts, listener: ListenerPlan) -> Conversation:  # noqa: PLR0912 - a call more would cost
    """
    Serve one SOCKS client.

    Args:
        facts: Of the connection; with each destination they decide the route.
        listener: Whose users may log in; without users nobody is asked for a login.
    """
    head = yield _GREETING_HEAD
    if head[0] == version4.VERSION:
        yield from socks4(facts, listener, head)
        return
    user = ""
    try:
        methods = yield _NEEDS[wire.parse_greeting_head(head)]
        if listener.users or listener.users_file:
            user = yield from _login(methods, listener)
        elif wire.NO_LOGIN in methods:
            yield _NO_LOGIN
        else:
            yield from _refuse(_NOT_ACCEPTABLE, _AUTH, "the client insists on a login, and this listener has no users")
    except RemoteError as error:
        yield Close(_PROTOCOL, str(error))
    head = yield _REQUEST_HEAD
    try:
        command, kind, size = wire.parse_request_head(head)
        address = head[4:] + (yield _NEEDS[size])
        if kind == wire.DOMAIN and command == wire.ASSOCIATE:
            kind, address = wire.IPV4, _UNKNOWN + address[-2:]
        host, port = wire.parse_address(kind, address)
    except wire.AddressTypeError as error:
        yield from _refuse(_ADDRESS_TYPE, _PROTOCOL, str(error))
    except RemoteError as error:
        yield from _refuse(_FAILED, _PROTOCOL, str(error))
    yield Describe(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", user)
    try:
        if command == wire.CONNECT:
            if not port:
                yield from _refuse(_FAILED, _PROTOCOL, "the port is 0")
            dialed = yield from connect(facts, listener, host, port, user)
            yield Answer(wire.serialize_reply(wire.SUCCEEDED, dialed.local_host, dialed.local_port))
            yield _RELAY
            return
        elif command == wire.BIND:
            yield from _bind(host, port, user, facts, listener)
        elif command == wire.ASSOCIATE:
            yield from _associate(host, port, facts, listener, user)
    except DialFailed as failed:
        yield from _refuse(_FAILURES[_REPLIES[failed.error]], ending(failed, Phase.DIAL), str(failed))
    except Refused as news:
        yield from _refuse(_NOT_ALLOWED, news.outcome, news.detail)
    yield from _refuse(_COMMAND, _PROTOCOL, f"the command is {command:#04x}, which is none")


def _bind(host: str, port: int, user: str, facts: Facts, listener: ListenerPlan) -> Conversation:
    """Serve a BIND: the first reply says where we listen, the second who came (RFC 1928 section 6)."""
    if not is_ip(host):
        yield from _refuse(_ADDRESS_TYPE, _PROTOCOL, "BIND takes the IP address of who will connect, not a name")
    bound = yield from listen(facts, listener, host, port, user)
    yield Answer(wire.serialize_reply(wire.SUCCEEDED, bound.host, bound.port))
    try:
        dialed = yield from receive(facts, listener, user)
    except DialFailed as failed:  # the command has had its answer: this one is news of it
        reply = Send(_FAILURES[_REPLIES[failed.error]].data)
        yield from _refuse(reply, ending(failed, Phase.DIAL), str(failed))
    except Refused as news:
        yield from _refuse(Send(_NOT_ALLOWED.data), news.outcome, news.detail)
    yield Send(wire.serialize_reply(wire.SUCCEEDED, dialed.remote_host, dialed.remote_port))
    yield _RELAY


def _associate(host: str, port: int, facts: Facts, listener: ListenerPlan, user: str) -> Conversation:
    """Serve a UDP ASSOCIATE: address and port are where the client will send from (RFC 1928 section 7)."""
    permits = None
    if facts.rules is not None:

        def permits(host: str, port: int) -> bool:
            return is_straight(route_of(facts, listener, host, port, user=user, asked=True), listener)

    else:
        go_straight(listener.route, listener)
    bound: Bound = yield Associate(host, port, permits)
    yield Answer(wire.serialize_reply(wire.SUCCEEDED, bound.host, bound.port))
    yield _DATAGRAMS


def _login(methods: bytes, listener: ListenerPlan) -> Generator[Command, Any, str]:
    """Demand user and password (RFC 1929) and return the user."""
    if wire.PASSWORD not in methods:
        yield from _refuse(_NOT_ACCEPTABLE, _AUTH, "the client offers no login by user and password")
    yield _PASSWORD
    name = yield _NEEDS[wire.parse_login_head((yield _LOGIN_HEAD)) + 1]
    password = (yield _NEEDS[name[-1]]) if name[-1] else b""
    try:
        user = yield from prove(listener.users, listener.users_file, name[:-1], password)
    except TooManyLogins:
        yield from _refuse(_LOGIN_WRONG, BUSY, BUSY_DETAIL)
    if user is None:
        yield WRONG_LOGIN
        yield from _refuse(_LOGIN_WRONG, _AUTH, "wrong user or password")
    yield RIGHT_LOGIN
    yield _LOGIN_RIGHT
    return cast(str, user)


def _refuse(reply: Send, outcome: Outcome, detail: str) -> Generator[Command, Any, NoReturn]:
    yield reply
    yield Close(outcome, detail)
    raise AssertionError  # nobody resumes a conversation after its last word
