"""The SOCKS5 conversation in screenplays: every path of RFC 1928 and RFC 1929, and every way off it."""

import pytest
import socks
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from python_socks._protocols import socks5 as oracle

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import DestinationPlan, ListenerPlan, MatchPlan, ParentPlan, RoutePlan
from penstock.connection.commands import (
    Answer,
    Associate,
    Bound,
    Close,
    Dial,
    Dialed,
    DialError,
    DialFailed,
    Facts,
    Login,
    Relay,
    Verified,
    Verify,
)
from penstock.connection.socks5 import socks5
from penstock.policy.routes import rules_of
from penstock.testing.playbook import (
    asks,
    associates,
    awaits,
    binds,
    carries_datagrams,
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
from penstock.testing.stage import BOUND, DIALED, Stage, improvise

FACTS = Facts("192.0.2.9", 5_000)
OPEN = ListenerPlan(id=1, name="s", protocol="socks5", host="127.0.0.1", port=1080)
CLOSED = ListenerPlan(
    id=2, name="s", protocol="socks5", host="127.0.0.1", port=1080, users={"ann": "secret", "jürgen": "Straße", "e": ""}
)

GREETS = (says(b"\x05\x01\0"), hears(b"\x05\0"))
LOGS_IN = (says(b"\x05\x02\0\x02"), hears(b"\x05\x02"), says(b"\x01\x03ann\x06secret"), hears(b"\x01\0"))
EXAMPLE = b"\x03\x0bexample.org\x01\xbb"
DIALED_REPLY = hears(b"\x05\0\0\x01\xc0\0\x02\x01\x9c\x40")
BOUND_REPLY = hears(b"\x05\0\0\x01\xc0\0\x02\x01\xc3\x50")
AUTH = (EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
PROTOCOL = (EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)


def play(*script, listener=OPEN):
    """Perform a script on a listener."""
    return perform(lambda: socks5(FACTS, listener), *script)


def fails(reply):
    """The line: the client hears this failure."""
    return hears(b"\x05" + bytes([reply]) + b"\0\x01" + bytes(6))


# CONNECT -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "host", "port", "destination"),
    [
        (b"\x01\xc0\0\x02\x02\0\x50", "192.0.2.2", 80, "192.0.2.2:80"),
        (EXAMPLE, "example.org", 443, "example.org:443"),
        (b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\0\x16", "2001:db8::1", 22, "[2001:db8::1]:22"),
        (b"\x04" + bytes(10) + b"\xff\xff\xc0\0\x02\x02\0\x50", "192.0.2.2", 80, "192.0.2.2:80"),
        (b"\x03\x032::\0\x50", "2::", 80, "[2::]:80"),
    ],
)
def test_connect_to_every_kind_of_address(address, host, port, destination):
    """IPv4, name and IPv6 are described, dialed, answered with our own end's address, and relayed."""
    play(*GREETS, says(b"\x05\x01\0" + address), describes(destination, ""), dials(host, port), DIALED_REPLY, relays())


def test_reply_holds_an_ipv6_address_where_we_dialed_from_one():
    """BND.ADDR is of the family that the connection has."""
    dialed = Dialed("2001:db8::5", 256, "2001:db8::1", 443)
    reply = hears(b"\x05\0\0\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x05\x01\0")
    play(*GREETS, says(b"\x05\x01\0" + EXAMPLE), dials("example.org", 443, dialed), reply, relays())


def test_everything_at_once_with_data_behind_it():
    """A client may say all without waiting, and its first data too."""
    said = says(b"\x05\x01\0\x05\x01\0" + EXAMPLE + b"early data")
    play(said, hears(b"\x05\0"), dials("example.org", 443), DIALED_REPLY, relays(leftover=b"early data"))


def test_no_login_is_found_among_many_methods():
    """The method may stand anywhere among up to 255."""
    methods = bytes(range(255, 0, -1))[:-1] + b"\0"
    play(says(b"\x05\xff" + methods), hears(b"\x05\0"), says(b"\x05\x01\0" + EXAMPLE), dials("example.org", 443),
         DIALED_REPLY, relays())  # fmt: skip


@pytest.mark.parametrize(
    ("error", "reply", "outcome"),
    [
        (DialError.REFUSED, 5, (EndedBy.TARGET, Phase.DIAL)),
        (DialError.NETWORK_UNREACHABLE, 3, (EndedBy.TARGET, Phase.DIAL)),
        (DialError.HOST_UNREACHABLE, 4, (EndedBy.TARGET, Phase.DIAL)),
        (DialError.UNRESOLVED, 4, (EndedBy.TARGET, Phase.DIAL)),
        (DialError.TIMEOUT, 6, (EndedBy.TARGET_TIMEOUT, Phase.DIAL)),
        (DialError.LOOP, 2, (EndedBy.PROXY, Phase.DIAL, Reason.DESTINATION)),
        (DialError.RESOURCE, 1, (EndedBy.RESOURCE, Phase.DIAL)),
        (DialError.FAILED, 1, (EndedBy.TARGET, Phase.DIAL)),
    ],
)
def test_every_failed_dial_has_its_reply_and_outcome(error, reply, outcome):
    """The client hears why in the RFC's words, and the log in ours."""
    failed = DialFailed(error, "what the system said")
    play(*GREETS, says(b"\x05\x01\0" + EXAMPLE), dials("example.org", 443, failed), fails(reply),
         closes(*outcome, detail="what the system said"))  # fmt: skip


def test_every_dial_error_has_a_reply():
    """A new DialError must get its reply, or it would end as our own fault."""
    for error in DialError:
        stage = Stage(socks5(FACTS, OPEN))
        stage.feed(b"\x05\x01\0\x05\x01\0" + EXAMPLE)
        stage.answer(DialFailed(error))
        assert isinstance(stage.pending, Close)


# BIND and UDP ASSOCIATE ----------------------------------------------------------------------------------------------


def test_bind():
    """BIND is answered twice: where we listen, and who came; then it relays."""
    play(
        *GREETS,
        says(b"\x05\x02\0\x01\xc0\0\x02\x07\0\x15"),
        describes("192.0.2.7:21"),
        binds("192.0.2.7", 21, Bound("192.0.2.1", 0x1234)),
        hears(b"\x05\0\0\x01\xc0\0\x02\x01\x12\x34"),
        awaits(Dialed("192.0.2.1", 0x1234, "192.0.2.7", 20)),
        hears(b"\x05\0\0\x01\xc0\0\x02\x07\0\x14"),
        relays(),
    )


def test_nobody_came_to_a_bind():
    """The second reply of a BIND tells that nobody came."""
    play(*GREETS, says(b"\x05\x02\0\x01\0\0\0\0\0\0"), binds("0.0.0.0", 0), BOUND_REPLY,
         awaits(DialFailed(DialError.TIMEOUT)), fails(6), closes(EndedBy.TARGET_TIMEOUT, Phase.DIAL))  # fmt: skip


def test_nothing_left_to_bind():
    """The first reply tells that there is no port to listen on."""
    play(*GREETS, says(b"\x05\x02\0\x01\0\0\0\0\0\0"), binds("0.0.0.0", 0, DialFailed(DialError.RESOURCE)), fails(1),
         closes(EndedBy.RESOURCE, Phase.DIAL))  # fmt: skip


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (b"\x01" + bytes(6), "0.0.0.0", 0),
        (b"\x04" + bytes(18), "::", 0),
        (b"\x01\xc0\0\x02\x09\x13\x88", "192.0.2.9", 5_000),
        (b"\x03\x070.0.0.0\0\0", "0.0.0.0", 0),
        (b"\x03\x010\x13\x88", "0.0.0.0", 5_000),  # PySocks
        (EXAMPLE, "0.0.0.0", 443),
    ],
)
def test_associate(address, host, port):
    """UDP ASSOCIATE is answered with where to send, and carries datagrams while the connection stands."""
    play(*GREETS, says(b"\x05\x03\0" + address), associates(host, port), BOUND_REPLY, carries_datagrams())


def test_no_socket_for_an_association():
    """The reply tells that there is none."""
    play(*GREETS, says(b"\x05\x03\0\x01" + bytes(6)), associates("0.0.0.0", 0, DialFailed(DialError.RESOURCE)),
         fails(1), closes(EndedBy.RESOURCE, Phase.DIAL))  # fmt: skip


def test_bind_takes_no_name():
    """BIND compares addresses, and a name is none: reply 8."""
    play(*GREETS, says(b"\x05\x02\0" + EXAMPLE), fails(8), closes(*PROTOCOL, detail="not a name"))


NO = RoutePlan(id=2, name="no", match=MatchPlan(destinations=(DestinationPlan(host="192.0.2.0/24"),)), action="block")
VIA = RoutePlan(id=3, name="via", parent=ParentPlan(kind="socks5", host="192.0.2.99", port=1080))


def test_bind_takes_its_route():
    """A BIND for somebody who is blocked, or behind a parent, is refused with reply 2: nothing goes around a route."""
    facts = FACTS._replace(rules=rules_of((NO,), OPEN))
    refused = closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS)
    perform(lambda: socks5(facts, OPEN), *GREETS, says(b"\x05\x02\0\x01\xc0\0\x02\x07\0\x15"), takes(NO), fails(2),
            refused)  # fmt: skip
    parent = replace(OPEN, route=VIA)
    play(*GREETS, says(b"\x05\x02\0\x01\xc0\0\x02\x07\0\x15"), fails(2),
         closes(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION), listener=parent)  # fmt: skip


def test_who_comes_to_a_bind_for_anybody_takes_its_route():
    """A BIND that waits for anybody does not let in whom a route blocks."""
    facts, bind = FACTS._replace(rules=rules_of((NO,), OPEN)), says(b"\x05\x02\0\x01\0\0\0\0\0\x15")
    perform(lambda: socks5(facts, OPEN), *GREETS, bind, binds("0.0.0.0", 21), BOUND_REPLY,
            awaits(Dialed("192.0.2.1", 50_000, "192.0.2.7", 20)), takes(NO), fails(2),
            closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS))  # fmt: skip
    perform(lambda: socks5(facts, OPEN), *GREETS, bind, binds("0.0.0.0", 21), BOUND_REPLY,
            awaits(Dialed("192.0.2.1", 50_000, "198.51.100.7", 20)),
            hears(b"\x05\0\0\x01\xc6\x33\x64\x07\0\x14"), relays())  # fmt: skip


def test_an_association_takes_its_routes():
    """Where all goes through a parent there is no association; where some is blocked, each datagram is asked about."""
    play(*GREETS, says(b"\x05\x03\0\x01" + bytes(6)), fails(2),
         closes(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION), listener=replace(OPEN, route=VIA))  # fmt: skip
    stage = Stage(socks5(FACTS._replace(rules=rules_of((NO,), OPEN)), OPEN))
    stage.feed(b"\x05\x01\0\x05\x03\0\x01" + bytes(6))
    assert isinstance(stage.pending, Associate)
    assert not stage.pending.permits("192.0.2.7", 53)
    assert stage.pending.permits("198.51.100.7", 53)


# Login ---------------------------------------------------------------------------------------------------------------


def test_login():
    """Where users are configured a login is demanded, and the ledger hears who it is."""
    play(*LOGS_IN, says(b"\x05\x01\0" + EXAMPLE), describes("example.org:443", "ann"), dials("example.org", 443),
         DIALED_REPLY, relays(), listener=CLOSED)  # fmt: skip


@pytest.mark.parametrize(
    "login", [b"\x01\x07j\xc3\xbcrgen\x07Stra\xc3\x9fe", b"\x01\x01e\0"], ids=["UTF-8", "an empty password"]
)
def test_unusual_logins(login):
    """Names and passwords are UTF-8; an empty password is a password."""
    play(says(b"\x05\x01\x02"), hears(b"\x05\x02"), says(login), hears(b"\x01\0"), hangs_up(),
         closes(EndedBy.CLIENT, Phase.NEGOTIATE), listener=CLOSED)  # fmt: skip


@pytest.mark.parametrize(
    "login",
    [b"\x01\x03ann\x06Secret", b"\x01\x03bob\x06secret", b"\x01\0\0", b"\x01\x03ann\0", b"\x01\x02\xff\xfe\x01x",
     b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255],
)  # fmt: skip
def test_wrong_logins_hear_status_1(login):
    """Wrong, unknown, empty, undecodable and longest: all get the same answer, and the detail names nobody."""
    stage = play(says(b"\x05\x02\0\x02"), hears(b"\x05\x02"), says(login), hears(b"\x01\x01"), closes(*AUTH),
                 listener=CLOSED)  # fmt: skip
    assert stage.pending == Close(Outcome(*AUTH), "wrong user or password")
    assert stage.described.user == ""


@pytest.mark.parametrize(
    ("verified", "reply", "outcome"),
    [(Verified.RIGHT, b"\x01\0", (EndedBy.CLIENT, Phase.NEGOTIATE)), (Verified.WRONG, b"\x01\x01", AUTH),
     (Verified.BUSY, b"\x01\x01", (EndedBy.PROXY, Phase.NEGOTIATE, Reason.OVERLOAD))],
)  # fmt: skip
def test_logins_of_a_file(verified, reply, outcome):
    """Where a file has the users it is asked, and who cannot be verified in time is refused as overload."""
    listener = replace(OPEN, users_file="/users")
    play(says(b"\x05\x01\x02"), hears(b"\x05\x02"), says(b"\x01\x03ann\x01x"),
         asks(Verify, {"users_file": "/users", "user": b"ann", "password": b"x"}, verified), hears(reply),
         *((hangs_up(),) if verified is Verified.RIGHT else ()), closes(*outcome), listener=listener)  # fmt: skip


@pytest.mark.parametrize(
    ("methods", "listener"), [(b"\0", CLOSED), (b"\x01", CLOSED), (b"\x01\x03\xff", OPEN), (b"\x02", OPEN)]
)
def test_no_acceptable_method(methods, listener):
    """Method 0xFF where the client offers nothing that the listener takes."""
    greeting = says(b"\x05" + bytes([len(methods)]) + methods)
    play(greeting, hears(b"\x05\xff"), closes(*AUTH, detail="login"), listener=listener)


# Bad bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "detail"), [(b"GET / HTTP/1.1\r\n", "0x47"), (b"\x06\x01\0", "0x06"), (b"\x05\0", "no method")]
)
def test_what_is_no_greeting_hears_nothing(said, detail):
    """There is no word to refuse another protocol in."""
    play(says(said), closes(*PROTOCOL, detail=detail))


def test_wrong_version_of_the_login():
    """A login whose version is not 1 ends as protocol, unanswered."""
    play(says(b"\x05\x01\x02"), hears(b"\x05\x02"), says(b"\x05\x03ann"), closes(*PROTOCOL, detail="version is 5"),
         listener=CLOSED)  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "reply", "detail"),
    [
        (b"\x04\x01\0\x01\x7f", 1, "version is 4"),
        (b"\x05\x01\x01\x01\x7f", 1, "reserved byte is 0x01"),
        (b"\x05\x01\0\x02\x7f", 8, "address type is 0x02"),
        (b"\x05\x04\0\x01\x7f\0\0\x01\0\x50", 7, "command is 0x04"),
        (b"\x05\0\0\x01\x7f\0\0\x01\0\x50", 7, "command is 0x00"),
        (b"\x05\xf0\0" + EXAMPLE, 7, "command is 0xf0"),  # RESOLVE, an extension of Tor's
        (b"\x05\x01\0\x01\x7f\0\0\x01\0\0", 1, "port is 0"),
        (b"\x05\x01\0\x03\0\0\x50", 1, "host name is empty"),
        (b"\x05\x01\0\x03\x03a\0b\0\x50", 1, "host name is none"),
        (b"\x05\x01\0\x03\x05127.1\0\x50", 1, "no IPv4 address"),
    ],
)
def test_bad_requests_have_their_reply(request_, reply, detail):
    """Each wrong byte of a request has a reply, the outcome protocol, and one line of reason."""
    play(*GREETS, says(request_), fails(reply), closes(*PROTOCOL, detail=detail))


@pytest.mark.parametrize(
    "said",
    [b"", b"\x05", b"\x05\x02\0", b"\x05\x01\0", b"\x05\x01\0\x05\x01\0\x03", b"\x05\x01\0\x05\x01\0\x03\x0bexample."],
)
def test_a_client_that_stops_ends_it(said):
    """Closing or falling silent anywhere before the request is whole ends the connection in `negotiate`."""
    heard = (hears(b"\x05\0"),) if len(said) >= 3 and said[1] == 1 else ()
    play(says(said), *heard, hangs_up(), closes(EndedBy.CLIENT, Phase.NEGOTIATE))
    play(says(said), *heard, deadline_passes(), closes(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))


# Other implementations and any bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("listener", [OPEN, CLOSED], ids=["open", "login"])
@pytest.mark.parametrize("host", ["192.0.2.2", "2001:db8::1", "example.org", "bücher.example"])
def test_another_implementation_gets_through(listener, host):
    """python-socks speaks its side and understands every answer of ours, with and without a login."""
    client, stage = oracle.Connection(), Stage(socks5(FACTS, listener))

    def converse(message):
        stage.feed(client.send(message))
        return client.receive(stage.claim(len(stage.sent)))

    reply = converse(oracle.AuthMethodsRequest("ann", "secret"))
    assert (reply.method == oracle.AuthMethod.USERNAME_PASSWORD) == bool(listener.users)
    if listener.users:
        converse(oracle.AuthRequest("ann", "secret"))
    stage.feed(client.send(oracle.ConnectRequest(host, 443)))
    assert stage.pending == Dial(host.encode("idna").decode() if host[0] == "b" else host, 443)
    stage.answer(DIALED)
    reply = client.receive(stage.claim(len(stage.sent)))
    assert (reply.bound_host, reply.bound_port, stage.pending) == (DIALED.local_host, DIALED.local_port, Relay())


class Wire:
    """What PySocks takes for a connected socket: its files end on our stage."""

    def __init__(self, stage):
        self.stage = stage

    def makefile(self, mode, buffering=-1):
        """Be both files."""
        return self

    def write(self, data):
        """Say it at once."""
        self.stage.feed(data)

    def flush(self):
        """Whatever is asked by now is answered."""
        if not self.stage.waits_for_client and not self.stage.over:
            self.stage.answer(BOUND if isinstance(self.stage.pending, Associate) else DIALED)

    def read(self, count):
        """Hear what has been sent."""
        return self.stage.claim(count)

    def close(self):
        """Closing a file is no word of the protocol."""


@pytest.mark.parametrize("listener", [OPEN, CLOSED], ids=["open", "login"])
@pytest.mark.parametrize("host", ["192.0.2.2", "2001:db8::1", "example.org"])
@pytest.mark.parametrize(("command", "bound"), [(b"\x01", DIALED[:2]), (b"\x03", tuple(BOUND))])
def test_pysocks_gets_through(listener, host, command, bound):
    """PySocks logs in, connects and associates, and reads the address that we answer with."""
    with socks.socksocket() as client:
        client.set_proxy(socks.SOCKS5, "proxy.example", 1080, True, "ann", "secret")
        stage = Stage(socks5(FACTS, listener))
        assert client._SOCKS5_request(Wire(stage), command, (host, 443))[1] == bound
    assert stage.over
    assert stage.described.user == ("ann" if listener.users else "")


GREETING = st.sampled_from([b"\x05\x01\0", b"\x05\x02\0\x02", b"\x05\x01\x02", b"\x04\x01", b""])
LOGIN = st.sampled_from([b"", b"\x01\x03ann\x06secret", b"\x01\x03ann\x05wrong"])
REQUEST = st.sampled_from([b"", b"\x05\x01\0\x01", b"\x05\x01\0\x03\x0bexample.org", b"\x05\x02\0\x04", b"\x05\x03\0"])


@given(
    st.binary(max_size=600) | st.tuples(GREETING, LOGIN, REQUEST, st.binary(max_size=40)).map(b"".join),
    st.sampled_from([OPEN, CLOSED]),
    st.sampled_from([None, *DialError]),
)
def test_any_bytes_in_any_split_give_the_same_conversation(data, listener, error):
    """Whole or byte by byte: the same words to the client, the same questions, the same end; nothing escapes."""
    answers = None if error is None else lambda command: DialFailed(error)
    whole = improvise(socks5(FACTS, listener), [data], answers)
    assert improvise(socks5(FACTS, listener), [bytes([byte]) for byte in data], answers) == whole
    if isinstance(whole.last_word, Close):
        assert whole.last_word.outcome.ended_by is not EndedBy.INTERNAL
        assert "\n" not in whole.last_word.detail
    assert all(dial.port for dial in whole.asked if isinstance(dial, Dial))
    if listener.users and b"\x06secret" not in data:
        assert not any(isinstance(command, Dial | Relay) for command in whole.asked)


def test_short_connections_build_few_commands():
    """What every connection says is made once: two connections share all commands but dial, description and reply."""
    first, second = (play(*GREETS, says(b"\x05\x01\0" + EXAMPLE), dials("example.org", 443), DIALED_REPLY, relays())
                     for _ in range(2))  # fmt: skip
    fresh = [one for one, other in zip(first.history, second.history, strict=True) if one is not other]
    assert [type(command).__name__ for command in fresh] == ["Describe", "Dial", "Answer"]
    assert isinstance(fresh[-1], Answer)


def test_logins_are_counted():
    """A login counts as right or wrong; a client that offers none, or one that is no login at all, has not tried."""
    wrong = (says(b"\x05\x01\x02"), hears(b"\x05\x02"), says(b"\x01\x03ann\x05guess"), hears(b"\x01\x01"))
    for script, found in (
        ((*LOGS_IN, hangs_up(), closes(EndedBy.CLIENT, Phase.NEGOTIATE)), [True]),
        ((*wrong, closes(*AUTH)), [False]),
        ((says(b"\x05\x01\0"), hears(b"\x05\xff"), closes(*AUTH)), []),
        ((says(b"\x05\x01\x02"), hears(b"\x05\x02"), says(b"\x02\0"), closes(*PROTOCOL)), []),
    ):
        stage = play(*script, listener=CLOSED)
        assert [command.right for command in stage.history if isinstance(command, Login)] == found
