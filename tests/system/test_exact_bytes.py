"""Every byte is counted, and none twice: on every path, of every size, at every split, for clients of all kinds."""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from types import MappingProxyType
from typing import NamedTuple

import httpx
import pytest
import requests
import socks

from penstock.testing import http_peers
from penstock.testing.nodes import bytes_of, running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.procfs import unread
from penstock.testing.tap import tapping
from penstock.testing.workbench import wait_for

from .iperf3 import iperf3

pytestmark = pytest.mark.system

SECONDS = 60
"""Longest that a client may take; the gigabyte takes four."""

SIZES = (0, 1, 1_000, 65_536, 262_143, 262_144, 262_145, 1_048_577, 16_000_003)
"""Around the relay's buffer of 262,144 bytes, and far from it."""

LOGIN = "ann:secret"


class Way(NamedTuple):
    """
    How a client comes to its target.

    Args:
        protocol: Of the listener.
        hello: All that the client says before its data; PORT stands for the target's port, in two bytes or in digits.
        reply: How many bytes it is answered with.
        more: Fields of the listener.
    """

    protocol: str
    hello: bytes
    reply: int
    more: MappingProxyType = MappingProxyType({})


ESTABLISHED = len(b"HTTP/1.1 200 Connection established\r\n\r\n")

CONNECT = b"CONNECT 127.0.0.1:DIGITS HTTP/1.1\r\nHost: 127.0.0.1:DIGITS\r\n\r\n"
CONNECT_LOGIN = CONNECT[:-2] + b"Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
SOCKS5 = b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01PORT"
SOCKS5_NAME = b"\x05\x02\x00\x02\x05\x01\x00\x03\x09localhostPORT"
SOCKS5_LOGIN = b"\x05\x01\x02\x01\x03ann\x06secret\x05\x01\x00\x01\x7f\x00\x00\x01PORT"
SOCKS4 = b"\x04\x01PORT\x7f\x00\x00\x01ann\0"
SOCKS4A = b"\x04\x01PORT\0\0\0\x01ann\0localhost\0"

WAYS = {
    "tcp": Way("tcp", b"", 0),
    "connect": Way("http", CONNECT, ESTABLISHED),
    "connect-login": Way("http", CONNECT_LOGIN, ESTABLISHED, {"auth": LOGIN}),
    "socks5": Way("socks5", SOCKS5, 2 + 10),
    "socks5-name": Way("socks5", SOCKS5_NAME, 2 + 10),
    "socks5-login": Way("socks5", SOCKS5_LOGIN, 2 + 2 + 10, {"auth": LOGIN}),
    "socks4": Way("socks5", SOCKS4, 8),
    "socks4a": Way("socks5", SOCKS4A, 8),
    "auto-connect": Way("auto", CONNECT, ESTABLISHED, {"detect": ["http", "socks5"]}),
    "auto-socks5": Way("auto", SOCKS5, 2 + 10, {"detect": ["http", "socks5"]}),
    "auto-tcp": Way("auto", b"\0", 1, {"detect": ["http", "socks5", "tcp"]}),  # no protocol's first byte; echoed
}


def hello(way, port):
    """Return what a client says before its data."""
    return way.hello.replace(b"PORT", port.to_bytes(2, "big")).replace(b"DIGITS", b"%d" % port)


def connect(node, name):
    """Return a client's socket."""
    client = socket.create_connection(node.address(name), SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client, count):
    """Return exactly so many bytes."""
    data = bytearray()
    while len(data) < count:
        piece = client.recv(count - len(data))
        assert piece, f"closed after {len(data)} of {count} bytes"
        data += piece
    return bytes(data)


@contextlib.contextmanager
def talking(client, data):
    """Send from another thread, then say that no more comes."""

    def talk():
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    yield
    thread.join(SECONDS)


@pytest.fixture(scope="module")
def echoing():
    """An echo server behind a tap that counts what comes and goes."""
    with serving(echo) as server, tapping("127.0.0.1", server.port) as tap:
        yield tap


@pytest.fixture(scope="module")
def node(echoing):
    """A node with two listeners for each way, one for sizes and one for splits, and some for guests."""
    tables = []
    for name, way in WAYS.items():
        targets = (echoing.port,) if "tcp" in (way.protocol, *way.more.get("detect", ())) else ()
        tables += [table(f"{kind}.{name}", way.protocol, *targets, **way.more) for kind in ("sizes", "splits")]
    with running(*tables, workers=2) as found:
        yield found


@pytest.mark.parametrize("name", WAYS)
def test_every_size_on_every_way(node, echoing, name):
    """What clients sent and received, and what the target received and sent, is what the listener says, to the byte."""
    way, before = WAYS[name], (echoing.total("up"), echoing.total("down"))
    words = hello(way, echoing.port)
    for size in SIZES:
        data = os.urandom(size)
        with connect(node, f"sizes.{name}") as client:
            client.sendall(words)
            receive(client, way.reply)
            with talking(client, data):
                assert read_all(client) == data
    found = bytes_of(node.settled(f"sizes.{name}", len(SIZES)))
    echoing.settle()
    moved, echoed = sum(SIZES), len(words) * len(SIZES) if name == "auto-tcp" else 0
    assert found == (
        moved + len(words) * len(SIZES), moved + way.reply * len(SIZES), moved + echoed, moved + echoed,
    )  # fmt: skip
    assert found[2:] == (echoing.total("up") - before[0], echoing.total("sent_down") - before[1])


def say(client, pieces):
    """Send pieces, each of them after the proxy has read the one before."""
    *first, last = pieces
    for piece in first:
        client.sendall(piece)
        wait_for(lambda: unread(client) == 0, "the proxy to read")
    client.sendall(last)


def splits(words):
    """Yield a message whole, in every two parts, and byte by byte."""
    yield [words]
    yield from ([words[:at], words[at:]] for at in range(1, len(words)))
    yield [words[at : at + 1] for at in range(len(words))]


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.reply > 1])
def test_every_split_of_every_handshake(node, echoing, name):
    """A handshake with early data behind it gives the same bytes however it is split, and is counted the same."""
    way, early = WAYS[name], b"early data"
    words = hello(way, echoing.port)
    first, rest = None, 0
    for pieces in splits(words + early):
        with connect(node, f"splits.{name}") as client:
            say(client, pieces)
            client.shutdown(socket.SHUT_WR)
            heard = read_all(client)
        first = first or heard
        assert heard[way.reply :] == early
        assert varying(heard[: way.reply]) == varying(first[: way.reply])
        rest += 1
    assert bytes_of(node.settled(f"splits.{name}", rest)) == tuple(
        rest * count for count in (len(words + early), way.reply + len(early), len(early), len(early))
    )


def fill(sock, view):
    """Receive until the view is full or no more comes; returns how much came."""
    filled = 0
    while filled < len(view) and (count := sock.recv_into(view[filled:])):
        filled += count
    return filled


def varying(reply):
    """Return a reply without the port of ours that SOCKS5 tells."""
    return reply[:-2] if reply.startswith(b"\x05") else reply


def test_a_gigabyte_through_tcp():
    """2**30 bytes up and as many down on one connection arrive as they were sent, and are counted to the byte."""
    block = os.urandom(1_000_003)  # of a length that no buffer divides: a lost or doubled piece would show

    def give(sock):
        for at in range(0, 1 << 30, len(block)):
            sock.sendall(block[: (1 << 30) - at])
        sock.shutdown(socket.SHUT_WR)

    def take(sock):
        buffer, right = bytearray(len(block)), 0
        view = memoryview(buffer)
        while count := fill(sock, view):
            assert buffer[:count] == block[:count]
            right += count
        return right

    taken = []

    def behave(sock):
        taken.append(take(sock))
        give(sock)

    with serving(behave) as target, running(table("big", "tcp", target.port)) as node, connect(node, "big") as client:
        give(client)
        assert take(client) == 1 << 30
        assert taken == [1 << 30]
        client.close()
        assert bytes_of(node.settled("big", 1)) == (1 << 30,) * 4


# HTTP exchanges ------------------------------------------------------------------------------------------------------


def mirror(request, wire):
    """Answer with the request's body, in chunks if it came in chunks."""
    if request.fields.get("transfer-encoding") == "chunked":
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + http_peers.chunked(request.body)
    return http_peers.ok(request.body)


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_every_size_in_http_exchanges(chunks):
    """Bodies of every size, on one kept connection: heads and bodies of both sides are counted as they were sent."""
    with http_peers.origin(mirror) as origin, running(table("http", "http")) as node:
        with http_peers.Wire(connect(node, "http")) as wire:
            for size in SIZES:
                data = os.urandom(size)
                if chunks:
                    head = http_peers.request("PUT", origin.url(), None, "Transfer-Encoding: chunked")
                    message = head + http_peers.chunked(data, 50_000)
                else:
                    message = http_peers.request("PUT", origin.url(), data)
                thread = threading.Thread(target=wire.send, args=(message,), daemon=True)
                thread.start()
                answer = wire.read_message()
                thread.join(SECONDS)
                assert answer.body == data
        found = node.settled("http", 1)
        assert found["requests"] == len(SIZES)
        assert bytes_of(found) == (wire.tx, wire.rx, origin.rx, origin.tx)
        assert wire.tx > sum(SIZES) < wire.rx


# Guests: their own figures, and what a tap before them counts --------------------------------------------------------


@contextlib.contextmanager
def tapped(listener, target_port):
    """Run a node between two taps; yields the node, the tap before it and the tap behind it."""
    with (
        tapping("127.0.0.1", target_port) as behind,
        running(listener(behind.port)) as node,
        tapping(*node.address("guests")) as before,
    ):
        yield node, before, behind


def check(node, before, behind, connections):
    """The listener's four counters are what the two taps saw; returns them."""
    found = bytes_of(node.settled("guests", connections))
    before.settle()
    behind.settle()
    assert found == (before.total("sent_up"), before.total("down"), behind.total("up"), behind.total("sent_down"))
    return found


def http_listener(port):
    """Return a forward proxy, which keeps no target connection for long; the target is named by the client."""
    return '[timeouts]\npool_idle = "100ms"\n' + table("guests", "http")


def socks_listener(port):
    """Return a SOCKS proxy."""
    return table("guests", "socks5")


def tcp_listener(port):
    """Return a relay to the target."""
    return table("guests", "tcp", port)


SENT, RECEIVED = 100_000, 200_000


def serve(request, wire):
    """Answer every request with a body of its own size, whatever it brought."""
    return http_peers.ok(b"r" * RECEIVED)


class Curl(NamedTuple):
    """
    How curl is used, and what its figures leave out.

    Args:
        listener: What it comes to.
        scheme: Of the proxy's address.
        host: How the target is named.
        hello, reply: Bytes of the handshake up and down that are in none of curl's figures.
        words: More arguments.
    """

    listener: object
    scheme: str
    host: str
    hello: int
    reply: int
    words: tuple = ()


CURLS = {
    "forward": Curl(http_listener, "http", "127.0.0.1", 0, 0),
    "tunnel": Curl(http_listener, "http", "127.0.0.1", 0, 0, ("--proxytunnel",)),
    "socks5": Curl(socks_listener, "socks5", "127.0.0.1", 4 + 10, 2 + 10),  # it offers two methods
    "socks5h": Curl(socks_listener, "socks5h", "localhost", 4 + 7 + len("localhost"), 2 + 10),
    "socks4": Curl(socks_listener, "socks4", "127.0.0.1", 9, 8),  # an empty user, and its end
    "socks4a": Curl(socks_listener, "socks4a", "localhost", 9 + len("localhost") + 1, 8),
}


@pytest.mark.needs("curl")
@pytest.mark.parametrize("name", CURLS)
def test_curl_counts_the_same(name, tmp_path):
    """curl's own sums of what it sent and received, and the handshake that it leaves out, are the listener's totals."""
    way = CURLS[name]
    (tmp_path / "body").write_bytes(os.urandom(SENT))
    with http_peers.origin(serve) as origin, tapped(way.listener, origin.port) as (node, before, behind):
        result = subprocess.run(
            ["curl", "-sS", "-x", f"{way.scheme}://127.0.0.1:{before.port}", *way.words, "-T", "body",
             "-o", "/dev/null", "-w", "%{size_request} %{size_upload} %{size_header} %{size_download}",
             f"http://{way.host}:{behind.port}/"],
            cwd=tmp_path, check=True, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        head_up, body_up, head_down, body_down = map(int, result.stdout.split())
        assert (body_up, body_down) == (SENT, RECEIVED)
        found = check(node, before, behind, 1)
        assert found[:2] == (head_up + body_up + way.hello, head_down + body_down + way.reply)


def by_httpx(proxy, url):
    """Return the answer's body."""
    with httpx.Client(proxy=f"http://127.0.0.1:{proxy}", timeout=SECONDS) as client:
        return client.put(url, content=b"s" * SENT).content


def by_requests(proxy, url):
    """Return the answer's body."""
    proxies = {"http": f"socks5h://127.0.0.1:{proxy}"}
    return requests.put(url, data=b"s" * SENT, proxies=proxies, timeout=SECONDS).content


def by_pysocks(proxy, url):
    """Return what a target says to a socket of PySocks."""
    host, port = re.fullmatch(r"http://(.+):(\d+)/", url).groups()
    with socks.socksocket() as client:
        client.set_proxy(socks.SOCKS5, "127.0.0.1", proxy)
        client.settimeout(SECONDS)
        client.connect((host, int(port)))
        client.sendall(http_peers.request("PUT", url, b"s" * SENT, "Connection: close"))
        return http_peers.Wire(client).read_message().body


@pytest.mark.parametrize(
    ("listener", "client"), [(http_listener, by_httpx), (socks_listener, by_requests), (socks_listener, by_pysocks)]
)
def test_python_clients_are_counted(listener, client):
    """What httpx, requests and PySocks sent and received, as a tap saw it, is what the listener says."""
    with http_peers.origin(serve) as origin, tapped(listener, origin.port) as (node, before, behind):
        assert client(before.port, f"http://127.0.0.1:{behind.port}/") == b"r" * RECEIVED
        found = check(node, before, behind, 1)
        assert found[0] > SENT
        assert found[1] > RECEIVED


WRK = """
request = function() return wrk.format("GET", "%s") end
done = function(summary) io.write(string.format("counted %%d %%d\\n", summary.requests, summary.bytes)) end
"""


@pytest.mark.needs("wrk")
@pytest.mark.parametrize("listener", [tcp_listener, http_listener])
def test_wrk_counts_the_same(listener, tmp_path):
    """
    wrk's requests and bytes lie within what was on the way when it left; the taps' counts are the listener's totals.

    wrk leaves in the middle: each of its connections may have asked once more than it counts, and may have been sent
    one answer that it did not read to its end.
    """
    clients = 4
    with (
        http_peers.origin(lambda *_: http_peers.ok(b"r" * 1_000)) as origin,
        tapped(listener, origin.port) as (node, before, behind),
    ):
        (tmp_path / "script.lua").write_text(WRK % f"http://127.0.0.1:{behind.port}/")
        result = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", "-d1s", "-s", "script.lua", f"http://127.0.0.1:{before.port}/"],
            cwd=tmp_path, check=True, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        answered, heard = map(int, re.search(r"counted (\d+) (\d+)", result.stdout).groups())
        found = check(node, before, behind, len(before.lines))
    asked, answer = len(origin.requests), heard // answered
    assert heard == answered * answer
    assert 100 < answered <= asked <= answered + clients
    assert found[1] == asked * answer
    assert (origin.rx, origin.tx) == found[2:]


@pytest.mark.needs("iperf3")
@pytest.mark.parametrize("words", [(), ("-R",)], ids=["up", "down"])
def test_iperf3_counts_the_same(words):
    """
    The bytes of iperf3's streams, its cookie of 37 bytes on each, and its control connection are all that is counted.

    iperf3 says how much its streams sent. What the control connection carried, which it does not say, is what a tap
    saw on the first connection of the three.
    """
    with iperf3("-1") as port, tapped(tcp_listener, port) as (node, before, behind):
        result = subprocess.run(
            ["iperf3", "-c", "127.0.0.1", "-p", str(before.port), "-J", "-n", "64M", "-P", "2", *words],
            check=True, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        sent = json.loads(result.stdout)["end"]["sum_sent"]["bytes"]
        found = check(node, before, behind, 3)
    control = before.lines[0]
    assert sent >= 64 << 20
    up, down = (0, sent) if words else (sent, 0)
    assert found[0] == control.up + 2 * 37 + up
    assert found[1] == control.down + down
