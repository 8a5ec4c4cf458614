"""A TLS client like a plain socket: whole streams, half-close, goodbyes, and every byte of the wire counted."""

import contextlib
import random
import socket
import ssl
import threading

import pytest

from penstock.protocols.client_hello import HelloReader
from penstock.testing.certificates import Authority
from penstock.testing.peers import read_all
from penstock.testing.tls_peers import TlsClient, hello


@pytest.fixture
def authority(tmp_path):
    """An authority with files of its own."""
    return Authority(tmp_path)


def pair(authority, behave):
    """Return a client, and the thread of a server of Python's own TLS that does with its socket what `behave` says."""
    issued = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    near, far = socket.socketpair()

    def serve():
        with context.wrap_socket(far, server_side=True) as sock:
            behave(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    return TlsClient(near, authority.client_context(), "localhost"), thread


@pytest.mark.parametrize(("name", "alpn"), [("a.example", ()), ("a.example", ("h2", "http/1.1")), (None, ())])
def test_a_first_flight(name, alpn):
    """It asks for the name, or for none, and offers what it was given."""
    found = HelloReader().look(hello(name, *alpn))
    assert (found.server_name, found.alpn) == (name, tuple(each.encode() for each in alpn))


def test_half_close(authority):
    """A client that has said all, and goodbye, still gets a long answer, and knows that it was whole."""
    answer, heard = random.Random(1).randbytes(3_000_000), []

    def behave(sock):
        heard.append(read_all(sock))
        sock.sendall(answer)
        sock.unwrap()

    client, thread = pair(authority, behave)
    with client:
        client.sendall(b"question" * 10_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == answer
        assert not client.cut
        thread.join(10)
    assert heard == [b"question" * 10_000]
    assert client.received > len(answer)
    assert client.sent > 80_000


def test_an_end_without_a_goodbye_is_a_cut(authority):
    """A server that closes without close_notify has cut the stream."""
    client, thread = pair(authority, lambda sock: sock.sendall(b"half"))
    with client:
        assert read_all(client) == b"half"
        assert client.cut
        thread.join(10)


def test_a_full_wire_blocks_nobody(authority):
    """Without blocking, a client sends as long as there is room, and what was taken arrives whole."""
    go, heard = threading.Event(), []

    def behave(sock):
        assert go.wait(10)
        heard.append(read_all(sock))

    client, thread = pair(authority, behave)
    with client:
        client.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += client.send(bytes(65_536))
        client.settimeout(10)
        go.set()
        client.shutdown(socket.SHUT_WR)
        thread.join(10)
    assert len(heard[0]) == sent > 0
