"""Limits hold exactly, whoever races and whichever workers die: real clients, real processes."""

import contextlib
import os
import random
import signal
import threading

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, let_in, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for a byte."""

CLIENTS = 64


def limits(**keys):
    """Return the section of limits, from which nobody is exempt."""
    fields = {"exempt": [], "connections_per_ip": '"off"', "rate_per_ip": '"off"'} | keys
    return "\n".join(["[limits]", *(f"{key} = {value}" for key, value in fields.items()), ""])


def race(address, each):
    """Return the connections that were let in, of so many that each of CLIENTS threads asks for at once."""
    start, found = threading.Barrier(CLIENTS), []

    def client():
        start.wait(SECONDS)
        for _ in range(each):
            if (sock := let_in(address)) is not None:
                found.append(sock)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS * each)
    return found


def release(node, sockets, left):
    """Close connections, and wait until the node has seen it: so many are left."""
    for sock in sockets:
        sock.close()
    node.until(lambda stats: stats["totals"]["active"] == left)


def refused(node, reason):
    """Return how many were refused for this reason."""
    return node.stats()["refused"][reason]


@pytest.mark.parametrize(("key", "reason"), [("connections_per_ip", "ip_limit"), ("connections", "global_limit")])
def test_a_race_over_four_workers_reaches_the_limit_exactly(key, reason):
    """64 clients that race over four workers get exactly 100 connections, again and again, and the rest is refused."""
    with serving(echo) as target, running(table("main", "tcp", target.port), limits(**{key: 100}), workers=4) as node:
        address, held, asked, passed = node.address("main"), [], 0, 0
        for leave in (100, 37, 1, 100):
            found = race(address, 3)
            held, asked, passed = held + found, asked + 3 * CLIENTS, passed + len(found)
            assert len(held) == 100
            node.until(lambda stats: stats["totals"]["active"] == 100)
            random.Random(leave).shuffle(held)
            release(node, held[:leave], 100 - leave)
            held = held[leave:]
        wait_for(lambda: refused(node, reason) == asked - passed)


def test_a_rate_over_four_workers_lets_exactly_so_many_pass():
    """Of 192 connections that race over four workers, 50 pass where the rate is 50, whether they end or not."""
    with serving(echo) as target:
        parts = table("main", "tcp", target.port), limits(rate_per_ip='"50/1h"')
        with running(*parts, workers=4) as node:
            found = race(node.address("main"), 1)
            assert len(found) == 50
            release(node, found, 0)
            assert race(node.address("main"), 2) == []
            wait_for(lambda: refused(node, "rate_limit") == 3 * CLIENTS - 50)


def test_a_burst_over_four_workers_is_exact():
    """Of 64 connections that race over four workers, 50 pass where 50 may pass at once, whatever the rate is."""
    with serving(echo) as target:
        parts = table("main", "tcp", target.port), limits(rate_per_ip='"20/1h burst 50"')
        with running(*parts, workers=4) as node:
            found = race(node.address("main"), 1)
            assert len(found) == 50
            release(node, found, 0)
            wait_for(lambda: refused(node, "rate_limit") == CLIENTS - 50)


def test_a_rate_lets_pass_again_when_its_window_is_over():
    """Who was refused by a rate of ten in two seconds is let in again, and then again."""
    rate = limits(rate_per_ip='"10/2s"')
    with serving(echo) as target, running(table("main", "tcp", target.port), rate, workers=4) as node:
        for _ in range(2):
            wait_for(lambda: let_in(node.address("main")) is None)
            wait_for(lambda: let_in(node.address("main")))


def test_leases_of_killed_workers_are_given_back():
    """Two of four workers are killed while they hold connections: as many come in again, and never more than 100."""
    with serving(echo) as target:
        parts = table("main", "tcp", target.port), limits(connections_per_ip=100)
        with running(*parts, workers=4, killed=True) as node, contextlib.ExitStack() as stack:
            held = []
            for _ in range(3):
                held += [stack.enter_context(sock) for sock in race(node.address("main"), 3)]
                assert len(held) == 100
                victims = node.worker_pids()[:2]
                for pid in victims:
                    os.kill(pid, signal.SIGKILL)
                node.until(lambda stats, gone=victims: serves_without(stats, gone))
                held = [sock for sock in held if echoes(sock)]
                assert len(held) < 100


def serves_without(stats, gone):
    """Return whether all seats are taken, and none by one of these."""
    pids = set(stats["workers"]["pids"])
    return len(pids) == 4 and not pids & set(gone)


def echoes(sock):
    """Return whether a connection still stands."""
    try:
        sock.sendall(b"y")
        return sock.recv(1) == b"y"
    except OSError:
        return False
