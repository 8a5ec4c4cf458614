"""The log of a real node under attack: bounded, and nobody is lost from it."""

import socket
from collections import Counter

import pytest

from penstock.testing.nodes import running, table

pytestmark = pytest.mark.system

SECONDS = 20
CLIENTS = 400

AGAIN = 3
"""More of one client, each of which it hears later than the one before."""

LINES = 50
"""In a second, at most."""


def knock(address, number):
    """Log in wrongly from one of many addresses, and see the end."""
    source = f"127.1.{number >> 8}.{number & 255}", 0
    with socket.create_connection(address, SECONDS, source) as client:
        client.sendall(b"\x05\x01\x02\x01\x03ann\x03bad")
        while client.recv(100):
            pass


def test_failed_logins_in_masses_write_few_lines_and_all_are_told():
    """Hundreds of wrong logins write less than fifty lines a second; what waits is told at SIGTERM, and none lacks."""
    with running(table("main", "socks5", auth="ann:secret"), killed=True) as node:
        for number in range(CLIENTS):
            knock(node.address("main"), number)
        for _ in range(AGAIN):
            knock(node.address("main"), 7)
        node.settled("main", CLIENTS + AGAIN)
        refused = node.stats()["refused"]["auth"]
        assert node.stop() == 0
        sums = node.logged("more connections refused")
        whole = node.logged("connection refused")
        assert refused == CLIENTS + AGAIN == len(whole) + sum(each["auth"] for each in sums)
        assert "127.1.0.7 (" in ", ".join(each["top"] for each in sums)
        by_second = Counter(each["timestamp"][:19] for each in (*sums, *whole))
        assert max(by_second.values()) < LINES
