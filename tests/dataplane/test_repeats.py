"""Requests that repeat are carried without a word of the conversation, and nobody can tell."""

import contextlib
import json
import re
import socket
from base64 import b64encode
from typing import NamedTuple

import pytest

from penstock.base.bounds import REPEATS_REMEMBERED
from penstock.base.outcomes import COMPLETE
from penstock.config.plan import AccessPlan
from penstock.dataplane import repeats
from penstock.dataplane.board import DOWN, DRAINED
from penstock.dataplane.exchange import HttpExchange
from penstock.dataplane.orders import Drain, Drained
from penstock.dataplane.pool import Link
from penstock.protocols.http1 import response
from penstock.testing.http_peers import Wire, ok, origin
from penstock.testing.peers import serving
from penstock.testing.workbench import bench, listener, quick, wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nall of it"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
BROKEN = b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)

CLOSE = None
"""The target closes; behind an answer, at once with it."""


class Play(NamedTuple):
    """
    What is said on one client connection.

    Args:
        heads: Requests, one after the other; a `{}` stands for the beginning of the target.
        answers: What the target says to each, in pieces; `CLOSE` among them closes its connection.
        size: Into how many bytes requests are cut; 0 for not at all.
        parts: Whether the target closes after each answer; the next request waits until the proxy knows.
    """

    heads: tuple[bytes, ...]
    answers: tuple[tuple[bytes | None, ...], ...]
    size: int = 0
    parts: bool = False


def get(path=b"/a", *fields):
    """Return a request."""
    return b"\r\n".join((b"GET {}%b HTTP/1.1" % path, b"Host: {host}", *fields, b"", b""))


def split(data):
    """Return every byte alone."""
    return tuple(data[at : at + 1] for at in range(len(data)))


POST = b"POST {}/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc"
ASK = b"OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n"
ASK_HEAD = get().replace(b"GET", b"HEAD")
OLD = b"GET {}/a HTTP/1.0\r\nHost: {host}\r\n\r\n"
AGAIN = (get(),) * 7

PLAYS = {
    "whole": Play(AGAIN, ((OK,),) * 7),
    "requests byte by byte": Play(AGAIN, ((OK,),) * 7, 1),
    "answers byte by byte": Play(AGAIN, ((OK,),) * 3 + (split(OK),) * 3 + ((OK,),)),
    "head and body apart": Play(AGAIN, ((OK,),) * 3 + ((OK[:-5], OK[-5:]),) * 3 + ((OK,),)),
    "answers with a tail": Play(AGAIN, ((OK,),) * 3 + ((OK + b"tail",), (OK,), (OK,), (OK + OK,))),
    "other answers": Play(AGAIN, ((OK,), (OK,), (CHUNKS,), (EMPTY,), (NOTHING,), (EMPTY,), (OK,))),
    "interim answers": Play(AGAIN, ((OK,),) * 3 + ((EARLY + OK,), (EARLY, OK), (OK,), (OK,))),
    "large answers": Play(AGAIN, ((OK,), (LARGE,), (LARGE,), (LARGE,), (OK,), (LARGE,), (OK,))),
    "a broken answer": Play(AGAIN, ((OK,),) * 3 + ((BROKEN,),) + ((OK,),) * 3),
    "an answer until close": Play(AGAIN[:5], ((OK,),) * 4 + ((UNTIL_CLOSE, CLOSE),)),
    "target closes behind its answers": Play(AGAIN, ((OK, CLOSE),) * 7, parts=True),
    "target closes without an answer": Play(AGAIN, ((OK,),) * 4 + ((CLOSE,),) + ((OK,),) * 3),
    "target closes twice without an answer": Play(AGAIN, ((OK,),) * 4 + ((CLOSE,),) * 2 + ((OK,),) * 3),
    "target closes within its answer": Play(AGAIN[:4], ((OK,),) * 3 + ((OK[:-2], CLOSE),)),
    "heads in turn": Play((get(), get(b"/b")) * 4, ((OK,), (EMPTY,)) * 4),
    "more heads than are remembered": Play(tuple(get(b"/%d" % n) for n in range(6)) * 3, ((OK,),) * 18),
    "bodies between": Play((*AGAIN[:3], POST, *AGAIN[:3], POST, get()), ((OK,),) * 9),
    "answers of ours between": Play((*AGAIN[:3], ASK, *AGAIN[:3], ASK, get()), ((OK,),) * 9),
    "a HEAD among them": Play((*AGAIN[:3], ASK_HEAD, *AGAIN[:3]), ((OK,),) * 3 + ((HEAD,),) + ((OK,),) * 3),
    "the last says so": Play((*AGAIN[:4], get(b"/a", b"Connection: close")), ((OK,),) * 5),
    "an old client at the end": Play((*AGAIN[:4], OLD), ((OK,),) * 5),
    "a bad request at the end": Play((*AGAIN[:4], b"GET {}/ HTTP/1.1\r\nHost : x\r\n\r\n"), ((OK,),) * 4),
    "two at once": Play((*AGAIN[:3], get() * 2, get(), get() + get(b"/b"), get()), ((OK,),) * 9),
    "one and a half at once": Play((*AGAIN[:3], get() + get()[:9], get()[9:], get()), ((OK,),) * 6),
    "upgrades are asked for": Play(
        (*AGAIN[:3], *(get(b"/a", b"Connection: upgrade", b"Upgrade: chat"),) * 3, get()), ((OK,),) * 7
    ),
}  # fmt: skip


def target_of(play):
    """Return a behaviour that answers as the play says, over however many connections, and what it was asked."""
    answers, asked = iter(play.answers), []

    def behave(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock)
        with contextlib.suppress(ValueError):
            while (request := wire.read_message()) is not None:
                asked.append(request)
                for piece in next(answers):
                    if piece is CLOSE:
                        wire.close()
                        return
                    wire.send(piece)

    return behave, asked


def perform(play, turned, log):
    """Play, and return everything that anybody saw."""
    response.KNOWN.clear()
    log.unlink(missing_ok=True)
    behave, asked = target_of(play)
    with serving(behave) as target:
        plan = listener("main", "http", target.port, reverse=True) if turned else listener("main", "http")
        access = AccessPlan(format="json", file=str(log))
        with bench(plan, access=access, timeouts=quick(handshake=10)) as plane, Wire(plane.connect()) as wire:
            place = b"127.0.0.1:%d" % target.port
            got = []
            for head in play.heads:
                data = head.replace(b"{host}", place).replace(b"{}", b"" if turned else b"http://" + place)
                for at in range(0, len(data), play.size or len(data)):
                    wire.send(data[at : at + (play.size or len(data))])
                for _ in range(max(1, data.count(b" HTTP/1.1\r\n") + data.count(b" HTTP/1.0\r\n"))):
                    if data.endswith(b"\r\n\r\n") or b"abc" in data:
                        got += _read(wire, bodiless=head.startswith(b"HEAD"))
                if play.parts:
                    wait_for(lambda: not _links(plane))
            wire.sock.shutdown(socket.SHUT_WR)
            got.append(wire.read())
            row = plane.ended()[0]
            counts = plane.answers(), plane.timed(), wire.rx == row.client_tx, wire.tx == row.client_rx
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    seen = repr((got, asked, row, counts, [_lasting(line) for line in lines], target.clients))
    return re.sub(rf"\b({target.port}|{plane.ports['main']})\b", "port", seen)


def _read(wire, *, bodiless):
    """Return an answer, and what came before it."""
    found = [wire.read_message(bodiless=bodiless)]
    while found[-1] is not None and found[-1].status == 103:
        found.append(wire.read_message(bodiless=bodiless))
    return found


def _links(plane):
    return [each for each in list(plane.worker.reactor.table.values()) if isinstance(each, Link)]


def _lasting(line):
    """Return what of a line of the access log is not about time."""
    return {key: value for key, value in line.items() if key not in ("time", "duration", "client_port")}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS.keys())
def test_nobody_can_tell(play, turned, tmp_path, monkeypatch):
    """Client, target, row, codes, durations and access log see the same whether anything is remembered or not."""
    remembered = perform(play, turned, tmp_path / "log")
    monkeypatch.setattr(repeats, "REPEATS_BYTES", 0)
    monkeypatch.setattr(response, "_KNOWN_BYTES", 0)
    assert remembered == perform(play, turned, tmp_path / "log")


@pytest.fixture
def heard(monkeypatch):
    """Return a list that gets each head that the conversation was not asked about."""
    skipped = []
    before = HttpExchange.begin

    def begin(exchange, command):
        if exchange.skipped:
            skipped.append(exchange.skipped)
        before(exchange, command)

    monkeypatch.setattr(HttpExchange, "begin", begin)
    return skipped


def answer(message, wire):
    """Answer any request."""
    return ok(b"well")


def reverse(*targets, **more):
    """Run a reverse proxy before these."""
    return bench(listener("main", "http", *(each.port for each in targets), reverse=True), **more)


def ask(wire, path="/", *fields):
    """Send a request of a reverse client's, and return the status that comes back."""
    wire.send("\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *fields, "", "")).encode())
    return wire.read_message().status


def test_what_repeats_is_not_asked_about(heard):
    """The first request of a client and the second are; all further ones like them are carried without a word."""
    with origin(answer) as target, reverse(target) as plane:
        with Wire(plane.connect()) as wire:
            assert [ask(wire) for _ in range(6)] == [200] * 6
        row = plane.ended()[0]
    assert len(heard) == 4
    assert (row.requests, row.outcome, len(target.requests)) == (6, COMPLETE, 6)


def test_memory_is_bounded(heard):
    """No client makes its connection remember more heads than a few, nor long ones."""
    with origin(answer) as target, reverse(target) as plane, Wire(plane.connect()) as wire:
        for number in range(50):
            ask(wire, f"/{number}")
            ask(wire, f"/{number}", "X: " + "x" * 1_024)
        (connection,) = plane.connections()
        wait_for(lambda: connection.waiting is not None)
        assert 0 < len(connection.exchange.known) <= REPEATS_REMEMBERED
        assert all(len(head) <= 1_024 for head in connection.exchange.known)
    assert not heard


def test_another_login_is_judged(heard):
    """A login that was right is remembered with its head; a wrong one is a 407, and so is the right one's end."""
    plan = listener("main", "http", users={"ann": "secret"})

    def ask_as(wire, url, login):
        field = [f"Proxy-Authorization: Basic {b64encode(login).decode()}"] if login else []
        wire.send("\r\n".join((f"GET {url} HTTP/1.1", f"Host: {url.split('/')[2]}", *field, "", "")).encode())
        return wire.read_message().status

    with origin(answer) as target, bench(plan) as plane, Wire(plane.connect()) as wire:
        logins = [*[b"ann:secret"] * 4, b"ann:wrong", *[b"ann:secret"] * 4, None, *[b"ann:secret"] * 3]
        got = [ask_as(wire, target.url(), login) for login in logins]
        assert got == [407 if login != b"ann:secret" else 200 for login in logins]
        assert plane.settled().requests == len(logins)
    assert len(heard) == 2 + 2 + 2


def test_health_of_targets_counts_for_what_is_remembered(heard):
    """A repeated request goes to a target that is in service now, and is a 503 once there is none."""
    with origin(answer) as one, origin(answer) as two, reverse(one, two) as plane, Wire(plane.connect()) as wire:
        assert [ask(wire) for _ in range(6)] == [200] * 6
        plane.worker.board.write(1, DOWN)
        plane.worker.board.publish()
        before = len(one.requests)
        assert [ask(wire) for _ in range(4)] == [200] * 4
        assert len(one.requests) == before
        plane.worker.board.write(1, DRAINED)
        plane.worker.board.write(2, DRAINED)
        plane.worker.board.publish()
        assert ask(wire) == 503
        plane.worker.board.write(1, 0)
        plane.worker.board.publish()
        assert [ask(wire) for _ in range(4)] == [200] * 4
        route = plane.worker.listeners[0].route
        wait_for(lambda: [each.open for each in route._standings] == [0, 0])
        assert plane.answers() == {200: 14, 503: 1}
    assert len(heard) > 6


def test_drain_ends_a_client_whose_request_is_remembered(heard):
    """A repeated request that is under way when the drain begins is answered, and its connection ends."""
    planes = []

    def late(message, wire):
        if len(target.requests) == 5:
            planes[0].order(Drain(1 << 62))
            wait_for(lambda: planes[0].worker.draining)
        return ok(b"well")

    with origin(late) as target, reverse(target) as proxy, Wire(proxy.connect()) as wire:
        planes.append(proxy)
        assert [ask(wire) for _ in range(5)] == [200] * 5
        assert wire.read() == b""
        assert proxy.report(Drained) == Drained()
        assert proxy.ended()[0].outcome == COMPLETE
    assert len(heard) == 3


def test_deadlines_hold_for_what_is_remembered(heard):
    """A target that never answers a repeated request is a 504; a client that asks nothing more is sent away in time."""

    def mute(message, wire):
        return b"" if len(target.requests) == 4 else ok(b"well")

    with origin(mute) as target, reverse(target, timeouts=quick(idle=60, http_keep_alive=60)) as plane:
        wire = Wire(plane.connect())
        assert [ask(wire) for _ in range(3)] == [200] * 3
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: len(target.requests) == 4)
        plane.later(61)
        assert wire.read_message().status == 504
        assert [ask(wire) for _ in range(2)] == [200] * 2
        plane.later(61)
        assert wire.read() == b""
        assert plane.ended()[0].outcome == COMPLETE
        wire.close()
    assert len(heard) > 1


def test_next_head_that_has_begun_is_held_to_its_deadline(heard):
    """After repeated requests, too, a head whose first byte has come is a 408 when the rest does not come in time."""
    with origin(answer) as target, reverse(target, timeouts=quick(handshake=60, http_keep_alive=6_000)) as plane:
        wire = Wire(plane.connect())
        assert [ask(wire) for _ in range(4)] == [200] * 4
        wire.send(b"G")
        plane.await_read(wire.sock)
        plane.later(61)
        assert wire.read_message().status == 408
        wire.close()
    assert len(heard) == 2


def test_client_that_reads_late_gets_all(heard):
    """Answers to repeated requests wait for their reader, whole and in order."""
    body = bytes(range(256)) * 200
    with origin(lambda *_: ok(body)) as target, reverse(target) as plane, plane.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        wire = Wire(sock)
        for _ in range(3):
            assert ask(wire) == 200
        for number in range(40):
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if number < 20:
                wait_for(lambda least=number: len(target.requests) > 3 + least or _held(plane))
        assert [wire.read_message().body == body for _ in range(40)] == [True] * 40
        sock.shutdown(socket.SHUT_WR)
        row = plane.ended()[0]
        assert (row.requests, row.client_tx) == (43, wire.rx)
    assert heard


def _held(plane):
    return any(each.client.held is not None for each in plane.connections())
