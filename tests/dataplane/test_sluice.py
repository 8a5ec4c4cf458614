"""Tests of `penstock.dataplane.sluice`, with sockets of loopback: its handshakes are over when connect returns."""

import contextlib
import socket
from ipaddress import ip_network

import pytest

from penstock.base.bounds import LINE_REFUSED
from penstock.base.clock import NS
from penstock.dataplane import sluice
from penstock.dataplane.sluice import NETWORKS, WARY_NS, Sluice, program

NOW = 5 * NS

HEARD = ("127.9.0.0/16", "::1", "2001:db8::/33", "10.0.0.0/8")


@pytest.fixture
def line(monkeypatch):
    """Return a listening socket of both families, behind which three may wait, and what connects to it."""
    monkeypatch.setattr(sluice, "LINE_HIGH", 3)
    monkeypatch.setattr(sluice, "LINE_WARY", 2)
    monkeypatch.setattr(sluice, "LINE_LOW", 2)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        sock.setblocking(False)

        def connect(source, times=1):
            for _ in range(times):
                there = "::1" if ":" in source else "127.0.0.1"
                peer = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET))
                peer.setblocking(False)
                peer.bind((source, 0))
                peer.connect_ex((there, sock.getsockname()[1]))
            return peer

        yield sock, connect


def accepted(sock):
    """Return who waits, and let each in."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            peer, address = sock.accept()
            peer.close()
            found.append(address[0].removeprefix("::ffff:"))
    return found


def flooded(sock):
    """Return a sluice whose listener has just sent many away."""
    gate = Sluice(sock, HEARD)
    gate.look(NOW)
    gate.refused = LINE_REFUSED
    return gate


def test_strangers_stay_outside_while_many_wait(line):
    """Behind a long line only clients are heard that are exempt, of both families; when it is short, everybody is."""
    sock, connect = line
    gate = flooded(sock)
    connect("127.1.0.1", 3)
    gate.look(NOW)
    assert not gate.closed
    connect("127.1.0.1")
    gate.look(NOW)
    assert gate.closed
    outside = connect("127.1.0.1")
    connect("127.9.0.1")
    connect("::1")
    assert accepted(sock) == ["127.1.0.1"] * 4 + ["127.9.0.1", "::1"]
    outside.close()  # or its kernel would knock again after a second
    gate.look(NOW)
    assert not gate.closed
    connect("127.1.0.2")
    assert accepted(sock) == ["127.1.0.2"]


def test_a_flood_that_goes_on_meets_a_shorter_line(line):
    """For a while after it was closed fewer may wait; then a rush of clients is welcome again."""
    sock, connect = line
    gate = flooded(sock)
    connect("127.1.0.1", 4)
    gate.look(NOW)
    accepted(sock)
    gate.look(NOW)
    connect("127.1.0.1", 3)
    gate._since, gate.refused = NOW + WARY_NS - 1, LINE_REFUSED
    gate.look(NOW + WARY_NS)
    assert not gate.closed
    gate.look(NOW + WARY_NS - 1)
    assert gate.closed


@pytest.mark.parametrize(
    ("refused", "later", "closed"),
    [
        (LINE_REFUSED - 1, 0, False),
        (LINE_REFUSED, 0, True),
        (LINE_REFUSED, 2 * NS - 1, True),
        (LINE_REFUSED, 2 * NS, False),
    ],
)
def test_a_rush_of_welcome_clients_is_no_flood(line, refused, later, closed):
    """A long line closes nothing unless many were sent away of late: after a restart all clients come at once."""
    sock, connect = line
    gate = flooded(sock)
    gate.refused = refused
    connect("127.1.0.1", 5)
    gate.look(NOW + later)
    assert gate.closed is closed


def test_who_was_accepted_goes_on_while_it_is_closed(line):
    """Only first packets are looked at: a connection of a stranger carries bytes, and inherits nothing that ends it."""
    sock, _ = line
    with socket.create_connection(("127.0.0.1", sock.getsockname()[1])) as peer:
        gate = Sluice(sock, ["127.9.0.0/16"])
        gate._close(gate._program)
        served, _ = sock.accept()
        with served:
            peer.sendall(b"x")
            assert served.recv(1) == b"x"
            served.sendall(b"y")
            assert peer.recv(1) == b"y"
        gate.open()


def test_an_heir_opens_what_was_left_closed(line):
    """A worker that dies under a flood leaves nobody outside: whoever has its socket next opens it."""
    sock, connect = line
    gate = flooded(sock)
    connect("127.1.0.1", 4)
    gate.look(NOW)
    assert gate.closed
    accepted(sock)
    Sluice(sock, HEARD)
    connect("127.1.0.1")
    assert accepted(sock) == ["127.1.0.1"]


def test_too_many_networks_are_no_program(line):
    """Where the kernel would not take it, everybody is heard."""
    sock, connect = line
    gate = Sluice(sock, [f"10.{n >> 8}.{n & 255}.0/24" for n in range(NETWORKS + 1)])
    gate._since, gate.refused = NOW, LINE_REFUSED
    connect("127.1.0.1", 5)
    gate.look(NOW)
    assert not gate.closed
    assert len(program([ip_network("2001:db8::1")] * NETWORKS)) < 4_096


def test_a_unix_socket_has_no_line(tmp_path):
    """Its clients are the machine's own, and nothing is asked of a kernel that does not know."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        gate = Sluice(sock, HEARD)
        gate.look(NOW)
        assert not gate.closed
