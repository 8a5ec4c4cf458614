"""A flood of connections from many addresses: all of it is counted, its senders are banned, others are served."""

import contextlib
import json
import socket
import threading
from collections import Counter

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, serving
from penstock.testing.procfs import memory
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for a byte."""

ADDRESSES = 2_000

LINES = 50
"""In a second, at most."""

GROWTH = 64 << 20
"""Memory that all processes together may take more than before; unit bytes. Fixed tables are touched first here."""

GUARDED = """
[limits]
exempt = ["127.0.0.1"]
connections_per_ip = "off"
rate_per_ip = "1/1h"
[bans]
detect = "on"
protect_loopback = false
floods = { threshold = 2, window = "1h", duration = "1h" }
"""
"""Each address comes in once; the second refusal bans it. One address may do as it likes."""


def served(address, host):
    """Return whether a client from this address was let in and got its byte back."""
    with socket.create_connection(address, SECONDS, (host, 0)) as client:
        try:
            client.sendall(b"x")
            return client.recv(1) == b"x"
        except (ConnectionResetError, BrokenPipeError):
            return False


def wave(address):
    """Let every address connect once, and return how many were served."""
    return sum(served(address, f"127.1.{number >> 8}.{number & 255}") for number in range(ADDRESSES))


@contextlib.contextmanager
def asking(address):
    """Ask without pause from the address that may, on a lasting connection and on new ones; yield what came of each."""
    answers, stop = Counter(), threading.Event()

    def ask():
        with socket.create_connection(address, SECONDS) as kept:
            while not stop.is_set():
                kept.sendall(b"y")
                answers["kept", kept.recv(1) == b"y"] += 1
                answers["fresh", served(address, "127.0.0.1")] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        wait_for(lambda: answers)
        yield answers
    finally:
        stop.set()
        thread.join(SECONDS)


def refused(node):
    """Return how many were refused, by those reasons for which somebody was."""
    return {reason: count for reason, count in node.stats()["refused"].items() if count}


def resident(node):
    """Return the memory of all processes of a node; unit bytes."""
    return sum(memory(pid) for pid in (node.process.pid, *node.worker_pids()))


def test_a_flood_is_counted_whole_and_banned_and_holds_nobody_up():
    """Two thousand addresses: what they saw is what is counted, bans end it and feed nothing, and few lines tell it."""
    with serving(echo) as target, running(table("main", "tcp", target.port), GUARDED, workers=2) as node:
        address, before = node.address("main"), resident(node)
        with asking(address) as answers:
            assert wave(address) == ADDRESSES
            assert wave(address) == wave(address) == 0
            node.until(lambda stats: stats["refused"]["rate_limit"] >= 2 * ADDRESSES)
            wait_for(lambda: json.loads(node.fetch("/api/v1/bans"))["total"] == ADDRESSES)
            for _ in range(3):
                assert wave(address) == 0
        expected = {"rate_limit": 2 * ADDRESSES, "ban": 3 * ADDRESSES}
        wait_for(lambda: refused(node) == expected)
        assert set(answers) == {("kept", True), ("fresh", True)}
        why = json.loads(node.fetch("/api/v1/why?ip=127.1.3.4"))
        (ban,) = why["bans"]
        assert (ban["reason"], ban["evidence"]["count"], why["offences"]) == ("floods", 2, 1)
        grown = resident(node) - before
        assert grown < GROWTH, grown
    told = node.logged("more connections refused") + node.logged("connection refused")
    assert sum(each.get("count", 1) for each in told) == 5 * ADDRESSES
    assert max(Counter(each["timestamp"][:19] for each in node.events).values()) < LINES
