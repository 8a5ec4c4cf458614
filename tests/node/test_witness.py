"""The kernel as a witness: real sockets beside rows that are written by hand."""

import socket
import struct
from contextlib import closing

import pytest

from penstock.config.plan import ListenerPlan
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import CLIENT_RX
from penstock.node import witness
from penstock.node.sock_diag import SockDiagError
from penstock.node.witness import PAUSES, Witness
from penstock.testing.pen import Pen

NOW = "2026-01-01T00:00:00.000Z"


class Scene:
    """A listener, a ledger, and a witness who sleeps as long as the test says."""

    def __init__(self, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.door = socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")
        self.port = self.door.getsockname()[1]
        self.pen = Pen(rows=256)
        self.reader = LedgerReader(self.pen.fd, 1)
        self.sockets, self.pauses, self.meanwhile = [], [], lambda: None
        plan = ListenerPlan(id=1, name="web", protocol="tcp", host=host, port=self.port)
        unix = ListenerPlan(id=2, name="local", protocol="tcp", host="unix:/nowhere", port=0)
        self.witness = Witness([plan, unix], self.pause)

    def pause(self, seconds):
        """Let something happen instead of sleeping."""
        self.pauses.append(seconds)
        self.meanwhile()

    def connect(self, host="127.0.0.1"):
        """Return a client, its accepted socket and their row."""
        client = socket.create_connection((host, self.port), 10)
        server, address = self.door.accept()
        self.sockets += [client, server]
        return client, server, self.pen.open(1, address[:2])

    def look(self):
        """Ask the kernel."""
        return self.witness.look([self.reader], NOW)

    def close(self):
        """Close everything."""
        for each in (*self.sockets, self.door):
            each.close()
        self.pen.close()


@pytest.fixture
def scene():
    """A scene on IPv4 loopback."""
    with closing(Scene()) as scene:
        yield scene


def residuals(view):
    """Return what is left over in each direction."""
    return tuple(line.residual for line in view.lines)


def test_what_was_read_and_written_is_witnessed(scene):
    """Bytes that wait in either queue are told apart from those that went through our hands."""
    client, server, row = scene.connect()
    client.sendall(b"x" * 100)
    server.recv(60)
    server.sendall(b"y" * 7)
    scene.pen.move(row, 60, 7)
    view = scene.look()
    assert (view.taken_at, view.open, view.witnessed, residuals(view)) == (NOW, 1, 1, (0, 0))
    assert [line.sum for line in view.lines] == [60, 7]
    assert scene.pauses == []


@pytest.mark.parametrize("step", range(6))
def test_no_end_of_file_is_a_byte(scene, step):
    """At every step of a half-close, from either side, the kernel's numbers are the rows', to the byte."""
    client, server, row = scene.connect()
    client.sendall(b"x" * 100)
    server.sendall(b"y" * 50)
    scene.pen.move(row, 0, 50)

    def read(size):
        scene.pen.move(row, len(server.recv(size)))

    steps = [
        lambda: client.shutdown(socket.SHUT_WR),
        lambda: read(40),
        lambda: read(1_000),
        lambda: read(1_000),
        lambda: server.shutdown(socket.SHUT_WR),
    ]
    for act in steps[:step]:
        act()
    view = scene.look()
    assert residuals(view) == (0, 0)
    assert view.witnessed == (1 if step < 5 else view.witnessed)


def test_our_end_of_file_behind_a_full_queue(scene):
    """A client that reads nothing leaves megabytes and our end of file in the queue; all but the end are ours."""
    client, server, row = scene.connect()
    server.setblocking(False)
    sent = 0
    try:
        while True:
            sent += server.send(b"z" * 65_536)
    except BlockingIOError:
        pass
    scene.pen.move(row, 0, sent)
    assert residuals(scene.look()) == (0, 0)
    server.shutdown(socket.SHUT_WR)
    assert residuals(scene.look()) == (0, 0)
    while client.recv(1 << 20):
        pass
    client.sendall(b"abc")
    view = scene.look()
    assert (view.witnessed, residuals(view)) == (1, (0, 0))


@pytest.mark.parametrize(("host", "client"), [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")])
def test_ipv6_listeners_are_witnessed(host, client):
    """So are IPv4 clients of a listener of all addresses."""
    with closing(Scene(host)) as scene:
        sock, server, row = scene.connect(client)
        sock.sendall(b"12345")
        scene.pen.move(row, len(server.recv(5)))
        view = scene.look()
        assert (view.witnessed, residuals(view)) == (1, (0, 0))
        scene.pen.move(row, 2, 3)
        view = scene.look()
        assert (view.witnessed, residuals(view), view.suspects) == (1, (2, 3), ((1 << 32) + 1,))


@pytest.mark.parametrize("wrong", [1, -1, 1_000_000])
def test_a_miscount_is_found_and_named(scene, wrong):
    """One connection of three counts wrong, by one byte or by many: the residual is that, and its id is told."""
    rows = [scene.connect() for _ in range(3)]
    for client, server, row in rows:
        client.sendall(b"x" * 50)
        scene.pen.move(row, len(server.recv(50)))
    scene.pen.ledger.words[rows[1][2] + CLIENT_RX] += wrong
    if wrong < 0:
        assert scene.pen.ledger.words[rows[1][2] + CLIENT_RX] == 49
    view = scene.look()
    assert (view.witnessed, residuals(view), view.suspects) == (3, (abs(wrong), 0), ((1 << 32) + 2,))
    assert [line.total - line.sum for line in view.lines] == [wrong, 0]
    assert scene.pauses == list(PAUSES)


def test_a_moment_is_no_fault(scene):
    """Bytes that were received and not counted when the kernel was asked are counted when it is asked again."""
    client, server, row = scene.connect()
    client.sendall(b"x" * 50)
    server.recv(50)
    scene.meanwhile = lambda: scene.pen.move(row, 50) if len(scene.pauses) == 3 else None
    view = scene.look()
    assert (view.witnessed, residuals(view), view.suspects) == (1, (0, 0), ())
    assert scene.pauses == list(PAUSES[:3])


def test_who_leaves_while_it_is_looked_at_is_no_fault(scene):
    """A connection that seemed to differ and then ended, or was reset, is not witnessed."""
    first, second = scene.connect(), scene.connect()
    for _, _, row in (first, second):
        scene.pen.move(row, 5)

    def leave():
        scene.pen.end(first[2])
        second[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second[0].close()

    scene.meanwhile = leave
    view = scene.look()
    assert (view.open, view.witnessed, view.closed, residuals(view), len(scene.pauses)) == (2, 0, 2, (0, 0), 1)


def test_strangers_are_left_alone(scene):
    """Clients in the backlog, sockets of other ports and rows on Unix sockets are no residual."""
    waiting = socket.create_connection(("127.0.0.1", scene.port), 10)
    waiting.sendall(b"hello")
    scene.pen.move(scene.pen.open(2, ("-", 0)), 5)
    scene.pen.move(scene.pen.open(1, ("192.0.2.1", 9)), 5)
    view = scene.look()
    assert (view.open, view.witnessed, view.unix, view.closed, residuals(view)) == (2, 0, 1, 1, (0, 0))
    waiting.close()


def test_a_node_of_unix_sockets_asks_nothing():
    """Without a port there is no question, and no residual."""
    pen = Pen()
    plan = ListenerPlan(id=1, name="local", protocol="tcp", host="unix:/nowhere", port=0)
    pen.move(pen.open(1, ("-", 0)), 5)
    view = Witness([plan]).look([LedgerReader(pen.fd, 1)], NOW)
    assert (view.refusal, view.open, view.unix, residuals(view)) == ("", 1, 1, (0, 0))
    pen.close()


@pytest.mark.parametrize("fault", ["socket", "answer"])
def test_a_kernel_that_refuses_is_told(scene, monkeypatch, fault):
    """Where the kernel may not be asked, or answers what cannot be read, the reason is told and nothing is compared."""
    if fault == "socket":

        def refuse(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(witness.socket, "socket", refuse)
    else:

        def garbage(answers, data):
            raise SockDiagError("the kernel's answer is cut short")

        monkeypatch.setattr(witness.Answers, "add", garbage)
    view = scene.look()
    assert view.refusal
    assert (view.open, view.witnessed, view.lines) == (0, 0, ())


@pytest.mark.parametrize("batch", [1, witness.BATCH_BYTES])
def test_many_connections_in_many_datagrams(scene, monkeypatch, batch):
    """Two hundred connections, more than one datagram tells of, each with its own numbers, are witnessed at once."""
    monkeypatch.setattr(witness, "BATCH_BYTES", batch)
    for number in range(200):
        client, server, row = scene.connect()
        client.sendall(b"x" * (number + 1))
        scene.pen.move(row, len(server.recv(1_000)))
    view = scene.look()
    assert (view.open, view.witnessed, residuals(view)) == (200, 200, (0, 0))
    assert view.lines[0].sum == sum(range(1, 201))
