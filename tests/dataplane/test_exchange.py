"""HTTP exchanges over real sockets: what either end gets, what is counted, and which connections are used again."""

import contextlib
import random
import socket
import struct
import threading

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import RewritePlan, RoutePlan, TargetPlan
from penstock.dataplane.orders import CloseConnection, Notice
from penstock.testing.http_peers import Message, Wire, chunked, ok, origin, request
from penstock.testing.peers import serving, swallow
from penstock.testing.workbench import bench, listener, quick, wait_for

SIZES = (0, 1, 5_000, 262_144, 262_145, 8 * 1024 * 1024)


@contextlib.contextmanager
def proxy(**more):
    """Run a forward proxy."""
    with bench(listener("main", "http"), **more) as plane:
        yield plane


def ask(wire, method, url, body=None, *fields):
    """Send a request and return the answer."""
    wire.send(request(method, url, body, *fields))
    return wire.read_message(bodiless=method == "HEAD")


def counted(plane, wire, target, index=0):
    """Check that the row says what both ends saw, and return it."""
    row = wait_for(lambda: len(plane.ended(index + 1)) > index and plane.ended(index + 1)[index])
    assert (row.client_rx, row.client_tx) == (wire.tx, wire.rx)
    wait_for(lambda: (row.target_rx, row.target_tx) == (target.tx, target.rx), "the target's own count of the same")
    return row


def echo(message: Message, wire: Wire) -> bytes:
    """Answer with the request's body."""
    return ok(message.body)


def echo_in_chunks(message: Message, wire: Wire) -> bytes:
    """Answer with the request's body in chunks."""
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(message.body, 50_000)


@pytest.mark.parametrize("answer", [echo, echo_in_chunks])
@pytest.mark.parametrize("coding", ["length", "chunks"])
def test_bodies_of_any_size_both_ways(answer, coding):
    """A body of 0 to 8 MiB goes there and comes back unchanged over one connection to either side, and is counted."""
    with origin(answer) as target, proxy() as plane, Wire(plane.connect()) as wire:
        for size in SIZES:
            body = random.Random(size).randbytes(size)
            head = request("POST", target.url(), body if coding == "length" else None, *_chunking(coding))
            sent = head if coding == "length" else head + chunked(body)
            sender = threading.Thread(target=wire.send, args=(sent,))
            sender.start()
            assert wire.read_message().body == body
            sender.join()
        wire.sock.shutdown(socket.SHUT_WR)
        assert wire.read() == b""
        row = counted(plane, wire, target)
        assert row.requests == len(SIZES)
        assert row.outcome == COMPLETE
        assert len(target.wires) == 1


def _chunking(coding):
    return () if coding == "length" else ("Transfer-Encoding: chunked",)


def test_target_connection_is_used_again_by_other_clients():
    """One client after the other is served over the same connection to the target."""
    with origin(echo) as target, proxy() as plane:
        for index in range(5):
            with Wire(plane.connect()) as wire:
                assert ask(wire, "POST", target.url(), b"x").body == b"x"
            plane.ended(index + 1)
        assert len(target.wires) == 1


def test_pipelined_requests_are_answered_in_order():
    """A hundred requests sent at once get a hundred answers in their order."""
    with origin(echo) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(b"".join(request("POST", target.url(), b"%d" % number) for number in range(100)))
        assert [wire.read_message().body for _ in range(100)] == [b"%d" % number for number in range(100)]
        wire.sock.shutdown(socket.SHUT_WR)
        assert counted(plane, wire, target).requests == 100


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
    ],
)
def test_answers_without_body(method, answer):
    """What has no body is over with its head: the next request is served on the same two connections."""
    with origin(lambda *_: answer) as target, proxy() as plane, Wire(plane.connect()) as wire:
        for _ in range(3):
            wire.send(request(method, target.url()))
            assert wire.read_message(bodiless=True).status == int(answer[9:12])
        wire.sock.shutdown(socket.SHUT_WR)
        assert counted(plane, wire, target).requests == 3
        assert len(target.wires) == 1


def test_continue_is_heard_before_the_body_is_sent():
    """A client that expects 100 gets it from the target, sends its body and gets the answer."""

    def answer(sock):
        wire = Wire(sock)
        head = wire.read_head()
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send(ok(wire.read(int(head.fields["content-length"]))))
        wire.read()

    with serving(answer) as target, proxy() as plane, Wire(plane.connect()) as wire:
        url = f"http://127.0.0.1:{target.port}/"
        wire.send(request("POST", url, None, "Content-Length: 4", "Expect: 100-continue"))
        assert wire.read_message().status == 100
        wire.send(b"body")
        assert wire.read_message().body == b"body"


def test_early_answer_reaches_a_client_that_still_uploads():
    """An answer before the end of the request's body is heard in full, though the client goes on sending."""
    body = bytes(8 * 1024 * 1024)

    def refuse(sock):
        wire = Wire(sock)
        wire.read_head()
        wire.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nsorry")
        wire.read(len(body) // 2)

    with serving(refuse) as target, proxy() as plane:
        for index in range(20):
            with Wire(plane.connect()) as wire:
                wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
                wire.send(request("POST", f"http://127.0.0.1:{target.port}/", None, f"Content-Length: {len(body)}"))
                with contextlib.suppress(ConnectionError):
                    wire.send(body[: 1 << 20])
                assert wire.read_message().body == b"sorry"
            plane.ended(index + 1)


def test_body_whose_end_waits_for_a_slow_target_is_delivered():
    """A client that has sent all and half-closed is answered, though the target takes the body's end much later."""
    gate = threading.Event()

    def behave(sock):
        gate.wait(10)
        target.behave(sock)

    def answer(message, wire):
        return ok(b"%d" % len(message.body))

    with origin(answer) as target, serving(behave) as front, proxy() as plane:
        url = f"http://127.0.0.1:{front.port}/"
        room = _stuck(plane, url, 64 << 20)[1].target_tx
        for beyond in range(10_000, 200_000, 10_000):
            wire, row = _stuck(plane, url, room + beyond)
            if row.client_rx == wire.tx and row.target_tx < room + beyond:
                break  # all was read, and the end is held
        else:
            raise AssertionError("the end of no body was held")
        gate.set()
        with wire:
            assert wire.read_message().body == b"%d" % (room + beyond)


def _stuck(plane, url, size):
    """Send a body to a target that does not read, until nothing moves; return the client's end and the row."""
    index = len(plane.rows())
    wire = Wire(plane.connect())
    threading.Thread(target=_send_all, args=(wire, request("POST", url, bytes(size))), daemon=True).start()
    return wire, plane.settled(index)


def _send_all(wire, data):
    with contextlib.suppress(OSError):
        wire.send(data)
        wire.sock.shutdown(socket.SHUT_WR)


def test_target_that_closes_in_the_middle_of_a_body():
    """A target that closes before its body is complete ends the client's connection, and the outcome names it."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
    with serving(_once(cut)) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", f"http://127.0.0.1:{target.port}/"))
        assert wire.read().endswith(b"only this")
        assert plane.ended()[0].outcome == Outcome(EndedBy.TARGET, Phase.RELAY)


def test_body_until_close_that_is_reset_does_not_look_complete():
    """A body without length whose sender resets is cut by a reset for the client too: else it would seem complete."""

    def behave(sock):
        sock.recv(65_536)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        gate.wait(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    gate = threading.Event()
    with serving(behave) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", f"http://127.0.0.1:{target.port}/"))
        wire.read_head()
        assert wire.read(10) == b"half of it"
        gate.set()
        with pytest.raises(ConnectionResetError):
            wire.read()
        assert plane.ended()[0].outcome == Outcome(EndedBy.TARGET, Phase.RELAY)


def _once(answer: bytes):
    def behave(sock):
        sock.recv(65_536)
        sock.sendall(answer)

    return behave


def test_body_until_close():
    """A body that lasts until the target closes reaches the client whole, and ends its connection."""
    body = random.Random(2).randbytes(3_000_000)
    with serving(_once(b"HTTP/1.1 200 OK\r\n\r\n" + body)) as target, proxy() as plane, Wire(plane.connect()) as wire:
        answer = ask(wire, "GET", f"http://127.0.0.1:{target.port}/")
        assert answer.body == body
        assert answer.fields["connection"] == "close"
        assert plane.ended()[0].outcome == COMPLETE


@pytest.mark.parametrize("chunks", [False, True])
def test_old_client_gets_no_chunks_and_a_close(chunks):
    """A client of HTTP/1.0 gets a plain body and the end of the connection."""
    body = random.Random(4).randbytes(300_000)
    answer = echo_in_chunks if chunks else echo
    with origin(lambda m, w: answer(m._replace(body=body), w)) as target, proxy() as plane:
        with Wire(plane.connect()) as wire:
            wire.send(f"GET {target.url()} HTTP/1.0\r\n\r\n".encode())
            got = wire.read_message()
            assert got.body == body
            assert "transfer-encoding" not in got.fields
            assert wire.read() == b""
        assert counted(plane, wire, target).outcome == COMPLETE


def test_old_target_is_not_used_again():
    """A target of HTTP/1.0 gets a connection for each request, and the client keeps its own."""
    with origin(lambda *_: b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok") as target, proxy() as plane:
        with Wire(plane.connect()) as wire:
            assert [ask(wire, "GET", target.url()).body for _ in range(3)] == [b"ok"] * 3
        assert counted(plane, wire, target).outcome == COMPLETE
        assert len(target.wires) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40,
        b"",
        b"HTTP/1.1 200",
    ],
)
def test_malformed_answer_is_a_502(answer):
    """An answer that is none becomes a 502, and the client may send another request."""
    with serving(_once(answer)) as target, origin(echo) as sound, proxy() as plane, Wire(plane.connect()) as wire:
        got = ask(wire, "GET", f"http://127.0.0.1:{target.port}/")
        while got.status == 100:
            got = wire.read_message()
        if answer.startswith(b"HTTP/1.1 100"):
            return  # interim responses were passed on already
        assert got.status == 502
        assert ask(wire, "POST", sound.url(), b"still here").body == b"still here"


def test_the_operator_is_told_why_nobody_answers(closed_port):
    """No outcome tells of a request that fails on a connection that goes on: a notice does, once, with the reason."""
    with (
        serving(_once(b"SSH-2.0-OpenSSH_9.2\r\n")) as target,
        bench(
            listener("dead", "http", closed_port, reverse=True),
            listener("odd", "http", target.port, reverse=True, route=_named("odd", target.port)),
            listener("forward", "http", route=RoutePlan(id=3, name="egress")),
        ) as plane,
    ):
        for name in ("dead", "dead", "odd", "forward"):
            with Wire(plane.connect(name)) as wire:
                assert ask(wire, "GET", f"http://127.0.0.1:{closed_port}/").status == 502
        plane.ended(4)
        assert plane.faults() == []
        told = [each for each in plane.reports if isinstance(each, Notice)]
    assert [(each.level, each.event) for each in told] == [
        (level, "request failed") for level in ("warning", "warning", "info")
    ]
    dead, odd, egress = (each.detail for each in told)
    assert egress.startswith("route egress: ")
    assert dead == f"route default: no answer from 127.0.0.1:{closed_port}: Connection refused"
    assert odd.startswith(f"route odd: no answer from 127.0.0.1:{target.port}: ")


def _named(name, port):
    return RoutePlan(id=2, name=name, targets=(TargetPlan(id=9, host="127.0.0.1", port=port),))


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
def test_stale_connection_is_replaced_if_the_request_may_be_sent_twice(method, status):
    """A pooled connection that closes instead of answering: GET is sent again and counted once, POST ends as 502."""

    def answer(message: Message, wire: Wire):
        return None if wire is target.wires[0] and len(target.requests) > 1 else ok()

    with origin(answer) as target, proxy() as plane, Wire(plane.connect()) as wire:
        assert ask(wire, "GET", target.url()).status == 200
        assert ask(wire, method, target.url(), b"" if method == "POST" else None).status == status
        assert len(target.wires) == (2 if method == "GET" else 1)
        wire.sock.shutdown(socket.SHUT_WR)
        assert plane.ended()[0].requests == 2


def test_bytes_behind_an_answer_are_not_the_next_answer():
    """A target that says more than its answer holds is not asked again on that connection: nobody gets those bytes."""
    evil = ok(b"evil")

    def behave(sock):
        wire = Wire(sock)
        first = wire.read_message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        gate.wait(10)
        wire.send(b"hello" + (evil if first else b""))
        while wire.read_message() is not None:
            wire.send(ok(b"late"))

    gate = threading.Event()
    with serving(behave) as target, proxy() as plane:
        url = f"http://127.0.0.1:{target.port}/"
        with Wire(plane.connect()) as wire:
            wire.send(request("GET", url))
            assert wire.read_head().status == 200
            gate.set()
            assert wire.read(5) == b"hello"
            assert ask(wire, "GET", url).body == b"hello"
        assert target.clients == 2


def test_connection_that_closes_with_its_answer_is_not_kept():
    """A target that closes right behind an answer that promised more is not sent the next request, not even a POST."""

    def behave(sock):
        with Wire(sock) as wire:
            wire.read_message()
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            gate.wait(10)
            sock.sendall(b"hello")

    gate = threading.Event()
    with serving(behave) as target, proxy() as plane, Wire(plane.connect()) as wire:
        url = f"http://127.0.0.1:{target.port}/"
        wait_for(plane.connections)
        before = len(plane.worker.reactor.table)
        for _ in range(20):
            gate.clear()
            wire.send(request("POST", url, b"x"))
            assert wire.read_head().status == 200
            gate.set()
            assert wire.read(5) == b"hello"
            wait_for(lambda: len(plane.worker.reactor.table) == before, "the target's connection to be let go of")


def test_slow_reader_holds_little():
    """A client that does not read stops the target: no more than two buffers are held for it."""
    body = bytes(64 * 1024 * 1024)
    with origin(lambda *_: ok(body)) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", target.url()))
        wait_for(lambda: plane.rows() and plane.rows()[0].client_tx > 0)
        row = plane.settled()
        assert row.target_rx < len(body)
        assert row.target_rx - row.client_tx <= 2 * 262_144
        assert wire.read_message().body == body
        wire.sock.shutdown(socket.SHUT_WR)
        counted(plane, wire, target)


def test_client_that_resets_in_the_middle_of_its_answer():
    """A client that is gone ends the exchange; the target's connection is closed and not kept."""
    body = bytes(32 * 1024 * 1024)
    with origin(lambda *_: ok(body)) as target, proxy() as plane:
        wire = Wire(plane.connect())
        wire.send(request("GET", target.url()))
        wire.read(100_000)
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()
        assert plane.ended()[0].outcome == Outcome(EndedBy.CLIENT, Phase.RELAY)
        assert plane.worker.pool.count == 0


def test_upgrade_becomes_a_relay_and_keeps_early_bytes():
    """After 101 both directions are raw, and what the target sent behind its head is not lost."""

    def behave(sock):
        wire = Wire(sock)
        wire.read_head()
        switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        wire.send(switch + b"early")
        while data := sock.recv(65_536):
            sock.sendall(data)

    with serving(behave) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(
            request("GET", f"http://127.0.0.1:{target.port}/", None, "Upgrade: websocket", "Connection: Upgrade")
            + b"client early"
        )
        assert wire.read_head().status == 101
        assert wire.read(17) == b"earlyclient early"
        wire.send(b"\x00\xff" * 1_000)
        assert wire.read(2_000) == b"\x00\xff" * 1_000
        wire.sock.shutdown(socket.SHUT_WR)
        assert wire.read() == b""
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx) == (wire.tx, wire.rx)
        assert row.outcome == COMPLETE


@pytest.mark.parametrize("body", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n"])
def test_malformed_request_body_is_a_400(body):
    """A body in malformed chunks is refused, and the target does not keep its half."""
    with origin(echo) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("POST", target.url(), None, "Transfer-Encoding: chunked") + body)
        assert wire.read_message().status == 400
        wire.sock.shutdown(socket.SHUT_WR)
        assert plane.ended()[0].outcome == Outcome(EndedBy.PROXY, Phase.RELAY, Reason.PROTOCOL)
        assert target.requests == [] or target.requests[0].body == b""


def test_client_that_closes_in_the_middle_of_its_body():
    """A client that ends its body early ends the exchange as the client's."""
    with origin(echo) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("POST", target.url(), None, "Content-Length: 100") + b"short")
        wire.sock.shutdown(socket.SHUT_WR)
        assert plane.ended()[0].outcome == Outcome(EndedBy.CLIENT, Phase.RELAY)


def test_silent_target_is_a_504():
    """A target that never answers costs the client the idle time, and the client hears 504."""
    with serving(swallow) as target, proxy(timeouts=quick(idle=60)) as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", f"http://127.0.0.1:{target.port}/"))
        wait_for(lambda: plane.rows() and plane.rows()[0].target_tx)
        plane.later(61)
        assert wire.read_message().status == 504


def test_client_that_stops_reading_its_answer_is_the_one_who_is_late():
    """A client that takes no more of its answer for the idle time ends as the client's timeout, not the target's."""
    answer = ok(bytes(32 * 1024 * 1024))  # made beforehand: a target that is late with it is a 504
    with origin(lambda *_: answer) as target, proxy(timeouts=quick(idle=60)) as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", target.url()))
        wait_for(lambda: plane.rows() and plane.rows()[0].client_tx)
        plane.settled()
        plane.later(61)
        assert plane.ended()[0].outcome == Outcome(EndedBy.CLIENT_TIMEOUT, Phase.RELAY)


def test_pipelined_requests_of_a_client_that_has_half_closed():
    """Requests that came with the end of the file are all answered before the end is."""
    with origin(echo) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(b"".join(request("POST", target.url(), b"%d" % number) for number in range(50)))
        wire.sock.shutdown(socket.SHUT_WR)
        assert [wire.read_message().body for _ in range(50)] == [b"%d" % number for number in range(50)]
        assert wire.read() == b""
        assert counted(plane, wire, target).outcome == COMPLETE


def test_pipelined_requests_to_nowhere_are_all_answered():
    """A thousand pipelined requests whose dials fail at once are a thousand answers, and no deep recursion."""
    with proxy() as plane, Wire(plane.connect()) as wire:
        url = f"http://127.0.0.1:{plane.ports['main']}/"
        sender = threading.Thread(target=wire.send, args=(request("GET", url) * 1_000,))
        sender.start()
        assert [wire.read_message().status for _ in range(1_000)] == [508] * 1_000
        sender.join()


def test_client_that_asks_and_never_reads_is_not_asked_further():
    """Answers of the proxy's own wait for their reader: a client that only asks makes nobody hold its answers."""
    asked = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000
    with proxy() as plane, Wire(plane.connect()) as wire:
        sender = threading.Thread(target=_send_all, args=(wire, asked * 2_000))
        sender.start()
        row = plane.settled()
        assert row.client_rx < len(asked) * 2_000
        held = next(c.client.held for c in plane.connections())
        assert held is None or len(held) <= 65_536
        assert row.outcome is None
        wire.sock.shutdown(socket.SHUT_RDWR)
        sender.join()


def test_others_are_served_while_one_client_asks_without_end():
    """A client whose requests the proxy answers itself takes turns with the others."""
    asked = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000
    done = threading.Event()

    def flood(wire):
        with contextlib.suppress(OSError):
            while not done.is_set():
                wire.sock.sendall(asked)

    def drain(wire):
        with contextlib.suppress(OSError):
            while wire.sock.recv(1 << 20):
                pass

    with origin(echo) as target, proxy() as plane, Wire(plane.connect()) as loud:
        threads = [threading.Thread(target=each, args=(loud,), daemon=True) for each in (flood, drain)]
        for thread in threads:
            thread.start()
        wait_for(lambda: plane.rows() and plane.rows()[0].client_rx > 1 << 20)
        with Wire(plane.connect()) as wire:
            assert ask(wire, "POST", target.url(), b"x").body == b"x"
        done.set()
        loud.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def test_next_head_that_has_begun_is_held_to_its_deadline():
    """A next head whose first byte came with the last request is cut at the handshake's deadline, with a 408."""
    with origin(echo) as target, proxy(timeouts=quick(handshake=60)) as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", target.url()) + b"G")
        assert wire.read_message().status == 200
        plane.later(61)
        assert wire.read_message().status == 408


def test_idle_pool_connection_is_closed_in_time():
    """A target connection that nobody asks for is closed after its idle time."""
    with origin(echo) as target, proxy(timeouts=quick(pool_idle=60)) as plane, Wire(plane.connect()) as wire:
        assert ask(wire, "GET", target.url()).status == 200
        wait_for(lambda: plane.worker.pool.count == 1)
        plane.later(61)
        wait_for(lambda: plane.worker.pool.count == 0)


def test_operator_ends_an_exchange_under_way():
    """An order to close ends a connection in the middle of an exchange, at both ends."""
    gate = threading.Event()
    with serving(lambda sock: gate.wait(10)) as target, proxy() as plane, Wire(plane.connect()) as wire:
        wire.send(request("GET", f"http://127.0.0.1:{target.port}/"))
        wait_for(lambda: plane.rows() and plane.rows()[0].target_tx)
        plane.order(CloseConnection(1))
        assert wire.read() == b""
        assert plane.ended()[0].outcome == Outcome(EndedBy.ADMIN, Phase.RELAY)
        gate.set()


def test_reverse_requests_go_to_the_targets_in_turn():
    """Requests of one connection are spread over the route's targets; one that cannot be reached is passed over."""
    told: list[bytes] = []

    def answer(name: bytes):
        def serve(sock: socket.socket) -> None:
            data = b""
            while chunk := sock.recv(65_536):
                data += chunk
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    told.append(head)
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + name)

        return serve

    with serving(answer(b"one")) as one, serving(answer(b"two")) as two, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        ports = (one.port, dead.getsockname()[1], two.port)
        with bench(listener("main", "http", *ports, reverse=True)) as plane, plane.connect() as client:
            got = []
            for _ in range(6):
                client.sendall(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")
                answered = b""
                while not answered.endswith((b"one", b"two")):
                    answered += client.recv(4_096)
                got.append(answered[-3:])
            assert got == [b"one", b"two"] * 3
            assert all(b"X-Forwarded-For: 127.0.0.1" in head for head in told)
            assert plane.settled().requests == 6


def test_answers_are_changed_as_their_route_says():
    """Fields are set and removed in what comes from a target, and its redirect to itself leads back to the proxy."""

    def serve(sock: socket.socket) -> None:
        while sock.recv(65_536):
            address = b"%b:%d" % (sock.getsockname()[0].encode(), sock.getsockname()[1])
            sock.sendall(
                b"HTTP/1.1 302 Found\r\nServer: x\r\nLocation: http://%b/in\r\nContent-Length: 0\r\n\r\n" % address
            )

    rewrite = RewritePlan(strip_prefix="/app", set_response=(("X-Edge", "1"),), remove_response=("server",))
    with serving(serve) as target:
        plan = listener("main", "http", target.port, reverse=True)
        plan = replace(plan, route=replace(plan.route, rewrite=rewrite))
        with bench(plan) as plane, plane.connect() as client:
            for _ in range(2):
                client.sendall(b"GET /app/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
                answered = b""
                while not answered.endswith(b"\r\n\r\n"):
                    answered += client.recv(4_096)
                assert answered == (
                    b"HTTP/1.1 302 Found\r\nLocation: /app/in\r\nContent-Length: 0\r\nVia: 1.1 penstock\r\n"
                    b"X-Edge: 1\r\n\r\n"
                )
