"""Relays whose client speaks TLS: what is one record, what is more, what is held, and how it ends."""

import contextlib
import random
import socket
import struct
import threading

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import COMPLETE, EndedBy
from penstock.dataplane.tls import TLS_IN, TLS_LEVEL, TlsSocket
from penstock.dataplane.tls_ends import FromTls
from penstock.testing.peers import echo, read_all, reset, serving, until_released
from penstock.testing.relay_contract import is_reset
from penstock.testing.workbench import bench, listener, wait_for

ENDED = (7, 8)
"""TCP states (closed, close-wait) in which the FIN has come, and counts as a byte."""

DATA_SEGS_IN = 152
"""Where struct tcp_info (linux/tcp.h) counts the segments with data that came."""

ANSWER = 150_000
"""More than a small receive buffer takes, and less than a send buffer holds."""


def received(sock: socket.socket) -> int:
    """Return the bytes that a client's own kernel has received on this connection."""
    state, count = struct.unpack("=B127xQ80x", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216))
    return count - (state in ENDED)


def test_requests_and_answers_of_any_size(authority, plan):
    """On one connection, one after the other: every byte comes back, and each side counts its own."""
    chance, total = random.Random(4), 0
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with plane.connect() as raw, authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
            for _ in range(300):
                data = chance.randbytes(chance.choice((1, 50, 5_000, 16_383, 16_384, 16_385, 40_000)))
                client.sendall(data)
                got = b""
                while len(got) < len(data):
                    got += client.recv(len(data))
                assert got == data
                total += len(data)
            client.unwrap()
            row = plane.ended()[0]
            assert row.client_tx == received(client)
        assert (row.target_tx, row.target_rx, row.outcome) == (total, total, COMPLETE)


def test_tickets_come_in_one_segment(authority, plan):
    """OpenSSL sends each by itself; a client gets the server's flight, all tickets, and its answer: three segments."""
    counts, two = [], replace(plan, tickets=2)  # of several clients, since a busy machine's kernel may send one twice
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=two)) as plane:
        for _ in range(8):
            with (
                plane.connect() as raw,
                authority.client_context().wrap_socket(raw, server_hostname="localhost") as client,
            ):
                client.sendall(b"x")
                assert client.recv(1) == b"x"
                info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216)
                counts.append(struct.unpack_from("=I", info, DATA_SEGS_IN)[0])
    assert min(counts) == 3


def test_target_that_takes_nothing_stops_the_client(authority, plan):
    """What it does not take is held, and nothing is lost or read twice once it goes on."""
    wakes, sizes = threading.Event(), []

    def sleepy(sock: socket.socket) -> None:
        wakes.wait(30)
        sizes.append(len(read_all(sock)))

    with (
        serving(sleepy) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as raw,
        authority.client_context().wrap_socket(raw, server_hostname="localhost") as client,
    ):
        client.settimeout(0.2)
        sent = 0
        try:
            while True:
                sent += client.send(b"x" * 9_000)
        except TimeoutError:
            pass
        wakes.set()
        client.settimeout(30)
        sent += client.send(b"x" * 9_000)  # the record that was half gone goes first, and is the same
        client.unwrap()
        row = plane.ended()[0]
        assert row.target_tx == wait_for(lambda: sizes, "the target to have read all")[0] == sent
        assert row.outcome == COMPLETE


def test_requests_ask_nothing_of_epoll(authority, plan, monkeypatch):
    """What is left behind a record is announced by itself, once this was asked for."""
    asked, secure = [], TlsSocket.secure

    def watched(self, *args, **more):
        secure(self, *args, **more)
        modify = self.modify
        self.modify = lambda fd, mask: (asked.append(mask), modify(fd, mask))

    monkeypatch.setattr(TlsSocket, "secure", watched)
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as raw,
        authority.client_context().wrap_socket(raw, server_hostname="localhost") as client,
    ):
        for _ in range(50):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert asked == [TLS_IN, TLS_LEVEL]


@pytest.mark.parametrize("why", ["full target", "end"])
def test_who_cannot_read_is_told_once(authority, plan, monkeypatch, why):
    """A client whose bytes find no room, or who has said all, is not announced in every turn of the reactor."""
    told, ready, gate = [], FromTls.ready, threading.Event()

    def watched(self, fd, mask):
        told.append(mask)
        ready(self, fd, mask)

    monkeypatch.setattr(FromTls, "ready", watched)
    with (
        serving(until_released(gate)) as target,
        serving(echo) as other,
        bench(listener("main", "tcp", target.port, tls=plan), listener("other", "tcp", other.port, id=2)) as plane,
        plane.connect() as raw,
        authority.client_context().wrap_socket(raw, server_hostname="localhost") as client,
        plane.connect("other") as beside,
    ):
        if why == "end":
            client.sendall(b"x")
            wait_for(lambda: plane.rows()[0].target_tx == 1, "the byte to be relayed")
            socket.socket.shutdown(client, socket.SHUT_WR)
        else:
            client.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    client.send(b"x" * 9_000)
        plane.settled()
        settled = len(told)
        for _ in range(100):
            beside.sendall(b"y")
            assert beside.recv(1) == b"y"
        assert len(told) - settled < 5
        gate.set()


def test_what_waits_with_the_end_behind_it_is_counted(authority, plan):
    """The client has closed its side and not read: the bytes that wait for it count, the FIN that waits does not."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(b"y" * ANSWER)
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)

    with serving(answer) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.settimeout(30)
        raw.connect(("127.0.0.1", plane.ports["main"]))
        with raw, authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
            wait_for(lambda: plane.rows()[0].client_tx > ANSWER, "all to be handed to the kernel")
            socket.socket.shutdown(client, socket.SHUT_WR)
            row = plane.ended()[0]
            assert client.pending() == 0
            left = socket.socket(fileno=client.detach())
        with left:
            left.settimeout(30)
            read_all(left)
            assert row.client_tx == received(left)
        assert row.outcome == COMPLETE


def test_target_that_is_reset(authority, plan):
    """A reset of the target is the client's reset too, and the target's doing."""
    with serving(reset) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with plane.connect() as raw, authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"x")
            left = socket.socket(fileno=client.detach())
        with left:
            left.settimeout(30)
            assert is_reset(left)
        assert plane.ended()[0].outcome.ended_by is EndedBy.TARGET
