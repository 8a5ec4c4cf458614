"""The client of short proxied connections."""

import socket
import threading

import pytest
from bench.handshake import REQUEST, Crowd, address, connected, fetched, method_chosen, steps, tunnelled

REPLY = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("judge", "whole"),
    [(method_chosen, b"\x05\x00"), (connected, REPLY), (tunnelled, b"HTTP/1.1 200 Connection established\r\n\r\n")],
)
def test_answer_is_awaited_whole(judge, whole):
    """Every part of an answer asks for more, the whole is taken, and an end before it is a failure."""
    for length in range(len(whole)):
        assert judge(whole[:length], False) is None
    assert judge(whole, False) is True
    assert judge(b"", True) is False


@pytest.mark.parametrize(
    ("judge", "answer"),
    [
        (method_chosen, b"\x05\xff"),
        (connected, b"\x05\x02" + REPLY[2:]),
        (connected, REPLY + b"!"),
        (tunnelled, b"HTTP/1.1 403 Forbidden\r\n\r\n"),
    ],
)
def test_refusal_is_a_failure(judge, answer):
    """A refusal, and a reply with something behind it, is answered otherwise than expected."""
    assert judge(answer, False) is False


def test_page_is_whole_at_the_end():
    """A page counts when the origin has closed, and only if it is one."""
    assert fetched(PAGE, False) is None
    assert fetched(PAGE, True) is True
    assert fetched(b"", True) is False


def test_socks5_talk():
    """The SOCKS5 talk asks for the origin by its IPv4 address (RFC 1928 section 4)."""
    assert [step.send for step in steps("socks5", "127.0.0.1", 8080)] == [
        b"\x05\x01\x00",
        b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x90",
        REQUEST,
    ]


def play(sock, script):
    """Serve one connection: await each line of the script, answer it; then close."""
    with sock:
        for awaited, answer in script:
            got = b""
            while len(got) < len(awaited):
                got += sock.recv(len(awaited) - len(got))
            assert got == awaited
            sock.sendall(answer)


def serve(listener, script, times):
    """Serve so many connections one by one."""
    for _ in range(times):
        play(listener.accept()[0], script)


@pytest.mark.parametrize(("reply", "done"), [(REPLY, 7), (b"\x05\x05" + REPLY[2:], 0)])
def test_crowd_counts(reply, done):
    """Those that fetched their page are done, those that were refused have failed, and no more are begun."""
    talk = steps("socks5", "127.0.0.1", 8080)
    script = list(zip([step.send for step in talk], [b"\x05\x00", reply, PAGE], strict=True))[: 3 if done else 2]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener, script, 7), daemon=True)
        server.start()
        crowd = Crowd(listener.getsockname(), talk, count=7, seconds=5.0)
        crowd.run(concurrency=3)
        server.join(5.0)
    assert (crowd.begun, crowd.done, crowd.failed) == (7, done, 7 - done)


def test_nobody_listens():
    """A proxy that is not there is a failure of each connection, not of the load."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = listener.getsockname()
    crowd = Crowd(nowhere, steps("connect", "127.0.0.1", 80), count=3, seconds=5.0)
    crowd.run(concurrency=2)
    assert (crowd.done, crowd.failed) == (0, 3)


def test_address():
    """An address is host and port."""
    assert address("127.0.0.1:80") == ("127.0.0.1", 80)
