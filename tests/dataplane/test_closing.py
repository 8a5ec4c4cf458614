"""How a connection ends: with the word that says who ended it, and with nothing left."""

import contextlib
import socket
import threading

import pytest

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.dataplane.resolver import Answer
from penstock.testing.http_peers import Wire
from penstock.testing.peers import read_all
from penstock.testing.workbench import bench, listener, wait_for


@pytest.mark.parametrize(
    ("kind", "data", "outcome"),
    [
        ("http", b"", Outcome(EndedBy.CLIENT, Phase.NEGOTIATE)),
        ("http", b"GET", Outcome(EndedBy.CLIENT, Phase.NEGOTIATE)),
        ("http", b"nonsense\r\n\r\n", Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)),
        ("http", b"x" * 70_000, Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)),
        ("socks5", b"\x05", Outcome(EndedBy.CLIENT, Phase.NEGOTIATE)),
        ("socks5", b"\x06\x01", Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)),
        ("auto", b"", Outcome(EndedBy.CLIENT, Phase.DETECT)),
    ],
)
def test_each_end_has_its_word(kind, data, outcome):
    """Who closes early, and who breaks the protocol, is known by the outcome."""
    plan = listener("main", kind, detect=("http", "socks5")) if kind == "auto" else listener("main", kind)
    with bench(plan) as plane, plane.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            read_all(client)
        assert plane.ended()[0].outcome == outcome


def test_reset_while_the_target_is_dialed():
    """A client that resets while its target is dialed ends there, and the dial is given up."""
    gate = threading.Event()
    with bench(listener("main", "http")) as plane:
        plane.worker.resolver._lookup = lambda host: Answer((), "late") if gate.wait(10) else None
        client = plane.connect()
        client.sendall(b"CONNECT slow.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: plane.rows() and plane.connections() and plane.connections()[0].phase is Phase.DIAL)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert plane.ended()[0].outcome == Outcome(EndedBy.CLIENT, Phase.DIAL)
        gate.set()


def test_detail_is_written_at_the_end():
    """Why a client was refused stands in its row, behind destination and user."""
    with bench(listener("main", "http")) as plane:
        with Wire(plane.connect()) as wire:
            wire.send(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.read_message().status == 502
        destination, user, detail = plane.ended()[0].texts
        assert (destination, user) == ("127.0.0.1:1", "")
        assert "refused" in detail
