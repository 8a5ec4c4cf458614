"""Everything is bounded: memory of who is idle or does not read, descriptors, time for a head, and loops."""

import contextlib
import os
import re
import resource
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.testing import http_peers
from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.procfs import descriptors, memory
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for a byte."""

SOAK = pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes minutes: make soak")

BUFFER = 262_144
"""What the relay may hold for an end that does not read (bounds.RELAY_BUFFER_BYTES)."""


@pytest.fixture
def crowd():
    """Port of an echo server with a process, and descriptors, of its own."""
    command = [sys.executable, str(Path(__file__).with_name("crowd.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.kill()


def held(node):
    """Return the memory of the whole node; unit bytes."""
    return sum(memory(pid) for pid in (node.process.pid, *node.worker_pids()))


def relaying(node):
    """
    Return the memory of the workers alone, which hold what an end does not read; unit bytes.

    The supervisor holds none of it, and grows by 6 MB when the first connections come: its arrays get their pages as
    they are touched, where the kernel gives huge ones 2 MB at a time, and each second of samples touches some more.
    """
    return sum(memory(pid) for pid in node.worker_pids())


def exchange(client, message=b"x" * 100):
    """Send and receive once."""
    client.sendall(message)
    left = len(message)
    while left and (data := client.recv(left)):
        left -= len(data)
    assert not left


# Memory --------------------------------------------------------------------------------------------------------------


def idle_connections(crowd, count):
    """Return what each of so many idle relayed connections costs the node; unit bytes."""
    with running(table("main", "tcp", crowd)) as node, contextlib.ExitStack() as clients:
        for _ in range(10):
            exchange(clients.enter_context(socket.create_connection(node.address("main"), SECONDS)))
        node.until(lambda stats: stats["totals"]["active"] == 10)
        before = held(node)
        for _ in range(count):
            exchange(clients.enter_context(socket.create_connection(node.address("main"), SECONDS)))
        node.until(lambda stats: stats["totals"]["active"] == 10 + count)
        return (held(node) - before) / count


def test_idle_connections_are_small(crowd):
    """1,000 idle relayed connections in one worker take less than 4,096 bytes of memory each, supervisor included."""
    assert idle_connections(crowd, 1_000) < 4_096


@SOAK
def test_soak_ten_thousand_idle_connections(crowd):
    """10,000 idle relayed connections take less than 4,096 bytes each; fewer where descriptors do not reach."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, (hard - 200) // 2)
    assert count > 5_000, "raise the limit of open files"
    size = idle_connections(crowd, count)
    sys.stderr.write(f"\n{count} idle connections, {size:.0f} bytes each\n")
    assert size < 4_096


def short_connections(node, count):
    """Open, use and close so many connections, one after the other, and wait until the node is at rest."""
    before = node.stats()["totals"]["connections"]
    for _ in range(count):
        with socket.create_connection(node.address("main"), SECONDS) as client:
            exchange(client)
    node.settled("main", before + count)


def left_behind(crowd, wave, waves):
    """Return what so many waves of connections leave in memory after a first one, in worker and supervisor; bytes."""
    with running(table("main", "tcp", crowd)) as node:
        pids = *node.worker_pids(), node.process.pid
        short_connections(node, wave)
        opened = [descriptors(pid) for pid in pids]
        before = [memory(pid) for pid in pids]
        for _ in range(waves):
            short_connections(node, wave)
        grown = [memory(pid) - less for pid, less in zip(pids, before, strict=True)]
        wait_for(lambda: [descriptors(pid) for pid in pids] <= opened, "descriptors to be closed")
        return grown


def test_short_connections_leave_nothing(crowd):
    """
    After a first 2,500 short connections, 2,500 more leave no descriptor, no open row, and no object in the worker.

    A connection of ours has more than 1,500 bytes of objects. What may grow is the part of the ledger that is in use,
    by the connections of two seconds, and what the allocator keeps for a while; `make soak` tells few bytes from none.
    """
    worker, supervisor = left_behind(crowd, 2_500, 1)
    assert worker < 2_500 * 1_400
    assert supervisor < 4_000_000  # the allocator's ups and downs


@SOAK
def test_soak_a_hundred_thousand_short_connections(crowd):
    """
    100,000 short connections leave no descriptor, no open row, and less than twenty bytes each in the worker.

    The supervisor's rings, 9 MB of samples and 5 of records, get their pages as they fill: it grows by 8 to 9 MB while
    this runs. A small object for each connection would be 5 MB more.
    """
    worker, supervisor = left_behind(crowd, 5_000, 20)
    sys.stderr.write(f"\n100,000 short connections left {worker} bytes in the worker, {supervisor} in the supervisor\n")
    assert worker < 2_000_000
    assert supervisor < 12_000_000


def flood(sock):
    """Say more than anybody's buffers hold, until the other end is gone."""
    while True:
        sock.sendall(b"f" * 65_536)


def flood_as_http(sock):
    """Answer a request with a body that has no end in sight."""
    sock.recv(65_536)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    flood(sock)


def until_full(node):
    """Wait until all clients are there and a whole second has moved nothing; returns what is said of the listener."""
    looks = {}

    def still(stats):
        (found,) = stats["listeners"]
        looks[stats["taken_at"]] = found["active"], found["bytes_in"], found["target_tx"], found["bytes_out"]
        *_, before, now = [(), *looks.values()]
        return before == now and now[0] == CLIENTS

    return node.until(still)["listeners"][0]


CLIENTS = 8


@pytest.mark.parametrize("way", ["tcp", "http", "connect"])
def test_who_never_reads_holds_one_buffer(way):
    """For a client that reads nothing, at most one buffer is held, and its target is not read any further."""
    with (
        serving(flood_as_http if way == "http" else flood) as origin,
        running(table("main", "tcp", origin.port) if way == "tcp" else table("main", "http")) as node,
        contextlib.ExitStack() as clients,
    ):
        url = f"http://127.0.0.1:{origin.port}/"
        knock = {
            "tcp": b"x",
            "http": http_peers.request("GET", url),
            "connect": b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port,
        }[way]
        before = relaying(node)
        for _ in range(CLIENTS):
            clients.enter_context(socket.create_connection(node.address("main"), SECONDS)).sendall(knock)
        found = until_full(node)
        assert found["bytes_out"] > CLIENTS * BUFFER
        assert 0 < found["target_rx"] - found["bytes_out"] + 1_000 <= CLIENTS * BUFFER + 1_000
        assert relaying(node) - before < CLIENTS * BUFFER + 1_000_000


@pytest.mark.parametrize("way", ["tcp", "http"])
def test_a_target_that_never_reads_holds_one_buffer(way):
    """For a target that reads nothing, at most one buffer is held, and its client is not read any further."""
    with contextlib.ExitStack() as clients, socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with running(table("main", "tcp", port) if way == "tcp" else table("main", "http")) as node:
            before = relaying(node)
            for _ in range(CLIENTS):
                client = clients.enter_context(socket.create_connection(node.address("main"), SECONDS))
                if way == "http":
                    client.sendall(http_peers.request("PUT", f"http://127.0.0.1:{port}/")[:-2])
                    client.sendall(b"Content-Length: 1000000000000\r\n\r\n")
                client.setblocking(False)
                fill(client)
            found = until_full(node)
            assert found["target_tx"] > CLIENTS * BUFFER
            assert -1_000 < found["bytes_in"] - found["target_tx"] <= CLIENTS * BUFFER + 1_000
            assert relaying(node) - before < CLIENTS * BUFFER + 1_000_000
            deaf.close()  # and resets whom it has not accepted


def fill(client):
    """Send until the socket has been full for a moment, which is when nobody reads on."""
    while select.select([], [client], [], 0.1)[1]:
        with contextlib.suppress(BlockingIOError):
            client.send(b"f" * 65_536)


# Descriptors ---------------------------------------------------------------------------------------------------------


def answered(clients):
    """Return those whose byte has come back."""
    return select.select(clients, [], [], 0)[0]


def test_descriptors_run_out():
    """
    A node that has no descriptors left for another connection leaves it in the backlog, and says so once.

    256 descriptors less 64 in reserve, and a few of its own, are not quite 96 connections of two; all others of 150
    wait. When the first leave, the others are served.
    """
    with serving(echo) as origin, running(table("main", "tcp", origin.port), descriptors=256) as node:
        clients = [socket.create_connection(node.address("main"), SECONDS) for _ in range(150)]
        for client in clients:
            client.sendall(b"x")
        node.until(lambda stats: stats["workers"]["accept_pauses"])
        active = node.until(lambda stats: stats["totals"]["active"] == len(answered(clients)))["totals"]["active"]
        assert 90 <= active <= 96
        assert [each["level"] for each in node.logged("accept paused")] == ["warning"]
        served = answered(clients)
        assert len(served) == active
        for client in served:
            client.close()
        waiting = [client for client in clients if client not in served]
        wait_for(lambda: len(answered(waiting)) == len(waiting), "those who waited to be served")
        wait_for(lambda: node.logged("accept resumed"), "a word of it")
        for client in waiting:
            client.close()
        node.settled("main", 150)
        wait_for(lambda: len(node.logged("accept paused")) == len(node.logged("accept resumed")), "accepts to go on")


# Time ----------------------------------------------------------------------------------------------------------------

QUICK = '[timeouts]\nhandshake = "1s"\nhttp_keep_alive = "300ms"\n'


@pytest.fixture(scope="module")
def hasty():
    """A node that gives clients a second for a head, and three tenths of one between two requests, and an origin."""
    tables = [table(each, each) for each in ("http", "socks5", "auto")]
    with http_peers.origin(lambda *_: http_peers.ok(b"fine")) as origin, running(QUICK, *tables) as node:
        yield node, origin


def drip(client, data):
    """Send a byte, then another, as long as nothing comes; returns what comes."""
    heard = b""
    with contextlib.suppress(ConnectionError):  # a byte may cross the end, which is a reset then
        for at in range(len(data)):
            if select.select([client], [], [], 0.02)[0]:
                break
            client.sendall(data[at : at + 1])
        while piece := client.recv(1_000):
            heard += piece
    return heard


SLOW = {
    "http": (b"GET http://example.invalid/ HTTP/1.1\r\nX-Slow: " + b"x" * 400, b"HTTP/1.1 408 "),
    "auto": (b"GET http://example.invalid/ HTTP/1.1\r\nX-Slow: " + b"x" * 400, b"HTTP/1.1 408 "),
    "socks5": (b"\x05\xff" + bytes(400), b""),
}


@pytest.mark.parametrize("name", SLOW)
def test_slowloris(hasty, name):
    """A client that drips is told 408, where its protocol has a word for it, and closed at the deadline of its head."""
    node, _ = hasty
    words, answer = SLOW[name]
    began = time.monotonic()
    with socket.create_connection(node.address(name), SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = drip(client, words)
    assert heard.startswith(answer)
    assert heard or not answer
    assert time.monotonic() - began >= 1  # never early; how late, a busy machine decides
    said = wait_for(lambda: [each for each in node.logged("connection failed") if each["listener"] == name])
    assert [each["why"] for each in said] == ["client_timeout"]


def test_slow_after_a_first_request(hasty):
    """A next head has its own deadline and gets 408; silence between requests is the end without a word."""
    node, origin = hasty
    request = http_peers.request("GET", origin.url())
    for rest, answer in ((request[:20], 408), (b"", None)):
        with http_peers.Wire(socket.create_connection(node.address("http"), SECONDS)) as wire:
            wire.send(request + rest)  # at once: who is late with the rest between requests is gone without a word
            assert wire.read_message().body == b"fine"
            found = wire.read_message()
            assert (found and found.status) == answer
            assert wire.read() == b""


# Loops ---------------------------------------------------------------------------------------------------------------


def penstock(folder, *words):
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", *words], check=False, capture_output=True, text=True, timeout=SECONDS,
        cwd=folder, env=environment(folder),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("listen", "target"),
    [
        ("127.0.0.1:8001", "127.0.0.1:8001"),
        (":8001", "localhost:8001"),
        (":8001", "127.0.0.1:8001"),
        ("[::1]:8001", "[::1]:8001"),
    ],
)
def test_a_listener_that_is_its_own_target(tmp_path, listen, target):
    """A configuration that loops is a mistake: exit code 78, and nothing starts."""
    result = penstock(tmp_path, "tcp", "--listen", listen, "--target", target)
    assert result.returncode == 78
    assert re.search(r"target.*loop", result.stderr)
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def looping():
    """A node with a few doors into itself."""
    with running(table("http", "http"), table("socks5", "socks5"), workers=2) as node:
        yield node


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
@pytest.mark.parametrize("door", ["http", "socks5", "admin"])
def test_a_tunnel_into_ourselves(looping, host, door):
    """CONNECT to a listener of the same node or to its admin door is refused with 508, however the address is told."""
    port = (looping.admin if door == "admin" else looping.address(door))[1]
    head = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    for request in (head, http_peers.request("GET", f"http://{host}:{port}/metrics", None, "Connection: close")):
        with socket.create_connection(looping.address("http"), SECONDS) as client:
            client.sendall(request)
            assert read_all(client).startswith(b"HTTP/1.1 508 ")


def test_socks_into_ourselves():
    """SOCKS5 to a listener of the same node is refused with reply 2; each is counted, and told, by its reason."""
    with running(table("http", "http"), table("socks5", "socks5")) as node:
        port = node.address("http")[1].to_bytes(2, "big")
        for address in (b"\x01\x7f\0\0\x01", b"\x03\x09localhost", b"\x04" + bytes(10) + b"\xff\xff\x7f\0\0\x01"):
            with socket.create_connection(node.address("socks5"), SECONDS) as client:
                client.sendall(b"\x05\x01\x00\x05\x01\x00" + address + port)
                assert read_all(client)[2:4] == b"\x05\x02"
        node.settled("socks5", 3)
        assert node.stats()["refused"]["destination"] == 3
        assert node.listener("http")["connections"] == 0
        wait_for(lambda: len(node.logged("connection refused")) == 3, "a line for each")
        assert {each["why"] for each in node.logged("connection refused")} == {"destination"}
