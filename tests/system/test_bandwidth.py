"""
Bandwidth as a client sees it: what it gets in the time that really passed, by its own clock.

This is a claim about a rate, so time is measured here, as nowhere else. Bytes are compared with the time in which
they came, and again while less came than should have: a machine that is late makes a test longer and not wrong.
"""

import contextlib
import socket
import threading
import time

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

KIB, MIB = 1 << 10, 1 << 20
SECONDS = 5
MOST = 0.02
"""How far the rate may be off."""

BURST = "burst 64MiB"
"""A late machine loses nothing: the burst is only had by who has paused, and nobody here does."""


def flood(sock):
    """Send until nobody reads."""
    data = bytes(256 * KIB)
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(data)


@contextlib.contextmanager
def reading(clients):
    """Read from all of them, each in a thread; yields how many bytes each has got so far."""
    got, done = [0] * len(clients), threading.Event()

    def read(place, client):
        buffer = bytearray(MIB)
        while not done.is_set():
            got[place] += client.recv_into(buffer)

    readers = [threading.Thread(target=read, args=each) for each in enumerate(clients)]
    for reader in readers:
        reader.start()
    try:
        yield got
    finally:
        done.set()
        for reader in readers:
            reader.join()


def assert_rate(node, rate, count=1):
    """
    Connections get this rate together, from their first byte on; unit bytes/s.

    They never have more than since the first began to connect, at any look. And after five seconds or more they have
    as much as since the last was connected: who looks while the machine is late with what they may have looks again.
    """
    with contextlib.ExitStack() as stack:
        earliest = time.monotonic()
        clients = [stack.enter_context(socket.create_connection(node.address("main"), 30)) for _ in range(count)]
        latest = time.monotonic()
        with reading(clients) as got:

            def has_enough():
                now = time.monotonic()
                total = sum(got)
                assert total <= rate * (time.monotonic() - earliest + MOST * SECONDS)
                return now > latest + SECONDS and total >= (1 - MOST) * rate * (now - latest)

            wait_for(has_enough, "the rate")


@pytest.mark.parametrize("rate", [128 * KIB, 10 * MIB])
def test_a_connection_has_its_bandwidth(rate):
    """A connection gets its rate within 2 % over five seconds, from its first byte on."""
    with (
        serving(flood) as target,
        running(f'[limits]\nbandwidth_per_connection = "{rate}B/s {BURST}"', table("main", "tcp", target.port)) as node,
    ):
        assert_rate(node, rate)


def test_eight_connections_of_two_workers_share_the_bandwidth_of_their_address():
    """Eight connections of one address, spread over two workers, get its rate together within 2 %."""
    limits = f'[limits]\nexempt = []\nbandwidth_per_ip = "{2 * MIB}B/s {BURST}"'
    with (
        serving(flood) as target,
        running(limits, table("main", "tcp", target.port), workers=2) as node,
    ):
        assert_rate(node, 2 * MIB, 8)
