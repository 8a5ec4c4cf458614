"""Any bytes on any port: answered as the protocol says or closed, told in one line, counted, and then gone."""

import random
import re
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.testing import http_peers
from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for an answer or the end."""

QUICK = '[timeouts]\nhandshake = "500ms"\nconnect = "500ms"\n'

CHANCE = random.Random(7)

GARBAGE = [
    b"\0",
    b"\n",
    b"\r\n\r\n",
    b"\r\n" * 1_000,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://example.invalid\r\n\r\n",
    b"CONNECT example.invalid:99999 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT \xff\xfe:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"EHLO example.invalid\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500),
    b"A" * 100_000,
    b"GET http://example.invalid/" + b"a" * 100_000,
    b"GET http://example.invalid/ HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    b"GET http://example.invalid/ HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "GET http://example.invalid/ HTTP/1.1\r\n\r\n".encode("utf-16"),
    b"\x05",
    b"\x05\0",
    b"\x05\x01",
    b"\x05\xff" + bytes(255) + b"\x05\x01\0\x01",
    b"\x05\x01\x01",
    b"\x05\x01\0\x05\x01\0\x09" + bytes(20),
    b"\x05\x01\0\x05\x09\0\x01" + bytes(6),
    b"\x05\x01\0\x05\x01\0\x03\0\0\x50",
    b"\x05\x01\0\x05\x01\0\x03\x04\xff\0\r\n\0\x50",
    b"\x05\x01\0\x04\x01\0\x01" + bytes(6),
    b"\x05\x01\x02\x01\x01a\x01b",
    b"\x05\x01\x02\x02\xff\xff",
    b"\x04",
    b"\x04\x09\0\x50\x7f\0\0\x01\0",
    b"\x04\x01\0\x50\0\0\0\x01" + b"u" * 5_000,
    b"\x06\x01\0",
    b"\xff" * 10_000,
    *(CHANCE.randbytes(CHANCE.choice((1, 2, 7, 30, 300, 3_000, 70_000))) for _ in range(20)),
]

PHASES = ("detect", "negotiate", "decide", "dial", "relay")

LISTENERS = ("http", "http.login", "socks5", "socks5.login", "auto")

ANSWERS = {
    "http": rb"HTTP/1\.1 (4\d\d|50[1245]) [\x20-\x7e]+\r\n.*",
    "socks5": rb"\x05.*|\0[\x5a-\x5d]......",
}
"""What may be answered: an error of HTTP; a method or a reply of SOCKS5, or a reply of SOCKS4. And nothing, always."""


@pytest.fixture(scope="module")
def node():
    """A node with a listener of every kind, whose patience is short."""
    tables = [table(name, name.partition(".")[0], **({"auth": "ann:secret"} if "login" in name else {}))
              for name in LISTENERS]  # fmt: skip
    with running(QUICK, *tables, workers=2) as found:
        yield found


def told(node):
    """Return how many connections the log has told of, one by one and in sums."""
    lines = len(node.logged("connection refused")) + len(node.logged("connection failed"))
    sums = (*node.logged("more connections refused"), *node.logged("more connections failed"))
    return lines + sum(each["count"] for each in sums)


def went_wrong(stats):
    """Return how many connections ended in a way that an operator is told of; a client that just leaves is none."""
    left = {("client", phase) for phase in PHASES} | {("complete", "done"), ("target", "relay")}
    return sum(each["count"] for each in stats["outcomes"] if (each["ended_by"], each["phase"]) not in left)


def metric(node, name):
    """Return the samples of a family at /metrics, by the value of their first label."""
    families = text_string_to_metric_families(node.fetch("/metrics").decode())
    (found,) = (family for family in families if family.name == name)
    return {
        next(iter(sample.labels.values())): sample.value for sample in found.samples if "_created" not in sample.name
    }


def hear(client):
    """Return what comes until the end; a reset is an end too."""
    client.settimeout(SECONDS)
    heard = b""
    try:
        while data := client.recv(65_536):
            heard += data
    except ConnectionResetError:
        pass
    return heard


def say(client, data):
    """Send as much as the other end takes before it closes."""
    try:
        client.sendall(data)
    except (ConnectionResetError, BrokenPipeError):
        pass


def give_up(client):
    """Say that no more comes, if there is anybody left to say it to."""
    try:
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.mark.parametrize("patient", [True, False], ids=["and waits", "and is done"])
@pytest.mark.parametrize("name", LISTENERS)
def test_garbage(node, name, patient):
    """Each is answered as the protocol says or not at all, is closed, and is counted once; nothing is open."""
    before = node.listener(name)["connections"]
    clients = [socket.create_connection(node.address(name), SECONDS) for _ in GARBAGE]
    for client, data in zip(clients, GARBAGE, strict=True):
        say(client, data)
        if not patient:
            give_up(client)
    forms = ANSWERS.values() if name == "auto" else (ANSWERS[name.partition(".")[0]],)
    form = re.compile(b"|".join(forms), re.DOTALL)
    for client in clients:
        heard = hear(client)
        assert not heard or form.fullmatch(heard)
        client.close()
    node.settled(name, before + len(GARBAGE))


def test_refusals_are_counted(node):
    """After all that, /metrics, the API and the log agree; most was no protocol, and nothing was our own fault."""
    stats = node.at_rest()
    refused = stats["refused"]
    wait_for(lambda: told(node) >= went_wrong(stats), "a word of each")
    assert told(node) == went_wrong(stats) > 0
    assert metric(node, "penstock_refused") == refused
    assert refused["protocol"] > 100
    outcomes = {(each["ended_by"], each["phase"]): each["count"] for each in node.stats()["outcomes"]}
    assert sum(count for (who, _), count in outcomes.items() if who in ("internal", "reaped")) == 0


def test_garbage_at_the_admin_door(node):
    """The admin door closes on it and goes on to serve."""
    for data in GARBAGE:
        with socket.create_connection(node.admin, SECONDS) as client:
            say(client, data)
            give_up(client)
            assert not (heard := hear(client)) or heard.startswith(b"HTTP/1.1 ")
    assert node.fetch("/health") == b"OK"


def test_garbage_through_tcp():
    """A tcp listener has no bad input: whatever comes is its target's business, and comes back."""
    with serving(echo) as origin, running(table("tcp", "tcp", origin.port)) as node:
        for data in GARBAGE:
            with socket.create_connection(node.address("tcp"), SECONDS) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == data
        node.settled("tcp", len(GARBAGE))


def test_garbage_among_datagrams():
    """Datagrams that are none of SOCKS's, and those of strangers, are dropped; a sound one still gets through."""
    with (
        running(table("socks5", "socks5")) as node,
        socket.create_connection(node.address("socks5"), SECONDS) as control,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        for sock, host in ((target, "127.0.0.1"), (client, "127.0.0.1"), (stranger, "127.0.0.2")):
            sock.bind((host, 0))
            sock.settimeout(SECONDS)
        control.sendall(b"\x05\x01\0\x05\x03\0\x01" + bytes(6))
        reply = b""
        while len(reply) < 12:
            reply += control.recv(12 - len(reply))
        relay = ("127.0.0.1", int.from_bytes(reply[10:], "big"))
        head = b"\0\0\0\x01\x7f\0\0\x01" + target.getsockname()[1].to_bytes(2, "big")
        stranger.sendto(head + b"strange", relay)
        for data in GARBAGE:
            client.sendto(data[:60_000], relay)
        for start in (b"\0\0\x01", b"\0\x01\0"):  # a fragment, a reserved byte
            client.sendto(start + head[3:] + b"no", relay)
        for _ in range(100):  # a relay that has much to drop may have no room for it yet
            client.sendto(head + b"sound", relay)
            if select.select([target], [], [], SECONDS / 100)[0]:
                break
        data, sender = target.recvfrom(65_535)
        assert data == b"sound"
        stranger.sendto(b"answer of a stranger", sender)
        target.sendto(b"answer", sender)
        assert client.recvfrom(65_535)[0] == head + b"answer"


# Smuggling -----------------------------------------------------------------------------------------------------------

SMUGGLING = {
    "length and chunks": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    "two lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    "the same length twice": (b"Content-Length: 5\r\nContent-Length: 5\r\n", 400),
    "a list of lengths": (b"Content-Length: 5, 5\r\n", 400),
    "signed length": (b"Content-Length: +5\r\n", 400),
    "endless length": (b"Content-Length: 99999999999999999999\r\n", 400),
    "bare LF": (b"X: a\nContent-Length: 5\r\n", 400),
    "bare CR": (b"X: a\rContent-Length: 5\r\n", 400),
    "folded line": (b"X: a\r\n Content-Length: 5\r\n", 400),
    "folded coding": (b"Transfer-Encoding:\r\n chunked\r\n", 400),
    "space before the colon": (b"Transfer-Encoding : chunked\r\n", 400),
    "NUL": (b"X: a\0b\r\n", 400),
    "two hosts": (b"Host: other.invalid\r\n", 400),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunked is not last": (b"Transfer-Encoding: chunked, identity\r\n", 400),
    "unknown coding": (b"Transfer-Encoding: xchunked\r\n", 501),
    "coding over chunks": (b"Transfer-Encoding: gzip, chunked\r\n", 501),
    "Connection names the length": (b"Connection: content-length\r\nContent-Length: 5\r\n", 400),
}


@pytest.fixture(scope="module")
def between():
    """A forward proxy, and an origin that remembers every byte it was sent."""
    with (
        http_peers.origin(lambda *_: http_peers.ok(b"served")) as origin,
        running(QUICK, table("http", "http")) as node,
    ):
        yield node, origin


def ask(node, *requests):
    """Send requests in one go and return all that comes until the end."""
    with socket.create_connection(node.address("http"), SECONDS) as client:
        client.sendall(b"".join(requests))
        return read_all(client)


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(between, name):
    """A head that can be read in two ways is refused and the connection closed; the origin is not sent a byte."""
    (node, origin), (fields, status) = between, SMUGGLING[name]
    before = origin.rx
    head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (origin.url().encode(), origin.port)
    smuggled = http_peers.request("GET", origin.url("/smuggled"))
    heard = ask(node, head + fields + b"\r\n0\r\n\r\n", smuggled)
    assert heard.startswith(b"HTTP/1.1 %d " % status)
    assert heard.count(b"HTTP/1.1") == 1
    assert origin.rx == before


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0"])
def test_smuggling_by_version(between, version):
    """Transfer-Encoding in HTTP/1.0 is 400, a version that we do not speak 505."""
    node, origin = between
    head = b"POST %b %b\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % (origin.url().encode(), version)
    assert ask(node, head).startswith(b"HTTP/1.1 400 " if version == b"HTTP/1.0" else b"HTTP/1.1 505 ")


@pytest.mark.parametrize(
    "body", [b"5 \r\nhello\r\n", b"0x5\r\nhello\r\n", b"-5\r\n", b"5\nhello\r\n", b"5\r\nhelloXX", b"g\r\n"]
)
def test_smuggling_by_chunks(between, body):
    """A chunk that can be read in two ways ends both connections; what follows it reaches no origin as a request."""
    node, origin = between
    head = http_peers.request("POST", origin.url("/chunks"), None, "Transfer-Encoding: chunked")
    assert ask(node, head, body, http_peers.request("GET", origin.url("/smuggled"))).startswith(b"HTTP/1.1 400 ")
    assert [each.start for each in origin.requests if "smuggled" in each.start] == []


ANSWERS_OF_LIARS = {
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "garbage": b"\0\x01\x02\x03" * 100,
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "nothing": b"",
}


@pytest.mark.parametrize("name", ANSWERS_OF_LIARS)
def test_answers_of_liars(between, name):
    """An answer that can be read in two ways, or in none, is 502 to the client, in our own words."""
    node, _ = between
    with serving(saying(ANSWERS_OF_LIARS[name])) as liar:
        request = http_peers.request("GET", f"http://127.0.0.1:{liar.port}/", None, "Connection: close")
        assert ask(node, request).startswith(b"HTTP/1.1 502 ")


# The operator's mistakes ---------------------------------------------------------------------------------------------


def penstock(folder, *words):
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", *words], check=False, capture_output=True, text=True, timeout=SECONDS,
        cwd=folder, env=environment(folder),
    )  # fmt: skip


MISTAKES = """[node]
workerz = 3
[timeouts]
connect = "5 sec"
[limits]
connections = -1
[[listener]]
name = "web"
listen = ":99999"
protocol = "htp"
[[listener]]
name = "web"
listen = "127.0.0.1:8001"
protocol = "tcp"
"""

WORDS = [
    r"penstock\.toml:2: node\.workerz.*workers",
    r"penstock\.toml:4: timeouts\.connect: '5 sec'.*5s",
    r"penstock\.toml:6: limits\.connections: -1",
    r"penstock\.toml:9: listener.*listen: ':99999'",
    r"penstock\.toml:10: listener.*protocol: 'htp'.*http",
    r"penstock\.toml:\d+: listener.*web",
    r"penstock\.toml:\d+: listener.*targets",
]
"""One for each mistake: where, what was written, and what to write instead."""


@pytest.mark.parametrize("command", ["run", "check"])
def test_every_mistake_at_once(tmp_path, command):
    """All mistakes of a file are told in one go, each with its place, value and a suggestion; the exit code is 78."""
    (tmp_path / "penstock.toml").write_text(MISTAKES)
    result = penstock(tmp_path, command, "-c", "penstock.toml")
    assert result.returncode == 78
    said = result.stdout + result.stderr
    assert [word for word in WORDS if not re.search(word, said)] == [], said
    assert "Traceback" not in said


@pytest.mark.parametrize("what", ["listener", "admin"])
def test_a_port_that_is_taken(tmp_path, what):
    """A port that somebody has is one clear line and exit code 1, for a listener as for the admin door."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = f"127.0.0.1:{somebody.getsockname()[1]}"
        listen, admin = (taken, "off") if what == "listener" else ("127.0.0.1:0", taken)
        (tmp_path / "penstock.toml").write_text(table("web", "http", listen=listen))
        result = penstock(tmp_path, "run", "-c", "penstock.toml", "--admin", admin, "--connections", "10")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert f"{taken} is in use" in line


def test_a_name_that_is_taken(node, tmp_path):
    """A second node with the name of a running one is told so in one line, and leaves the first one alone."""
    name = node.stats()["node"]["name"]
    folder = str(Path(node.logged("node ready")[0]["socket"]).parent)
    (tmp_path / "penstock.toml").write_text(table("web", "http"))
    result = subprocess.run(
        [sys.executable, "-m", "penstock.cli", "run", "-c", "penstock.toml", "--admin", "off", "--connections", "10",
         "--name", name],
        check=False, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path,
        env=environment(folder),
    )  # fmt: skip
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert node.fetch("/health") == b"OK"
