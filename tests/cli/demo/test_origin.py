"""The demo's origins."""

import asyncio

import pytest

from penstock.cli.demo import origin as module
from penstock.cli.demo.origin import HELLO, Origin, echo, filler, http, parse_request


def _ask(talk, *pieces):
    """Send pieces one by one, close our direction, and return all that comes."""

    async def go():
        async with Origin(talk) as origin:
            reader, writer = await asyncio.open_connection(origin.host, origin.port)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    return asyncio.run(asyncio.wait_for(go(), 20))


def test_echo_returns_everything():
    """The echo origin sends back what came and closes after the client has."""
    assert _ask(echo, b"one", b"two") == b"onetwo"


def test_hello():
    """The root is a short page with its length."""
    answer = _ask(http, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: %d" % len(HELLO) in head
    assert body == HELLO


def test_requests_on_one_connection():
    """Requests in absolute form and in origin form follow each other on one connection, bodies echoed."""
    answer = _ask(
        http,
        b"POST http://x:1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel",
        b"loGET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /bytes/9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /chunked/70000 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /chunked/9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    parts = answer.split(b"HTTP/1.1 ")[1:]
    assert parts[0].endswith(b"\r\n\r\nhello")
    assert parts[1].endswith(b"\r\n\r\n012")
    assert parts[2].endswith(b"content-length: 9\r\n\r\n")
    chunked = parts[3].partition(b"\r\n\r\n")[2]
    assert chunked.startswith(b"10000\r\n" + filler(65_536) + b"\r\n1170\r\n")
    assert chunked.endswith(b"\r\n0\r\n\r\n")
    assert parts[4].endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert parts[5].startswith(b"404 ")


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\xff\xfe\x00 a b\r\n\r\n",
    ],
)
def test_what_it_does_not_understand_is_refused(request_head):
    """A head that is none, or a body that it cannot measure, is answered 400 and the connection closed."""
    assert _ask(http, request_head).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "pieces", [[], [b"GET"], [b"x" * 40_000], [b"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"]]
)
def test_a_client_that_breaks_off_harms_nobody(pieces):
    """A head without end, or longer than the bound, or a body cut short, ends that connection and no more."""
    assert b"404" not in _ask(http, *pieces)


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close", False),
        (b"GET / HTTP/1.0", False),
        (b"GET / HTTP/1.1\r\nHost: x", True),
    ],
)
def test_keep_alive(head, keep):
    """HTTP/1.1 goes on unless told to close; HTTP/1.0 does not."""
    assert parse_request(head).keep_alive is keep


def test_connections_are_bounded(monkeypatch):
    """Beyond its bound the origin hangs up on newcomers and serves those that it has."""
    monkeypatch.setattr(module, "CLIENTS", 1)

    async def go():
        async with Origin(echo) as origin:
            first = await asyncio.open_connection(origin.host, origin.port)
            first[1].write(b"x")
            assert await first[0].readexactly(1) == b"x"
            second = await asyncio.open_connection(origin.host, origin.port)
            assert await second[0].read() == b""
            first[1].write(b"y")
            assert await first[0].readexactly(1) == b"y"
            first[1].close()
            second[1].close()

    asyncio.run(asyncio.wait_for(go(), 20))


def test_filler_has_its_length():
    """Bodies have exactly the length that was asked for."""
    assert [len(filler(count)) for count in (0, 1, 64, 65, 65_536)] == [0, 1, 64, 65, 65_536]
