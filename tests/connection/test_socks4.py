"""The SOCKS4 conversation in screenplays, from an old client's request to every reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from python_socks._protocols import socks4 as oracle

from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.config.plan import DestinationPlan, ListenerPlan, MatchPlan, ParentPlan, RoutePlan
from penstock.connection.commands import Bound, Close, Dial, Dialed, DialError, DialFailed, Facts
from penstock.connection.endings import ending
from penstock.connection.socks4 import socks4
from penstock.connection.socks5 import socks5
from penstock.policy.routes import rules_of
from penstock.testing.playbook import (
    awaits,
    binds,
    closes,
    deadline_passes,
    describes,
    dials,
    hangs_up,
    hears,
    perform,
    relays,
    says,
    takes,
)
from penstock.testing.stage import improvise

FACTS = Facts("192.0.2.9", 5_000)
OPEN = ListenerPlan(id=1, name="s", protocol="socks5", host="127.0.0.1", port=1080)
CLOSED = ListenerPlan(id=2, name="s", protocol="socks5", host="127.0.0.1", port=1080, users={"ann": "secret"})

GRANTED = b"\0\x5a" + bytes(6)
REJECTED = b"\0\x5b" + bytes(6)
PROTOCOL = (EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
CONNECT = b"\x04\x01\0\x50\xc0\0\x02\x02"


@pytest.fixture(params=[socks4, socks5], ids=["alone", "on a SOCKS5 listener"])
def play(request):
    """Both doors to the conversation."""
    return lambda *script, listener=OPEN: perform(lambda: request.param(FACTS, listener), *script)


def test_connect(play):
    """A request with an address is dialed, granted and relayed; the user id is no identity and is not told."""
    request = says(CONNECT + b"root\0")
    play(request, describes("192.0.2.2:80", ""), dials("192.0.2.2", 80), hears(GRANTED), relays())


def test_connect_by_name(play):
    """SOCKS4a: the name behind the user id is dialed."""
    request = says(b"\x04\x01\x01\xbb\0\0\0\x01\0example.org\0early")
    play(request, describes("example.org:443"), dials("example.org", 443), hears(GRANTED), relays(leftover=b"early"))


def test_connect_by_name_that_is_an_ipv6_address(play):
    """A name may be an IPv6 address, which SOCKS4 has no other way to say."""
    request = says(b"\x04\x01\x01\xbb\0\0\0\x01\x002001:db8::1\0")
    play(request, describes("[2001:db8::1]:443"), dials("2001:db8::1", 443), hears(GRANTED), relays())


def test_bind(play):
    """BIND is granted twice: where we listen, and who came."""
    play(
        says(b"\x04\x02\0\x15\xc0\0\x02\x02\0"),
        binds("192.0.2.2", 21, Bound("192.0.2.1", 0x1234)),
        hears(b"\0\x5a\x12\x34\xc0\0\x02\x01"),
        awaits(Dialed("192.0.2.1", 0x1234, "192.0.2.2", 20)),
        hears(b"\0\x5a\0\x14\xc0\0\x02\x02"),
        relays(),
    )


NO = RoutePlan(id=2, name="no", match=MatchPlan(destinations=(DestinationPlan(host="192.0.2.0/24"),)), action="block")
VIA = RoutePlan(id=3, name="via", parent=ParentPlan(kind="socks5", host="192.0.2.99", port=1080))


@pytest.mark.parametrize("speaks", [socks4, socks5])
def test_bind_takes_its_route(speaks):
    """A BIND for somebody who is blocked, or behind a parent, is rejected: nothing goes around a route."""
    facts, bind = FACTS._replace(rules=rules_of((NO,), OPEN)), says(b"\x04\x02\0\x15\xc0\0\x02\x02\0")
    perform(lambda: speaks(facts, OPEN), bind, takes(NO), hears(REJECTED),
            closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS))  # fmt: skip
    perform(lambda: speaks(FACTS, replace(OPEN, route=VIA)), bind, hears(REJECTED),
            closes(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION))  # fmt: skip


def test_who_comes_to_a_bind_for_anybody_takes_its_route():
    """A BIND that waits for anybody does not let in whom a route blocks."""
    facts, bind = FACTS._replace(rules=rules_of((NO,), OPEN)), says(b"\x04\x02\0\x15\0\0\0\0\0")
    granted = hears(b"\0\x5a\xc3\x50\xc0\0\x02\x01")
    perform(lambda: socks4(facts, OPEN), bind, binds("0.0.0.0", 21), granted,
            awaits(Dialed("192.0.2.1", 50_000, "192.0.2.2", 20)), takes(NO), hears(REJECTED),
            closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS))  # fmt: skip
    perform(lambda: socks4(facts, OPEN), bind, binds("0.0.0.0", 21), granted,
            awaits(Dialed("192.0.2.1", 50_000, "198.51.100.2", 20)), hears(b"\0\x5a\0\x14\xc6\x33\x64\x02"),
            relays())  # fmt: skip


def test_nobody_came_to_a_bind(play):
    """The second reply of a BIND may be a rejection."""
    play(
        says(b"\x04\x02\0\x15\xc0\0\x02\x02\0"),
        binds("192.0.2.2", 21),
        hears(b"\0\x5a\xc3\x50\xc0\0\x02\x01"),
        awaits(DialFailed(DialError.TIMEOUT)),
        hears(REJECTED),
        closes(EndedBy.TARGET_TIMEOUT, Phase.DIAL),
    )


@pytest.mark.parametrize("error", DialError)
def test_every_failed_dial_is_rejected(play, error):
    """SOCKS4 has one word for all failures; the outcome tells them apart."""
    stage = play(says(CONNECT + b"\0"), dials("192.0.2.2", 80, DialFailed(error)), hears(REJECTED))
    assert isinstance(stage.pending, Close)
    assert stage.pending.outcome == ending(DialFailed(error), Phase.DIAL)
    assert stage.pending.detail == str(error)


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        (b"\x04\x03\0\x50\xc0\0\x02\x02\0", "command is 0x03"),
        (b"\x04\x01\0\0\xc0\0\x02\x02\0", "port is 0"),
        (CONNECT + b"x" * 256, "longer than 255"),
        (b"\x04\x01\0\x50\0\0\0\x01\0" + b"x" * 256, "longer than 255"),
        (b"\x04\x01\0\x50\0\0\0\x01\0\0", "host name is empty"),
        (b"\x04\x01\0\x50\0\0\0\x01\0a b\0", "host name is none"),
        (b"\x04\x01\0\x50\0\0\0\x01\x00127.1\0", "no IPv4 address"),
        (b"\x04\x02\0\x50\0\0\0\x01\0example.org\0", "not a name"),
    ],
)
def test_bad_requests_are_rejected(play, request_, detail):
    """What breaks the protocol is rejected with one line of reason."""
    play(says(request_), hears(REJECTED), closes(*PROTOCOL, detail=detail))


def test_the_longest_user_id_and_name(play):
    """255 bytes of user id and 253 of name are taken."""
    name = ".".join(["a" * 63] * 3 + ["a" * 61])
    request = says(b"\x04\x01\0\x50\0\0\0\x01" + b"u" * 255 + b"\0" + name.encode() + b"\0")
    play(request, dials(name, 80), hears(GRANTED), relays())


def test_users_shut_socks4_out(play):
    """Where users are configured nobody gets in without a login, whatever user id is claimed."""
    ends = closes(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH, detail="no login")
    play(says(CONNECT + b"ann\0"), hears(REJECTED), ends, listener=CLOSED)


@pytest.mark.parametrize("said", [b"\x04", CONNECT, CONNECT + b"ann", b"\x04\x01\0\x50\0\0\0\x01\0exa"])
def test_a_client_that_stops_ends_it(play, said):
    """Closing or falling silent in the middle of a request ends the connection in `negotiate`."""
    play(says(said), hangs_up(), closes(EndedBy.CLIENT, Phase.NEGOTIATE))
    play(says(said), deadline_passes(), closes(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))


@pytest.mark.parametrize("host", ["192.0.2.2", "example.org"])
def test_another_implementation_is_understood(play, host):
    """What python-socks asks is dialed, and it reads the grant."""
    request = oracle.Connection().send(oracle.ConnectRequest(host, 80, "ann"))
    stage = play(says(request), dials(host, 80), hears(GRANTED), relays())
    sent = b"".join(command.data for command in stage.history if hasattr(command, "data"))
    assert oracle.Connection().receive(sent).reply == oracle.ReplyCode.REQUEST_GRANTED


@given(st.binary(max_size=40).map(b"\x04\x01".__add__) | st.binary(max_size=16))
def test_any_bytes_in_any_split_give_the_same_conversation(data):
    """Whole or byte by byte: the same words to the client, the same questions, the same end; nothing escapes."""
    whole = improvise(socks4(FACTS, OPEN), [data])
    assert improvise(socks4(FACTS, OPEN), [bytes([byte]) for byte in data]) == whole
    assert whole.sent in (b"", REJECTED) or whole.sent.startswith(b"\0\x5a")
    assert all(dial.port for dial in whole.asked if isinstance(dial, Dial))
