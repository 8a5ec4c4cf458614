"""A connection from accept to outcome: whatever a client sends, it gets an answer or a close, and one outcome."""

import contextlib
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base.outcomes import COMPLETE, EndedBy
from penstock.metrics import ledger
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.socks_peers import CONNECT, GREETING, command, read_reply
from penstock.testing.workbench import bench, listener, quick, wait_for

KINDS = ("tcp", "http", "socks5", "auto")


@pytest.fixture(scope="module")
def target():
    """A server that echoes."""
    with serving(echo) as found:
        yield found


@pytest.fixture(scope="module")
def doors(target):
    """A worker with a listener of every kind, and an impatient one at that."""
    plans = [listener(kind, kind, target.port) for kind in KINDS[:3]]
    plans.append(listener("auto", "auto", target.port, detect=("http", "socks5", "tcp")))
    short = quick(handshake=0.2, connect=1, idle=1, http_keep_alive=0.2)
    with bench(*plans, timeouts=short, ledger_rows=16_384) as found:
        yield found


# Any bytes -----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        b"GET ", b"CONNECT ", b"POST ", b"OPTIONS * ", b"http://", b"127.0.0.1", b":", b"/", b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n", b"Host: x\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"\r\n", b"\r\n\r\n",
        b"\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\x05\x01\x00", b"\x05\x02\x00\x02", b"\x05\x01\x00\x01\x7f\0\0\1",
        b"\x05\x03\x00\x01\0\0\0\0\0\0", b"\x05\x02\x00\x01\x7f\0\0\1\0\0", b"\x04\x01\0\x50\0\0\0\1x\0y\0",
        b"\0", b"\xff", b"\x16\x03\x01\x02\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
)  # fmt: skip


@given(
    kind=st.sampled_from(KINDS),
    pieces=st.lists(st.one_of(WORDS, st.binary(max_size=40)), max_size=12),
    cut=st.integers(0, 400),
    end=st.sampled_from(["half-close", "close", "reset"]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer_or_a_close(doors, kind, pieces, cut, end):
    """Whatever a client says, in two pieces, and however it leaves: it ends once, soon, and never as our own fault."""
    data = b"".join(pieces)
    number, heard = doors.words[ledger.H_HIGH], None
    with doors.connect(kind) as client, contextlib.suppress(OSError):
        client.sendall(data[:cut])
        client.sendall(data[cut:])
        if end == "half-close":
            client.shutdown(socket.SHUT_WR)
            heard = read_all(client)
        elif end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    row = wait_for(lambda: (found := doors.row(number)) and found.state == ledger.REST and found, "its end")
    assert doors.words[ledger.H_HIGH] == number + 1
    assert row.outcome.ended_by not in {EndedBy.INTERNAL, EndedBy.REAPED}
    assert row.client_rx <= len(data)
    late = row.outcome.ended_by is EndedBy.CLIENT_TIMEOUT  # this process was
    assert kind != "tcp" or late or heard in (None, data)


def test_nothing_is_left_of_them(doors):
    """After all that no connection is open, and no descriptor but the doors' own."""
    wait_for(lambda: doors.worker.ledger.open_rows == 0)
    doors.worker.reactor.post(doors.worker.pool.close)
    wait_for(lambda: len(doors.worker.reactor.table) == 2 + len(KINDS))
    assert doors.faults() == []


# SOCKS CONNECT -------------------------------------------------------------------------------------------------------


def test_socks_handshake_at_every_split(target):
    """Wherever the handshake and what follows it are cut, the stream is whole and the counters exact."""
    said = GREETING + command(CONNECT, "127.0.0.1", target.port) + b"early"
    with bench(listener("main", "socks5")) as plane:
        for cut in range(len(said) + 1):
            with Wire(plane.connect()) as wire:
                wire.send(said[:cut])
                if 0 < cut < len(said):
                    wait_for(lambda cut=cut: len(plane.rows()) > cut and plane.rows()[cut].client_rx == cut)
                wire.send(said[cut:])
                assert wire.read(2) == b"\x05\x00"
                assert read_reply(wire).code == 0
                assert wire.read(5) == b"early"
                wire.sock.shutdown(socket.SHUT_WR)
                assert wire.read() == b""
            row = plane.ended(cut + 1)[cut]
            assert (row.client_rx, row.client_tx) == (wire.tx, wire.rx)
            assert (row.target_rx, row.target_tx, row.requests) == (5, 5, 1)
            assert row.outcome == COMPLETE
            assert row.texts[0] == f"127.0.0.1:{target.port}"


def test_socks_reply_names_our_end(target):
    """The reply to CONNECT holds the address that the target sees."""

    def tell(sock):
        sock.sendall(b"%d" % sock.getpeername()[1])

    with serving(tell) as teller, bench(listener("main", "socks5")) as plane, Wire(plane.connect()) as wire:
        wire.send(GREETING + command(CONNECT, "127.0.0.1", teller.port))
        wire.read(2)
        assert b"%d" % read_reply(wire).port == wire.read()


def test_tunnel_keeps_what_either_end_said_early():
    """What client and target say before the tunnel stands is delivered in order."""
    with serving(saying(b"220 ready\r\n")) as target, bench(listener("main", "http")) as plane:
        with Wire(plane.connect()) as wire:
            wire.send(f"CONNECT 127.0.0.1:{target.port} HTTP/1.1\r\nHost: x\r\n\r\nEHLO".encode())
            assert wire.read_head().status == 200
            assert wire.read() == b"220 ready\r\n"
            wire.sock.shutdown(socket.SHUT_WR)
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx) == (wire.tx, wire.rx)
        assert (row.target_rx, row.target_tx) == (11, 4)


# Deadlines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "heard", "outcome"),
    [
        ("http", b"GET http://x/ HTTP/1.1\r\n" + b"X: y\r\n" * 100, b"HTTP/1.1 408", EndedBy.CLIENT_TIMEOUT),
        ("socks5", b"\x05" + b"\xff" + b"\x01" * 200, b"", EndedBy.CLIENT_TIMEOUT),
        ("http", b"", b"HTTP/1.1 408", EndedBy.CLIENT_TIMEOUT),
        ("socks5", b"", b"", EndedBy.CLIENT_TIMEOUT),
    ],
)
def test_slow_handshake_is_cut(kind, data, heard, outcome):
    """A handshake is cut at its deadline with the protocol's answer, even if a byte comes every now and then."""
    with bench(listener("main", kind), timeouts=quick(handshake=60)) as plane, plane.connect() as client:
        for place in range(7):
            client.sendall(data[place : place + 1])
            plane.await_read(client)
            plane.later(8)
        assert plane.rows()[0].outcome is None
        plane.later(8)
        assert read_all(client).startswith(heard)
        client.shutdown(socket.SHUT_WR)
        assert plane.ended()[0].outcome.ended_by is outcome


def test_keep_alive_ends_quietly():
    """Between two requests a client is waited for no longer than the keep-alive time, and hears nothing at its end."""
    with origin(lambda *_: ok()) as target, bench(listener("m", "http"), timeouts=quick(http_keep_alive=0.2)) as plane:
        with Wire(plane.connect("m")) as wire:
            wire.send(request("GET", target.url()))
            assert wire.read_message().status == 200
            assert wire.read() == b""
        assert plane.ended()[0].outcome == COMPLETE


def test_silent_client_of_an_auto_listener_gets_the_server_that_speaks_first():
    """On a port for several protocols, silence at the handshake's deadline means a server that speaks first."""
    with serving(saying(b"220 ready\r\n")) as target:
        plan = listener("main", "auto", target.port, detect=("http", "tcp"))
        with bench(plan, timeouts=quick(handshake=0.2)) as plane, plane.connect() as client:
            assert read_all(client) == b"220 ready\r\n"
