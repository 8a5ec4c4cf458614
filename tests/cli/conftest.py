"""A node that is not there: its admin door on a Unix socket, answering what a test tells it to."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner

from penstock.cli.main import app


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class FakeNode:
    """
    Answers by method and path; keeps what was asked, and what was sent last.

    Args:
        path: Of its socket.
    """

    def __init__(self, path):
        self.path, self.asked, self.open = path, [], {}
        self.ended, self.kept = [], 10_000
        self.stats, self.audit = make_stats(), make_audit()
        self.refusal = self.sent = None
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer("GET")

            def do_POST(self):
                self.answer("POST")

            def do_PUT(self):
                node.sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer("PUT")

            def do_DELETE(self):
                self.answer("DELETE")

            def answer(self, method):
                status, body = node.answer(method, self.path)
                data = json.dumps(body).encode() if body is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if data:
                    self.wfile.write(data)

            def address_string(self):
                return "unix"

            def log_message(self, *args):
                pass

        self._server = _Server(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, method, target):
        """Return status and body."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        self.asked.append((method, url.path, query))
        if self.refusal:
            return self.refusal
        if url.path == "/api/v1/stats":
            return 200, self.stats
        if url.path == "/api/v1/audit":
            return 200, self.audit
        if url.path == "/api/v1/connections":
            return 200, self._page(query)
        if url.path == "/api/v1/history":
            return 200, self._history(query)
        if url.path.startswith("/api/v1/connections/") and method == "DELETE":
            found = self.open.pop(int(url.path.rpartition("/")[2]), None)
            return (204, None) if found else (404, {"title": "Not Found", "detail": "no such connection"})
        if (method, url.path) == ("POST", "/-/drain"):
            return 202, {"state": "draining"}
        return 404, {"title": "Not Found"}

    def _page(self, query):
        chosen = [each for each in self.open.values() if query.get("listener") in (None, each["listener"])]
        limit = int(query.get("limit", 1_000))
        if query.get("sort") == "bytes":
            chosen.sort(key=lambda each: -each["bytes_in"] - each["bytes_out"])
            return {"connections": chosen[:limit], "next": None, "total": len(chosen)}
        rest = [each for each in chosen if each["id"] > int(query.get("cursor", 0))]
        more = len(rest) > limit
        return {"connections": rest[:limit], "next": rest[limit - 1]["id"] if more else None, "total": len(chosen)}

    def _history(self, query):
        kept = [each for each in self.ended[-self.kept :] if each["number"] > int(query.get("after", 0))]
        first, last = (kept[0]["number"] if kept else 0), len(self.ended)
        chosen = [each for each in kept if query.get("user") in (None, each["user"])]
        total, limit = len(chosen), int(query.get("limit", 100))
        if "after" not in query:
            chosen = [each for each in reversed(chosen) if each["number"] < int(query.get("cursor", 2**53))]
        page = chosen[:limit]
        after = page[-1]["number"] if len(chosen) > limit else None
        return {"connections": page, "next": after, "total": total, "first": first, "last": last}

    def end(self, **fields):
        """End a connection."""
        self.ended.append(make_record(len(self.ended) + 1, **fields))

    def add(self, number, **fields):
        """Open a connection."""
        self.open[number] = make_connection(number, **fields)
        return self.open[number]

    def stop(self):
        """Go away, socket and all."""
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)


def make_connection(number, **fields):
    """Return a connection as the door gives it."""
    return {
        "id": number,
        "client": "192.0.2.7:40000",
        "listener": "tcp",
        "route": "default",
        "target": "example.com:80",
        "destination": "",
        "user": "",
        "state": "relay",
        "bytes_in": 2048,
        "bytes_out": 1_048_576,
        "target_rx": 1_048_576,
        "target_tx": 2048,
        "requests": 0,
        "started_at": "2026-01-01T00:00:00.000Z",
        "age": 192.0,
        "worker": 4711,
    } | fields


def make_record(number, **fields):
    """Return an ended connection as the door gives it."""
    return {
        "number": number,
        "id": 4_294_967_296 + number,
        "client": "192.0.2.7:40000",
        "listener": "tcp",
        "route": "default",
        "target": "example.com:80",
        "destination": "",
        "user": "",
        "bytes_in": 2048,
        "bytes_out": 1_048_576,
        "target_rx": 1_048_576,
        "target_tx": 2048,
        "requests": 0,
        "started_at": "2026-01-01T00:00:00.000Z",
        "ended_at": "2026-01-01T00:03:12.345Z",
        "duration": 192.345,
        "ended_by": "complete",
        "phase": "done",
        "close_reason": "normal",
        "reason": "",
        "detail": "",
        "dial_duration": 0.002,
    } | fields


def _totals(**fields):
    totals = dict.fromkeys(("connections", "active", "bytes_in", "bytes_out", "target_rx", "target_tx", "requests"), 0)
    return totals | fields


def make_stats():
    """Return what a node with one busy and one idle listener says."""
    now = {"bytes_in": 2048.0, "bytes_out": 1_048_576.0}
    none = {"bytes_in": 0.0, "bytes_out": 0.0}
    busy = _totals(connections=1_234, active=7, bytes_in=5_000, bytes_out=50_000_000, requests=12)
    return {
        "node": {
            "name": "edge-1",
            "version": "0.1.0",
            "started_at": "2026-01-01T00:00:00.000Z",
            "uptime": 7_500.0,
            "state": "serving",
            "pid": 42,
        },
        "workers": {"configured": 2, "alive": 2, "respawns": 1, "accept_pauses": 0, "pids": [43, 44]},
        "totals": busy,
        "throughput": now,
        "listeners": [
            {"id": 1, "name": "web", "protocol": "tcp", "address": "127.0.0.1:8001", "route": "default"}
            | busy
            | {"throughput": now},
            {"id": 2, "name": "egress", "protocol": "socks5", "address": "[::1]:8003", "route": "default"}
            | _totals()
            | {"throughput": none},
        ],
        "targets": [{"id": 1, "route": "default", "address": "example.com:80"} | busy | {"throughput": now}],
        "outcomes": [
            {"ended_by": "complete", "phase": "done", "count": 1_200},
            {"ended_by": "client", "phase": "relay", "count": 27},
            {"ended_by": "internal", "phase": "relay", "count": 0},
        ],
        "refused": {"auth": 3, "quota": 0},
        "taken_at": "2026-01-01T02:05:00.000Z",
    }


def make_audit(residual=0, **kernel):
    """Return what a node says that has counted as many bytes as this wrong, by its kernel."""
    line = {"dimension": "routes", "adds": "all routes", "quantity": "bytes_in", "total": 5_000, "sum": 5_000}
    told = {"dimension": "kernel", "adds": "sockets", "quantity": "bytes_in", "total": 900, "sum": 900 - residual}
    lines = [line | {"residual": 0}, told | {"residual": residual}]
    view = {"taken_at": "2026-01-01T02:04:00.000Z", "refusal": "", "open": 7, "witnessed": 7, "unix": 0, "apart": 0}
    view |= {"closed": 0, "lines": lines[1:], "suspects": [], **kernel}
    return {
        "taken_at": "2026-01-01T02:05:00.000Z",
        "exact": not residual,
        "residual_bytes": {"routes": 0, "kernel": residual},
        "lines": lines,
        "kernel": view,
    }


@pytest.fixture
def node(tmp_path):
    """A node behind a socket."""
    fake = FakeNode(tmp_path / "edge-1.sock")
    yield fake
    fake.stop()


@pytest.fixture
def penstock(tmp_path, monkeypatch):
    """Run a command line, as in `penstock("status", "--json")`; nothing of the tester's environment leaks in."""
    for variable in ("PENSTOCK_NODE", "PENSTOCK_CONFIG", "PENSTOCK_AUTH", "PENSTOCK_DEBUG", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PENSTOCK_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*words, **kwargs):
        return CliRunner().invoke(app, [str(word) for word in words], prog_name="penstock", **kwargs)

    return run
