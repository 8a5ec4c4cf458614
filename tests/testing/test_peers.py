"""The peers behave as their names say, without a proxy between."""

import socket
import threading

import pytest

from penstock.testing import peers
from penstock.testing.relay_contract import is_reset


def connect(server):
    """Return a client's socket."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def test_echo_says_what_it_hears():
    """What is sent comes back, and the end comes back as well."""
    with peers.serving(peers.echo) as server, connect(server) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert peers.read_all(client) == b"hello"
        assert server.clients == 1


def test_what_is_said_to_an_echo_comes_back():
    """All of it, up to the end."""
    with peers.serving(peers.echo) as server:
        assert peers.say(("127.0.0.1", server.port), b"hello") == b"hello"


def test_who_is_let_in_is_told_from_who_is_not():
    """A connection whose echo answers is given, after what a client says first; one that is closed or reset is None."""

    def say_hello(client):
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"

    with peers.serving(peers.echo) as server:
        peers.let_in(("127.0.0.1", server.port), say_hello).close()
    for behave in (peers.reset, lambda client: None):
        with peers.serving(behave) as server:
            assert peers.let_in(("127.0.0.1", server.port)) is None


def test_swallow_says_nothing():
    """Whatever is sent, nothing but the end comes back."""
    with peers.serving(peers.swallow) as server, connect(server) as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert peers.read_all(client) == b""


def test_reset_resets():
    """After the first bytes the connection is reset, not closed."""
    with peers.serving(peers.reset) as server, connect(server) as client:
        client.sendall(b"hello")
        assert is_reset(client)


def test_saying_speaks_first():
    """It says its words to a client that has said nothing."""
    with peers.serving(peers.saying(b"220 ready\r\n")) as server, connect(server) as client:
        assert peers.read_all(client) == b"220 ready\r\n"


def test_holding_still_ends_with_the_gate():
    """It neither reads nor closes until it is released."""
    gate = threading.Event()
    with peers.serving(peers.until_released(gate)) as server, connect(server) as client:
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        gate.set()
        client.settimeout(10)
        assert client.recv(1) == b""


def test_a_closed_server_takes_nobody():
    """After the block its port refuses."""
    with peers.serving(peers.echo) as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        connect(server)
