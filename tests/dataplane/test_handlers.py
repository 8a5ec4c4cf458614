"""Handlers in a real worker: what hangs, raises or returns nonsense costs its own connection, and nobody else's."""

import asyncio
import contextlib
import functools
import sys
import threading
from types import SimpleNamespace

import pytest

from penstock.base import bounds
from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.functions import forget, give
from penstock.config.plan import RoutePlan, TargetPlan
from penstock.dataplane import handlers as module
from penstock.dataplane.handlers import is_async
from penstock.dataplane.orders import Notice
from penstock.dataplane.route import Route
from penstock.policy.actions import Block, Facts, Forward
from penstock.testing.http_peers import Wire, ok, origin
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener, wait_for

OTHER = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.OTHER)
ACCESS = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS)


@contextlib.contextmanager
def handling(function, *, seconds=10.0, protocol="tcp", target=None, **more):
    """Run a worker with a listener `main` that asks this function, and `free`, which asks nobody; yield it."""
    with contextlib.ExitStack() as stack:
        port = target or stack.enter_context(serving(echo)).port
        name = give(function)
        stack.callback(forget, [name])
        targets = (TargetPlan(id=1, host="127.0.0.1", port=port),)
        route = RoutePlan(
            id=2, name="asked", action="handler", targets=targets, handler=name, handler_timeout=int(seconds * NS)
        )
        main = listener("main", protocol, route=route, **more)
        yield stack.enter_context(bench(main, listener("free", "tcp", port)))


def speaks(client, data=b"x"):
    """Return whether an echo answers."""
    client.sendall(data)
    return client.recv(len(data)) == data


def test_a_handler_is_asked_off_the_reactors_thread():
    """It is told who comes, in a thread of its own, and the connection goes where it says."""
    asked = []

    def decide(facts):
        asked.append((facts, threading.current_thread().name))
        return True

    with handling(decide) as plane, plane.connect() as client:
        assert speaks(client)
        ((facts, thread),) = asked
        assert isinstance(facts, Facts)
        assert (facts.client, facts.client_port) == client.getsockname()
        assert (facts.listener, facts.route) == ("main", "asked")
        assert thread.startswith("handler-")


def test_a_handler_chooses_the_target():
    """The address that it names is dialed, though no configuration knows it."""
    with (
        serving(lambda sock: sock.sendall(b"elsewhere")) as other,
        handling(lambda facts: Forward(f"127.0.0.1:{other.port}")) as plane,
        plane.connect() as client,
    ):
        assert read_all(client) == b"elsewhere"


def test_an_async_handler_is_awaited():
    """It runs in an event loop of the worker's, many at once."""
    everybody = asyncio.Event()
    inside = []

    async def decide(facts):
        inside.append(facts)
        if len(inside) == 40:
            everybody.set()
        await everybody.wait()

    with handling(decide) as plane, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(plane.connect()) for _ in range(40)]
        assert all(speaks(each) for each in clients)


def get(path):
    """Return a request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def raises(facts):
    """Fail."""
    raise ValueError("no\nidea")


async def raises_later(facts):
    """Fail after a while."""
    await asyncio.sleep(0)
    raise KeyError("later")


def leaves(facts):
    """End the thread, as far as it is up to it."""
    sys.exit(3)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (raises, "ValueError: no idea"),
        (raises_later, "KeyError: 'later'"),
        (leaves, "SystemExit: 3"),
        (lambda facts: 42, "type int"),
        (lambda facts: Forward("nowhere"), "no route and no address"),
        (lambda facts: facts + 1, "TypeError"),
    ],
)
def test_a_handler_that_fails_refuses_its_connection(function, why):
    """The reason is `other`, the operator reads why, and the worker serves on."""
    with handling(function) as plane:
        with plane.connect() as client:
            assert read_all(client) == b""
        (row,) = plane.ended()
        assert row.outcome == OTHER
        notice = plane.report(Notice)
        assert (notice.level, notice.event) == ("warning", "handler failed")
        assert why in notice.detail
        assert "route asked" in notice.detail
        with plane.connect("free") as client:
            assert speaks(client)


def test_failures_are_told_once_in_a_window():
    """Twenty failures are one line, and the next window's line counts the others."""
    with handling(raises) as plane:
        for _ in range(20):
            with plane.connect() as client:
                assert read_all(client) == b""
        plane.ended(20)
        assert plane.faults() == []
        assert len([each for each in plane.reports if isinstance(each, Notice)]) == 1
        assert plane.worker.handlers.complaints._told["asked"][1] == 19


def test_a_block_is_access():
    """What a handler refuses is no failure: nobody is told but the log of connections."""
    with handling(lambda facts: Block("not today")) as plane:
        with plane.connect() as client:
            assert read_all(client) == b""
        (row,) = plane.ended()
        assert row.outcome == ACCESS
        assert row.texts[2] == "not today"
        plane.faults()
        assert not any(isinstance(each, Notice) for each in plane.reports)


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_handlers_that_hang_hold_nobody_else_up(kind):
    """While ten hang, others are decided and served before any of the ten is; at the deadline the ten are refused."""
    gate = threading.Event()
    hung = []

    def hang(facts):
        if len(hung) < 10:
            hung.append(facts)
            gate.wait(60)

    async def hang_on(facts):
        if len(hung) < 10:
            hung.append(facts)
            await asyncio.Event().wait()

    function = hang if kind == "thread" else hang_on
    with handling(function, seconds=60) as plane, contextlib.ExitStack() as stack:
        stack.callback(gate.set)
        stuck = [stack.enter_context(plane.connect()) for _ in range(10)]
        wait_for(lambda: len(hung) == 10, "ten that hang")
        for name in ("free", "main"):
            with plane.connect(name) as client:
                assert speaks(client)
        assert all(row.outcome is None for row in plane.rows()[:10])
        plane.later(61)
        assert all(read_all(each) == b"" for each in stuck)
        refused = [row for row in plane.ended(12) if row.outcome == OTHER]
        assert len(refused) == 10
        assert "no answer within 60 s" in refused[0].texts[2]


def test_threads_are_bounded_and_what_waits_is_refused_in_time(monkeypatch):
    """With every thread hung, further connections wait, and are refused at their deadline; a full queue at once."""
    gate = threading.Event()
    monkeypatch.setattr(module, "HANDLER_THREADS", 2)
    monkeypatch.setattr(module, "HANDLER_QUEUE", 4)
    calls = []

    def hang(facts):
        calls.append(facts)
        gate.wait(60)

    with handling(hang, seconds=60) as plane, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(plane.connect()) for _ in range(5)]
        plane.ended()  # who is refused at once
        wait_for(lambda: len(calls) == 2, "both threads to hang")
        plane.later(61)
        assert all(read_all(each) == b"" for each in clients)
        rows = plane.ended(5)
        assert [row.outcome for row in rows] == [OTHER] * 5
        assert sum("too many decisions" in row.texts[2] for row in rows) == 1
        assert len(calls) == 2
        gate.set()
        wait_for(lambda: plane.worker.handlers._open == 0, "no open decision")
        assert len(calls) == 2, "what nobody waits for is not called"
        with plane.connect() as client:
            assert speaks(client)
    assert bounds.HANDLER_THREADS == 16


def test_a_client_that_leaves_cancels_its_handler():
    """A reset ends the connection at once, and an async handler with it."""
    import socket
    import struct

    cancelled = threading.Event()
    entered = threading.Event()

    async def hang(facts):
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with handling(hang) as plane:
        client = plane.connect()
        assert entered.wait(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        (row,) = plane.ended()
        assert row.outcome.ended_by is EndedBy.CLIENT
        assert cancelled.wait(10)


def test_what_clients_say_meanwhile_is_kept():
    """Bytes that come before the decision go to the target afterwards, a half-close as well."""
    gate, entered = threading.Event(), threading.Event()

    def decide(facts):
        entered.set()
        gate.wait(10)

    with handling(decide) as plane, plane.connect() as client:
        assert entered.wait(10)
        client.sendall(b"early")
        client.shutdown(1)
        gate.set()
        assert read_all(client) == b"early"


def test_requests_of_a_kept_alive_client_are_decided_one_by_one():
    """Each request of one connection is asked for; a pooled target serves them all."""
    asked = []

    def decide(facts):
        asked.append((facts.method, facts.path))

    with (
        origin(lambda message, wire: ok(b"hi")) as server,
        handling(decide, protocol="http", target=server.port, reverse=True) as plane,
        plane.connect() as sock,
    ):
        wire = Wire(sock)
        for path in ("/a", "/b", "/c"):
            sock.sendall(get(path))
            assert wire.read_message().body == b"hi"
        assert asked == [("GET", "/a"), ("GET", "/b"), ("GET", "/c")]


def test_a_hung_handler_of_a_request_is_its_deadline():
    """A second request whose handler hangs is answered 503 at its deadline, though the first was served."""
    gate = threading.Event()
    calls = []

    def decide(facts):
        calls.append(facts)
        if len(calls) > 1:
            gate.wait(30)

    with (
        origin(lambda message, wire: ok(b"hi")) as server,
        handling(decide, protocol="http", target=server.port, reverse=True, seconds=60) as plane,
        plane.connect() as sock,
    ):
        wire = Wire(sock)
        sock.sendall(get("/a"))
        assert wire.read_message().body == b"hi"
        sock.sendall(get("/b"))
        wait_for(lambda: len(calls) == 2)
        plane.later(61)
        assert read_all(sock).startswith(b"HTTP/1.1 503")
        (row,) = plane.ended()
        assert row.outcome == OTHER
        gate.set()


def test_a_handler_that_cannot_be_found_keeps_a_worker_from_starting():
    """The worker says which route and why."""
    plan = RoutePlan(id=1, name="asked", action="handler", handler="no_such_module:f")
    with pytest.raises(StartError, match="route asked: handler: no_such_module cannot be imported"):
        Route(plan, SimpleNamespace(board=SimpleNamespace(words=[])))


def test_async_functions_are_told_apart():
    """Coroutine functions, partials and objects of them are awaited; others are called."""

    async def later(facts):
        return None

    class Later:
        async def __call__(self, facts):
            return None

    assert is_async(later)
    assert is_async(functools.partial(later))
    assert is_async(Later())
    assert not is_async(raises)
    assert not is_async(print)
