"""The HTTP peers speak to each other, and count what they say."""

import socket

import h11
import pytest

from penstock.testing import http_peers
from penstock.testing.http_peers import Wire
from penstock.testing.workbench import wait_for


def ask(origin, *requests):
    """Return the answers to these requests on one connection, and the wire that carried them."""
    wire = Wire(socket.create_connection(("127.0.0.1", origin.port), timeout=10))
    with wire:
        answers = []
        for request in requests:
            wire.send(request)
            answers.append(wire.read_message())
    return answers, wire


def test_both_sides_count_the_same():
    """What the client sent the origin received, and the other way round, over several requests."""
    with http_peers.origin(lambda message, wire: http_peers.ok(b"hello")) as origin:
        requests = [http_peers.request("GET", origin.url("/a")), http_peers.request("POST", origin.url("/b"), b"body")]
        answers, wire = ask(origin, *requests)
        assert [answer.status for answer in answers] == [200, 200]
        assert [answer.body for answer in answers] == [b"hello", b"hello"]
        wait_for(lambda: (origin.rx, origin.tx) == (wire.tx, wire.rx), "the origin to count what it has sent")
        assert (wire.tx, wire.rx) == (sum(map(len, requests)), 2 * len(http_peers.ok(b"hello")))


def test_an_origin_may_hang_up():
    """An answer of None closes the connection without a word."""
    with http_peers.origin(lambda message, wire: None) as origin:
        answers, _ = ask(origin, http_peers.request("GET", origin.url()))
        assert answers == [None]


@pytest.mark.parametrize("size", [0, 1, 4_096, 10_000])
def test_chunks_are_chunks(size):
    """A chunked body is what h11 reads as one, and what the wire reads as one."""
    body = bytes(size)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + http_peers.chunked(body)
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(raw)
    events = iter(reader.next_event, h11.NEED_DATA)
    got = b""
    for event in events:
        if isinstance(event, h11.Data):
            got += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            break
    assert got == body
    ours, theirs = socket.socketpair()
    with theirs, Wire(ours) as wire:
        theirs.sendall(raw)
        assert wire.read_message().body == body
