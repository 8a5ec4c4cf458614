"""The reverse-proxy conversation in screenplays."""

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, MatchPlan, RewritePlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import HTTP_01, TLS_ALPN_01
from penstock.connection.commands import (
    Close,
    DialError,
    DialFailed,
    Exchange,
    Facts,
    Login,
    TurnAway,
    Verified,
    Verify,
)
from penstock.connection.http import LOGINS
from penstock.connection.reverse import DECISION_CHARS, DECISIONS_REMEMBERED, _location, http_reverse
from penstock.policy.routes import rules_of
from penstock.protocols.http1 import answers
from penstock.protocols.http1.credentials import serialize_basic
from penstock.protocols.http1.origin import parse_origin
from penstock.testing.playbook import Proofs, asks, closes, describes, hangs_up, hears, perform, says, takes
from penstock.testing.stage import Stage

TARGET = TargetPlan(id=1, host="192.0.2.10", port=80)
OWN = RoutePlan(id=1, name="own", targets=(TARGET,))
API = RoutePlan(
    id=2, name="api", match=MatchPlan(domains=("a.example",), paths=("/api/*",)),
    targets=(TargetPlan(id=2, host="192.0.2.20", port=80),),
)  # fmt: skip
SECURE = RoutePlan(
    id=3, name="secure", match=MatchPlan(domains=("plain.example",)), action="redirect", status=308,
    location="https://{host}{path}{query}",
)  # fmt: skip
HELLO = RoutePlan(id=4, name="hello", match=MatchPlan(paths=("/hello",)), action="answer", body="hi\n")
NO = RoutePlan(id=5, name="no", match=MatchPlan(paths=("/admin*",)), action="block")
LOGIN = RoutePlan(id=6, name="login", match=MatchPlan(paths=("/private*",)), users={"ann": "secret"}, targets=(TARGET,))


def play(*script, own=OWN, challenge="", proofs=None):
    """Perform a script on a listener with all these routes."""
    listener = ListenerPlan(
        id=1, name="web", protocol="http", host="::", port=80, route=own, reverse=True, challenge=challenge
    )
    facts = Facts("198.51.100.7", 5_000, rules_of((API, SECURE, HELLO, NO, LOGIN), listener), challenges=proofs)
    perform(lambda: http_reverse(facts, listener), *script)


def get(path, *fields, host=b"a.example", method=b"GET"):
    """Return a request."""
    return says(b"\r\n".join((method + b" " + path + b" HTTP/1.1", b"Host: " + host, *fields, b"", b"")))


def exchanges(answer=True, **fields):
    """Return the line: it carries an exchange with a target of its route."""
    return asks(Exchange, {"host": "", "port": 0, **fields}, answer)


def test_requests_find_their_routes():
    """On one connection each request takes the route of its host and path, or the listener's own."""
    play(
        get(b"/"), exchanges(),
        get(b"/api/x"), takes(API), exchanges(),
        get(b"/api/y"), exchanges(),
        get(b"/x/../api/z"), exchanges(),
        get(b"/"), takes(OWN), exchanges(False),
        closes_complete(),
    )  # fmt: skip


def test_remembered_routes_are_those_of_their_paths():
    """More paths than are remembered, long ones too, take the routes that they would take alone, again and again."""
    paths = [b"/api/%d" % number for number in range(2 * DECISIONS_REMEMBERED)]
    turns = [(get(path), exchanges(), get(path[4:]), exchanges()) for path in paths]
    script = [
        each for ours, first, others, second in turns for each in (ours, takes(API), first, others, takes(OWN), second)
    ]
    long = get(b"/api/" + b"x" * DECISION_CHARS)
    play(*script, long, takes(API), exchanges(), long, exchanges(False), closes_complete())


def closes_complete():
    """Return the last line of a connection that is over."""
    return closes(COMPLETE.ended_by, COMPLETE.phase)


def test_redirects_and_answers():
    """A route may answer by itself, and the connection goes on."""
    play(
        get(b"/a?b=c", host=b"plain.example"), takes(SECURE),
        hears(b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://plain.example/a?b=c\r\nContent-Length: 0\r\n\r\n"),
        get(b"/hello"), takes(HELLO),
        hears(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhi\n"),
        hangs_up(), closes_complete(),
    )  # fmt: skip


def test_blocks_and_logins():
    """What is blocked is 403, whatever spelling it has; a login is asked for where the route has users."""
    blocked = (
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: 31\r\n"
        b"Cache-Control: no-store\r\nConnection: close\r\n\r\npenstock: this is not allowed\n"
    )
    for path in (b"/admin", b"//admin", b"/%61dmin", b"/x/../admin", b"/%2fadmin", b"/\\admin", b"/%5Cadmin"):
        play(
            get(path, b"Connection: close"), takes(NO), hears(blocked.replace(b"31", b"30")),
            closes(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS),
        )  # fmt: skip
    play(
        get(b"/private", b"Authorization: Basic YW5uOnNlY3JldA=="), takes(LOGIN), describes(user="ann"),
        exchanges(False), closes_complete(),
    )  # fmt: skip


def test_refusals_of_connections_that_go_on_are_counted():
    """Each request that is blocked is told to the ledger with its reason, though the client may ask for more."""
    plan = ListenerPlan(id=1, name="web", protocol="http", host="::", port=80, route=NO, reverse=True)
    stage = Stage(http_reverse(Facts("198.51.100.7", 5_000), plan))
    for _ in range(3):
        stage.feed(get(b"/admin").data)
    counted = [each.outcome.reason for each in stage.history if isinstance(each, TurnAway)]
    assert counted == [Reason.ACCESS] * 3
    assert stage.waits_for_client


@pytest.mark.parametrize(("error", "status"), [(DialError.REFUSED, b"502"), (DialError.TIMEOUT, b"504")])
def test_targets_that_cannot_be_reached(error, status):
    """A request whose targets all fail is answered in their place."""
    body = b"penstock: no answer from the target: " + str(error).encode() + b"\n"
    reason = b"Bad Gateway" if status == b"502" else b"Gateway Timeout"
    play(
        get(b"/", b"Connection: close"), exchanges(DialFailed(error)),
        hears(
            b"HTTP/1.1 %b %b\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: %d\r\n"
            b"Cache-Control: no-store\r\nConnection: close\r\n\r\n%b" % (status, reason, len(body), body)
        ),
        closes(EndedBy.TARGET_TIMEOUT if error is DialError.TIMEOUT else EndedBy.TARGET, Phase.DIAL),
    )  # fmt: skip


def test_logins_of_routes_are_counted():
    """Where a route has users, a right login counts once a connection, a wrong one each time, and none is none."""
    right, wrong = (b"Authorization: " + serialize_basic("ann", password) for password in ("secret", "guess"))
    listener = ListenerPlan(id=1, name="web", protocol="http", host="::", port=80, route=OWN, reverse=True)
    stage = Stage(http_reverse(Facts("198.51.100.7", 5_000, rules_of((LOGIN,), listener)), listener))
    for fields in ((), (right,), (right,), (wrong,), (wrong,), (), (right,)):
        stage.feed(get(b"/private", *fields).data)
        while not stage.waits_for_client:
            stage.answer(True if isinstance(stage.pending, Exchange) else None)
    assert [command.right for command in stage.history if isinstance(command, Login)] == [True, False, False]


def test_logins_of_a_file():
    """Where a route has a file of users it is asked; who cannot be verified hears 503, and ends as overload."""
    route = replace(LOGIN, users={}, users_file="/users")
    listener = ListenerPlan(id=1, name="web", protocol="http", host="::", port=80, route=OWN, reverse=True)
    stage = Stage(http_reverse(Facts("198.51.100.7", 5_000, rules_of((route,), listener)), listener))
    login = b"Authorization: " + serialize_basic("bob", "secret")
    for verified in (Verified.RIGHT, Verified.WRONG, Verified.BUSY):
        stage.feed(get(b"/private", login).data)
        while not stage.waits_for_client and not stage.over:
            if isinstance(stage.pending, Verify):
                assert stage.pending == Verify("/users", b"bob", b"secret")
                stage.answer(verified)
            else:
                stage.answer(True if isinstance(stage.pending, Exchange) else None)
    kinds = Exchange, Verify, Login, Close
    assert [type(each) for each in stage.history if isinstance(each, kinds)] == [
        Verify, Login, Exchange, Verify, Login, Verify, Close,
    ]  # fmt: skip
    assert stage.pending.outcome == Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.OVERLOAD)
    assert [b" %d " % status in stage.sent for status in (401, 503)] == [True, True]


def guess(*passwords):
    """Return the stage on which one client asked with these passwords, a page without login between them."""
    listener = ListenerPlan(id=1, name="web", protocol="http", host="::", port=80, route=OWN, reverse=True)
    stage = Stage(http_reverse(Facts("198.51.100.7", 5_000, rules_of((HELLO, LOGIN), listener)), listener))
    for password in passwords:
        login = b"Authorization: " + serialize_basic("ann", password) if password else b"X-No: login"
        for request in (get(b"/private", login), get(b"/hello")):
            if not stage.over:
                stage.feed(request.data)
            while not stage.over and not stage.waits_for_client:
                stage.answer(True if isinstance(stage.pending, Exchange) else None)
    return stage


@pytest.mark.parametrize("last", ["guess", ""])
def test_guesses_at_logins_are_bounded(last):
    """Request number LOGINS in a row without a right login is the last; pages between that need none change nothing."""
    stage = guess(*["guess"] * (LOGINS - 1))
    assert stage.waits_for_client
    stage = guess(*["guess"] * (LOGINS - 1), last)
    assert stage.pending == Close(Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.AUTH), "a login is needed")
    assert b"Connection: close" in stage.history[-2].data


def test_a_right_login_begins_the_count_anew():
    """As with the forward proxy."""
    few = ["guess"] * (LOGINS - 1)
    assert guess(*few, "secret", *few).waits_for_client
    assert guess(*few, "secret", *few, "guess").over


def test_answers_of_ours_take_what_the_route_sets():
    """A route's own answer, and ours in the place of a target that fails, carry the fields of the route."""
    rewrite = RewritePlan(set_response=(("X-Edge", "1"), ("Content-Type", "text/html")), remove_response=("server",))
    hello = RoutePlan(id=1, name="own", action="answer", body="hi\n", rewrite=rewrite)
    play(
        get(b"/"),
        hears(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Edge: 1\r\nContent-Type: text/html\r\n\r\nhi\n"),
        hangs_up(), closes_complete(), own=hello,
    )  # fmt: skip
    body = b"penstock: no answer from the target: failed\n"
    play(
        get(b"/"), exchanges(DialFailed(DialError.FAILED)),
        hears(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\nCache-Control: no-store\r\nX-Edge: 1\r\n"
            b"Content-Type: text/html\r\n\r\n%b" % (len(body), body)
        ),
        hangs_up(), closes_complete(), own=RoutePlan(id=1, name="own", targets=(TARGET,), rewrite=rewrite),
    )  # fmt: skip


@pytest.mark.parametrize("path", [b"//evil.example/x", b"/\\evil.example/x", b"/%2e//evil.example/x"])
def test_redirects_to_a_path_stay_on_the_host(path):
    """A location that is a path leads to no other host, whatever path the client asks for."""
    for location in ("/{path}", "/{path}/"):
        route = RoutePlan(id=7, name="slash", action="redirect", location=location)
        request = parse_origin(b"GET " + path + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
        found = _location(route, request, "http", 80)
        assert found.startswith("/")
        assert found[1] not in "/\\", found


def test_redirects_fill_in_once():
    """What a client writes into its path is no place to fill in."""
    request = parse_origin(b"GET /{query}{host}?x HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert _location(SECURE, request, "http", 80) == "https://a.example/{query}{host}?x"


def test_redirects_to_a_host_that_nobody_names_are_refused():
    """An old client that names no host is told so, where a redirect would lead to it."""
    route = RoutePlan(id=7, name="secure", action="redirect", location="https://{host}{path}")
    refused = answers.refusal(400, "where this leads depends on the host", close=True, head_only=False)
    play(
        says(b"GET /a HTTP/1.0\r\n\r\n"), hears(refused),
        closes(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION), own=route,
    )  # fmt: skip


def test_the_first_request_inside_tls_takes_its_own_route():
    """The name in TLS may have taken another route, so the first request takes its own, be it the listener's."""
    listener = ListenerPlan(id=1, name="web", protocol="tls", host="::", port=443, route=OWN, inside="http")
    facts = Facts("198.51.100.7", 5_000, rules_of((API,), listener), server_name="a.example", tls_version=0x0304)
    perform(
        lambda: http_reverse(facts, listener), get(b"/"), takes(OWN), exchanges(), get(b"/"), exchanges(),
        get(b"/api/x"), takes(API), exchanges(False), closes_complete(),
    )  # fmt: skip


def test_a_host_that_is_passed_through_is_not_served_in_the_clear():
    """Inside one name's TLS, a request for a host that nobody here may read is misdirected (RFC 9110 15.5.20)."""
    sealed = RoutePlan(
        id=7, name="sealed", match=MatchPlan(domains=("b.example",)), targets=(TARGET,), tls="passthrough",
    )  # fmt: skip
    listener = ListenerPlan(id=1, name="web", protocol="tls", host="::", port=443, route=OWN, inside="http")
    facts = Facts("198.51.100.7", 5_000, rules_of((sealed,), listener), server_name="a.example", tls_version=0x0304)
    body = b"penstock: another connection leads to this host\n"
    perform(
        lambda: http_reverse(facts, listener),
        get(b"/"), takes(OWN), exchanges(),
        get(b"/", host=b"B.example"), takes(sealed),
        hears(
            b"HTTP/1.1 421 Misdirected Request\r\nContent-Type: text/plain; charset=us-ascii\r\n"
            b"Content-Length: %d\r\nCache-Control: no-store\r\n\r\n%b" % (len(body), body)
        ),
        get(b"/"), takes(OWN), exchanges(False), closes_complete(),
    )  # fmt: skip


TOKEN = b"/.well-known/acme-challenge/"


def test_a_known_token_is_answered():
    """Whatever its route says; a HEAD has no body, and the connection goes on."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Type: application/octet-stream\r\n\r\n"
    play(
        get(TOKEN + b"t"), hears(head + b"t.thumb"),
        get(TOKEN + b"t", host=b"plain.example"), takes(SECURE), hears(head + b"t.thumb"),
        get(TOKEN + b"t", method=b"HEAD"), takes(OWN), hears(head),
        get(b"/"), exchanges(False), closes_complete(),
        challenge=HTTP_01, proofs=Proofs({"t": "t.thumb"}),
    )  # fmt: skip


def test_an_unknown_token_is_never_taken_for_granted():
    """Before its exchange something else is said, whatever was said before: it may be known the next time."""
    listener = ListenerPlan(
        id=1, name="web", protocol="http", host="::", port=80, route=OWN, reverse=True, challenge=HTTP_01
    )
    words = http_reverse(Facts("198.51.100.7", 5_000, challenges=Proofs()), listener)
    next(words)
    for _ in range(3):
        first = words.send(b"GET " + TOKEN + b"t HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert not isinstance(first, Exchange)
        while not isinstance(words.send(None), Exchange):
            pass
        words.send(True)


@pytest.mark.parametrize("challenge", ["", TLS_ALPN_01, HTTP_01])
def test_all_other_requests_go_on(challenge):
    """Unknown tokens, paths beside it, other methods, and all where the listener answers no such challenge."""
    asked = [get(TOKEN + b"u"), get(TOKEN), get(b"/x" + TOKEN + b"t"), get(TOKEN + b"t", method=b"DELETE")]
    asked += [] if challenge == HTTP_01 else [get(TOKEN + b"t")]
    turns = [line for each in asked for line in (each, exchanges())]
    play(*turns, get(b"/"), exchanges(False), closes_complete(), challenge=challenge, proofs=Proofs({"t": "t.thumb"}))
