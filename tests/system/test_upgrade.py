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
from penstock.testing.peers import echo, let_in, say, serving
from penstock.testing.procfs import children
from penstock.testing.workbench import wait_for

from .load import Load

pytestmark = pytest.mark.system

SECONDS = 120

UPGRADES = 10


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


def test_upgrades_under_load(tmp_path):
    """
    Every request is answered 200 by whoever serves, and the last process has counted each of them once.

    Some clients come anew for each request, others stay.
    """
    with origin(lambda *_: ok(b"a")) as target:
        web = table("web", "http", target.port, reverse=True)
        with upgradable(web, workers=1, folder=tmp_path) as node:
            with (
                Load(node.address("web"), clients=2) as come,
                Load(node.address("web"), kept=True, clients=2) as stay,
            ):
                for _ in range(UPGRADES):
                    upgraded(node)
            assert not come.failures + stay.failures
            wait_for(lambda: len(node.logged("the old process ends")) == UPGRADES, "the end of the old ones")
            asked = come.asked + stay.asked  # the newest tick may be older than the last of them
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
        found = node.at_rest()
        listener = found["listeners"][0]
        assert (listener["connections"], listener["bytes_in"], listener["target_rx"]) == (1, 3_000, 3_000)
        wait_for(lambda: len(node.logged("the old process ends")) == 2, "the end of the old ones")
        records = json.loads(node.fetch("/api/v1/history"))["connections"]
        assert [(each["bytes_in"], each["listener"]) for each in records] == [(3_000, "main")]
        assert residuals(node) == []


def test_connections_of_the_old_process_are_closed_by_their_ids(tmp_path):
    """By the new process, and by the one after it; who bans a client cuts what it has open there, too."""
    more = '[bans]\nprotect_loopback = false\n[timeouts]\ndrain = "1h"\n'
    with (
        serving(echo) as target,
        upgradable(table("main", "tcp", target.port), more, workers=2, folder=tmp_path) as node,
        socket.create_connection(node.address("main"), timeout=SECONDS) as one,
        socket.create_connection(node.address("main"), timeout=SECONDS) as two,
        socket.create_connection(node.address("main"), SECONDS, ("127.0.0.2", 0)) as three,
    ):
        ids = {each["client"]: each["id"] for each in node.until(lambda s: s["totals"]["active"] == 3) and shown(node)}
        for client in (one, two):
            upgraded(node)
            number = ids["{}:{}".format(*client.getsockname())]
            assert asked(node, "DELETE", f"/api/v1/connections/{number}") == 204
            assert client.recv(1) == b""
        node.until(lambda stats: stats["totals"]["active"] == 1)
        assert asked(node, "DELETE", f"/api/v1/connections/{number}") == 404
        assert asked(node, "POST", "/api/v1/bans", address="127.0.0.2", cut=True) == 201
        with contextlib.suppress(ConnectionResetError):
            assert three.recv(1) == b""
        found = node.at_rest()
        assert {each["ended_by"] for each in found["outcomes"] if each["count"]} <= {"admin", "policy"}


def test_a_quota_that_is_used_up_ends_what_the_old_process_has_open(tmp_path):
    """Bytes of connections that drain count for the month, and its end is theirs, too."""
    with serving(echo) as target:
        route = (
            '[[route]]\nname = "main"\nlisteners = ["main"]\nlimits = { quota = "64KiB" }\n'
            f'targets = ["127.0.0.1:{target.port}"]\n[timeouts]\ndrain = "1h"\n'
        )
        with (
            upgradable(table("main", "tcp"), route, workers=2, folder=tmp_path) as node,
            socket.create_connection(node.address("main"), SECONDS) as client,
            socket.create_connection(node.address("main"), SECONDS) as quiet,
        ):
            for each in (client, quiet):
                each.sendall(b"x")
                assert each.recv(1) == b"x"
            upgraded(node)
            client.sendall(bytes(40_000))  # and back: the end may come in the middle of that
            for each in (client, quiet):
                with contextlib.suppress(ConnectionResetError):
                    while each.recv(40_000):
                        pass
            found = node.at_rest()
            assert found["refused"]["quota"] == 2


def asked(node, method, path, **body):
    """Ask the door for something and return the status of its answer."""
    with closing(http.client.HTTPConnection(*node.admin, timeout=SECONDS)) as door:
        door.request(method, path, json.dumps(body) if body else None)
        return door.getresponse().status


@pytest.mark.parametrize("stored", [True, False])
def test_bans_outlive_an_upgrade(tmp_path, stored):
    """Whether there is a store or not: who was banned by hand stays so, in the new process's workers too."""
    more = "" if stored else '[store]\npath = "off"\n'
    with (
        serving(echo) as target,
        upgradable(
            table("main", "tcp", target.port), "[bans]\nprotect_loopback = false\n", more, folder=tmp_path
        ) as node,
    ):
        address = node.address("main")
        assert asked(node, "POST", "/api/v1/bans", address="127.0.0.2") == 201
        upgraded(node)
        (ban,) = json.loads(node.fetch("/api/v1/bans"))["bans"]
        assert ban["network"] == "127.0.0.2"
        with (
            contextlib.suppress(ConnectionResetError),
            socket.create_connection(address, SECONDS, ("127.0.0.2", 0)) as sock,
        ):
            assert sock.recv(1) == b""
        assert say(address, b"others") == b"others"


def shown(node):
    """Return the open connections."""
    return json.loads(node.fetch("/api/v1/connections"))["connections"]


def test_orders_for_targets_outlive_upgrades_and_workers(tmp_path):
    """One that is drained and one that weighs more stay so in the new process, and for a worker that is born later."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(origin(lambda *_, name=name: ok(name))) for name in (b"a", b"b", b"c")]
        addresses = [f"127.0.0.1:{each.port}" for each in servers]
        web = table("web", "http", reverse=True, targets=addresses)
        node = stack.enter_context(upgradable(web, workers=1, folder=tmp_path))
        proxy = node.address("web")
        for address, wanted in zip(addresses, ({"state": "drain"}, {"weight": 3}), strict=False):
            assert asked(node, "PUT", f"/api/v1/targets/default/{address}", **wanted) == 200

        def answers():
            client = http.client.HTTPConnection(*proxy, timeout=SECONDS)
            with closing(client):
                found = []
                for _ in range(8):
                    client.request("GET", "/")
                    found.append(client.getresponse().read())
            return {each: found.count(each) for each in found}

        wanted = {b"b": 6, b"c": 2}
        assert answers() == wanted
        upgraded(node)
        assert answers() == wanted
        upgraded(node)
        (worker,) = children(serving_pid(node))
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: "worker ready" in {each["event"] for each in node.events}, "its heir")
        assert answers() == wanted
        states = {each["address"]: each["state"] for each in json.loads(node.fetch("/api/v1/targets"))["targets"]}
        assert states == dict(zip(addresses, ("drain", "up", "up"), strict=True))
        node.strays.clear()


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


@pytest.mark.parametrize("workers", [1, 2])
def test_limits_go_on_over_upgrades(tmp_path, workers):
    """
    Places that connections of old processes hold count until they end, and no rate passes twice.

    Two upgrades in a row, with connections open in each process: of six places and twenty new ones an hour no more are
    given than there are; a third upgrade, while two processes drain, begins anew and says so.
    """
    limits = "[limits]\nexempt = []\nconnections_per_ip = 6\nrate_per_ip = '20/1h'\n"
    with serving(echo) as target:
        parts = table("main", "tcp", target.port), limits
        with upgradable(*parts, workers=workers, folder=tmp_path) as node, contextlib.ExitStack() as stack:
            main = node.address("main")
            held = [stack.enter_context(let_in(main)) for _ in range(4)]
            upgraded(node)
            held += [stack.enter_context(let_in(main)) for _ in range(2)]
            assert let_in(main) is None
            upgraded(node)
            assert let_in(main) is None
            assert used(node) == (6, 6)
            for place in (0, 4):  # one of the first process, and one of the second
                held[place].close()
                wait_for(lambda: used(node)[0] == 5, "the end of a connection")
                held.append(stack.enter_context(let_in(main)))
                assert let_in(main) is None
            spend_the_rate(node, main, held)
            upgraded(node)
            told = node.logged("upgrade: limits count anew")
            assert [each["why"] for each in told] == [f"its table has no {workers} columns left: other processes drain"]
            assert stack.enter_context(let_in(main))


def used(node):
    """Return how many connections the one client has open and has opened, as its limits count them now."""
    shown = json.loads(node.fetch("/api/v1/limits"))["limits"]
    return next((each["open"], each["used"]) for each in shown if each["name"] == "127.0.0.1")


def spend_the_rate(node, main, held):
    """Use up what is left of twenty, one connection after the other, and see that not one more is let in."""
    passed = len(held)
    held.pop().close()
    while True:
        wait_for(lambda: used(node)[0] == 5, "the end of a connection")
        sock = let_in(main)
        if sock is None:
            break
        passed += 1
        sock.close()
    assert passed == 20
