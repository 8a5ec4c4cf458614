"""The forward-proxy conversation in screenplays: tunnels, exchanges, answers of the proxy itself, and every end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.base import bounds
from penstock.base.errors import RemoteError
from penstock.base.outcomes import COMPLETE, EndedBy, Phase, Reason
from penstock.config.plan import ListenerPlan, MatchPlan, RoutePlan, TargetPlan
from penstock.connection.commands import Close, DialError, DialFailed, Exchange, Facts, Login, Relay, Verified, Verify
from penstock.connection.http import LOGINS, http_forward
from penstock.policy.routes import rules_of
from penstock.protocols.http1 import answers
from penstock.protocols.http1.credentials import serialize_basic
from penstock.protocols.http1.framing import NO_BODY
from penstock.testing.playbook import (
    asks,
    closes,
    deadline_passes,
    describes,
    dials,
    dials_any,
    exchanges,
    hangs_up,
    hears,
    perform,
    relays,
    says,
    takes,
)
from penstock.testing.stage import Stage, improvise

FACTS = Facts("192.0.2.9", 5_000)
OPEN = ListenerPlan(id=1, name="h", protocol="http", host="127.0.0.1", port=8080)
CLOSED = ListenerPlan(id=2, name="h", protocol="http", host="127.0.0.1", port=8080, users={"ann": "secret"})

GET = b"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n"
HEAD = b"HEAD http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST http://a.example/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n"
CONNECT = b"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n"
FORWARDED = b"GET /x HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 penstock\r\n\r\n"
RIGHT = b"Proxy-Authorization: " + serialize_basic("ann", "secret") + b"\r\n\r\n"
WRONG = b"Proxy-Authorization: " + serialize_basic("ann", "guess") + b"\r\n\r\n"
BEARER = b"Proxy-Authorization: Bearer x\r\n\r\n"

PROTOCOL = (EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
AUTH = (EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
DONE = (EndedBy.COMPLETE, Phase.DONE)


def play(*script, listener=OPEN):
    """Play a script on this listener in every way."""
    return perform(lambda: http_forward(FACTS, listener), *script)


def refused(status, detail, *, close=True, head_only=False):
    """The client hears this refusal."""
    return hears(answers.refusal(status, detail, close=close, head_only=head_only))


def with_line(head, line):
    """Return a head with another line; `line` ends with the head's own end."""
    return head[:-2] + line


# What goes well -------------------------------------------------------------------------------------------------------


def test_connect():
    """CONNECT is dialed, answered and relayed; what came early goes first."""
    play(says(CONNECT), describes("b.example:443", ""), dials("b.example", 443), hears(answers.ESTABLISHED), relays())


def test_exchange():
    """An absolute-form request is one exchange with its destination, and the client may go on until it closes."""
    exchange = exchanges(
        host="a.example", port=80, head=FORWARDED, framing=NO_BODY, method=b"GET", keep_alive=True, http_1_0=False,
        retriable=True, upgrade=False,
    )  # fmt: skip
    play(says(GET), describes("a.example:80", ""), exchange, says(GET), exchange, hangs_up(), closes(*DONE))


def test_requests_to_several_destinations():
    """Each request of one connection goes where it says, and the ledger is told so."""
    other = GET.replace(b"a.example", b"b.example:81")
    play(
        says(GET),
        exchanges(host="a.example", port=80),
        says(other),
        describes("b.example:81"),
        exchanges(host="b.example", port=81),
        says(CONNECT),
        dials("b.example", 443),
        hears(answers.ESTABLISHED),
        relays(),
    )


def test_body_is_the_engines():
    """The body of a request is taken by the engine; the next request begins behind it."""
    play(says(POST), says(b"hello"), exchanges(body=b"hello", retriable=False), says(GET), exchanges(head=FORWARDED))


def test_exchange_that_is_the_last():
    """When the exchange says that the client may not go on, the connection is complete."""
    play(says(GET), exchanges(False), closes(*DONE))


def test_http_1_0():
    """An HTTP/1.0 client gets one exchange."""
    old = GET.replace(b"HTTP/1.1", b"HTTP/1.0")
    play(says(old), exchanges(False, keep_alive=False, http_1_0=True), closes(*DONE))


def test_upgrade():
    """An upgrade is an exchange that may become a relay."""
    upgrade = with_line(GET, b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    play(says(upgrade), exchanges(upgrade=True))


def test_empty_line_between_requests():
    """A CRLF behind a request, as old clients send it, does not spoil the next."""
    play(says(GET), exchanges(), says(b"\r\n"), says(GET), exchanges(head=FORWARDED))


def test_options_and_trace():
    """Who asks the proxy itself is answered by it; the connection goes on."""
    trace = b"TRACE http://a.example/ HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n"
    play(
        says(b"OPTIONS * HTTP/1.1\r\nHost: p\r\n\r\n"),
        hears(answers.options(close=False)),
        says(trace),
        hears(answers.trace(trace, close=False)),
        says(b"OPTIONS * HTTP/1.0\r\n\r\n"),
        hears(answers.options(close=True)),
        closes(*DONE),
    )


# What a client does wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status", "detail"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "this is a proxy: it wants an absolute URL, as in GET "
         "http://example.com/ HTTP/1.1"),
        (b"BREW http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 501, "Invalid method encountered"),
        (b"PRI * HTTP/2.0\r\n\r\n", 505, "this proxy speaks HTTP/1.1 and HTTP/1.0"),
    ],
)  # fmt: skip
def test_bad_requests(head, status, detail):
    """A request that may not be forwarded gets its status and ends the connection as `protocol`."""
    play(says(head), refused(status, detail), closes(*PROTOCOL, detail))
    play(says(GET), exchanges(), says(head), refused(status, detail), closes(*PROTOCOL, detail))


def test_request_line_without_end():
    """A request line that has no end within its bound is 414, whether or not the head could still be long enough."""
    endless = b"GET http://a.example/" + b"x" * bounds.HTTP_HEAD_BYTES
    performance = improvise(http_forward(FACTS, OPEN), [endless])
    assert performance.sent == answers.refusal(414, "the request line is too long", close=True)
    assert performance.last_word.outcome == PROTOCOL


def test_head_without_end():
    """A head without an end within its bound is 431."""
    endless = GET[:-2] + b"X: " + b"y" * bounds.HTTP_HEAD_BYTES
    performance = improvise(http_forward(FACTS, OPEN), [endless])
    assert performance.sent == answers.refusal(431, "the head is too long", close=True)
    assert performance.last_word.outcome == PROTOCOL


def test_malformed_body():
    """A body that turns out malformed before anything was answered is 400."""
    play(says(POST), exchanges(RemoteError("a chunk's size is malformed")), refused(400, "a chunk's size is malformed"),
         closes(EndedBy.PROXY, Phase.RELAY, Reason.PROTOCOL))  # fmt: skip


def test_slow_first_request():
    """No first request in time is 408, begun or not."""
    late = (deadline_passes(), refused(408, "no complete request came in time"))
    play(*late, closes(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))
    play(says(GET[:-1]), *late, closes(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))


def test_slow_later_request():
    """A later request that is begun and not ended is 408; a client that only stays silent has done nothing wrong."""
    late = (deadline_passes(), refused(408, "no complete request came in time"))
    play(says(GET), exchanges(), says(b"G"), *late, closes(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))
    play(says(GET), exchanges(), deadline_passes(), closes(*DONE))


def test_client_that_closes():
    """A client may close between two requests; before the first or inside one, it has given up."""
    play(hangs_up(), closes(EndedBy.CLIENT, Phase.NEGOTIATE))
    play(says(GET), exchanges(), says(b"GET http"), hangs_up(), closes(EndedBy.CLIENT, Phase.NEGOTIATE))


# Login ----------------------------------------------------------------------------------------------------------------


def test_login():
    """With a right login the request is served, the user is told to the ledger, and the target does not hear of it."""
    play(says(with_line(GET, RIGHT)), describes("a.example:80", "ann"), exchanges(head=FORWARDED), listener=CLOSED)
    play(says(with_line(CONNECT, RIGHT)), describes("b.example:443", "ann"), dials("b.example", 443),
         hears(answers.ESTABLISHED), relays(), listener=CLOSED)  # fmt: skip


@pytest.mark.parametrize("head", [GET, CONNECT])
def test_login_on_the_second_try(head):
    """Without a login the client is asked for one and may answer on the same connection, for a tunnel too."""
    stage = play(says(head), refused(407, "a login is needed", close=False), says(with_line(head, WRONG)),
                 refused(407, "the login is wrong", close=False), says(with_line(GET, RIGHT)), exchanges(),
                 listener=CLOSED)  # fmt: skip
    assert stage.described.user == "ann"


def test_login_that_never_comes():
    """A client that closes after it was asked for a login was refused."""
    play(says(GET), refused(407, "a login is needed", close=False), hangs_up(), closes(*AUTH), listener=CLOSED)


def test_login_for_a_head():
    """The 407 to a HEAD has no body."""
    play(says(HEAD), refused(407, "a login is needed", close=False, head_only=True), listener=CLOSED)


def test_login_with_a_body_in_the_way():
    """A request with a body cannot be asked again on the same connection."""
    play(says(POST), refused(407, "a login is needed"), closes(*AUTH, "a login is needed"), listener=CLOSED)
    play(says(with_line(POST, WRONG)), refused(407, "the login is wrong"), closes(*AUTH), listener=CLOSED)


def test_logins_are_bounded():
    """A connection may guess only so often in a row; a right login begins the count anew."""
    guess = (says(with_line(GET, WRONG)), refused(407, "the login is wrong", close=False)) * (LOGINS - 1)
    last = (says(with_line(GET, WRONG)), refused(407, "the login is wrong"), closes(*AUTH))
    play(*guess, *last, listener=CLOSED)
    play(*guess, says(with_line(GET, RIGHT)), exchanges(), *guess, *last, listener=CLOSED)


def test_logins_of_a_file():
    """Where a file has the users each request asks it: a wrong one hears 407, one that nobody can verify 503."""
    listener = replace(OPEN, users_file="/users")
    fields = {"users_file": "/users", "user": b"ann", "password": b"secret"}
    request = says(with_line(GET, RIGHT))
    play(request, asks(Verify, fields, Verified.RIGHT), exchanges(), request, asks(Verify, fields, Verified.WRONG),
         refused(407, "the login is wrong", close=False), request, asks(Verify, fields, Verified.BUSY),
         refused(503, "too many logins wait to be verified"), closes(EndedBy.PROXY, Phase.NEGOTIATE, Reason.OVERLOAD),
         listener=listener)  # fmt: skip
    play(says(GET), refused(407, "a login is needed", close=False), listener=listener)


def test_credentials_are_not_told():
    """No log line and no answer holds what the client sent for a password."""
    performance = improvise(http_forward(FACTS, CLOSED), [with_line(POST, WRONG)])
    shown = performance.sent + repr(performance.last_word).encode() + repr(performance.asked).encode()
    assert b"guess" not in shown
    assert serialize_basic("ann", "guess")[6:] not in shown


# Targets --------------------------------------------------------------------------------------------------------------

FAILURES = [
    (DialError.REFUSED, 502, (EndedBy.TARGET, Phase.DIAL)),
    (DialError.NETWORK_UNREACHABLE, 502, (EndedBy.TARGET, Phase.DIAL)),
    (DialError.HOST_UNREACHABLE, 502, (EndedBy.TARGET, Phase.DIAL)),
    (DialError.UNRESOLVED, 502, (EndedBy.TARGET, Phase.DIAL)),
    (DialError.FAILED, 502, (EndedBy.TARGET, Phase.DIAL)),
    (DialError.TIMEOUT, 504, (EndedBy.TARGET_TIMEOUT, Phase.DIAL)),
    (DialError.RESOURCE, 503, (EndedBy.RESOURCE, Phase.DIAL)),
    (DialError.LOOP, 508, (EndedBy.PROXY, Phase.DIAL, Reason.DESTINATION)),
]


@pytest.mark.parametrize(("error", "status", "outcome"), FAILURES)
def test_target_that_cannot_be_reached(error, status, outcome):
    """Each failure has its status; a connection without a body in the way goes on, any other ends as the dial did."""
    failed, detail = DialFailed(error, "as the system says it"), f"no answer from the target: {error}"
    play(
        says(CONNECT),
        dials("b.example", 443, failed),
        refused(status, detail),
        closes(*outcome, detail="as the system"),
    )
    play(says(GET), exchanges(failed), refused(status, detail, close=False), says(GET), exchanges())
    play(says(HEAD), exchanges(failed), refused(status, detail, close=False, head_only=True))
    play(says(POST), exchanges(failed), refused(status, detail), closes(*outcome, detail="as the system"))


def test_body_that_was_read_is_not_in_the_way():
    """When the engine has taken the whole body, a failed exchange leaves the connection usable."""
    stage = Stage(http_forward(FACTS, OPEN))
    stage.feed(POST + b"hello" + GET)
    assert stage.pending.framing.feed(stage.take(5)) == 5
    stage.answer(DialFailed(DialError.FAILED, "closed in the middle of its answer"))
    assert stage.claim(1_000) == answers.refusal(502, "no answer from the target: failed", close=False)
    assert stage.pending.head == FORWARDED


# Any bytes ------------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [GET, HEAD, CONNECT, with_line(GET, RIGHT), b"\r\n", b"GET http://a.example/ HTTP/1.1\r\n", b"Host: a\r\n", b"x",
     b"\n", b"\0", b"Content-Length: 0\r\n"]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=30), max_size=8), st.lists(st.integers(0, 500)), st.booleans())
def test_any_bytes(pieces, cuts, closed):
    """Any bytes in any split end in a word, and a split changes nothing."""
    raw = b"".join(pieces)
    places = sorted({cut % (len(raw) + 1) for cut in cuts} | {0, len(raw)})
    listener = CLOSED if closed else OPEN
    whole = improvise(http_forward(FACTS, listener), [raw])
    split = improvise(http_forward(FACTS, listener), [raw[a:b] for a, b in pairwise(places)])
    assert isinstance(whole.last_word, Relay | Close)
    assert (whole.last_word, whole.sent, whole.leftover) == (split.last_word, split.sent, split.leftover)
    heads = [[each.head for each in way.asked if isinstance(each, Exchange)] for way in (whole, split)]
    assert heads[0] == heads[1]
    if isinstance(whole.last_word, Close):
        assert whole.last_word.outcome.ended_by in (EndedBy.PROXY, EndedBy.CLIENT, COMPLETE.ended_by)


def logins(*said):
    """Return what was counted of the logins of one connection, with the answers of an exchange for each right one."""
    stage = Stage(http_forward(FACTS, CLOSED))
    for each in said:
        stage.feed(each)
        if isinstance(stage.pending, Exchange):
            stage.answer(True)
    return [command.right for command in stage.history if isinstance(command, Login)]


def test_logins_are_counted():
    """A right login counts once for each connection, and again after a change; a wrong one each time; none is none."""
    right, wrong, bearer = with_line(GET, RIGHT), with_line(GET, WRONG), with_line(GET, BEARER)
    assert logins(GET, GET) == []
    assert logins(right, right, GET, right) == [True]
    assert logins(wrong, wrong, bearer) == [False, False, False]
    assert logins(right, wrong, right) == [True, False, True]


def test_routes_of_destinations():
    """A destination takes its route: blocked ones are 403, some have targets of their own, the rest is fetched."""
    target = TargetPlan(id=1, host="192.0.2.10", port=3_128)
    no = RoutePlan(id=2, name="no", match=MatchPlan(domains=("*.bad.example",)), action="block")
    other = RoutePlan(id=3, name="other", match=MatchPlan(domains=("a.example",)), targets=(target,))
    listener = ListenerPlan(id=1, name="h", protocol="http", host="127.0.0.1", port=3_128)
    facts = Facts("192.0.2.9", 5_000, rules_of((no, other), listener))

    def play(*script):
        perform(lambda: http_forward(facts, listener), *script)

    def get(url):
        return says(b"GET http://" + url + b"/ HTTP/1.1\r\nHost: " + url + b"\r\n\r\n")

    play(
        get(b"a.example"), takes(other), asks(Exchange, {"host": ""}, True),
        get(b"b.example"), takes(listener.route), asks(Exchange, {"host": "b.example", "port": 80}, True),
        hangs_up(), closes(EndedBy.COMPLETE, Phase.DONE),
    )  # fmt: skip
    play(
        says(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), takes(other), dials_any(),
        hears(b"HTTP/1.1 200 Connection established\r\n\r\n"), relays(),
    )  # fmt: skip
    body = b"penstock: route no blocks it\n"
    play(
        says(b"CONNECT x.bad.example:443 HTTP/1.1\r\nHost: x.bad.example:443\r\n\r\n"), takes(no),
        hears(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: %d\r\n"
              b"Cache-Control: no-store\r\nConnection: close\r\n\r\n%b" % (len(body), body)),
        closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS),
    )  # fmt: skip


def test_a_listener_whose_own_route_blocks():
    """A listener whose own route blocks refuses every destination, where no other route could match as well."""
    own = RoutePlan(id=2, name="closed", action="block")
    listener = ListenerPlan(id=1, name="h", protocol="http", host="127.0.0.1", port=3_128, route=own)
    body = b"penstock: route closed blocks it\n"
    perform(
        lambda: http_forward(Facts("192.0.2.9", 5_000), listener),
        says(b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        hears(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: %d\r\n"
              b"Cache-Control: no-store\r\nConnection: close\r\n\r\n%b" % (len(body), body)),
        closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS),
    )  # fmt: skip
