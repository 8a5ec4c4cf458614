"""The command line against real nodes: serve, look, close, drain."""

import json
import socket
import subprocess
import sys
import time

import pytest

from penstock.testing.nodes import environment

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for anything here; all of it takes a fraction of a second."""


@pytest.fixture
def penstock(tmp_path):
    """Run a command to its end, in a runtime directory of its own."""

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "penstock.cli", *map(str, words)],
            check=False, capture_output=True, text=True, timeout=SECONDS, env=_environment(tmp_path), cwd=tmp_path,
        )  # fmt: skip

    return run


@pytest.fixture
def serve(tmp_path, penstock):
    """Start a command that serves; returns its process when it is ready. All are gone after the test."""
    processes = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *map(str, words)],
            stderr=subprocess.PIPE, text=True, env=_environment(tmp_path), cwd=tmp_path,
        )  # fmt: skip
        processes.append(process)
        for line in process.stderr:
            if "node ready" in line:
                return process
        raise AssertionError(f"{words} ended with {process.wait()}")

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def _environment(tmp_path):
    return environment(tmp_path) | {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def target():
    """A server that accepts by itself (the backlog does) and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _until(look):
    """Return what a look finds, as soon as it finds something."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
    raise AssertionError("waited in vain")


def _with_bytes(count, penstock):
    """Return the connections that have brought so many bytes."""
    return [each for each in json.loads(penstock("connections", "--json").stdout) if each["bytes_in"] == count]


def _address(penstock, protocol, *words):
    stats = json.loads(penstock("status", "--json", *words).stdout)
    (address,) = (each["address"] for each in stats["listeners"] if each["protocol"] == protocol)
    host, _, port = address.rpartition(":")
    return host, int(port)


def test_a_node_from_the_command_line(penstock, serve, target):
    """One command serves; status shows it, connections shows who is there, close ends them, drain ends the node."""
    words = ["tcp", "--listen", "127.0.0.1:0", "--target", f"127.0.0.1:{target.getsockname()[1]}", "--name", "n1"]
    node = serve(*words, "--workers", "1")
    with socket.create_connection(_address(penstock, "tcp"), timeout=SECONDS) as client:
        client.sendall(b"hello")
        (found,) = _until(lambda: _with_bytes(5, penstock))
        assert found["client"] == f"127.0.0.1:{client.getsockname()[1]}"
        table = penstock("connections").stdout
        assert f"127.0.0.1:{client.getsockname()[1]}" in table
        closed = penstock("close", found["id"])
        assert (closed.returncode, closed.stderr) == (0, f"closed {found['id']}\n")
        assert client.recv(1) == b""
    assert penstock("close", found["id"]).returncode == 1
    drained = penstock("drain", "--wait", "--timeout", SECONDS)
    assert (drained.returncode, drained.stderr.splitlines()[-1]) == (0, "the node has exited")
    assert node.wait(timeout=SECONDS) == 0
    assert penstock("status").returncode == 69


def test_a_watched_connection_shows_its_rate(penstock, serve, target):
    """--watch --json gives rates that come from the growth between two looks."""
    serve("tcp", "-l", "127.0.0.1:0", "-t", f"127.0.0.1:{target.getsockname()[1]}", "-w", "0")
    with socket.create_connection(_address(penstock, "tcp"), timeout=SECONDS) as client:
        client.sendall(b"x" * 1_000)
        _until(lambda: _with_bytes(1_000, penstock))
        looks = penstock("connections", "--watch", "--json", "--count", "2").stdout.splitlines()
    first = json.loads(looks[0])
    assert first["rate_in"] == pytest.approx(1_000 / first["age"])
    assert first["rate_out"] == 0


def test_several_protocols_from_one_command(penstock, serve, target):
    """tcp with --http and --socks5 serves all three in one node, and a login is asked where there is one."""
    words = ["tcp", "-l", "127.0.0.1:0", "-t", "example.invalid:1", "--http", "127.0.0.1:0", "--socks5", "127.0.0.1:0"]
    serve(*words, "--auth", "ann:secret", "-w", "1")
    with socket.create_connection(_address(penstock, "socks5"), timeout=SECONDS) as client:
        client.sendall(b"\x05\x01\x00")
        assert client.recv(2) == b"\x05\xff"
    with socket.create_connection(_address(penstock, "http"), timeout=SECONDS) as client:
        client.sendall(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 407"


def test_two_nodes_must_be_told_apart(penstock, serve, tmp_path):
    """Where two nodes run, a command asks which one; run takes a file, and its own name and port."""
    (tmp_path / "two.toml").write_text(
        '[node]\nname = "two"\n[[listener]]\nlisten = "127.0.0.1:0"\nprotocol = "http"\n'
    )
    serve("http", "-l", "127.0.0.1:0", "--name", "one", "-w", "0")
    serve("run", "-c", "two.toml", "--admin", "off", "-w", "0")
    torn = penstock("status")
    assert (torn.returncode, torn.stdout) == (2, "")
    assert "choose one with --node: one, two" in torn.stderr
    assert json.loads(penstock("status", "--node", "two", "--json").stdout)["node"]["name"] == "two"


def test_a_port_in_use_is_one_clear_line(penstock, target):
    """A port that somebody has is told by its address; the code is 1."""
    result = penstock("http", "-l", f"127.0.0.1:{target.getsockname()[1]}", "-w", "0")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"127.0.0.1:{target.getsockname()[1]} is in use" in result.stderr
    assert "Traceback" not in result.stderr
