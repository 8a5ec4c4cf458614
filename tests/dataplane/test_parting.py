"""How clients are let go when a worker drains."""

import contextlib
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE
from penstock.dataplane.orders import Drain
from penstock.dataplane.parting import QUIET_NS, Parting, told_to_leave
from penstock.protocols.http1.answers import redirect, refusal
from penstock.testing.http_peers import Wire, ok, origin, request, slowly
from penstock.testing.workbench import bench, listener, wait_for


def test_who_asks_while_it_drains_is_answered_and_told():
    """An idle client may ask once more: its answer is whole and says that the connection closes, and so it does."""
    with origin(lambda *_: ok(b"done")) as target, bench(listener("main", "http")) as plane:
        with Wire(plane.connect()) as client:
            client.send(request("GET", target.url()))
            assert "connection" not in client.read_message().fields
            plane.order(Drain(time.monotonic_ns() + 3_600 * NS))  # its turn comes within six minutes
            wait_for(lambda: plane.worker.draining)
            client.send(request("GET", target.url()))
            answer = client.read_message()
            assert (answer.body, answer.fields["connection"]) == (b"done", "close")
            assert client.read() == b""
        plane.thread.join(10)
        plane.faults()
        assert {row.outcome for row in plane.ended(1)} == {COMPLETE}


def test_an_answer_that_begins_while_it_drains_says_so():
    """A request that was asked before, and is answered later: the whole answer, and that the connection closes."""
    gate = threading.Event()
    with origin(slowly(gate)) as target, bench(listener("main", "http")) as plane:
        with Wire(plane.connect()) as client:
            client.send(request("GET", target.url("/slow")))
            wait_for(lambda: target.requests)
            plane.order(Drain(time.monotonic_ns() + 3_600 * NS))
            wait_for(lambda: plane.worker.draining)
            gate.set()
            answer = client.read_message()
            assert (answer.body, answer.fields["connection"], client.read()) == (b"done", "close", b"")
        plane.thread.join(10)
        plane.faults()


def test_our_own_answers_say_so_too():
    """A client that is answered here, and not by a target, hears that the connection closes, and it does."""
    with bench(listener("main", "http", reverse=True)) as plane:
        with Wire(plane.connect()) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.read_message()
            assert (answer.status, "connection" in answer.fields) == (404, False)
            plane.order(Drain(time.monotonic_ns() + 3_600 * NS))
            wait_for(lambda: plane.worker.draining)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.read_message()
            assert (answer.status, answer.fields["connection"], client.read()) == (404, "close", b"")
        plane.thread.join(10)
        assert {row.outcome for row in plane.ended(1)} == {COMPLETE}
        plane.faults()


def test_idle_clients_that_were_answered_here_are_closed_too():
    """They need no target to be let go as all others."""
    with bench(listener("main", "http", reverse=True)) as plane, Wire(plane.connect()) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_message()
        plane.order(Drain(time.monotonic_ns() + 3_600 * NS // 600))
        assert client.read() == b""
        plane.thread.join(60)
        assert {row.outcome for row in plane.ended(1)} == {COMPLETE}
        plane.faults()


@pytest.mark.parametrize("length", [0, 5])
def test_an_answer_is_told_once_that_it_is_the_last(length):
    """Behind its fields and before its body; one that says so already stays as it is."""
    for data in (refusal(404, "x" * length, close=False), redirect(302, "/", close=False)):
        told = told_to_leave(data)
        assert told.replace(b"\r\nConnection: close", b"", 1) == data
        assert told.index(b"Connection: close") < told.index(b"\r\n\r\n")
        assert told_to_leave(told) == told


def test_idle_clients_are_closed_within_a_share_of_the_drain():
    """All of them, well before its deadline, and none of them as cut."""
    with origin(lambda *_: ok(b"done")) as target, bench(listener("main", "http")) as plane:
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                wire = stack.enter_context(Wire(plane.connect()))
                wire.send(request("GET", target.url()))
                wire.read_message()
            plane.order(Drain(time.monotonic_ns() + 3_600 * NS // 600))
            plane.thread.join(60)
            assert not plane.thread.is_alive()
        assert {row.outcome for row in plane.ended(8)} == {COMPLETE}
        plane.faults()


class Timers:
    """Stands in for a reactor at a fixed time: keeps when it shall wake whom."""

    now = 1_000 * NS

    def __init__(self):
        self.at_ns = []

    def at(self, deadline, timer):
        """Keep it."""
        self.at_ns.append(deadline)


def test_who_was_just_answered_is_not_closed_yet():
    """A client that moved a byte a moment ago may be asking again: it is left alone until it has been quiet."""
    timers, ended, (ours, theirs) = Timers(), [], socket.socketpair()
    with ours, theirs:
        connection = SimpleNamespace(
            worker=SimpleNamespace(reactor=timers), row=1, between_requests=True, seen=timers.now, end=ended.append,
            client=SimpleNamespace(fd=ours.fileno()),
        )  # fmt: skip
        parting = Parting(connection, 1)
        parting.wake(timers.now + QUIET_NS - 1)
        assert (ended, timers.at_ns[-1]) == ([], timers.now + QUIET_NS)
        theirs.send(b"G")
        parting.wake(timers.now + QUIET_NS)
        assert ended == []
        assert timers.at_ns[-1] > timers.now + QUIET_NS
        connection.client.fd = theirs.fileno()  # where nothing waits
        parting.wake(timers.now + QUIET_NS)
        assert ended == [COMPLETE.pack()]


def test_each_has_a_moment_of_its_own():
    """Moments are spread over the whole time that is given, and none is later."""
    timers = Timers()
    connection = SimpleNamespace(worker=SimpleNamespace(reactor=timers), row=0)
    for _ in range(200):
        Parting(connection, 3 * NS)
    assert min(timers.at_ns) >= timers.now
    assert max(timers.at_ns) <= timers.now + 3 * NS
    for part in range(3):
        assert any(part * NS <= each - timers.now < (part + 1) * NS for each in timers.at_ns)
