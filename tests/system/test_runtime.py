"""Listeners and routes are changed while a node is used: nothing fails, nothing is lost, and the file wins at last."""

import http.client
import json
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

SECONDS = 60


def order(node, method, path, body=None):
    """Return status and answer of an order."""
    with closing(http.client.HTTPConnection(*node.admin, timeout=SECONDS)) as door:
        door.request(method, path, None if body is None else json.dumps(body))
        answer = door.getresponse()
        return answer.status, json.loads(answer.read())


def address(node, listener):
    """Return where a listener listens now."""
    stats = node.until(lambda stats: any(each["name"] == listener for each in stats["listeners"]))
    (found,) = (each["address"] for each in stats["listeners"] if each["name"] == listener)
    host, _, port = found.rpartition(":")
    return host, int(port)


def test_a_hundred_changes_under_load(tmp_path):
    """Routes and listeners come, change and go under requests: each is answered 200, and each is counted once."""
    with origin(lambda *_: ok(b"a")) as one, origin(lambda *_: ok(b"b")) as two:
        web = table("web", "http", one.port, reverse=True)
        with running(web, workers=2, folder=tmp_path) as node:
            with Load(node.address("web")) as load:
                for number in range(25):
                    app = {
                        "match": {"domains": ["app.example"]},
                        "targets": [f"127.0.0.1:{(one, two)[number % 2].port}"],
                    }
                    more = {"listen": "127.0.0.1:0", "protocol": "tcp", "targets": [f"127.0.0.1:{one.port}"]}
                    for path, body in ((f"routes/app{number % 3}", app), (f"listeners/more{number % 3}", more)):
                        assert order(node, "PUT", f"/api/v1/{path}", body)[0] == 200
                    assert order(node, "DELETE", f"/api/v1/routes/app{number % 3}")[0] == 200
                    assert order(node, "DELETE", f"/api/v1/listeners/more{number % 3}")[0] == 200
            assert not load.failures
            assert set(load.answers) == {"a", "b"}
            found = node.at_rest()
            assert found["totals"]["requests"] == load.asked
            assert [each["name"] for each in found["listeners"]] == ["web"]
            assert order(node, "GET", "/api/v1/runtime") == (200, {"changes": []})
            assert not [line for line in json.loads(node.fetch("/api/v1/audit"))["lines"] if line["residual"]]


def test_the_file_wins_at_a_reload(tmp_path):
    """What was changed is served, shown, and told when a reload undoes it; a mistake of the file undoes nothing."""
    with serving(echo) as target:
        main = table("main", "tcp", target.port)
        with running(main, folder=tmp_path) as node:
            body = {"listen": "127.0.0.1:0", "protocol": "tcp", "targets": [f"127.0.0.1:{target.port}"]}
            assert order(node, "PUT", "/api/v1/listeners/more?check=true", body)[1]["applied"] is False
            assert order(node, "PUT", "/api/v1/listeners/more", body)[1]["changes"][0]["what"] == "added"
            more = address(node, "more")
            with socket.create_connection(more, SECONDS) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
                assert order(node, "GET", "/api/v1/listeners/more")[1]["origin"] == "runtime"
                (tmp_path / "penstock.toml").write_text("[[listener")
                assert order(node, "POST", "/api/v1/reload")[0] == 422
                change = {"kind": "listener", "name": "more", "what": "added", "keys": []}
                assert order(node, "GET", "/api/v1/runtime")[1] == {"changes": [change]}
                (tmp_path / "penstock.toml").write_text(main)
                assert order(node, "POST", "/api/v1/reload?dry_run=1")[1]["undone"] == [change]
                node.process.send_signal(signal.SIGHUP)
                wait_for(lambda: node.logged("changes at runtime are undone: the file wins"), "a reload")
                client.sendall(b"y")  # whoever is on it goes on
                assert client.recv(1) == b"y"
            assert order(node, "GET", "/api/v1/runtime")[1] == {"changes": []}
            assert order(node, "GET", "/api/v1/listeners/more")[0] == 404


def test_mistakes_come_together_and_change_nothing(tmp_path):
    """Keys, values and what to write, of all of it at once; a busy port too, and the last listener stays."""
    with (
        serving(echo) as target,
        socket.create_server(("127.0.0.1", 0)) as busy,
        running(table("main", "tcp", target.port), folder=tmp_path) as node,
    ):
        bad = {"listen": ":x", "protocol": "tpc", "targets": ["h:1"], "colour": 1}
        status, answer = order(node, "PUT", "/api/v1/listeners/bad", bad)
        assert (status, len(answer["mistakes"])) == (422, 3), answer
        assert any('write "tcp"' in each for each in answer["mistakes"])
        taken = {"listen": f"127.0.0.1:{busy.getsockname()[1]}", "protocol": "tcp", "targets": ["h:1"]}
        status, answer = order(node, "PUT", "/api/v1/listeners/taken", taken)
        assert (status, "is in use" in answer["mistakes"][0]) == (422, True)
        assert order(node, "DELETE", "/api/v1/listeners/main")[0] == 422
        assert order(node, "DELETE", "/api/v1/routes/none")[0] == 404
        assert [each["name"] for each in node.stats()["listeners"]] == ["main"]
        assert order(node, "GET", "/api/v1/runtime")[1] == {"changes": []}


def test_the_command_line_changes_a_node(tmp_path):
    """Tables go in as they stand in a file, and come out again; a node without a file takes them as well."""

    def penstock(*words, text=""):
        return subprocess.run(
            [sys.executable, "-m", "penstock.cli", *words],
            check=False, capture_output=True, text=True, timeout=SECONDS, env=environment(tmp_path), input=text,
        )  # fmt: skip

    words = ["tcp", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1", "--workers", "0"]
    command = [sys.executable, "-m", "penstock.cli", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)) as process:
        assert any("node ready" in line for line in process.stderr)
        try:
            with serving(echo) as target:
                text = table("more", "tcp", target.port)
                assert penstock("listener", "set", "-", text=text).stdout.splitlines()[0] == "listener more added"
                assert penstock("listener", "show", "more").stdout == text
                found = json.loads(penstock("listeners", "--json").stdout)
                assert [(each["name"], each["origin"]) for each in found] == [
                    ("tcp-0", "configuration"), ("more", "runtime"),
                ]  # fmt: skip
                assert penstock("listener", "set", "-", text=text.replace('"tcp"', '"tpc"')).returncode == 78
                assert "nothing to reload" in penstock("reload").stderr
                assert penstock("listener", "remove", "more").returncode == 0
                assert penstock("listener", "show", "more").returncode == 1
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)
