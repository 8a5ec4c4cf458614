"""
The SOCKS4 and 4a conversation, a courtesy to old clients: one request, its reply.

SOCKS4 names a user and proves nothing. So the user id is read and forgotten: a user is an authenticated identity, and
where users are configured SOCKS4 is refused with 0x5B and ends as `auth`.
"""

from collections.abc import Generator
from typing import Any, NoReturn

from penstock.base import bounds
from penstock.base.addresses import is_ip
from penstock.base.errors import RemoteError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan
from penstock.connection.commands import (
    Answer,
    Close,
    Command,
    Conversation,
    Describe,
    DialFailed,
    Facts,
    Need,
    Relay,
    Send,
    TooLong,
    Until,
)
from penstock.connection.deciding import Refused
from penstock.connection.destinations import connect, listen, receive
from penstock.connection.endings import ending
from penstock.protocols import socks4 as wire
from penstock.protocols.hostname import parse_hostname

_AUTH = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
_PROTOCOL = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)

_FIELD = Until(b"\0", bounds.SOCKS4_FIELD_BYTES + 1)  # and the zero
_GRANTED, _REJECTED = (Answer(wire.serialize_reply(reply)) for reply in (wire.GRANTED, wire.REJECTED))
_RELAY = Relay()


def socks4(facts: Facts, listener: ListenerPlan, taken: bytes = b"") -> Conversation:
    """
    Serve one SOCKS4 client.

    Args:
        facts: Of the connection; with each destination they decide the route.
        listener: Where it has users, SOCKS4 is refused.
        taken: What has been taken from the client to see that it speaks SOCKS4; less than 8 bytes.
    """
    try:
        command, host, port = wire.parse_request_head(taken + (yield Need(wire.REQUEST_HEAD - len(taken))))
        yield _FIELD  # the user id
        host = host or parse_hostname((yield _FIELD)[:-1])
    except RemoteError as error:
        yield from _refuse(_PROTOCOL, str(error))
    except TooLong:
        yield from _refuse(_PROTOCOL, f"user id or host name is longer than {bounds.SOCKS4_FIELD_BYTES} bytes")
    if listener.users or listener.users_file:
        yield from _refuse(_AUTH, "SOCKS4 has no login, and this listener demands one")
    yield Describe(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    try:
        if command == wire.CONNECT:
            if not port:
                yield from _refuse(_PROTOCOL, "the port is 0")
            yield from connect(facts, listener, host, port)
            yield _GRANTED  # a client ignores the address in the answer to CONNECT
            yield _RELAY
            return
        elif command == wire.BIND:
            yield from _bind(host, port, facts, listener)
    except DialFailed as failed:
        yield from _refuse(ending(failed, Phase.DIAL), str(failed))
    except Refused as news:
        yield from _refuse(news.outcome, news.detail)
    yield from _refuse(_PROTOCOL, f"the command is {command:#04x}, which is none")


def _bind(host: str, port: int, facts: Facts, listener: ListenerPlan) -> Conversation:
    """Serve a BIND: the first reply says where we listen, the second who came."""
    if not is_ip(host):
        yield from _refuse(_PROTOCOL, "BIND takes the IP address of who will connect, not a name")
    bound = yield from listen(facts, listener, host, port)
    yield Answer(wire.serialize_reply(wire.GRANTED, bound.host, bound.port))
    try:
        dialed = yield from receive(facts, listener)
    except DialFailed as failed:  # the command has had its answer: this one is news of it
        yield Send(_REJECTED.data)
        yield Close(ending(failed, Phase.DIAL), str(failed))
    except Refused as news:
        yield Send(_REJECTED.data)
        yield Close(news.outcome, news.detail)
    yield Send(wire.serialize_reply(wire.GRANTED, dialed.remote_host, dialed.remote_port))
    yield _RELAY


def _refuse(outcome: Outcome, detail: str) -> Generator[Command, Any, NoReturn]:
    yield _REJECTED
    yield Close(outcome, detail)
    raise AssertionError  # nobody resumes a conversation after its last word
