"""Decisions of handlers: what they are told, what their answers mean, and what each conversation makes of them."""

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Phase, Reason
from penstock.config.plan import ListenerPlan, MatchPlan, RoutePlan, TargetPlan
from penstock.connection import deciding
from penstock.connection.commands import Decide, Dial, DialError, DialFailed, Exchange, Facts, Relay, Undecided, Way
from penstock.connection.deciding import fields_of, settle
from penstock.connection.http import http_forward
from penstock.connection.reverse import http_reverse
from penstock.connection.socks5 import socks5
from penstock.connection.tcp import tcp
from penstock.policy import actions
from penstock.policy.actions import Answer, Block, Forward, Redirect
from penstock.policy.routes import rules_of
from penstock.testing.playbook import asks, closes, decides, dials, dials_any, hears, perform, relays, says, takes
from penstock.testing.stage import Stage

TARGET = TargetPlan(id=1, host="192.0.2.10", port=80)
ASKED = RoutePlan(id=1, name="asked", action="handler", targets=(TARGET,), handler="m:f")
NOWHERE = RoutePlan(id=1, name="nowhere", action="handler", handler="m:f")
OTHER = RoutePlan(id=2, name="other", targets=(TargetPlan(id=2, host="192.0.2.20", port=80),))
BLOCKED = RoutePlan(id=3, name="blocked", action="block")
ROUTES = {each.name: each for each in (ASKED, OTHER, BLOCKED)}
FACTS = Facts("198.51.100.7", 5_000, server_name="a.example", tls_version=0x0304)

ACCESS = (EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS)
OTHERWISE = (EndedBy.PROXY, Phase.DECIDE, Reason.OTHER)
UNDECIDED = Undecided("ValueError: no")
FAILED = DialFailed(DialError.REFUSED)


def settled(said, *, answers=False):
    """Return what an answer of the route's handler means."""
    return settle(said, Decide(ASKED, actions.Facts(), answers), ROUTES)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, ()),
        (True, ()),
        (False, Block()),
        (Block("not you"), Block("not you")),
        (Forward("other"), (Way(OTHER),)),
        (Forward("192.0.2.10:80", "b.example:81"), (Way(ASKED, "192.0.2.10", 80), Way(ASKED, "b.example", 81))),
        (Forward("[2001:db8::1]:80"), (Way(ASKED, "2001:db8::1", 80),)),
    ],
)
def test_an_answer_has_a_meaning(said, meant):
    """Each action is understood."""
    assert settled(said) == meant


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (42, "type int"),
        ("other", r"it returned text, which is no action; Forward\(text\) sends there"),
        (b"other", "type bytes"),
        (Forward(), "0 places"),
        (Forward(*["a:1"] * 9), "9 places"),
        (Forward("nowhere at all"), "no route and no address"),
        (Forward(7), "type int"),
        (Forward("blocked"), "no targets"),
        (Redirect("/"), "reverse proxy"),
        (Answer(), "reverse proxy"),
    ],
)
def test_nonsense_is_refused(said, why):
    """What is no action, or leads nowhere, is told by name."""
    with pytest.raises(ValueError, match=why):
        settled(said)


@pytest.mark.parametrize(
    "said",
    [
        Redirect("/a b"),
        Redirect("/\r\nSet-Cookie: x"),
        Redirect("x" * 3_000),
        Redirect(""),
        Redirect(5),
        Redirect("/", 200),
        Redirect("/", []),
        Answer(True),
        Answer(100),
        Answer("200"),
        Answer(200, b"x"),
        Answer(200, "x" * 70_000),
        Answer(200, "x", "text/html\r\nX: y"),
        Answer(200, "x", None),
    ],
)
def test_an_answer_that_would_break_http_is_refused(said):
    """Nothing that a handler says can end a line of the head, or be no HTTP."""
    with pytest.raises(ValueError, match=r"^(Redirect|Answer) "):
        settled(said, answers=True)


def test_answers_that_are_http_are_taken():
    """A redirect and an answer are what the handler said; a character that no UTF-8 has is replaced."""
    assert settled(Redirect("/x", 307), answers=True) == Redirect("/x", 307)
    assert settled(Answer(403, "n\udc00o"), answers=True) == Answer(403, "n?o")


def test_fields_are_told_in_order_and_bounded():
    """Names in lower case, values without the blanks around them; no more than the bound."""
    assert fields_of(b"GET / HTTP/1.1\r\nA: 1 \r\nB:2\r\n\r\n") == (("a", "1"), ("b", "2"))
    assert len(fields_of(b"\r\nx: y" * 1_000)) == 128


# Conversations -------------------------------------------------------------------------------------------------------


def listener(protocol, own=ASKED, **more):
    """Return a listener whose own route this is."""
    return ListenerPlan(id=1, name="web", protocol=protocol, host="::", port=80, route=own, **more)


def test_a_handler_is_told_what_is_known():
    """Listener, client, name and version of TLS, and the listener's port where none was asked for."""
    stage = Stage(tcp(FACTS, listener("tcp")))
    assert stage.pending.facts == actions.Facts(
        client="198.51.100.7", client_port=5_000, listener="web", route="asked", host="a.example", port=80,
        server_name="a.example", tls_version="1.3",
    )  # fmt: skip


def test_tcp_goes_where_the_handler_sends():
    """To the route's own targets, to another route's, or to an address; the next one if the first cannot be reached."""

    def play(*script, own=ASKED):
        perform(lambda: tcp(FACTS, listener("tcp", own)), *script)

    play(decides(ASKED), dials_any(), relays())
    play(decides(ASKED, (Way(OTHER),)), takes(OTHER), dials_any(), relays())
    play(
        decides(ASKED, (Way(ASKED, "b.example", 81), Way(OTHER))),
        dials("b.example", 81, FAILED), takes(OTHER), dials_any(), relays(),
    )  # fmt: skip
    play(
        decides(ASKED, (Way(ASKED, "b.example", 81),)),
        dials("b.example", 81, FAILED),
        closes(EndedBy.TARGET, Phase.DIAL),
    )
    play(decides(ASKED, Block("no")), closes(*ACCESS, detail="no"))
    play(decides(ASKED, UNDECIDED), closes(*OTHERWISE, detail="ValueError: no"))
    play(decides(NOWHERE), closes(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION), own=NOWHERE)


def test_socks_clients_hear_of_it():
    """A handler decides after the request; a refusal is reply 2."""
    handled = RoutePlan(id=2, name="handled", action="handler", match=MatchPlan(listeners=(1,)), handler="m:f")
    plan = listener("socks5", OTHER)
    facts = FACTS._replace(rules=rules_of((handled,), plan))
    begin = (says(b"\x05\x01\x00"), hears(b"\x05\x00"), says(b"\x05\x01\x00\x03\x01b\x00\x50"), takes(handled))
    refused = hears(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")

    def play(*script):
        perform(lambda: socks5(facts, plan), *begin, *script)

    reply = hears(b"\x05\x00\x00\x01\xc0\x00\x02\x01\x9c\x40")
    play(decides(handled), dials("b", 80), reply, relays())
    play(decides(handled, (Way(handled, "c", 81),)), dials("c", 81), reply, relays())
    play(decides(handled, Block()), refused, closes(*ACCESS))
    play(decides(handled, UNDECIDED), refused, closes(*OTHERWISE))
    stage = Stage(socks5(facts, plan))
    for data in (b"\x05\x01\x00", b"\x05\x01\x00\x03\x01b\x00\x50"):
        stage.feed(data)
    stage.answer(None)
    assert (stage.pending.facts.destination, stage.pending.facts.host) == ("b:80", "b")
    version4 = (says(b"\x04\x01\x00\x50\xc0\x00\x02\x63\x00"), takes(handled))
    perform(lambda: socks5(facts, plan), *version4, decides(handled), dials("192.0.2.99", 80), *granted())
    perform(
        lambda: socks5(facts, plan),
        *version4,
        decides(handled, Block()),
        hears(b"\x00\x5b" + bytes(6)),
        closes(*ACCESS),
    )


def granted():
    """Return the last lines of a SOCKS4 client that is served."""
    return hears(b"\x00\x5a" + bytes(6)), relays()


def get(path=b"/", host=b"a.example"):
    """Return a request of a reverse proxy's client."""
    return says(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nX-Team: blue\r\n\r\n")


def exchanges(host="", port=0, answer=True):
    """Return the line: it carries an exchange."""
    return asks(Exchange, {"host": host, "port": port}, answer)


def test_each_request_of_a_reverse_proxy_is_decided():
    """Own targets, an address, another route, a redirect, an answer, a refusal: on one connection in turn."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhi"
    perform(
        lambda: http_reverse(Facts("198.51.100.7", 5_000), listener("http", reverse=True)),
        get(), takes(ASKED), decides(ASKED), takes(ASKED), exchanges(),
        get(), takes(ASKED), decides(ASKED, (Way(ASKED, "b", 81),)), takes(ASKED), exchanges("b", 81),
        get(), takes(ASKED), decides(ASKED, (Way(ASKED, "b", 81), Way(OTHER))), takes(ASKED),
        exchanges("b", 81, FAILED), takes(OTHER), exchanges(),
        get(), takes(ASKED), decides(ASKED, Redirect("/x")), hears(redirect),
        get(), takes(ASKED), decides(ASKED, Answer(body="hi")), hears(answer),
        get(), takes(ASKED), decides(ASKED), takes(ASKED), exchanges(answer=False),
        closes(COMPLETE.ended_by, COMPLETE.phase),
    )  # fmt: skip


def test_a_reverse_proxys_refusals():
    """A refusal is 403 and the next request may come; without a decision it is 503, and the end."""
    stage = Stage(http_reverse(Facts("198.51.100.7", 5_000), listener("http", reverse=True)))
    for verdict, status in ((Block(), b"403"), (UNDECIDED, b"503")):
        stage.feed(get(b"/p?q").data)
        stage.answer(None)
        told = stage.pending.facts
        assert (told.method, told.path, told.field("X-TEAM")) == ("GET", "/p", "blue")
        stage.answer(verdict)
        assert stage.sent.startswith(b"HTTP/1.1 " + status)
        stage.claim(len(stage.sent))
    assert stage.pending.outcome == deciding.UNDECIDED


def test_forward_proxies_ask_for_each_destination():
    """A tunnel and a request go where the handler sends, or where the client wants to go; a refusal is 403."""
    handled = RoutePlan(id=2, name="handled", action="handler", match=MatchPlan(listeners=(1,)), handler="m:f")
    plan = listener("http", OTHER)
    facts = FACTS._replace(rules=rules_of((handled,), plan))

    def begun(data):
        stage = Stage(http_forward(facts, plan))
        stage.feed(data)
        stage.answer(None)
        return stage

    tunnel, plain = (
        b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: b\r\nA: 1\r\n\r\n",
    )
    stage = begun(tunnel)
    assert stage.pending.facts.method == "CONNECT"
    stage.answer(())
    assert stage.pending == Dial("b", 443)
    stage = begun(tunnel)
    stage.answer((Way(handled, "c", 81),))
    assert stage.pending == Dial("c", 81)
    stage = begun(plain)
    assert (stage.pending.facts.destination, stage.pending.facts.field("a")) == ("b:80", "1")
    stage.answer((Way(handled, "c", 81), Way(handled, "d", 82)))
    assert stage.pending.host == "c"
    stage.answer(FAILED)
    assert stage.pending.host == "d"
    for verdict, status in ((Block(), b"403"), (UNDECIDED, b"503")):
        stage = begun(plain)
        stage.answer(verdict)
        assert stage.sent.startswith(b"HTTP/1.1 " + status)
    assert not isinstance(stage.pending, Relay)
