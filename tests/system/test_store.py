"""Nothing lost: totals, outcomes and percentiles of a node that is stopped, killed and started again."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import threading
from typing import NamedTuple

import pytest

from penstock.metrics.parts import PARTS
from penstock.metrics.saved import parse
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for a byte."""

QUICK = '[store]\nflush = "100ms"\n'

COUNTED = ("connections", "bytes_in", "bytes_out", "target_rx", "target_tx", "requests")


def exchange(address, size):
    """Send so much through the node and receive it again."""
    with socket.create_connection(address, SECONDS) as client:
        client.sendall(bytes(size))
        client.shutdown(socket.SHUT_WR)
        assert len(read_all(client)) == size


def totals(stats):
    """Return what a node has counted, without what depends on the moment."""
    rows = {
        f"{kind} {each.get('name') or each['address']}": [each[key] for key in COUNTED]
        for kind in ("listeners", "routes", "targets")
        for each in stats[kind]
    }
    return {
        "node": [stats["totals"][key] for key in COUNTED],
        "outcomes": [each["count"] for each in stats["outcomes"]],
        "refused": stats["refused"],
        **rows,
    }


class Graph(NamedTuple):
    """What a graph of five minutes shows: its first second, how much it adds up to, and seconds without a sample."""

    begin: int
    bytes_in: int
    gaps: int


def drawn(node, scope):
    """Return the graph of a scope."""
    view = json.loads(node.fetch(f"/api/v1/metrics/history?seconds=300&scope={scope}"))
    moved = [
        rate * covered for rate, covered in zip(view["series"]["bytes_in"], view["covered"], strict=True) if covered
    ]
    return Graph(view["at"][0], round(sum(moved)), view["covered"].count(0))


def sampled(node, scope):
    """Return how many bytes_in the samples of five minutes add up to, along covered time: no clock changes that."""
    view = json.loads(node.fetch(f"/api/v1/metrics/throughput?window=300&scope={scope}"))["throughput"]
    return round(view["bytes_in"] * view["covered"])


def hours(node, scope):
    """Return how many bytes_in the hours of two days add up to; 0 while there are none."""
    try:
        view = json.loads(node.fetch(f"/api/v1/metrics/history?seconds=2d&scope={scope}"))
    except AssertionError:  # nothing is known yet beyond memory
        return 0
    assert view["step"] == 3_600
    return round(
        sum((rate or 0) * covered for rate, covered in zip(view["series"]["bytes_in"], view["covered"], strict=True))
    )


def everything(node):
    """Return totals, clients, percentiles and histograms of a node at rest."""
    stats = totals(node.at_rest())
    metrics = json.loads(node.fetch("/api/v1/metrics"))
    known = metrics["percentiles"], metrics["connections"]["by_ip"], metrics["connections"]["top_ips"]
    lines = node.fetch("/metrics").decode().splitlines()
    return stats, known, [line for line in lines if line.startswith(("penstock_dial", "penstock_connection_d"))]


def test_after_an_orderly_end_every_total_is_equal(tmp_path):
    """SIGTERM and a start: totals of every name, outcomes, refusals, clients, percentiles and histograms are equal."""
    with serving(echo) as server:
        tables = QUICK, table("web", "tcp", server.port), table("egress", "http", auth="ann:secret")
        with running(*tables, folder=tmp_path) as node:
            for size in (0, 10, 100_000):
                exchange(node.address("web"), size)
            with socket.create_connection(node.address("egress"), SECONDS) as client:
                client.sendall(b"GET http://example.invalid/ HTTP/1.1\r\nHost: example.invalid\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 407"
            node.settled("web", 3)
            before = everything(node)
            moved = before[0]["listeners web"][1]
            wait_for(lambda: sampled(node, "listener:web") == moved, f"samples of {moved} bytes")
            graph = drawn(node, "listener:web")  # by wall seconds: a clock that was set back takes samples out of it
        assert before[0]["refused"]["auth"] == 1
        with running(*tables, folder=tmp_path) as node:
            assert everything(node) == before
            residuals = [line for line in node.fetch("/metrics").decode().splitlines() if "residual" in line]
            assert {line.split()[-1] for line in residuals if line[0] != "#"} == {"0"}
            again = drawn(node, "listener:web")
            assert (again.begin, again.bytes_in) == (graph.begin, graph.bytes_in)
            whole = before[0]["node"][1]
            for scope, amount in (("listener:web", moved), ("client:127.0.0.1", whole), ("node", whole)):
                wait_for(lambda scope=scope, amount=amount: hours(node, scope) == amount, "the hour of it")
            exchange(node.address("web"), 7)
            node.settled("web", 4)
            assert node.listener("web")["bytes_in"] == before[0]["listeners web"][1] + 7


def kept(path):
    """Return the bytes_in of the node in the last checkpoint; 0 if there is none."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.OperationalError):
        for (body,) in connection.execute("SELECT body FROM parts WHERE name = 'totals'"):
            return parse(body, PARTS["totals"][0]).node[2]
    return 0


def test_a_kill_under_load_loses_at_most_one_flush(tmp_path):
    """
    kill -9 of the supervisor three times: each start has at least what was in the file before the kill, and never more
    than clients have sent in all.
    """
    with serving(echo) as server:
        tables, sent, least = (QUICK, table("web", "tcp", server.port)), [0], 0
        for _ in range(3):
            with running(*tables, folder=tmp_path, killed=True, words=("--name", "n1")) as node:
                first = node.stats()["totals"]["bytes_in"]
                assert least <= first <= sent[0]
                thread = threading.Thread(target=load, args=(node.address("web"), sent))
                thread.start()
                path = tmp_path / "penstock" / "n1.db"
                wait_for(lambda path=path, first=first: kept(path) > first + 10 * 50_000, "a flush under load")
                least = kept(path)
                os.kill(node.process.pid, signal.SIGKILL)
                node.process.wait()
                thread.join()
        with running(*tables, folder=tmp_path, killed=True, words=("--name", "n1")) as node:
            stats = node.stats()
            assert least <= stats["totals"]["bytes_in"] <= sent[0]
            assert stats["totals"]["active"] == 0
            graph = drawn(node, "node")
            assert 0 < graph.bytes_in <= stats["totals"]["bytes_in"] * (1 + 2**-23)  # a sample has 24 bits
            assert graph.gaps >= 1  # of three starts
            assert not node.logged("store was damaged: it was set aside, and a fresh one begun")


def load(address, sent):
    """Send until the node is gone; every byte that might have been taken is counted first."""
    with contextlib.suppress(OSError), socket.create_connection(address, SECONDS) as client:
        while True:
            sent[0] += 50_000
            client.sendall(bytes(50_000))
            left = 50_000
            while left:
                piece = client.recv(left)
                if not piece:
                    return
                left -= len(piece)


def test_a_second_node_of_the_same_store_is_refused(tmp_path):
    """It ends with one line that names the first, which goes on."""
    path = tmp_path / "shared.db"
    store = f"[store]\npath = {json.dumps(str(path))}\n"
    with running(store, table("a", "http"), folder=tmp_path) as node:
        pid = node.process.pid
        with (
            pytest.raises(AssertionError, match=rf"shared\.db: is in use by process {pid}"),
            running(store, table("b", "http")),
        ):
            raise NotImplementedError("it must not start")
        assert node.fetch("/health") == b"OK"


def test_a_node_starts_over_a_damaged_file_and_says_so(tmp_path):
    """What was there is set aside; the node serves and counts from zero."""
    folder = tmp_path / "penstock"
    with running(table("a", "http"), folder=tmp_path, words=("--name", "n1")):
        pass
    (folder / "n1.db").write_bytes(os.urandom(20_000))
    with running(table("a", "http"), folder=tmp_path, words=("--name", "n1"), killed=True) as node:
        assert node.stats()["totals"]["connections"] == 0
        (event,) = node.logged("store was damaged: it was set aside, and a fresh one begun")
        assert ".damaged-" in event["detail"]
    assert len(list(folder.glob("n1.db.damaged-*"))) == 1
    with sqlite3.connect(folder / "n1.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    with (
        pytest.raises(AssertionError, match="newer Penstock"),
        running(table("a", "http"), folder=tmp_path, words=("--name", "n1")),
    ):
        raise NotImplementedError("it must not start")
