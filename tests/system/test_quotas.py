"""Quotas on a real node: what is counted, whom it ends, what is left to others, and what a restart keeps."""

import contextlib
import json
import os
import signal
import socket
import sqlite3

import pytest

from penstock.testing.http_peers import ok, origin, request
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

KIB = 1 << 10


def route(name="main", **limits):
    """Return a route with limits as TOML."""
    said = ", ".join(f"{key} = {value!r}" for key, value in limits.items())
    return f'[[route]]\nname = "{name}"\nlisteners = ["main"]\nlimits = {{ {said} }}\n'


def quota(node, scope, name):
    """Return what a node says of a quota."""

    limits = json.loads(node.fetch("/api/v1/limits"))["limits"]
    (found,) = [each for each in limits if (each["scope"], each["name"]) == (scope, name)]
    return found


def echoed(client, count):
    """Send so many bytes to an echo server and read them."""
    client.sendall(bytes(count))
    left = count
    while left and (data := client.recv(left)):
        left -= len(data)
    assert not left


def served(node):
    """Return whether a client is served, and not closed without a word."""
    with socket.create_connection(node.address("main"), 30) as client:
        try:
            client.sendall(b"x")
            return client.recv(1) == b"x"
        except OSError:
            return False


def test_a_route_that_has_used_its_quota_up_stops(tmp_path):
    """Open connections of the route end, new ones are closed, all of it as quota; a restart changes nothing."""
    with serving(echo) as target:
        words = (
            f'[store]\npath = "{tmp_path}/store.db"\n',
            table("main", "tcp"),
            route(quota="64KiB").rstrip("\n") + f'\ntargets = ["127.0.0.1:{target.port}"]\n',
        )
        with running(*words, workers=2, folder=tmp_path) as node:
            with socket.create_connection(node.address("main"), 30) as quiet:
                echoed(quiet, 10)
                with socket.create_connection(node.address("main"), 30) as client:
                    echoed(client, 40 * KIB)
                    assert read_all(client) == b""
                assert read_all(quiet) == b""
            assert quota(node, "route", "main")["quota_used"] == 80 * KIB + 20
            wait_for(lambda: not served(node), "a route that stops")
            node.until(lambda stats: stats["refused"]["quota"] >= 3)
        with running(*words, folder=tmp_path) as node:
            wait_for(lambda: node.logged("quota used up"), "what was used to be known")
            wait_for(lambda: not served(node), "a route that stops")
            assert 0 <= quota(node, "route", "main")["quota_used"] - 80 * KIB - 20 < 100  # who was refused said a byte
            assert quota(node, "route", "main")["quota"] == "64KiB"


def test_users_have_their_own_quota():
    """Who has used up its quota hears 429; somebody else does not, and each has what it moved, to the byte."""
    limits = '[limits]\nquota_per_user = "50KB"\n'
    users = table("main", "http") + 'users = { ada = "pw", bob = "pw" }\n'
    with origin(lambda asked, wire: ok(bytes(30_000))) as target, running(limits, users) as node:

        def ask(login):
            with socket.create_connection(node.address("main"), 30) as client:
                field = f"Proxy-Authorization: Basic {login}"
                sent = request("GET", target.url(), None, field, "Connection: close")
                client.sendall(sent)
                got = read_all(client)
            return int(got.split()[1]), len(sent) + len(got)

        ada, bob = "YWRhOnB3", "Ym9iOnB3"
        used = 0
        for _ in range(2):
            status, moved = ask(ada)
            assert status == 200
            used += moved
        wait_for(lambda: node.logged("quota used up"), "a quota that is used up")
        wait_for(lambda: ask(ada)[0] == 429, "a user who is refused")
        status, moved = ask(bob)
        assert status == 200
        wait_for(lambda: quota(node, "user", "bob")["quota_used"] == moved, "what bob has moved")
        assert quota(node, "user", "ada")["quota_used"] >= used
        assert node.logged("quota used up")[0]["user"] == "ada"


def test_a_throttled_route_goes_on_slowly():
    """Beyond its quota a route has the bandwidth that was said, for connections that are open as well."""
    with serving(echo) as target:
        limits = route(quota="64KiB", quota_action="throttle", quota_throttle="1KiB/s burst 64KiB").rstrip("\n")
        words = (table("main", "tcp"), f'{limits}\ntargets = ["127.0.0.1:{target.port}"]\n')
        with running(*words) as node, socket.create_connection(node.address("main"), 30) as client:
            echoed(client, 40 * KIB)
            wait_for(lambda: node.logged("quota used up"), "a quota that is used up")
            began = node.stats()["node"]["uptime"]
            node.until(lambda stats: stats["node"]["uptime"] > began + 1)
            client.sendall(bytes(32 * KIB))  # takes half a minute now
            node.until(lambda stats: stats["node"]["uptime"] > began + 3)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                assert len(client.recv(64 * KIB)) < 16 * KIB
            assert node.stats()["totals"]["active"] == 1


def kept(path):
    """Return what a store knows of the route's quota, over all months; unit bytes."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT body FROM entries WHERE kind = 'quota' AND key = 'route main'").fetchone()
        return sum(json.loads(found[0]).values()) if found else 0
    return 0


def test_a_kill_loses_no_more_than_one_write(tmp_path):
    """A killed node has what it had written; a killed worker loses nothing of what it moved."""
    with serving(echo) as target:
        limits = route(quota="1GiB").rstrip("\n")
        words = (
            f'[store]\npath = "{tmp_path}/store.db"\nflush = "1s"\n',
            table("main", "tcp"),
            f'{limits}\ntargets = ["127.0.0.1:{target.port}"]\n',
        )
        with running(*words, folder=tmp_path, killed=True) as node:
            with socket.create_connection(node.address("main"), 30) as client:
                echoed(client, 30 * KIB)
                os.kill(node.worker_pids()[0], signal.SIGKILL)
                assert read_all(client) == b""
            wait_for(lambda: kept(tmp_path / "store.db") == 60 * KIB, "what was used to be written")
            os.kill(node.process.pid, signal.SIGKILL)
            node.process.wait()
        with running(*words, folder=tmp_path, killed=True) as node:
            assert quota(node, "route", "main")["quota_used"] == 60 * KIB
