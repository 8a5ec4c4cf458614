"""Hellos that are passed through: decided at the first edge if they are usual, and by the conversation if not."""

import os
import socket
import sys

import msgspec
import pytest
from msgspec.structs import replace

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import AccessPlan, AccessRulePlan, MatchPlan, RoutePlan, TargetPlan
from penstock.connection.tls import NAMELESS
from penstock.dataplane import listener as listener_module
from penstock.dataplane.orders import Reload, Reloaded
from penstock.metrics.ledger import HEADER_WORDS, PHASE, ROUTE_SHIFT, SCOPE
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.tls_peers import hello
from penstock.testing.workbench import bench, listener, quick, wait_for

NO_SUCH_NAME = b"\x15\x03\x03\x00\x02\x02\x70"
UNEXPECTED = b"\x15\x03\x03\x00\x02\x02\x0a"


HELLO = hello("pass.example")


def routes(port, **more):
    """Return a route that passes one name through to this port."""
    target = TargetPlan(id=2, host="127.0.0.1", port=port)
    match = MatchPlan(domains=("pass.example",))
    return (RoutePlan(id=2, name="passed", match=match, targets=(target,), tls="passthrough", **more),)


def door(*targets):
    """Return a listener of TLS whose own route terminates, and has no certificate."""
    return listener("main", "tls", *targets)


def spoken(client, size):
    """Return this many bytes of what a client hears."""
    got = b""
    while len(got) < size and (more := client.recv(size - len(got))):
        got += more
    return got


@pytest.fixture
def conversations(monkeypatch):
    """How many clients needed a conversation."""
    met = []
    meet = listener_module.Listener.meet
    monkeypatch.setattr(listener_module.Listener, "meet", lambda self, each: (met.append(each), meet(self, each)))
    return met


@pytest.mark.parametrize("end", [None, socket.SHUT_WR])
def test_a_usual_hello_needs_no_conversation(conversations, end):
    """Its bytes reach the target of its route, counted once; the row tells name, route and request."""
    with serving(echo) as target, bench(door(), routes=routes(target.port)) as plane:
        with plane.connect() as client:
            client.sendall(HELLO)
            if end is not None:
                client.shutdown(end)
            assert spoken(client, len(HELLO)) == HELLO
            client.sendall(b"more") if end is None else None
            assert end is not None or spoken(client, 4) == b"more"
        (row,) = plane.ended()
        size = len(HELLO) + 4 * (end is None)
        assert (row.client_rx, row.target_tx, row.target_rx, row.client_tx) == (size,) * 4
        assert (row.outcome, row.texts[0], row.requests) == (COMPLETE, "pass.example", 1)
        assert plane.words[HEADER_WORDS + SCOPE] >> ROUTE_SHIFT & 0xFFFF == 2
        assert not conversations


def test_the_listeners_own_route_passes_through(conversations):
    """Without other routes each name takes the listener's own."""
    with serving(echo) as target:
        own = RoutePlan(id=1, name="own", targets=routes(target.port)[0].targets, tls="passthrough")
        with bench(listener("main", "tls", route=own)) as plane:
            for name in ("a.example", "b.example"):
                said = hello(name)
                with plane.connect() as client:
                    client.sendall(said)
                    assert spoken(client, len(said)) == said
            assert [row.texts[0] for row in plane.ended(2)] == ["a.example", "b.example"]
            assert not conversations


@pytest.mark.parametrize("cut", [1, 5, 9, 43, len(HELLO) - 1])
def test_a_hello_in_pieces(conversations, cut):
    """What does not come at once is for the conversation, which sees all of it."""
    with serving(echo) as target, bench(door(), routes=routes(target.port)) as plane:
        with plane.connect() as client:
            client.sendall(HELLO[:cut])
            wait_for(lambda: conversations)
            client.sendall(HELLO[cut:])
            assert spoken(client, len(HELLO)) == HELLO
        (row,) = plane.ended()
        assert (row.outcome, row.client_rx, row.texts[0]) == (COMPLETE, len(HELLO), "pass.example")


@pytest.mark.parametrize(
    ("said", "heard", "reason", "asked"),
    [
        (hello("other.example"), NO_SUCH_NAME, Reason.DESTINATION, "other.example"),
        (hello(None), NO_SUCH_NAME, Reason.DESTINATION, NAMELESS),
        (b"GET / HTTP/1.1\r\n\r\n", UNEXPECTED, Reason.PROTOCOL, ""),
        (HELLO[:200] + b"\xff" * (len(HELLO) - 200), None, Reason.PROTOCOL, ""),
    ],
)
def test_what_is_refused(said, heard, reason, asked):
    """Names without a route, no name, no TLS and hellos that are malformed are refused with an alert, as ever."""
    with serving(echo) as target, bench(door(), routes=routes(target.port)) as plane:
        with plane.connect() as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            answer = read_all(client)
        (row,) = plane.ended()
        assert row.outcome.reason == reason
        assert row.texts[0] == asked
        assert answer[:5] == b"\x15\x03\x03\x00\x02" if heard is None else answer == heard


def test_a_blocked_name_and_a_proof_have_their_conversation(conversations):
    """What is blocked is refused; a client that offers what ACME servers offer is looked at by the conversation."""
    with serving(echo) as target:
        with bench(door(), routes=routes(target.port, action="block")) as plane, plane.connect() as client:
            client.sendall(HELLO)
            assert read_all(client) == NO_SUCH_NAME
        with bench(door(), routes=routes(target.port)) as plane, plane.connect() as client:
            said = hello("pass.example", "acme-tls/1")
            client.sendall(said)
            assert spoken(client, len(said)) == said
    assert len(conversations) == 2


def test_a_client_that_says_nothing():
    """It is detected until the deadline, and ended as too slow; one that closes is the client's end."""
    with bench(door(), routes=routes(1), timeouts=quick(handshake=60)) as plane:
        with plane.connect():
            wait_for(lambda: plane.words[HEADER_WORDS + PHASE] == Phase.DETECT)
            assert plane.connections()[0].row == HEADER_WORDS
            plane.later(61)
            (row,) = plane.ended()
        assert row.outcome == Outcome(EndedBy.CLIENT_TIMEOUT, Phase.DETECT)
        plane.connect().close()
        assert plane.ended(2)[1].outcome == Outcome(EndedBy.CLIENT, Phase.DETECT)


def test_a_target_that_cannot_be_reached():
    """It ends as the target's, in the dial, and the row tells the name and why."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with bench(door(), routes=routes(nobody.getsockname()[1])) as plane, plane.connect() as client:
            client.sendall(HELLO)
            assert read_all(client) == b""
            (row,) = plane.ended()
    assert row.outcome == Outcome(EndedBy.TARGET, Phase.DIAL)
    assert (row.texts[0], "refused" in row.texts[2].lower()) == ("pass.example", True)


def test_access_rules_are_asked(conversations):
    """Rules that could still let a client in when it is known who it is keep this one from the target."""
    rules = (
        AccessRulePlan(name="ann", action="allow", priority=1, users=("ann",)),
        AccessRulePlan(name="all", action="block"),
    )
    with serving(echo) as target, bench(door(), routes=routes(target.port), rules=rules) as plane:
        with plane.connect() as client:
            client.sendall(HELLO)
            assert read_all(client) == b""
        assert plane.ended()[0].outcome.reason == Reason.ACCESS
        assert not conversations


def test_with_an_access_log_conversations_are_listened_to(conversations, tmp_path):
    """The log follows conversations, so each client has one, and its line tells the route."""
    log = AccessPlan(format="json", file=str(tmp_path / "log"))
    with serving(echo) as target, bench(door(), routes=routes(target.port), access=log) as plane:
        with plane.connect() as client:
            client.sendall(HELLO)
            assert spoken(client, len(HELLO)) == HELLO
        plane.ended()
    assert not conversations
    assert '"route":"passed"' in (tmp_path / "log").read_text()


@pytest.mark.parametrize("late", [False, True])
def test_a_plan_that_changes_while_the_hello_is_waited_for(late):
    """The client takes the plan of the moment in which it speaks; one that never does is too slow."""
    with (
        serving(saying(b"new")) as new,
        bench(door(), routes=routes(1), timeouts=quick(handshake=60)) as plane,
        plane.connect() as client,
    ):
        wait_for(plane.connections)
        fd = os.memfd_create("plan")
        os.write(fd, msgspec.json.encode(replace(plane.worker.plan, routes=routes(new.port))))
        plane.order(Reload(1, ()), [fd])
        os.close(fd)
        assert plane.report(Reloaded) == Reloaded(1)
        if late:
            plane.later(61)
            assert read_all(client) == b""
            assert plane.ended()[0].outcome == Outcome(EndedBy.CLIENT_TIMEOUT, Phase.DETECT)
        else:
            client.sendall(HELLO)
            assert read_all(client) == b"new"


def test_names_that_are_remembered_are_bounded(monkeypatch):
    """However many names clients ask for, no more than a few are remembered, and each takes its route."""
    monkeypatch.setattr(listener_module, "NAMES", 2)
    with serving(echo) as target:
        own = RoutePlan(id=1, name="own", targets=routes(target.port)[0].targets, tls="passthrough")
        with bench(listener("main", "tls", route=own)) as plane:
            for name in ("a.example", "b.example", "c.example", "a.example"):
                said = hello(name)
                with plane.connect() as client:
                    client.sendall(said)
                    assert spoken(client, len(said)) == said
            assert len(plane.worker.listeners[0]._ways) <= 2


def test_a_connection_that_is_passed_through_costs_few_calls():
    """A short connection costs calls beside the kernel: 43 without the loop's own, and never half as many more."""
    calls = []

    def count(frame, event, argument):
        if event == "call" and "/penstock/dataplane/reactor.py" not in frame.f_code.co_filename:
            calls.append(frame.f_code.co_name)

    with serving(echo) as target, bench(door(), routes=routes(target.port)) as plane:
        for place in range(2):  # the first one fills what is remembered
            calls.clear()
            plane.worker.reactor.post(lambda: sys.setprofile(count))
            with plane.connect() as client:
                client.sendall(HELLO)
                assert spoken(client, len(HELLO)) == HELLO
            plane.ended(place + 1)
            plane.worker.reactor.post(lambda: sys.setprofile(None))
            wait_for(lambda: not plane.worker.reactor._posted)
        assert 30 < len(calls) <= 60, calls
