"""Targets that die, come back, are sick or are drained, under load and through a real node."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.nodes import environment, running, table
from penstock.testing.workbench import wait_for

from .load import Load, fresh, trusting
from .origin import Origin, origins
from .test_routes import route

pytestmark = pytest.mark.system

CHECKED = {
    "health_check": {"kind": "http", "path": "/healthz", "interval": "200ms", "timeout": "200ms", "rise": 2, "fall": 2},
    "passive": {"failures": 2, "ejection": "1s"},
}


def app(servers, **more):
    """Return the route of all listeners to these servers."""
    return route("app", targets=[each.address for each in servers], **(CHECKED | more))


def views(node):
    """Return how the targets are, by address."""
    return {each["address"]: each for each in json.loads(node.fetch("/api/v1/targets"))["targets"]}


def state(node, server):
    """Return how a target is, in a word."""
    return views(node)[server.address]["state"]


def await_state(node, server, *wanted):
    """Wait until a target is like this."""
    wait_for(lambda: state(node, server) in wanted, f"{server.name} to be {wanted}: {views(node)}")


def sample(node, series):
    """Return the value of a series as Prometheus gets it."""
    return int(node.fetch("/metrics").decode().partition(f"\n{series} ")[2].partition("\n")[0])


def order(node, server, **wanted):
    """Tell the node what is wanted of a target."""
    with contextlib.closing(http.client.HTTPConnection(*node.admin, timeout=10)) as door:
        door.request("PUT", f"/api/v1/targets/app/{server.address}", json.dumps(wanted))
        answer = door.getresponse()
        assert answer.status == 200, answer.read()
        return json.loads(answer.read())


@contextlib.contextmanager
def serving(kind, servers, folder, **more):
    """Run a node of two workers before these servers, and give it with what load on it needs."""
    words, context = "", None
    if kind == "http":
        words = "reverse = true\n"
    elif kind == "tls":
        authority = Authority(folder)
        authority.issue("app.example")
        words = 'inside = "tcp"\ncertificates = [{ cert = "app.example.pem", key = "app.example.key" }]\n'
        context = trusting(authority)
    with running(table("web", kind) + words, app(servers, **more), workers=2, folder=folder) as node:
        yield node, {"address": node.address("web"), "context": context, "kept": kind == "http"}


@pytest.mark.parametrize("kind", ["tcp", "http", "tls"])
def test_a_killed_target_costs_what_was_on_it(kind, tmp_path):
    """
    Of six clients that ask without pause at most the six requests on the target fail when it is killed, and none once
    it is out. When it is back and its checks pass it serves again, and its weight grows to its whole.
    """
    with origins("one", "two") as (one, two), serving(kind, (one, two), tmp_path, slow_start="1s") as (node, where):
        with Load(**where) as load:
            wait_for(lambda: min(load.answers["one"], load.answers["two"]) >= 30, "both to serve")
            assert load.failures == []
            one.kill()
            await_state(node, one, "down", "ejected")
            load.settle()  # it is out within milliseconds: a client may still have to learn what became of its request
            asked, failed = load.asked, list(load.failures)
            assert len(failed) <= 6, failed
            wait_for(lambda: load.asked >= asked + 200, "more requests")
            assert load.failures == failed
            await_state(node, one, "down")
            one.start()
            weights = []

            def risen():
                weights.append(views(node)[one.address]["weight"] if state(node, one) == "up" else 0.0)
                return weights[-1] == 1.0

            wait_for(risen, "its whole weight")
            assert any(0 < weight < 1 for weight in weights), weights
            before = load.answers["one"]
            wait_for(lambda: load.answers["one"] >= before + 30, "it to serve again")
            assert load.failures == failed
        events = {each["event"] for each in node.logged("target down") + node.logged("target up")}
        assert events == {"target down", "target up"}


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_a_drained_target_runs_dry_without_a_failure(kind, tmp_path):
    """Under load a target that is drained ends with nothing active, fails nobody, and serves again when taken back."""
    with contextlib.ExitStack() as stack:
        one, two = stack.enter_context(origins("one", "two"))
        node, where = stack.enter_context(serving(kind, (one, two), tmp_path))
        load = stack.enter_context(Load(**where))
        wait_for(lambda: min(load.answers["one"], load.answers["two"]) >= 30, "both to serve")
        assert order(node, one, state="drain")["state"] == "drain"
        wait_for(lambda: views(node)[one.address]["active"] == 0, "nothing to be active")
        seen, asked = one.served(), load.asked
        wait_for(lambda: load.asked >= asked + 200, "more requests")
        assert one.served() == seen
        assert views(node)[one.address]["active"] == 0
        order(node, one, state="ready")
        wait_for(lambda: one.served() >= seen + 20, "it to serve again")
        assert load.failures == []


def test_orders_of_the_command_line(tmp_path):
    """`penstock target` weighs and drains, `penstock targets` shows it, and a reload leaves it so."""
    with origins("one", "two") as (one, two), serving("tcp", (one, two), tmp_path) as (node, where):

        def run(*words):
            command = [sys.executable, "-m", "penstock.cli", *words, "--json"]
            done = subprocess.run(command, capture_output=True, timeout=30, check=True, env=environment(tmp_path))
            return json.loads(done.stdout)

        assert run("target", "app", one.address, "--weight", "3")["weight"] == 3
        assert sorted(fresh(where["address"]) for _ in range(16)).count("one") in range(10, 15)
        run("target", "app", one.address, "drain")
        (tmp_path / "penstock.toml").write_text((tmp_path / "penstock.toml").read_text() + "\n# touched\n")
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.logged("reloaded"), "the reload")
        shown = {each["address"]: (each["state"], each["weight"]) for each in run("targets", "--route", "app")}
        assert shown == {one.address: ("drain", 3.0), two.address: ("up", 1.0)}
        assert {fresh(where["address"]) for _ in range(10)} == {"two"}


def test_when_all_are_sick_all_are_used(tmp_path):
    """Targets whose checks fail and that work all the same are used when there is no other; the log says so."""
    with origins("one", "two") as (one, two), serving("http", (one, two), tmp_path) as (node, where):
        for each in (one, two):
            each.sicken()
            await_state(node, each, "down")
        wait_for(lambda: node.logged("no target is up: all that are not taken out are used"), "a word about it")
        assert {fresh(where["address"]) for _ in range(10)} == {"one", "two"}
        order(node, one, state="maint")
        assert {fresh(where["address"]) for _ in range(10)} == {"two"}
        order(node, two, state="maint")
        with pytest.raises(ValueError, match="503"):
            fresh(where["address"])
        up = f'penstock_target_up{{route="app",target="{one.address}"}}'
        wait_for(lambda: sample(node, up) == 0, "a tick")
        assert sample(node, f'penstock_target_checks_total{{route="app",target="{one.address}",result="failed"}}') >= 2


def test_what_one_worker_sees_all_workers_know(tmp_path):
    """A target that is ejected gets nothing from any worker, not even from one that is born later and saw nothing."""
    one = Origin("one")
    passive = {"failures": 2, "ejection": "1m"}
    with origins("two") as (two,), socket.socket() as sock:
        sock.bind(("127.0.0.1", one.port))  # refuses, and nobody else gets the port
        tables = [table("web", "tcp"), route("app", targets=[one.address, two.address], passive=passive)]
        with running(*tables, workers=2, folder=tmp_path, killed=True) as node:

            def ejected():
                assert fresh(node.address("web")) == "two"
                return state(node, one) == "ejected"

            wait_for(ejected, "an ejection")
            sock.close()
            one.start()
            before = node.worker_pids()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: len(set(node.worker_pids()) - set(before)) == 2, "new workers")
            assert {fresh(node.address("web")) for _ in range(40)} == {"two"}
            assert views(node)[one.address]["ejections"] == 1
            assert "dials in a row failed" in views(node)[one.address]["why"]
            order(node, one, state="drain")
            order(node, two, weight=2)
            assert one.served() == 0
    one.kill()
