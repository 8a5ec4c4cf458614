"""A new process takes over from a running node: nobody is refused, nothing is lost; one that fails changes nothing."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from penstock.testing.http_peers import ok, origin
from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import wait_for

from .load import Load

pytestmark = pytest.mark.system

SECONDS = 120

UPGRADES = 20


@contextlib.contextmanager
def upgradable(*tables, **more):
    """Run a node whose process may be succeeded by others; all of them have ended when the block does."""
    with running(*tables, killed=True, **more) as node:
        try:
            yield node
            os.kill(serving_pid(node), signal.SIGTERM)
            wait_for(lambda: node.logged("node ended"), "the end of the last process")
        finally:
            for each in node.logged("upgrade begins"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each["new_pid"], signal.SIGKILL)
        expected = ("not upgraded, all goes on as before", "not started")
        errors = [each for each in node.events if each["level"] == "error" and each["event"] not in expected]
        assert not errors, errors


def serving_pid(node):
    """Return the process that serves."""
    return node.stats()["node"]["pid"]


def upgrade(node):
    """Order an upgrade and return status and answer."""
    with closing(http.client.HTTPConnection(*node.admin, timeout=SECONDS)) as door:
        door.request("POST", "/api/v1/upgrade")
        answer = door.getresponse()
        return answer.status, json.loads(answer.read())


def upgraded(node):
    """Upgrade a node, and return its process when it answers."""
    status, answer = upgrade(node)
    assert status == 200, (answer, node.events, node.strays)
    wait_for(lambda: serving_pid(node) == answer["pid"], "the new process")
    return answer["pid"]


def residuals(node):
    """Return the lines of the audit that do not add up."""
    return [line for line in json.loads(node.fetch("/api/v1/audit"))["lines"] if line["residual"]]


@pytest.mark.parametrize("kept", [False, True])
def test_twenty_upgrades_under_load(tmp_path, kept):
    """Every request is answered 200 by whoever serves, and the last process has counted each of them once."""
    with origin(lambda *_: ok(b"a")) as target:
        web = table("web", "http", target.port, reverse=True)
        with upgradable(web, workers=1, folder=tmp_path) as node:
            with Load(node.address("web"), kept=kept, clients=3) as load:
                for _ in range(UPGRADES // 2):
                    upgraded(node)
            assert not load.failures
            wait_for(lambda: len(node.logged("the old process ends")) == UPGRADES // 2, "the end of the old ones")
            asked = load.asked  # the newest tick may be older than the last of them
            found = node.until(lambda stats: not stats["totals"]["active"] and stats["totals"]["requests"] >= asked)
            assert found["totals"]["requests"] == asked
            assert {each["ended_by"] for each in found["outcomes"] if each["count"]} <= {"complete", "client", "admin"}
            assert residuals(node) == []


def test_open_connections_are_counted_to_their_ends(tmp_path):
    """A connection of the first process moves on through two upgrades, is shown while it does, and counts once."""
    with serving(echo) as target, upgradable(table("main", "tcp", target.port), workers=2, folder=tmp_path) as node:
        address = node.address("main")
        with socket.create_connection(address, timeout=SECONDS) as client:
            for number in range(3):
                client.sendall(b"x" * 1_000)
                assert client.recv(1_000, socket.MSG_WAITALL) == b"x" * 1_000
                found = node.until(lambda stats: stats["totals"]["bytes_in"] == 1_000 * (number + 1))  # noqa: B023
                assert (found["totals"]["connections"], found["totals"]["active"]) == (1, 1)
                (shown,) = json.loads(node.fetch("/api/v1/connections"))["connections"]
                assert (shown["listener"], shown["bytes_out"]) == ("main", 1_000 * (number + 1))
                assert residuals(node) == []
                if number < 2:
                    upgraded(node)
        found = node.until(lambda stats: not stats["totals"]["active"])
        listener = found["listeners"][0]
        assert (listener["connections"], listener["bytes_in"], listener["target_rx"]) == (1, 3_000, 3_000)
        wait_for(lambda: len(node.logged("the old process ends")) == 2, "the end of the old ones")
        records = json.loads(node.fetch("/api/v1/history"))["connections"]
        assert [(each["bytes_in"], each["listener"]) for each in records] == [(3_000, "main")]
        assert residuals(node) == []


def test_a_new_process_that_fails_changes_nothing(tmp_path):
    """A mistake of the file, or a port that is in use: told with the reason, and the old one serves and counts."""
    with serving(echo) as target:
        main = table("main", "tcp", target.port)
        with upgradable(main, folder=tmp_path) as node, socket.create_server(("127.0.0.1", 0)) as busy:
            address, pid = node.address("main"), serving_pid(node)
            taken = table("more", "tcp", target.port, listen=f"127.0.0.1:{busy.getsockname()[1]}")
            for text, why in (("[[listener", "not TOML"), (main + "colour = 1\n", "colour"), (main + taken, "in use")):
                (tmp_path / "penstock.toml").write_text(text)
                status, answer = upgrade(node)
                assert (status, why in answer["detail"]) == (409, True), answer
                assert say(address, b"still") == b"still"
            assert serving_pid(node) == pid
            assert len(node.logged("not upgraded, all goes on as before")) == 3
            (tmp_path / "penstock.toml").write_text(main)
            upgraded(node)
            assert say(address, b"again") == b"again"
            node.until(lambda stats: stats["totals"]["bytes_in"] == 20)
            node.strays.clear()  # the mistakes of the file


def test_the_new_process_serves_another_configuration(tmp_path):
    """What the file says by now is served: a listener more, another target; who keeps its name keeps its counts."""
    with (
        serving(echo) as one,
        serving(echo) as two,
        upgradable(table("main", "tcp", one.port), folder=tmp_path) as node,
    ):
        address = node.address("main")
        assert say(address, b"one") == b"one"
        (tmp_path / "penstock.toml").write_text(table("more", "tcp", two.port) + table("main", "tcp", two.port))
        node.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: len(node.stats()["listeners"]) == 2, "the new listener")
        assert say(address, b"two") == b"two"
        found = node.until(lambda stats: stats["totals"]["bytes_in"] == 6)
        assert {each["name"]: each["bytes_in"] for each in found["listeners"]} == {"more": 0, "main": 6}


def say(address, data):
    """Send bytes through a listener to an echo and return what came back."""
    with socket.create_connection(address, timeout=SECONDS) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        back = b""
        while more := client.recv(65_536):
            back += more
        return back


# Sockets of a parent -------------------------------------------------------------------------------------------------

PARENT = """
import os, socket, sys
socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(sock.getsockname()[1] for sock in socks), flush=True)
for number, sock in enumerate(socks):
    os.dup2(sock.fileno(), 100 + number, inheritable=False)
for number in range(3):
    os.dup2(100 + number, 3 + number)
environ = os.environ | {"LISTEN_FDS": "3", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "main:unknown:admin"}
os.execve(sys.executable, [sys.executable, "-m", "penstock.cli", *sys.argv[1:]], environ)
"""


def test_sockets_of_a_parent_are_served(tmp_path):
    """By name, whatever the port; what nobody needs is closed and told; an upgrade passes them on."""
    with serving(echo) as target:
        path = tmp_path / "penstock.toml"
        path.write_text(table("main", "tcp", target.port))
        words = ["run", "--config", str(path), "--workers", "2", "--admin", "127.0.0.1:0", "--log-format", "json"]
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path),
        )  # fmt: skip
        try:
            main, unknown, admin = map(int, process.stdout.readline().split())
            events = []
            for line in process.stderr:
                events.append(json.loads(line))
                if events[-1]["event"] == "node ready":
                    break
            assert say(("127.0.0.1", main), b"hello") == b"hello"
            assert events[-1]["admin"] == f"127.0.0.1:{admin}"
            (told,) = (each for each in events if "is not needed" in each["event"])
            assert told["which"] == f"unknown at 127.0.0.1:{unknown}"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", unknown), timeout=SECONDS)
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)
        assert process.returncode == 0


@pytest.mark.needs("systemd-socket-activate")
def test_sockets_of_systemd_are_served(tmp_path):
    """By address: the node starts with the first connection and serves it, though it could not bind the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with serving(echo) as target:
        path = tmp_path / "penstock.toml"
        path.write_text(table("main", "tcp", target.port, listen=f"127.0.0.1:{port}"))
        command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}"]
        command += [f"-E{name}={value}" for name, value in environment(tmp_path).items()]
        command += [sys.executable, "-m", "penstock.cli", "run", "-c", str(path), "--workers", "2", "--admin", "off"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(tmp_path))
        try:
            assert any("Listening on" in line for line in process.stderr)
            assert say(("127.0.0.1", port), b"first") == b"first"
            assert say(("127.0.0.1", port), b"second") == b"second"
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)
        assert process.returncode == 0
