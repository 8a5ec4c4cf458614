"""Every example runs, and does what it says."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock.testing import peers
from penstock.testing.http_peers import ok, origin
from penstock.testing.workbench import PATIENCE_S

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@contextlib.contextmanager
def running(name, *arguments):
    """Run an example; yield its process and where it listens."""
    command = [sys.executable, str(EXAMPLES / name), "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        first = process.stdout.readline()
        assert first.startswith("listening on "), first
        yield process, ("127.0.0.1", int(first.rpartition(":")[2]))
        process.stdin.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) in (0, -signal.SIGINT)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(sock, data):
    """Send something and return as much as came back."""
    sock.sendall(data)
    return sock.recv(65_536)


def test_throughput():
    """A line a second tells what an open connection has moved."""
    with (
        peers.serving(peers.echo) as target,
        running("throughput.py", f"127.0.0.1:{target.port}") as (process, address),
        socket.create_connection(address, PATIENCE_S) as client,
    ):
        assert ask(client, b"12345") == b"12345"
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if line.endswith(" 10 B in all\n")).startswith("127.0.0.1:")


def test_lookup():
    """A user without a target is refused; once the table has one, the next connection goes there."""
    greeting = b"\x05\x01\x02", b"\x01\x03ann\x06secret", b"\x05\x01\x00\x03\x01x\x00\x50"
    with peers.serving(peers.echo) as target, running("lookup.py") as (process, address):

        def connected():
            client = socket.create_connection(address, PATIENCE_S)
            return client, [ask(client, data) for data in greeting][-1][1]

        client, reply = connected()
        client.close()
        assert reply == 2
        process.stdin.write(f"add ann 127.0.0.1:{target.port}\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith("ann goes to")
        client, reply = connected()
        with client:
            assert reply == 0
            assert ask(client, b"hello") == b"hello"


def test_ask_http():
    """Who is let in gets through; who is not, and who is not answered in time, is closed."""
    says, gate = ["200"], threading.Event()

    def answer(message, wire):
        if says[0] == "never":
            gate.wait(PATIENCE_S)
        return ok(b"") if says[0] == "200" else b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"

    with peers.serving(peers.echo) as target, origin(answer) as service:
        arguments = f"127.0.0.1:{target.port}", f"http://127.0.0.1:{service.port}/may"
        with running("ask_http.py", *arguments) as (_, address):
            with socket.create_connection(address, PATIENCE_S) as client:
                assert ask(client, b"hello") == b"hello"
            for says[0] in ("403", "never"):
                with socket.create_connection(address, PATIENCE_S) as client:
                    assert peers.read_all(client) == b""
            gate.set()
