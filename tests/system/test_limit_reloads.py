"""Limits change while they are used, up, down, away and back: nothing is lost, and every count is exact."""

import contextlib
import json
import threading

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, let_in, serving
from penstock.testing.workbench import wait_for

from .test_reload import Configured

pytestmark = pytest.mark.system

SECONDS = 60

CLIENTS = 8


def written(scope, port, limit):
    """Return a configuration in which one scope has these limits: lines of TOML, none for no limit."""
    keys = {"connections_per_ip": "'off'", "rate_per_ip": "'off'"}
    for line in limit if scope in ("ip", "user") else ():
        key, _, value = line.partition(" = ")
        keys[f"{key}_per_{scope}"] = value
    parts = ["[limits]", "exempt = []", *(f"{key} = {value}" for key, value in keys.items())]
    parts += limit if scope == "node" else ()
    if scope == "user":
        return [*parts, table("main", "socks5"), "users = { ada = 'pw-of-ada' }"]
    if scope == "route":
        parts += [table("main", "tcp"), "[[route]]", "name = 'app'", "listeners = ['main']"]
        return [*parts, f"targets = ['127.0.0.1:{port}']", *(["[route.limits]", *limit] if limit else [])]
    return [
        *parts,
        table("main", "tcp", port),
        *(["[listener.limits]", *limit] if scope == "listener" and limit else []),
    ]


class Clients:
    """
    Those who race for connections.

    Args:
        scope: Whose limit they meet: users log in first.
        address: Of the listener.
        port: Of the echo.
    """

    def __init__(self, scope, address, port):
        self._user, self._address, self._port = scope == "user", address, port
        self.held = []

    def ask(self):
        """Return a connection that was let in, else None."""
        return let_in(self._address, self._introduce)

    def _introduce(self, sock):
        if not self._user:
            return
        sock.sendall(
            b"\x05\x01\x02" + b"\x01\x03ada\x09pw-of-ada" + b"\x05\x01\x00\x01\x7f\x00\x00\x01" + self._port.to_bytes(2)
        )
        answer = b""
        while len(answer) < 14:
            more = sock.recv(14 - len(answer))
            if not more:
                raise ConnectionError
            answer += more
        if answer[5]:
            raise ConnectionError

    def race(self, each):
        """Hold all connections that are let in, of so many that CLIENTS threads ask for; returns how many these are."""
        found = []

        def client():
            found.extend(sock for _ in range(each) if (sock := self.ask()) is not None)

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        self.held += found
        return len(found)

    def all_echo(self):
        """Return whether every connection that is held still carries bytes."""
        for sock in self.held:
            sock.sendall(b"y")
        return all(sock.recv(1) == b"y" for sock in self.held)

    def leave(self, count):
        """Close so many."""
        for sock in self.held[:count]:
            sock.close()
        del self.held[:count]


@contextlib.contextmanager
def limited(scope, folder, limit):
    """Run a node whose scope has a limit, with clients; yields both, and what reloads it with another limit."""
    with serving(echo) as target, running(*written(scope, target.port, limit), workers=2, folder=folder) as node:
        configured, clients = (
            Configured(node, folder / "penstock.toml"),
            Clients(scope, node.address("main"), target.port),
        )
        admin = configured.path.read_text().partition("[limits]")[0]

        def change(*limit):
            status, answer = configured.reload(admin, *written(scope, target.port, list(limit)))
            assert status == 200, answer
            assert clients.all_echo()

        try:
            yield node, clients, change
        finally:
            clients.leave(len(clients.held))


def counted(node, scope):
    """Return what the limit table says now: open connections, and used of the rate."""
    found = [each for each in json.loads(node.fetch("/api/v1/limits"))["limits"] if each["scope"] == scope]
    return next((each["open"], each["used"]) for each in found if each["name"] not in ("*", "") or scope == "node")


@pytest.mark.parametrize("scope", ["node", "ip", "listener", "route", "user"])
def test_connections_change_under_load(tmp_path, scope):
    """What is open is never cut and always counted; each limit is reached exactly, whatever was allowed before."""
    with limited(scope, tmp_path, ["connections = 10"]) as (node, clients, change):
        assert clients.race(3) == 10
        change("connections = 15")
        assert clients.race(2) == 5
        change("connections = 4")
        assert clients.race(1) == 0
        clients.leave(12)
        wait_for(lambda: counted(node, scope)[0] == 3, "the end of connections")
        assert clients.race(1) == 1
        change()
        assert clients.race(2) == 16
        clients.leave(16)
        node.until(lambda stats: stats["totals"]["active"] == 4)
        change("connections = 9")
        # a node, which always has a limit, counts the 4; elsewhere who came while there was none is not counted
        assert clients.race(2) == (9 - 4 if scope == "node" else 9)


@pytest.mark.parametrize("scope", ["ip", "listener", "route", "user"])
def test_rates_change_under_load(tmp_path, scope):
    """A rate that is raised lets the difference pass, a lower one nobody; while there is none nobody is counted."""
    with limited(scope, tmp_path, ["rate = '10/1h'"]) as (node, clients, change):
        assert clients.race(3) == 10
        change("rate = '15/1h'")
        assert clients.race(2) == 5
        assert counted(node, scope)[1] == 15
        change("rate = '4/1h'")
        assert clients.race(1) == 0
        change()
        assert clients.race(1) == 8
        change("rate = '17/1h'")
        assert clients.race(1) == 2
        change("rate = '3/1d'")  # another time begins anew
        assert clients.race(1) == 3
