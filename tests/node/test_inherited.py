"""Listening sockets that were given: claimed by name or address, the rest closed and told."""

import os
import socket

import pytest

from penstock.node.inherited import ADMIN, Given, Inherited, address_of, from_systemd, listening


@pytest.fixture
def sock():
    """A listening socket on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_name_comes_before_an_address(sock):
    """The socket with the listener's name is its own, wherever it listens; a claim is good once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        inherited = Inherited([Given("", (sock,)), Given("web", (other,))])
        assert inherited.claim("web", *address_of(sock)) == [other]
        assert inherited.claim("web", *address_of(sock)) == [sock]
        assert inherited.claim("web", *address_of(sock)) == []


def test_an_address_is_enough(sock):
    """A listener of another name takes what listens where it would; port 0 is no address."""
    host, port = address_of(sock)
    inherited = Inherited([Given("unknown", (sock,))])
    assert inherited.claim("web", host, 0) == []
    assert inherited.claim("web", host, port) == [sock]


def test_what_moved_is_not_claimed_by_name(sock):
    """Of a process that is succeeded, a listener that has another address by now does not get its old socket."""
    inherited = Inherited([Given("web", (sock,), ("127.0.0.1", 0))])
    assert inherited.claim("web", "127.0.0.1", 1) == []
    assert inherited.claim("web", "127.0.0.1", 0) == [sock]


def test_what_nobody_needs_is_closed_and_told(sock):
    """By its name and its address."""
    host, port = address_of(sock)
    inherited = Inherited(
        [Given("web", (sock,)), Given("", (socket.create_server(("::1", 0), family=socket.AF_INET6),))],
        ["descriptor 9"],
    )
    told = inherited.close()
    assert told[:2] == ["descriptor 9", f"web at {host}:{port}"]
    assert told[2].startswith("a socket at [::1]:")
    assert (sock.fileno(), inherited.close()) == (-1, [])


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        ({}, 0),
        ({"LISTEN_FDS": "1"}, 0),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, 0),
        ({"LISTEN_FDS": "x", "LISTEN_PID": "me"}, 0),
        ({"LISTEN_FDS": "99999999", "LISTEN_PID": "me"}, 0),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "me", "LISTEN_FDNAMES": "admin:more"}, 1),
    ],
)
def test_descriptors_are_for_this_process_alone(monkeypatch, sock, environ, count):
    """Only LISTEN_PID's process has them, and no child hears of them."""
    monkeypatch.setattr("penstock.node.inherited.FIRST_FD", sock.fileno())
    environ = {name: str(os.getpid()) if value == "me" else value for name, value in environ.items()}
    inherited = from_systemd(environ)
    assert environ == {}
    found = inherited.claim(ADMIN, "192.0.2.1", 1)
    assert len(found) == count
    for each in found:
        assert not each.getblocking()
        each.detach()


def test_only_listening_stream_sockets_count(tmp_path):
    """A file, a datagram socket and a connection are none, and stay open; a Unix socket is one."""
    with (tmp_path / "file").open("w") as file, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        one, two = socket.socketpair()
        with one, two:
            for each in (file, datagrams, one):
                assert listening(each.fileno()) is None
                os.fstat(each.fileno())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        found = listening(os.dup(server.fileno()))
        assert address_of(found) == (f"unix:{tmp_path / 's'}", 0)
        found.close()
