"""Logins of a users file, through real processes: right, wrong, unknown and removed ones, and files that break."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import argon2
import pytest

from penstock.protocols.http1.credentials import serialize_basic
from penstock.testing.http_peers import Wire, ok, origin
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, serving
from penstock.testing.socks_peers import CONNECT, command, read_reply
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
NODE = '[limits]\nexempt = ["127.0.0.0/8"]\n'

ROUTE = """
[[route]]
name = "r"
listeners = ["site"]
users_file = "{users}"
targets = ["127.0.0.1:{port}"]
"""


def line(name, hasher=CHEAP):
    """Return the line of a user whose password is `pw-NAME`."""
    return f"{name}:{hasher.hash(f'pw-{name}')}\n"


def write(path, *lines):
    """Replace a file at once, as an editor does."""
    other = path.with_name("new")
    other.write_text("".join(lines))
    other.replace(path)


@pytest.fixture
def users(tmp_path):
    """A users file of ann and bob."""
    path = tmp_path / "users"
    write(path, line("ann"), line("bob"))
    return path


@contextlib.contextmanager
def proxies(users, *tables, workers=1, killed=False):
    """Run a node with a SOCKS5 and an HTTP proxy and a reverse proxy that ask for logins; yield it with an origin."""
    with origin(lambda *_: ok(b"hi")) as site:
        tables += (
            table("socks", "socks5", users_file=str(users), allow_private=True),
            table("web", "http", users_file=str(users), auth="inline:pw-inline", allow_private=True),
            table("site", "http", reverse=True),
            ROUTE.format(users=users, port=site.port),
        )
        with running(NODE, *tables, workers=workers, folder=users.parent, killed=killed) as node:
            yield node, site


def client(node, listener, source="127.0.0.1"):
    """Return a client that comes from an address of loopback."""
    return Wire(socket.create_connection(node.address(listener), timeout=60, source_address=(source, 0)))


def greet(node, user, password, source="127.0.0.1"):
    """Return a SOCKS client that has shown its login."""
    wire = client(node, "socks", source)
    wire.send(b"\x05\x01\x02")
    assert wire.read(2) == b"\x05\x02"
    wire.send(bytes([1, len(user)]) + user.encode() + bytes([len(password)]) + password.encode())
    return wire


def socks(node, user, password, source="127.0.0.1"):
    """Return whether a SOCKS client may come in."""
    with greet(node, user, password, source) as wire:
        return wire.read(2) == b"\x01\0"


def ask(wire, site, user, password, field="Proxy-Authorization"):
    """Send a request with a login, and return the status of its answer."""
    login = serialize_basic(user, password).decode()
    target = site.url() if field.startswith("Proxy") else "/"
    wire.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n{field}: {login}\r\n\r\n".encode())
    return wire.read_message().status


@pytest.mark.parametrize("workers", [0, 2])
def test_who_may_come_in(users, workers):
    """SOCKS5, HTTP and reverse HTTP let users of the file in, beside those of the configuration, and nobody else."""
    with proxies(users, workers=workers) as (node, site), serving(echo) as target:
        with greet(node, "ann", "pw-ann") as wire:
            assert wire.read(2) == b"\x01\0"
            wire.send(command(CONNECT, "127.0.0.1", target.port))
            assert read_reply(wire).code == 0
            wire.send(b"ping")
            assert wire.read(4) == b"ping"
        for user, source, right in (
            ("bob", "127.0.0.2", True),
            ("eve", "127.0.0.3", False),
            ("ann", "127.0.0.4", True),
        ):
            password = f"pw-{user}"
            assert socks(node, user, password, source) is right
            with client(node, "web", source) as wire, client(node, "site", source) as other:
                assert ask(wire, site, user, password) == (200 if right else 407)
                assert ask(other, site, user, password, "Authorization") == (200 if right else 401)
        assert not socks(node, "ann", "pw-bob", "127.0.0.5")
        with client(node, "web") as wire:
            assert ask(wire, site, "inline", "pw-inline") == 200
        node.at_rest()
        with client(node, "web", "127.0.0.9") as wire:
            assert [ask(wire, site, "ann", "pw-ann") for _ in range(5)] == [200] * 5


def test_changes_hold_while_connections_are_open(users):
    """Who is removed is refused with the next request of an open connection, and who is added comes in."""
    with proxies(users) as (node, site), client(node, "web") as wire:
        assert ask(wire, site, "ann", "pw-ann") == 200
        penstock("user", "remove", "ann", "--file", str(users))
        wait_for(lambda: node.logged("users file read"))
        wait_for(lambda: ask(wire, site, "ann", "pw-ann") == 407, "a worker that has heard of it")
        with client(node, "web", "127.0.0.2") as other:
            assert ask(other, site, "bob", "pw-bob") == 200
        penstock("user", "add", "carl", "--password-stdin", "--file", str(users), says="secret\n")
        wait_for(lambda: len(node.logged("users file read")) == 2)
        assert socks(node, "carl", "secret", "127.0.0.3")


def penstock(*words, says=""):
    """Run a command to its end."""
    command = [sys.executable, "-m", "penstock.cli", *words]
    subprocess.run(command, input=says, text=True, check=True, timeout=60, env={"PATH": os.environ["PATH"]})


def test_a_file_that_breaks(users):
    """A wrong line costs its user, a file that is gone all of them, until it is right again; each is said once."""
    with proxies(users) as (node, site):
        assert socks(node, "ann", "pw-ann")
        write(users, line("bob"), "ann:broken\n")
        wait_for(lambda: node.logged("users file has wrong lines, their users are refused"))
        wait_for(lambda: not socks(node, "ann", "pw-ann", "127.0.0.2"), "a worker that has heard of it")
        assert socks(node, "bob", "pw-bob", "127.0.0.3")
        users.unlink()
        wait_for(lambda: node.logged("users file not read, its users are refused"))
        wait_for(lambda: not socks(node, "bob", "pw-bob", "127.0.0.4"), "a worker that has heard of it")
        wait_for(lambda: b"penstock_users_file_errors_total 1\n" in node.fetch("/metrics"))
        with client(node, "web") as wire:
            assert ask(wire, site, "inline", "pw-inline") == 200
        write(users, line("bob"))
        wait_for(lambda: len(node.logged("users file read")) == 2)
        assert socks(node, "bob", "pw-bob", "127.0.0.5")
        assert len(node.logged("users file not read, its users are refused")) == 1
        assert "broken" not in str(node.events)


def test_wrong_logins_delay_nobody_else(users):
    """64 wrong logins of one address are refused, most without a hash; the right one of another address comes in."""
    hurried = '[timeouts]\nhandshake = "3s"\n'  # for so long a login waits for its turn
    with proxies(users, hurried) as (node, _), contextlib.ExitStack() as stack:
        flood = [stack.enter_context(greet(node, "ann", f"guess {n}", "127.0.0.2")) for n in range(64)]
        assert socks(node, "bob", "pw-bob", "127.0.0.3")
        assert [wire.read(2) for wire in flood] == [b"\x01\x01"] * 64
        refused = node.at_rest()["refused"]
        assert refused["auth"] + refused["overload"] == 64
        assert refused["overload"] > 32


SLOW = argon2.PasswordHasher(time_cost=10, memory_cost=65_536, parallelism=1)

PATIENT = '[timeouts]\nhandshake = "1m"\n'
"""For so long a login is waited for, on a machine whose cores others have."""


def test_a_worker_that_is_killed_meanwhile(users):
    """Logins under way end with their worker, and its heir verifies those that follow."""
    write(users, line("bob"), line("slow", SLOW))
    with proxies(users, PATIENT, killed=True) as (node, _):
        (pid,) = node.worker_pids()
        with greet(node, "slow", "pw-slow", "127.0.0.2") as wire:
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                assert wire.read(2) == b""
        wait_for(lambda: node.logged("worker ready"))
        assert socks(node, "bob", "pw-bob", "127.0.0.3")


def test_a_drain_waits_for_logins(users):
    """A login that is under way when the drain begins is answered."""
    write(users, line("slow", SLOW))
    with proxies(users, PATIENT, killed=True) as (node, _), greet(node, "slow", "pw-slow") as wire:
        node.process.terminate()
        assert wire.read(2) == b"\x01\0"
        wire.close()
        assert node.process.wait(60) == 0


@pytest.mark.needs("curl")
def test_curl(users):
    """curl logs in through all three, and is told what is wrong."""
    with proxies(users) as (node, site):
        for words in (
            ["--proxy", node.url("socks", "socks5h").replace("//", "//ann:pw-ann@"), site.url()],
            ["--proxy", node.url("web").replace("//", "//ann:pw-ann@"), site.url()],
            ["--user", "bob:pw-bob", node.url("site")],
        ):
            assert curl(*words) == "hi 200"
        assert curl("--user", "bob:wrong", node.url("site")).endswith(" 401")


def curl(*words):
    """Return body and status."""
    command = ["curl", "--silent", "--max-time", "60", "--write-out", " %{http_code}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env={"PATH": os.environ["PATH"]}).stdout  # noqa: PLW1510
