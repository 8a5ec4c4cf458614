"""Last words arrive: a client that is refused while it still sends hears why, and cannot keep us."""

import contextlib
import socket
import threading

import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy
from penstock.dataplane import farewell
from penstock.testing.http_peers import Wire
from penstock.testing.peers import read_all
from penstock.testing.workbench import bench, listener, wait_for

NONSENSE = b"this is no request\r\n\r\n"


@pytest.fixture
def plane():
    """A forward proxy."""
    with bench(listener("main", "http")) as found:
        yield found


def test_last_words_survive_unread_bytes(plane):
    """A refusal is heard though the client has sent far more than was read: no reset overtakes it."""
    for index in range(30):
        with plane.connect() as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(NONSENSE + bytes(300_000))
            assert client.recv(100).startswith(b"HTTP/1.1 400")
            client.shutdown(socket.SHUT_WR)
            read_all(client)
        row = plane.ended(index + 1)[index]
        assert row.client_rx == len(NONSENSE) + 300_000, "what was discarded is counted"


@pytest.fixture
def patient(monkeypatch):
    """A farewell that would wait for an hour: what does not wait for its end, ends all the same."""
    monkeypatch.setattr(farewell, "LINGER_NS", 3_600 * NS)


def test_client_is_told_the_end_at_once(plane, patient):
    """The end of the file comes right behind the last words, while the client's own direction is still open."""
    with Wire(plane.connect()) as wire:
        wire.send(NONSENSE)
        assert wire.read_message().status == 400
        assert wire.read() == b""
        assert plane.worker.ledger.open_rows == 1
        wire.send(b"late")
        wire.sock.shutdown(socket.SHUT_WR)
        assert plane.ended()[0].client_rx == wire.tx


def test_client_that_never_closes_is_left(plane):
    """A client that neither closes nor stops sending is left after a moment, with the outcome that it had."""
    done = threading.Event()

    def send(client):
        with contextlib.suppress(OSError):
            while not done.wait(0.01):
                client.send(b"x" * 100)

    with plane.connect() as client:
        client.sendall(NONSENSE)
        thread = threading.Thread(target=send, args=(client,))
        thread.start()
        assert plane.ended()[0].outcome.ended_by is EndedBy.PROXY
        done.set()
        thread.join()


def test_client_that_resets_is_let_go_at_once(plane, patient):
    """A reset ends the farewell."""
    client = plane.connect()
    client.sendall(NONSENSE)
    assert client.recv(10) == b"HTTP/1.1 4"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert plane.ended()


def test_flood_does_not_starve_others(plane):
    """While one client floods its farewell, others are served."""
    done = threading.Event()

    def flood(client):
        with contextlib.suppress(OSError):
            while not done.is_set():
                client.sendall(bytes(1 << 20))

    with plane.connect() as loud:
        loud.sendall(NONSENSE)
        thread = threading.Thread(target=flood, args=(loud,))
        thread.start()
        wait_for(lambda: plane.rows() and plane.rows()[0].client_rx > 1 << 20)
        with Wire(plane.connect()) as wire:
            wire.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.read_message().status == 200
        done.set()
        thread.join()
