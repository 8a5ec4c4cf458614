"""A drain of a real process: who idles is let go, systemd is told, and what still runs at the deadline is cut."""

import http.client
import json
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from penstock.testing.http_peers import ok, origin
from penstock.testing.nodes import environment, table
from penstock.testing.peers import echo, serving

pytestmark = pytest.mark.system

SECONDS = 60


def ready(process):
    """Return the events of a node until it is ready."""
    events = []
    for line in process.stderr:
        events.append(json.loads(line))
        if events[-1]["event"] == "node ready":
            return events
    raise AssertionError(events)


def test_a_drain_is_told_and_ends(tmp_path):
    """Idle clients are closed, the API and systemd hear how far it is, and a tunnel lasts until the deadline."""
    with (
        origin(lambda *_: ok(b"a")) as target,
        serving(echo) as other,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(SECONDS)
        path = tmp_path / "penstock.toml"
        drain = '[timeouts]\ndrain = "3s"\n'
        path.write_text(drain + table("web", "http", target.port, reverse=True) + table("main", "tcp", other.port))
        words = ["run", "--config", str(path), "--workers", "1", "--admin", "127.0.0.1:0", "--log-format", "json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *words],
            stderr=subprocess.PIPE, text=True, env=environment(tmp_path) | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )  # fmt: skip
        try:
            events = ready(process)
            found = {each["listener"]: each["address"] for each in events if each["event"] == "listening"}
            admin = events[-1]["admin"]
            assert systemd.recv(1_000) == b"READY=1"
            tunnel = socket.create_connection(("127.0.0.1", int(found["main"].rpartition(":")[2])), timeout=SECONDS)
            idle, busy = (http.client.HTTPConnection(found["web"], timeout=SECONDS) for _ in range(2))
            with tunnel, closing(idle), closing(busy):
                tunnel.sendall(b"x")
                assert tunnel.recv(1) == b"x"
                for client in (idle, busy):
                    client.request("GET", "/")
                    assert client.getresponse().read() == b"a"
                with closing(http.client.HTTPConnection(admin, timeout=SECONDS)) as door:
                    door.request("POST", "/-/drain")
                    assert door.getresponse().read()
                    door.request("GET", "/api/v1/drain")
                    view = json.loads(door.getresponse().read())
                assert (view["state"], view["seconds_left"] <= 3) == ("draining", True)
                assert idle.sock.recv(1) == b""
                told = systemd.recv(1_000).decode()
                assert told.startswith("STATUS=Draining: ")
                assert "EXTEND_TIMEOUT_USEC=" in told
                assert tunnel.recv(1) == b""  # at the deadline
            process.communicate(timeout=SECONDS)
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait()
