"""Every request is counted once when it is over: under the status that the client got, with its duration."""

import contextlib
import socket
import threading
import time

import pytest

from penstock.base.clock import NS
from penstock.config.plan import RoutePlan
from penstock.metrics.ledger import H_FAILED_LOGINS, H_LOGINS, HEADER_WORDS, PORT, WRONG_LOGINS_SHIFT
from penstock.protocols.http1.credentials import serialize_basic
from penstock.testing.http_peers import Message, Wire, ok, origin, request
from penstock.testing.peers import read_all, serving
from penstock.testing.socks_peers import CONNECT, ask
from penstock.testing.workbench import bench, listener, quick, wait_for

RIGHT = "Proxy-Authorization: " + serialize_basic("ann", "secret").decode()
WRONG = "Proxy-Authorization: " + serialize_basic("ann", "guess").decode()


@contextlib.contextmanager
def proxy(**more):
    """Run a forward proxy."""
    with bench(listener("main", "http", **more.pop("listener", {})), **more) as plane:
        yield plane


def statuses(wire, *asked):
    """Send requests and return the statuses of their answers."""
    found = []
    for each in asked:
        wire.send(each)
        found.append(wire.read_message().status)
    return found


def tallied(plane, answers):
    """Wait until these requests are counted, and the turn is over that counts what else there is of them."""
    wait_for(lambda: plane.answers() == answers, f"answers {answers}")
    plane.turn()


def as_asked(message: Message, wire: Wire) -> bytes:
    """Answer with the status that the path says, and a body that says nothing."""
    status = message.start.split()[1].strip("/")
    return f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nhi".encode()


def test_answers_of_targets():
    """What targets answer is counted by their status, known to the RFC or not; requests and durations are as many."""
    codes = [200, 201, 302, 404, 404, 500, 599, 600, 999, 200]
    with origin(as_asked) as target, proxy() as plane, Wire(plane.connect()) as wire:
        assert statuses(wire, *(request("GET", target.url(f"/{code}")) for code in codes)) == codes
        tallied(plane, {code: codes.count(code) for code in codes})
        assert (plane.timed(), plane.settled().requests) == (10, 10)


def test_answers_of_the_proxy_itself():
    """What the proxy answers in a target's place, or about itself, is a request like any other."""
    with proxy() as plane, Wire(plane.connect()) as wire:
        itself = f"127.0.0.1:{plane.ports['main']}"
        assert statuses(
            wire,
            request("GET", f"http://{itself}/"),
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            b"TRACE / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n",
            b"GET nonsense HTTP/1.1\r\nHost: x\r\n\r\n",
        ) == [508, 200, 200, 400]
        tallied(plane, {508: 1, 200: 2, 400: 1})
        assert plane.timed() == 4


def test_logins_that_are_asked_for():
    """A challenge is an answer with status 407, with a login or without one."""
    with origin(as_asked) as target, proxy(listener={"users": {"ann": "secret"}}) as plane:
        with Wire(plane.connect()) as wire:
            url = target.url("/200")
            asked = [request("GET", url), *(request("GET", url, None, login) for login in (RIGHT, WRONG))]
            assert statuses(wire, *asked) == [407, 200, 407]
        tallied(plane, {407: 2, 200: 1})
        assert (plane.words[H_LOGINS], plane.words[H_FAILED_LOGINS]) == (1, 1)
        assert plane.words[HEADER_WORDS + PORT] >> WRONG_LOGINS_SHIFT == 1


@pytest.mark.parametrize(("sent", "status"), [(b"", 408), (b"GET http://x/ HTTP/1.1\r\n", 408), (b"x" * 70_000, 414)])
def test_a_head_that_never_came(sent, status):
    """Without a whole head there is an answer with its status, and nobody knows how long it took."""
    with proxy(timeouts=quick(handshake=60)) as plane, Wire(plane.connect()) as wire:
        with contextlib.suppress(OSError):
            wire.send(sent)
        if status == 408:
            plane.await_read(wire.sock)
            plane.later(61)
        assert wire.read_head().status == status
        tallied(plane, {status: 1})
        assert plane.timed() == 0


def test_tunnels_count_by_the_answer_to_connect():
    """A tunnel is a request with status 200 once it stands; one that leads nowhere has the status of its failure."""
    with serving(lambda sock: sock.recv(1)) as target, proxy() as plane:
        for port, status in ((target.port, 200), (plane.ports["main"], 508)):
            with Wire(plane.connect()) as wire:
                wire.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert wire.read_head().status == status
        tallied(plane, {200: 1, 508: 1})
        assert plane.timed() == 2


def test_a_change_of_protocol_is_an_answer():
    """A WebSocket is a request with status 101, however long it lasts."""

    def switch(sock):
        Wire(sock).read_head()
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
        sock.recv(1)

    with serving(switch) as target, proxy() as plane, Wire(plane.connect()) as wire:
        url = f"http://127.0.0.1:{target.port}/"
        wire.send(request("GET", url, None, "Connection: upgrade", "Upgrade: echo"))
        assert wire.read_head().status == 101
        assert wire.read(5) == b"hello"
        tallied(plane, {101: 1})
        assert plane.timed() == 1


@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_that_is_cut_off(begun):
    """A client that leaves counts under the status that it has seen, or under none; nobody knows how long it took."""

    def behave(sock):
        wire = Wire(sock)
        wire.read_message()
        wire.send(ok(b"first"))
        wire.read_message()
        asked.set()
        if begun:
            wire.send(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\n\r\nhalf")
        sock.recv(1)

    asked = threading.Event()
    with serving(behave) as target, proxy() as plane, Wire(plane.connect()) as wire:
        url = f"http://127.0.0.1:{target.port}/"
        assert statuses(wire, request("GET", url)) == [200]
        wire.send(request("GET", url))
        if begun:
            assert wire.read_head().status == 206
        assert asked.wait(10)
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.close()
        tallied(plane, {200: 1, (206 if begun else 0): 1})
        assert plane.timed() == 1


def test_a_target_that_breaks_its_answer_off():
    """Half an answer counts under its status; no answer at all under that of the proxy's own."""

    def behave(sock):
        wire = Wire(sock)
        if b"half" in wire.read_head().start.encode():
            sock.sendall(b"HTTP/1.1 203 X\r\nContent-Length: 100\r\n\r\nhalf")

    with serving(behave) as target, proxy() as plane:
        for path, status in (("half", 203), ("none", 502)):
            with Wire(plane.connect()) as wire:
                wire.send(request("GET", f"http://127.0.0.1:{target.port}/{path}"))
                assert wire.read_head().status == status
        tallied(plane, {203: 1, 502: 1})
        assert plane.timed() == 1


def test_a_request_takes_as_long_as_its_answer():
    """A request is over when the last byte of its answer has gone out, not with the head."""

    def behave(sock):
        Wire(sock).read_message()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        gate.wait(10)
        sock.sendall(b"lf")

    gate = threading.Event()
    with serving(behave) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", f"http://127.0.0.1:{target.port}/"))
        assert wire.read_head().status == 200
        assert plane.settled().client_tx == wire.rx + 2
        assert (plane.answers(), plane.timed()) == ({}, 0)
        gate.set()
        assert wire.read(4) == b"half"
        tallied(plane, {200: 1})
        assert plane.timed() == 1


def test_socks_commands_have_no_status():
    """A SOCKS command counts when it is answered, granted or not, and has a duration; a greeting is none."""
    with serving(lambda sock: sock.recv(1)) as target, bench(listener("main", "socks5")) as plane:
        for port, reply in ((target.port, 0), (plane.ports["main"], 2)):
            with Wire(plane.connect()) as wire:
                assert ask(wire, CONNECT, "127.0.0.1", port).code == reply
        with Wire(plane.connect()) as wire:
            wire.send(b"\x05\x01\x02")
            assert wire.read(2) == b"\x05\xff"
        tallied(plane, {0: 2})
        assert plane.timed() == 2


def test_connections_that_nobody_asked_for_in_words():
    """A TCP connection counts when its target is reached, or none can be; it has no status and no duration."""
    with serving(lambda sock: sock.recv(1)) as target:
        with bench(listener("main", "tcp", target.port)) as plane, plane.connect():
            tallied(plane, {0: 1})
            assert plane.timed() == 0
        with bench(listener("main", "auto", target.port, detect=("tcp",))) as plane, plane.connect() as client:
            client.sendall(b"x")
            tallied(plane, {0: 1})
            assert plane.timed() == 0
    with bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        assert read_all(client) == b""
        tallied(plane, {0: 1})
        assert plane.timed() == 0


@pytest.mark.parametrize(("status", "users"), [(404, {}), (401, {"ann": "secret"})])
def test_who_was_answered_here_may_ask_again(status, users):
    """The time of the handshake is over with an answer, as with one of a target; but not for who must still log in."""
    route = RoutePlan(id=1, name="default", action="forward" if not users else "answer", users=users)
    times = quick(handshake=60, http_keep_alive=6_000)
    with bench(listener("main", "http", reverse=True, route=route), timeouts=times) as plane, plane.connect() as client:
        wire = Wire(client)
        assert statuses(wire, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == [status]
        (connection,) = plane.worker.connections()
        wait_for(lambda: connection.waiting is not None)
        assert (connection.deadline > time.monotonic_ns() + 600 * NS) is (status == 404)
