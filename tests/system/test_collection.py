"""Collection is switched while a real node carries traffic; and the older section is obeyed by one."""

import json
import socket
import subprocess
import sys
import threading

import pytest

from penstock.metrics.collection import PARTS
from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that one command or client may take."""

LINE = b"x" * 1_000


def told(folder, *words):
    """What a command of this node's user prints, read as JSON."""
    command = [sys.executable, "-m", "penstock.cli", *words, "--json"]
    done = subprocess.run(
        command, env=environment(folder), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Traffic:
    """A client that sends lines and has them back until it is told to stop; it counts both ways."""

    def __init__(self, address):
        self.sent = 0
        self._sock = socket.create_connection(address, SECONDS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with self._sock as sock:
            while not self._stopping.is_set():
                sock.sendall(LINE)
                left = len(LINE)
                while left:
                    left -= len(sock.recv(left))
                self.sent += len(LINE)

    def stop(self):
        """Hang up."""
        self._stopping.set()
        self._thread.join(SECONDS)


def test_parts_are_switched_under_load(tmp_path):
    """Switched off and on while bytes move: windows are empty meanwhile, totals and audit are exact to the end."""
    with serving(echo) as peer, running(table("raw", "tcp", peer.port), workers=2, folder=tmp_path) as node:
        clients = [Traffic(node.address("raw")) for _ in range(2)]
        node.until(lambda stats: stats["totals"]["bytes_in"] > 0)
        assert all(on for part, on in told(tmp_path, "metrics").items() if part != "exports")

        assert told(tmp_path, "metrics", "off", "all") == dict.fromkeys(PARTS, False)
        before = node.stats()["totals"]["bytes_in"]
        node.until(lambda stats: stats["totals"]["bytes_in"] > before)
        assert json.loads(node.fetch("/api/v1/metrics/throughput"))["throughput"]["covered"] == 0
        assert json.loads(node.fetch("/api/v1/metrics/history"))["at"] == []
        assert b"penstock_throughput_bytes_per_second{" not in node.fetch("/metrics")

        assert told(tmp_path, "metrics", "on", "series", "clients")["series"]
        wait_for(lambda: json.loads(node.fetch("/api/v1/metrics/history"))["at"])
        told(tmp_path, "metrics", "on", "all")
        for client in clients:
            client.stop()
        totals = node.at_rest()["totals"]
        moved = sum(client.sent for client in clients)
        assert (totals["bytes_in"], totals["bytes_out"]) == (moved, moved)
        sheet = json.loads(node.fetch("/api/v1/audit"))
        assert sheet["exact"], sheet
        assert {each["part"] for each in node.logged("collection switched")} == {*PARTS} - {"exports"}


def test_the_older_section_is_obeyed_and_told_of_once(tmp_path):
    """A node under [monitoring] collects nothing, serves no /metrics, and says in one line what to write instead."""
    older = "[monitoring]\nenabled = false\nprometheus_enabled = false\nmax_historical_connections = 5\n"
    with serving(echo) as peer, running(older, table("raw", "tcp", peer.port), folder=tmp_path) as node:
        with socket.create_connection(node.address("raw"), SECONDS) as client:
            client.sendall(LINE)
            assert client.recv(1)
            node.until(lambda stats: stats["totals"]["bytes_in"] == len(LINE))
            assert not any(told(tmp_path, "metrics").values())
            with pytest.raises(AssertionError, match="404"):
                node.fetch("/metrics")
        (line,) = node.logged("configuration notice")
        assert line["detail"].endswith(
            "write metrics.enabled = false, metrics.prometheus = false, metrics.connection_records = 5 instead"
        )
        node.at_rest()
