"""One request over a Unix socket."""

import contextlib
import socket
import threading
from http.client import HTTPException

import pytest

from penstock.cli.door import ask


@contextlib.contextmanager
def speaking(path, answer, most=65_536):
    """Take one client that is told this once it has asked, or so much of it; yields what it has said."""
    heard = []

    def serve():
        client, _ = door.accept()
        with client:
            heard.append(client.recv(most))
            client.sendall(answer)

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield heard
        thread.join(10)


def test_a_question_and_its_answer(tmp_path):
    """The query is encoded, the body is JSON, and status, reason and body of the answer come back."""
    path = tmp_path / "node.sock"
    with speaking(path, b'HTTP/1.1 201 Made\r\nContent-Length: 7\r\n\r\n{"a":1}') as heard:
        answer = ask(str(path), "PUT", "/x", {"of": "a&b", "n": 5}, {"on": True}, 10)
    assert (answer.status, answer.reason, answer.json()) == (201, "Made", {"a": 1})
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /x?of=a%26b&n=5 HTTP/1.1\r\nHost: penstock\r\n")
    assert {b"Connection: close", b"Content-Type: application/json"} <= set(head.split(b"\r\n"))
    assert body in (b"", b'{"on": true}')  # it may come behind its head


def test_an_answer_before_the_question_is_read(tmp_path):
    """Whoever answers and leaves before it has read all is heard, and is not called unreachable."""
    path = tmp_path / "node.sock"
    with speaking(path, b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\n{}", 10):
        assert ask(str(path), "POST", "/x", {}, "x" * 4_000_000, 10).status == 413


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_what_is_no_answer(tmp_path, said):
    """Whoever hangs up, speaks something else, or stops in the middle has not answered."""
    with speaking(tmp_path / "node.sock", said), pytest.raises((HTTPException, OSError)):
        ask(str(tmp_path / "node.sock"), "GET", "/", {}, None, 10)


def test_nobody_is_waited_for_longer_than_that(tmp_path):
    """Whoever takes a question and says nothing is left."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "node.sock"))
        door.listen()
        with pytest.raises(TimeoutError):
            ask(str(tmp_path / "node.sock"), "GET", "/", {}, None, 0.05)
