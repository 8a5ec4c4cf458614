"""`kill -9` of one of two workers: the other goes on, a new one serves within a second, and nothing counted is lost."""

import contextlib
import itertools
import os
import signal
import socket
import threading

import pytest

from penstock.testing.nodes import bytes_of, running, table
from penstock.testing.peers import echo, serving
from penstock.testing.procfs import children, holder
from penstock.testing.tap import tapping
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for a byte."""

MESSAGE = 50_000
"""Bytes of one exchange: less than any socket buffer, so that a send takes it whole."""

CLIENTS = 12


class Client:
    """
    Sends messages and waits for each to come back.

    Attributes:
        sent, received: Bytes; of a message under way, what of it came back.
        broken: Whether its connection was reset or closed.
    """

    def __init__(self, address):
        self.sock = socket.create_connection(address, SECONDS)
        self.sent = self.received = 0
        self.broken = False

    def exchange(self, message):
        """Send one message and receive it; returns whether the connection still stands."""
        try:
            self.sock.sendall(message)
            self.sent += len(message)
            self._receive(self.sent)
        except OSError:
            self.broken = True
        return not self.broken

    def _receive(self, until):
        while self.received < until:
            piece = self.sock.recv(until - self.received)
            if not piece:
                raise ConnectionResetError
            self.received += len(piece)

    def drain(self):
        """Receive what is still on its way, until nothing more comes."""
        with contextlib.suppress(OSError):
            while piece := self.sock.recv(MESSAGE):
                self.received += len(piece)

    def close(self):
        """Close."""
        self.sock.close()


@pytest.fixture
def stage():
    """An echo server behind a tap, and before it a node with two workers."""
    with (
        serving(echo) as server,
        tapping("127.0.0.1", server.port) as tap,
        running(table("main", "tcp", tap.port), workers=2, killed=True) as node,
    ):
        yield node, tap


@contextlib.contextmanager
def watching(node):
    """Read the totals again and again at the admin door; yields every reading."""
    readings, done = [], threading.Event()

    def watch():
        while not done.is_set():
            stats = node.stats()
            readings.append((stats["totals"], stats["listeners"][0], stats["targets"][0]))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield readings
    wait_for(lambda: len(readings) > 10, "a few readings")
    done.set()
    thread.join(SECONDS)


GROWING = ("connections", "bytes_in", "bytes_out", "target_rx", "target_tx", "requests")


def assert_never_back(readings):
    """No total of node, listener or target was ever lower than before."""
    for before, after in itertools.pairwise(readings):
        for older, newer in zip(before, after, strict=True):
            assert [key for key in GROWING if newer[key] < older[key]] == []


def kill_one(node, pids):
    """Kill the first worker."""
    os.kill(pids[0], signal.SIGKILL)


def heir(node, pids):
    """Wait for the process of a new worker and return it."""
    return wait_for(lambda: set(children(node.process.pid)) - set(pids), "a new worker").pop()


def test_killed_at_rest(stage):
    """
    Killed between two exchanges, right after the last byte came back and before any reading: every byte is there.

    The connections of the other worker go on, all new clients are served, some of them by the heir.
    """
    node, _ = stage
    pids = node.worker_pids()
    message = os.urandom(MESSAGE)
    with watching(node) as readings:
        clients = [Client(node.address("main")) for _ in range(CLIENTS)]
        assert all(client.exchange(message) for client in clients)
        holders = [holder(client.sock, pids) for client in clients]
        assert set(holders) == set(pids)
        kill_one(node, pids)
        new = heir(node, pids)
        guests = [Client(node.address("main")) for _ in range(CLIENTS)]
        assert all(guest.exchange(message) for guest in guests)
        assert {holder(guest.sock, [*pids, new]) for guest in guests} == {pids[1], new}
        survivors = [client for client, pid in zip(clients, holders, strict=True) if pid == pids[1]]
        assert all(client.exchange(message) for client in survivors)
        moved = sum(client.sent for client in [*clients, *guests])
        for client in [*clients, *guests]:
            client.close()
        found = node.settled("main", 2 * CLIENTS)
    assert bytes_of(found) == (moved,) * 4
    assert_never_back(readings)
    assert len(node.logged("worker died")) == 1
    assert node.stats()["workers"]["respawns"] == 1


class Crowd:
    """
    Clients that exchange messages, each in its thread, until told to stop or cut off.

    Attributes:
        clients: All that ever were.
    """

    def __init__(self, address):
        self._address, self._message = address, os.urandom(MESSAGE)
        self._stop, self._threads = threading.Event(), []
        self.clients = []

    def grow(self, count):
        """Add clients."""
        for _ in range(count):
            client = Client(self._address)
            self.clients.append(client)
            self._threads.append(threading.Thread(target=self._load, args=(client,), daemon=True))
            self._threads[-1].start()

    def _load(self, client):
        while not self._stop.is_set() and client.exchange(self._message):
            pass

    def of(self, pid):
        """Return the clients of this worker, and those of others."""
        whole = [client for client in self.clients if not client.broken]
        mine = [client for client in whole if holder(client.sock, (pid,))]
        return mine, [client for client in whole if client not in mine]

    def go_on(self, clients):
        """Wait until each of them has had ten more messages."""
        goals = [(client, client.received + 10 * MESSAGE) for client in clients]
        wait_for(lambda: all(client.received >= goal for client, goal in goals), "clients to go on")

    def leave(self):
        """Stop, and receive what is still on its way to those who were cut off."""
        self._stop.set()
        for client, thread in zip(self.clients, self._threads, strict=True):
            thread.join(SECONDS)
            if client.broken:
                client.drain()
            client.close()


KILLS = 3


def test_killed_under_load(stage):
    """
    Killed in the middle of its work, three times: totals are what both ends saw, but for one message a kill at most.

    A worker notes a send before it begins, and the last fold counts one that it had no time to count. What is left of
    doubt is the moment between the note and the kernel's taking the bytes. Everything else is exact: both ends receive
    all that the kernel took, for the tap and the clients read on until the end.
    """
    node, tap = stage
    crowd = Crowd(node.address("main"))
    crowd.grow(CLIENTS)
    with watching(node) as readings:
        for kill in range(1, KILLS + 1):
            pids = children(node.process.pid)
            cut, others = crowd.of(pids[0])
            kill_one(node, pids)
            wait_for(lambda cut=cut: all(client.broken for client in cut), "the dead worker's clients to notice")
            crowd.go_on(others)
            heir(node, pids)
            crowd.grow(len(cut))
            crowd.go_on(crowd.clients[-len(cut) :] if cut else [])
            node.until(lambda stats, kill=kill: stats["workers"]["respawns"] == kill)
        crowd.leave()
        received, sent, to_target, _ = bytes_of(node.settled("main", len(crowd.clients)))
    tap.settle()
    doubts = tap.total("up") - to_target, sum(client.received for client in crowd.clients) - sent
    assert sum(map(abs, doubts)) <= KILLS * MESSAGE
    assert 0 <= received - to_target <= KILLS * MESSAGE
    assert received <= sum(client.sent for client in crowd.clients)
    assert_never_back(readings)
