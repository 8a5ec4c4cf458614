"""Everything adds up: real clients of every kind, repeated audits, and not one byte left over."""

import contextlib
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from penstock.metrics.ledger import CLIENT_RX, HEADER_WORDS, OPEN, PORT, ROW_WORDS, STATE
from penstock.testing import http_peers
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, serving
from penstock.testing.procfs import children, holder
from penstock.testing.socks_peers import ASSOCIATE, ask
from penstock.testing.workbench import wait_for

from .iperf3 import iperf3

pytestmark = pytest.mark.system

SECONDS = 60
"""Longest that a client may take."""

LOAD_SECONDS = 6
"""How long clients go on while the node is audited."""

STANDING = 30
"""Connections that stay open all the while, and say a byte a second."""

RESET = struct.pack("ii", 1, 0)


def audit(node):
    """Return what the admin door says."""
    return json.loads(node.fetch("/api/v1/audit"))


def command_line(node, *words):
    """Return what `penstock audit` ends with, says and tells besides."""
    config = Path(node.process.args[node.process.args.index("--config") + 1])
    environment = {"PATH": os.environ["PATH"], "PENSTOCK_RUNTIME_DIR": str(config.parent), "HOME": str(config.parent)}
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", "audit", *words],
        env=environment, check=False, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip


def assert_exact(found):
    """No residual is left, in any dimension; the sheet shows what is wrong."""
    assert found["exact"], [line for line in found["lines"] if line["residual"]]
    assert set(found["residual_bytes"].values()) == {0}
    assert found["kernel"]["refusal"] == ""


def connect(address):
    """Return a client's socket."""
    client = socket.create_connection(address, SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


class Crowd:
    """
    Clients in threads, each of which does one thing again and again until told to stop.

    Args:
        deeds: What each of them does.
    """

    def __init__(self, deeds):
        self._stop, self.faults, self.done = threading.Event(), [], 0
        self._threads = [threading.Thread(target=self._go, args=(deed,), daemon=True) for deed in deeds]
        for thread in self._threads:
            thread.start()

    def _go(self, deed):
        while not self._stop.is_set():
            try:
                deed()
                self.done += 1
            except Exception as error:
                self.faults.append(error)
                return

    def leave(self):
        """Stop, and wait until all have left."""
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)
        assert self.faults == []
        assert self.done > len(self._threads)


def half_close(address):
    """Say all, be done, and hear all."""
    with connect(address) as client:
        client.sendall(b"x" * 50_000)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass


def reset(address):
    """Leave in the middle, with a reset."""
    with connect(address) as client:
        client.sendall(b"x" * 100_000)
        client.recv(1_000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def stop_reading(address):
    """Say more than fits anywhere, read little of it, and go."""
    with connect(address) as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(500):
                client.send(b"x" * 65_536)
        client.setblocking(True)
        client.recv(10_000)


def bulk(address):
    """Move enough to be taken for bulk, both ways."""
    with connect(address) as client:
        sender = threading.Thread(target=lambda: [client.sendall(b"x" * 1_000_000) for _ in range(20)], daemon=True)
        sender.start()
        heard = 0
        while heard < 20_000_000:
            heard += len(client.recv(1 << 20))
        sender.join(SECONDS)


def run(*words):
    """Return a deed that runs a program once; iperf3 may say that its server is still busy with the test before."""

    def deed():
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0 or "server is busy" in done.stdout + done.stderr, done

    return deed


class Standing:
    """Clients that stay, and say a byte a second each."""

    def __init__(self, address):
        self.clients = [connect(address) for _ in range(STANDING)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self):
        while not self._stop.wait(1):
            for client in self.clients:
                client.sendall(b"x")
                client.recv(1)

    def leave(self):
        """Go."""
        self._stop.set()
        self._thread.join(SECONDS)
        for client in self.clients:
            client.close()


@pytest.mark.needs("curl", "iperf3", "wrk")
def test_under_load_of_every_kind_everything_adds_up(tmp_path):
    """
    curl, iperf3, wrk, half-closes, resets, stalled readers and spliced bulk, audited again and again: no residual.

    The kernel tells of every connection that stays open, all the while, and of most of all that are open.
    """
    tables = [table("web", "http"), table("egress", "socks5")]
    with (
        serving(echo) as server,
        iperf3() as iperf_port,
        http_peers.origin(lambda *_: http_peers.ok(b"r" * 20_000)) as origin,
        running(*tables, table("main", "tcp", server.port), table("bulk", "tcp", iperf_port),
                workers=2, words=("--splice", "always")) as node,
    ):  # fmt: skip
        main, (_, bulk_port), url = node.address("main"), node.address("bulk"), origin.url()
        script = tmp_path / "script.lua"
        script.write_text(f'request = function() return wrk.format("GET", "{url}") end')
        standing, reports = Standing(main), []
        association = connect(node.address("egress"))
        ask(http_peers.Wire(association), ASSOCIATE, "0.0.0.0", 0)
        crowd = Crowd([
            run("curl", "-sS", "-x", node.url("web"), "-o", "/dev/null", url, url),
            run("curl", "-sS", "--proxytunnel", "-x", node.url("web"), "-T", __file__, "-o", "/dev/null", url),
            run("curl", "-sS", "-x", node.url("egress", "socks5h"), "-o", "/dev/null", url),
            run("wrk", "-t1", "-c4", "-d2s", "-s", str(script), node.url("web") + "/"),
            run("iperf3", "-c", "127.0.0.1", "-p", str(bulk_port), "-t", "2", "-P", "2", "-R"),
            *(lambda deed=deed: deed(main) for deed in (half_close, reset, stop_reading, bulk)),
        ])  # fmt: skip
        until = time.monotonic() + LOAD_SECONDS
        while time.monotonic() < until or len(reports) < 10:
            reports.append(audit(node))
            assert_exact(reports[-1])
        told = command_line(node)
        assert told.returncode == 0, told
        crowd.leave()
        assert_exact(audit(node))
        standing.leave()
        association.close()
        kernels = [report["kernel"] for report in reports]
        assert min(kernel["witnessed"] for kernel in kernels) >= STANDING
        assert {kernel["apart"] for kernel in kernels} == {1}
        assert sum(kernel["witnessed"] for kernel in kernels) > 0.8 * sum(kernel["open"] for kernel in kernels)
        node.at_rest()
        found = audit(node)
        assert_exact(found)
        (moved,) = {line["total"] for line in found["lines"] if line["quantity"] == "bytes_in"} - {0}
        assert moved == node.stats()["totals"]["bytes_in"] > 50_000_000


def test_a_killed_worker_leaves_no_residual():
    """After kill -9 of a worker under load, twice, every way to add up still agrees, and the kernel does."""
    with serving(echo) as server, running(table("main", "tcp", server.port), workers=2, killed=True) as node:
        main, cut = node.address("main"), threading.Event()

        def talk():
            with contextlib.suppress(OSError), connect(main) as client:
                for _ in range(200):
                    client.sendall(b"x" * 20_000)
                    while len(client.recv(65_536)) and not cut.is_set():
                        client.sendall(b"y" * 1_000)

        crowd = Crowd([talk] * 6)
        for kill in (1, 2):
            victim = children(node.process.pid)[0]
            os.kill(victim, signal.SIGKILL)
            for _ in range(5):
                assert_exact(audit(node))
            node.until(lambda stats, kill=kill: stats["workers"]["respawns"] == kill)
            assert_exact(audit(node))
        survivors = [connect(main) for _ in range(4)]
        for client in survivors:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
        found = audit(node)
        assert_exact(found)
        assert found["kernel"]["witnessed"] >= 4
        cut.set()
        crowd._stop.set()
        for client in survivors:
            client.close()
        node.at_rest()
        assert_exact(audit(node))


def miscount(pid, client, amount):
    """Add to what a worker has counted of a client, in its memory, as any root could."""
    port = client.getsockname()[1]
    path = next(file for file in Path(f"/proc/{pid}/fd").iterdir() if "penstock-ledger" in str(file.readlink()))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory, memoryview(memory).cast("Q") as words:
        bases = range(HEADER_WORDS, len(words) - ROW_WORDS, ROW_WORDS)
        base = next(base for base in bases if words[base + PORT] == port and words[base + STATE] & 3 == OPEN)
        words[base + CLIENT_RX] += amount


def test_a_miscount_in_a_worker_is_found_by_the_kernel():
    """
    Seven bytes that nobody sent, planted in a worker's ledger: the kernel, and nothing else, knows better.

    The audit names the connection, the command ends with 1, the metric is 7, and one error is logged.
    """
    with serving(echo) as server, running(table("main", "tcp", server.port), workers=2, killed=True) as node:
        clients = [connect(node.address("main")) for _ in range(5)]
        for client in clients:
            client.sendall(b"x" * 1_000)
            wait_for(lambda client=client: len(client.recv(1_000, socket.MSG_PEEK)) == 1_000)
        node.until(lambda stats: stats["totals"]["active"] == len(clients))
        assert_exact(audit(node))
        victim = clients[2]
        miscount(holder(victim, node.worker_pids()), victim, 7)
        found = audit(node)
        assert not found["exact"]
        assert {name: number for name, number in found["residual_bytes"].items() if number} == {"kernel": 7}
        (suspect,) = found["kernel"]["suspects"]
        shown = json.loads(node.fetch(f"/api/v1/connections/{suspect}"))
        assert shown["client"] == "{}:{}".format(*victim.getsockname())
        told = command_line(node)
        assert (told.returncode, str(suspect) in told.stderr) == (1, True)
        wait_for(lambda: re.search(rb'residual_bytes\{dimension="kernel"\} 7(\.0)?\n', node.fetch("/metrics")))
        wait_for(lambda: node.logged("counts do not add up"))
        (event,) = node.logged("counts do not add up")
        assert (event["level"], event["kernel_bytes_in"], event["connections"]) == ("error", -7, [suspect])
        victim.close()
        wait_for(lambda: audit(node)["exact"])
        assert command_line(node, "-o", "csv").returncode == 0
        for client in clients:
            client.close()
