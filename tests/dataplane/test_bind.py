"""SOCKS BIND over real sockets: who is expected is let in, strangers are not, and every byte is counted."""

import contextlib
import socket

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Phase
from penstock.dataplane import bind as room
from penstock.dataplane.bind import local_host
from penstock.testing.http_peers import Wire
from penstock.testing.peers import read_all
from penstock.testing.socks_peers import BIND, GREETING, ask, command, read_reply
from penstock.testing.workbench import bench, listener, quick, wait_for


@pytest.fixture
def plane():
    """A SOCKS proxy."""
    with bench(listener("main", "socks5")) as found:
        yield found


def connect(host, port, source="127.0.0.1"):
    """Connect to a binding from this address."""
    return socket.create_connection((host, port), timeout=10, source_address=(source, 0))


def is_closed(host, port):
    """Return whether nobody listens there."""
    try:
        connect(host, port).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("expected", ["127.0.0.1", "0.0.0.0", "::"])
def test_expected_peer_is_relayed(plane, expected):
    """Who is expected, or anybody where anybody is, gets through; the client hears who it is; all is counted."""
    with Wire(plane.connect()) as wire:
        bound = ask(wire, BIND, expected, 0)
        assert bound.code == 0
        with connect(bound.host, bound.port) as peer:
            assert read_reply(wire) == (0, *peer.getsockname())
            peer.sendall(b"from the peer")
            assert wire.read(13) == b"from the peer"
            wire.send(b"from the client")
            assert peer.recv(100) == b"from the client"
            wire.sock.shutdown(socket.SHUT_WR)
            assert read_all(peer) == b""
        assert wire.read() == b""
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx) == (wire.tx, wire.rx)
        assert (row.target_rx, row.target_tx, row.requests) == (13, 15, 1)
        assert row.outcome == COMPLETE


def test_stranger_is_refused_and_the_wait_goes_on(plane):
    """A connection from another address is closed; the expected one is let in afterwards, and nobody after it."""
    with Wire(plane.connect()) as wire:
        bound = ask(wire, BIND, "127.0.0.1", 0)
        with connect(bound.host, bound.port, "127.0.0.9") as stranger:
            assert read_all(stranger) == b""
        with connect(bound.host, bound.port) as peer:
            assert read_reply(wire).code == 0
            wait_for(lambda: is_closed(bound.host, bound.port))
            peer.sendall(b"x")
            assert wire.read(1) == b"x"


def test_many_strangers_end_the_wait(plane, monkeypatch):
    """A crowd of strangers ends the wait as a refusal."""
    monkeypatch.setattr(room, "STRANGERS", 3)
    with Wire(plane.connect()) as wire:
        bound = ask(wire, BIND, "127.0.0.1", 0)
        for _ in range(3):
            with contextlib.suppress(OSError), connect(bound.host, bound.port, "127.0.0.9") as stranger:
                read_all(stranger)
        assert read_reply(wire).code == 5
        assert wire.read() == b""


def test_early_bytes_of_the_client_reach_the_peer(plane):
    """What the client says before its peer has come is delivered to it."""
    with Wire(plane.connect()) as wire:
        bound = ask(wire, BIND, "127.0.0.1", 0)
        wire.send(b"early")
        with connect(bound.host, bound.port) as peer:
            assert read_reply(wire).code == 0
            assert peer.recv(5) == b"early"


@pytest.mark.parametrize("early", [False, True])
def test_client_that_leaves_ends_the_wait(plane, early):
    """When the client closes, with its request or later, nobody is waited for, and the port is closed."""
    with Wire(plane.connect()) as wire:
        if early:
            wire.send(GREETING + command(BIND, "127.0.0.1", 0))
        else:
            assert ask(wire, BIND, "127.0.0.1", 0).code == 0
        wire.sock.shutdown(socket.SHUT_WR)
        wire.read()
        assert plane.ended()[0].outcome.ended_by is EndedBy.CLIENT
        wait_for(lambda: len(plane.worker.reactor.table) == 3)


def test_request_and_farewell_in_one_packet(plane):
    """A client that sends its request and its end of file together is not waited for."""
    with Wire(plane.connect()) as wire:
        sent = []
        plane.worker.reactor.post(lambda: wait_for(lambda: sent))
        wire.send(GREETING + command(BIND, "127.0.0.1", 0))
        wire.sock.shutdown(socket.SHUT_WR)
        sent.append(1)
        wire.read()
        assert plane.ended()[0].outcome.ended_by is EndedBy.CLIENT


def test_nobody_comes(monkeypatch):
    """A wait ends at its deadline with a reply, and the port is closed."""
    monkeypatch.setattr(room, "BIND_NS", 100_000_000)
    with bench(listener("main", "socks5"), timeouts=quick(connect=5)) as plane:
        with Wire(plane.connect()) as wire:
            bound = ask(wire, BIND, "127.0.0.1", 0)
            assert read_reply(wire).code != 0
            assert wire.read() == b""
            wait_for(lambda: is_closed(bound.host, bound.port))
        outcome = plane.ended()[0].outcome
        assert (outcome.ended_by, outcome.phase) == (EndedBy.TARGET_TIMEOUT, Phase.DIAL)


def test_no_descriptor_is_told(plane, monkeypatch):
    """Where no socket can be made the client hears a failure, and the outcome is ours."""

    def none(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(room, "RawSocket", none)
    with Wire(plane.connect()) as wire:
        assert ask(wire, BIND, "127.0.0.1", 0).code == 1
    assert plane.ended()[0].outcome.ended_by is EndedBy.RESOURCE


def test_address_that_the_client_reached():
    """The binding listens where the client reached the proxy; a mapped address is folded; a Unix client is local."""
    with socket.socket(socket.AF_INET6) as six:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        six.bind(("::", 0))
        six.listen()
        with socket.create_connection(("127.0.0.1", six.getsockname()[1])):
            accepted, _ = six.accept()
            with accepted:
                assert local_host(accepted) == "127.0.0.1"
    one, two = socket.socketpair()
    with one, two:
        assert local_host(one) == "127.0.0.1"
