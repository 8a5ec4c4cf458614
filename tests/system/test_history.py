"""Ended connections of real clients: each field of a record against what the client itself has counted."""

import contextlib
import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, serving
from penstock.testing.tap import tapping
from penstock.testing.web import web_server
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that a client may take; each takes a fraction of a second."""

LOGIN = "ann:secret"

BODY = b"x" * 123_456


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with the same bytes."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def origin():
    """Port of an HTTP server."""
    with web_server(Handler) as port:
        yield port


@pytest.fixture(scope="module")
def echoes():
    """Port of a server that sends back what it gets."""
    with serving(echo) as server:
        yield server.port


@pytest.fixture(scope="module")
def node(echoes):
    """A node that speaks tcp, and http and socks5 with a login, on two workers."""
    tables = (table("raw", "tcp", echoes), table("web", "http", auth=LOGIN), table("socks", "socks5", auth=LOGIN))
    with running(*tables, workers=2) as node:
        yield node


def ask(node, query=""):
    """Return one page of the history."""
    return json.loads(node.fetch(f"/api/v1/history?{query}"))


@contextlib.contextmanager
def recording(node, count=1):
    """Yield a list that holds the new records, oldest first, when the block has ended."""
    last, found = ask(node)["last"], []
    yield found

    def look():
        found[:] = ask(node, f"after={last}&limit=1000")["connections"]
        return len(found) >= count

    wait_for(look, "records of what has ended")
    assert len(found) == count


class Times:
    """When a client began and ended, by its own clock."""

    def __init__(self):
        self.began, self.ended = time.time(), 0.0

    def check(self, record, least=0.0):
        """Compare with a record, whose times are cut to the millisecond, on two clocks that are read one by one."""
        started, ended = (datetime.fromisoformat(record[name]).timestamp() for name in ("started_at", "ended_at"))
        assert self.began - 0.01 <= started <= ended <= time.time() + 0.01
        assert started <= self.ended + 0.01
        assert least - 0.001 <= record["duration"] <= time.time() - self.began + 0.001
        assert abs(ended - started - record["duration"]) < 0.003


def curl(*words, code=0):
    """Run curl silently; returns what `-w` asks it for as a dict, and checks how it ends."""
    form = "%{local_port} %{size_request} %{size_header} %{size_download} %{time_total}"
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "--max-time", str(SECONDS), "-w", form, *words],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    port, asked, heads, body, took = done.stdout.split()
    return {"port": int(port), "asked": int(asked), "answered": int(heads) + int(body), "took": float(took)}


def test_raw_tcp(node, echoes):
    """A client on plain TCP: its own address and port, what it sent and received, when and for how long."""
    times, payload = Times(), b"penstock" * 10_000
    with recording(node) as found:
        with socket.create_connection(node.address("raw"), SECONDS) as client:
            mine = "{}:{}".format(*client.getsockname())
            client.sendall(payload[:5_000])
            received = len(client.recv(1_000_000))
            began = time.monotonic()
            threading.Event().wait(0.2)
            client.sendall(payload[5_000:])
            lasted = time.monotonic() - began  # what the client sees of the end comes later than the end
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(1_000_000):
                received += len(piece)
        times.ended = time.time()
    (record,) = found
    assert received == len(payload)
    assert record["client"] == mine
    assert (record["listener"], record["route"], record["target"]) == ("raw", "default", f"127.0.0.1:{echoes}")
    assert (record["destination"], record["user"], record["detail"], record["reason"]) == ("", "", "", "")
    assert [record[name] for name in ("bytes_in", "bytes_out", "target_rx", "target_tx")] == [len(payload)] * 4
    assert (record["requests"], record["ended_by"], record["phase"]) == (1, "complete", "done")
    assert record["close_reason"] == "normal"
    assert 0 < record["dial_duration"] <= record["duration"]
    times.check(record, least=lasted)
    assert ask(node, f"client={mine}&min_duration=0.2s&listener=raw")["connections"] == found


@pytest.mark.needs("curl")
def test_curl_through_http(node, origin):
    """curl through the HTTP proxy: port, bytes, user and destination are those of its own report."""
    times = Times()
    with recording(node) as found:
        said = curl("-x", node.url("web"), "-U", LOGIN, f"http://127.0.0.1:{origin}/x")
        times.ended = time.time()
    (record,) = found
    assert record["client"] == f"127.0.0.1:{said['port']}"
    assert (record["bytes_in"], record["bytes_out"]) == (said["asked"], said["answered"])
    assert (record["listener"], record["target"], record["user"]) == ("web", "", "ann")
    assert (record["destination"], record["requests"]) == (f"127.0.0.1:{origin}", 1)
    assert (record["ended_by"], record["close_reason"]) == ("complete", "normal")
    assert record["target_rx"] >= len(BODY)
    assert 0 < record["dial_duration"] <= said["took"]
    times.check(record)
    assert ask(node, f"user=ann&destination=127.0.0.1:{origin}&listener=web")["connections"] == found


@pytest.mark.needs("curl")
def test_curl_through_socks5(node, origin):
    """curl through SOCKS5: what went to the target is its request and its answer, the handshake is counted besides."""
    times, host = Times(), "{}:{}".format(*node.address("socks"))
    with recording(node) as found:
        said = curl("--socks5-hostname", host, "-U", LOGIN, f"http://localhost:{origin}/x")
        times.ended = time.time()
    (record,) = found
    assert record["client"] == f"127.0.0.1:{said['port']}"
    assert (record["target_tx"], record["target_rx"]) == (said["asked"], said["answered"])
    assert (record["listener"], record["user"], record["destination"]) == ("socks", "ann", f"localhost:{origin}")
    assert (record["requests"], record["ended_by"], record["phase"]) == (1, "complete", "done")
    assert 0 < record["dial_duration"] <= said["took"]
    times.check(record)
    with tapping(*node.address("socks")) as tap, recording(node) as found:
        curl("--socks5-hostname", f"127.0.0.1:{tap.port}", "-U", LOGIN, f"http://localhost:{origin}/x")
        tap.settle()
    assert (found[0]["bytes_in"], found[0]["bytes_out"]) == (tap.lines[0].up, tap.lines[0].down)


@pytest.mark.needs("curl")
def test_what_is_refused_and_what_fails(node):
    """A wrong login and a target that is not there are records that say why, and can be asked for."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = unused.getsockname()[1]
        with recording(node, 2) as found:
            curl("-x", node.url("web"), "-U", "ann:wrong", "-p", "http://localhost:1/", code=56)
            curl("-x", node.url("web"), "-U", LOGIN, "-p", f"http://127.0.0.1:{port}/", code=56)
    refused, failed = found
    assert (refused["ended_by"], refused["reason"], refused["close_reason"]) == ("proxy", "auth", "error")
    assert (failed["ended_by"], failed["phase"], failed["user"]) == ("target", "dial", "ann")
    assert (failed["destination"], failed["dial_duration"]) == (f"127.0.0.1:{port}", None)
    assert failed["detail"]
    assert ask(node, "reason=auth&limit=1")["connections"] == [refused]
    assert ask(node, "phase=dial&ended_by=target&limit=1")["connections"] == [failed]


def test_many_at_once_are_each_told_once(node):
    """Endings of 300 connections on two workers: one record for each client port, second by second."""
    with recording(node, 300) as found:
        ports = []
        for _ in range(300):
            with socket.create_connection(node.address("raw"), SECONDS) as client:
                ports.append(client.getsockname()[1])
                client.shutdown(socket.SHUT_WR)
                while client.recv(100):
                    pass
    assert sorted(int(each["client"].rpartition(":")[2]) for each in found) == sorted(ports)
    assert len({each["id"] for each in found}) == len({each["number"] for each in found}) == 300
    ends = [datetime.fromisoformat(each["ended_at"]).timestamp() for each in found]
    assert all(after - before > -0.5 for before, after in itertools.pairwise(ends))  # workers are read one by one


def test_those_that_die_with_their_worker_are_told(echoes):
    """kill -9 of a worker: its open connection has a record that says so, with all bytes, and no other one does."""
    with running(table("raw", "tcp", echoes), workers=1, killed=True) as node:
        exchange(node.address("raw"), 5)
        with socket.create_connection(node.address("raw"), SECONDS) as client:
            client.sendall(bytes(7_000))
            received = 0
            while received < 7_000:
                received += len(client.recv(7_000))
            mine = "{}:{}".format(*client.getsockname())
            os.kill(node.worker_pids()[0], signal.SIGKILL)
            wait_for(lambda: ask(node)["total"] == 2, "the record of a connection that was lost")
        (record,) = ask(node, "ended_by=internal")["connections"]
    assert (record["client"], record["bytes_in"], record["bytes_out"]) == (mine, 7_000, 7_000)
    assert (record["phase"], record["close_reason"]) == ("relay", "error")
    assert 0 < record["duration"] < SECONDS


def test_the_command_line_follows(node, tmp_path):
    """`penstock history --follow --json` tells each ending once, as it ends, until it is interrupted."""
    (folder,) = {line.rpartition("/")[0] for line in [node.logged("node ready")[0]["socket"]]}
    environment = {"PENSTOCK_RUNTIME_DIR": folder, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    words = [sys.executable, "-m", "penstock.cli", "history", "--follow", "--json", "--listener", "raw", "--limit", "1"]
    with recording(node):
        exchange(node.address("raw"), 9)
    with (
        recording(node, 5) as found,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as follower,
    ):
        watchdog = threading.Timer(SECONDS, follower.kill)
        watchdog.start()
        json.loads(follower.stdout.readline())  # an older one: it has begun
        for size in range(1, 6):
            with socket.create_connection(node.address("raw"), SECONDS) as client:
                client.sendall(bytes(size))
                client.shutdown(socket.SHUT_WR)
                while client.recv(100):
                    pass
        told = [json.loads(follower.stdout.readline()) for _ in range(5)]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(SECONDS) == 130
        assert follower.stdout.read() == ""
        watchdog.cancel()
    assert [each["bytes_in"] for each in told] == [1, 2, 3, 4, 5]
    assert told == found
    assert datetime.fromisoformat(told[0]["ended_at"]).tzinfo == UTC


# Restarts -------------------------------------------------------------------------------------------------------------

QUICK = '[store]\nflush = "100ms"\n'


def exchange(address, size):
    """Send so much through the node, receive it again, and return the client as records show it."""
    with socket.create_connection(address, SECONDS) as client:
        client.sendall(bytes(size))
        client.shutdown(socket.SHUT_WR)
        while client.recv(100_000):
            pass
        return "{}:{}".format(*client.getsockname())


def held(path):
    """Return how many records the store's file holds."""
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(path, timeout=5)) as file:
        return file.execute("SELECT coalesce(max(first + records - 1), 0) FROM pages").fetchone()[0]
    return 0


def test_after_an_orderly_end_every_record_is_there(echoes, tmp_path):
    """SIGTERM and a start: the history is the same to the last field, and goes on behind it."""
    tables = table("raw", "tcp", echoes), table("web", "http", auth=LOGIN)
    with running(*tables, folder=tmp_path) as node:
        clients = [exchange(node.address("raw"), size) for size in (0, 10, 100_000)]
        with socket.create_connection(node.address("web"), SECONDS) as client:
            client.sendall(b"GET http://example.invalid/ HTTP/1.1\r\nHost: example.invalid\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 407"
        wait_for(lambda: ask(node)["total"] == 4, "four records")
        before = ask(node)
    assert [each["client"] for each in reversed(before["connections"])][:3] == clients
    with running(*tables, folder=tmp_path) as node:
        assert ask(node) == before
        client = exchange(node.address("raw"), 7)
        wait_for(lambda: ask(node)["total"] == 5, "the fifth record")
        (newest,) = ask(node, "limit=1")["connections"]
        assert (newest["number"], newest["client"], newest["bytes_in"]) == (5, client, 7)
        assert ask(node, "cursor=5")["connections"] == before["connections"]


def test_a_kill_loses_at_most_one_flush_of_records(echoes, tmp_path):
    """kill -9 of the supervisor: what was in the file is there, what came after it is there or not, nothing twice."""
    clients, least = [], 0
    for _ in range(3):
        with running(QUICK, table("raw", "tcp", echoes), folder=tmp_path, killed=True, words=("--name", "n1")) as node:
            found = ask(node, "limit=1000")["connections"][::-1]
            assert least <= len(found) <= len(clients)
            assert [each["client"] for each in found] == clients[: len(found)]
            assert [each["number"] for each in found] == list(range(1, len(found) + 1))
            clients = clients[: len(found)]
            for size in range(150):  # more than a page
                clients.append(exchange(node.address("raw"), size))
            path, before = tmp_path / "penstock" / "n1.db", len(found)
            wait_for(lambda path=path, before=before: held(path) >= before + 150, "records in the file")
            least = held(path)
            for size in range(5):
                clients.append(exchange(node.address("raw"), size))
            node.process.kill()
            node.process.wait()
    assert least >= 450
