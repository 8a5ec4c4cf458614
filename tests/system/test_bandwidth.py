"""
Bandwidth as a client sees it: what it gets in the time that really passed, by its own clock.

This is a claim about a rate, so time is measured here, as nowhere else. Bytes are compared with the time in which
they came, so a machine that is late makes a test longer and not wrong; only one that stands still for most of the burst
(a quarter of a second) in one piece would be seen.
"""

import contextlib
import socket
import threading
import time

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import serving

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


def rate_of(clients):
    """Return the bytes a second that clients get together, over at least five seconds from the first byte."""
    got = [0] * len(clients)
    begin = time.monotonic()
    ends = [begin] * len(clients)

    def read(place, client):
        buffer = bytearray(MIB)
        while ends[place] < begin + SECONDS:
            got[place] += client.recv_into(buffer)
            ends[place] = time.monotonic()

    readers = [threading.Thread(target=read, args=each) for each in enumerate(clients)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return sum(got) / (max(ends) - begin)


def connected(stack, node, count=1):
    """Return clients of the listener."""
    return [stack.enter_context(socket.create_connection(node.address("main"), 30)) for _ in range(count)]


@pytest.mark.parametrize("rate", [128 * KIB, 10 * MIB])
def test_a_connection_has_its_bandwidth(rate):
    """A connection gets its rate within 2 % over five seconds, from its first byte on."""
    with (
        serving(flood) as target,
        running(f'[limits]\nbandwidth_per_connection = "{rate}B/s {BURST}"', table("main", "tcp", target.port)) as node,
        contextlib.ExitStack() as stack,
    ):
        assert rate_of(connected(stack, node)) == pytest.approx(rate, rel=MOST)


def test_eight_connections_of_two_workers_share_the_bandwidth_of_their_address():
    """Eight connections of one address, spread over two workers, get its rate together within 2 %."""
    limits = f'[limits]\nexempt = []\nbandwidth_per_ip = "{2 * MIB}B/s {BURST}"'
    with (
        serving(flood) as target,
        running(limits, table("main", "tcp", target.port), workers=2) as node,
        contextlib.ExitStack() as stack,
    ):
        assert rate_of(connected(stack, node, 8)) == pytest.approx(2 * MIB, rel=MOST)
