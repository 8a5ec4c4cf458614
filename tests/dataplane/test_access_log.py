"""The access log of a real worker: a line for each request, and for each connection without one."""

import contextlib
import json
import socket
import struct

import pytest

from penstock.config.limit_plan import LimitsPlan
from penstock.config.plan import AccessPlan, RoutePlan
from penstock.dataplane.orders import Reopen
from penstock.testing.peers import serving
from penstock.testing.tls_peers import TlsClient
from penstock.testing.workbench import bench, listener, wait_for

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(sock):
    """Answer every request."""
    while sock.recv(65_536):
        sock.sendall(ANSWER)


def echo(sock):
    """Send back what comes."""
    while data := sock.recv(65_536):
        sock.sendall(data)


def ask(client, head):
    """Send a request, and read until its answer is there."""
    client.sendall(head)
    data = b""
    while b"\r\n\r\n" not in data or (b"Content-Length: 2\r\n" in data and not data.endswith(b"ok")):
        data += client.recv(65_536)
    return data


def lines(path, count):
    """Return the lines once there are so many."""
    wait_for(lambda: path.read_bytes().count(b"\n") >= count, f"{count} lines")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path):
    """Return the file and what makes a worker write it."""
    path = tmp_path / "access.log"
    return path, {"access": AccessPlan(format="json", file=str(path))}


def test_a_line_for_each_request(log):
    """Requests of one connection have a line each; their bytes add up to those of the connection."""
    path, more = log
    with serving(answer) as target, bench(listener("main", "http", target.port, reverse=True), **more) as plane:
        with plane.connect() as client:
            for number in range(3):
                ask(client, b"GET /%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % number)
        (row,) = plane.ended()
        found = lines(path, 3)
        assert [(each["method"], each["path"], each["status"]) for each in found] == [
            ("GET", f"/{number}", 200) for number in range(3)
        ]
        assert {each["target"] for each in found} == {f"127.0.0.1:{target.port}"}
        assert sum(each["bytes_in"] for each in found) == row.client_rx
        assert sum(each["bytes_out"] for each in found) == row.client_tx
        assert len(found) == row.requests == path.read_bytes().count(b"\n")


def test_lines_of_tls_hold_the_bytes_on_the_wire(log, authority, plan):
    """The line of a connection through TLS tells what its record does, and so does a first request: handshakes too."""
    path, more = log
    with serving(echo) as target, serving(answer) as web:
        plain, http = (
            listener("plain", "tcp", target.port, tls=plan),
            listener("http", "http", web.port, tls=plan, reverse=True),
        )
        with bench(plain, http, **more) as plane:
            for name in ("plain", "http"):
                with TlsClient(plane.connect(name), authority.client_context(), "localhost") as client:
                    assert ask(client, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
                    if name == "plain":
                        client.shutdown(socket.SHUT_WR)
                        assert client.recv(1) == b""
                        sent, received = client.sent, client.received
                    else:
                        asked, answered = client.sent, client.received
            plane.ended(2)
            first, second = lines(path, 2)
    assert (first["bytes_in"], first["bytes_out"]) == (sent, received)
    assert (second["bytes_in"], second["bytes_out"]) == (asked, answered)


def test_requests_that_are_none_have_lines_too(log):
    """What is refused has the status that the client got, and what broke off has none."""
    path, more = log
    with serving(answer) as target, bench(listener("main", "http", target.port, reverse=True), **more) as plane:
        for head in (b"GET\r\n\r\n", b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n", b"G" * 70_000):
            with plane.connect() as client:
                ask(client, head)
        plane.ended(3)
        found = lines(path, 3)
        assert sorted(each["status"] for each in found)[:2] == [400, 400]
        assert "\\x1B[2J" in found[1]["path"]
    assert b"\x1b" not in path.read_bytes()


def test_a_tunnel_is_told_at_its_end(log):
    """CONNECT has one line, with all that the tunnel moved."""
    path, more = log
    with serving(echo) as target, bench(listener("main", "http"), **more) as plane:
        with plane.connect() as client:
            ask(client, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % target.port)
            client.sendall(b"x" * 1_000)
            got = b""
            while len(got) < 1_000:
                got += client.recv(1_000)
            assert path.read_bytes() == b""
        (row,) = plane.ended()
        (line,) = lines(path, 1)
        assert (line["method"], line["path"], line["status"]) == ("CONNECT", f"127.0.0.1:{target.port}", 200)
        assert (line["bytes_in"], line["bytes_out"]) == (row.client_rx, row.client_tx)


def test_connections_without_requests_tell_their_outcome(log):
    """TCP and SOCKS have one line at their end."""
    path, more = log
    with serving(echo) as target:
        plans = listener("main", "tcp", target.port), listener("socks", "socks5")
        with bench(*plans, **more) as plane:
            with plane.connect() as client:
                client.sendall(b"hello")
                assert client.recv(5, socket.MSG_WAITALL) == b"hello"
            plane.ended()
            with plane.connect("socks") as client:
                client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\0\0\x01" + struct.pack(">H", target.port))
                replies = b""
                while len(replies) < 12:
                    replies += client.recv(12)
                assert replies[3] == 0
            plane.ended(2)
            one, two = lines(path, 2)
            assert (one["ended_by"], one["phase"], one["listener"], one["bytes_in"]) == ("complete", "done", "main", 5)
            assert one["target"] == f"127.0.0.1:{target.port}"
            assert (two["listener"], two["ended_by"]) == ("socks", "complete")
            assert two["target"].startswith("127.0.0.1")


HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"


@pytest.mark.parametrize(
    ("trusted", "reason", "alone"),
    [(("127.0.0.0/8",), "ip_limit", {"client": "203.0.113.9", "peer": "127.0.0.1"}),
     (("192.0.2.0/24",), "proxy_header", {"client": "127.0.0.1"})],
)  # fmt: skip
def test_who_is_refused_at_a_proxy_header_is_told_within_bounds(log, trusted, reason, alone):
    """Clients that a PROXY header names, and peers that may send none, are summed up as those without one are."""
    path, more = log
    clients, limits = 100, LimitsPlan(connections_per_ip=1)
    with serving(echo) as target:
        main = listener("main", "tcp", target.port, accept_proxy="required", trusted_proxies=trusted)
        with bench(main, limits=limits, **more) as plane, contextlib.ExitStack() as stack:
            if reason == "ip_limit":
                first = stack.enter_context(plane.connect())
                first.sendall(HEADER + b"x")
                assert first.recv(1) == b"x"
            for _ in range(clients):
                with plane.connect() as client, contextlib.suppress(ConnectionError):
                    client.sendall(HEADER)
                    client.recv(1)
            plane.ended(clients)
            stack.close()
            found = wait_for(lambda: told_all(path, reason, clients), "all that were refused")
    whole = [each for each in found if each.get("reason") == reason]
    assert 0 < len(whole) < clients
    assert all(alone.items() <= each.items() for each in whole)
    assert ("peer" in whole[0]) == ("peer" in alone)


def told_all(path, reason, count):
    """Return all lines, once these tell of so many that were refused for a reason."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    whole = sum(each.get("reason") == reason for each in found)
    return found if whole + sum(each["reasons"][reason] for each in found if "reasons" in each) == count else None


def test_users_do_not_stick(log):
    """A user stands in the lines of requests that proved it, and in no others."""
    path, more = log
    route = RoutePlan(id=1, name="own", action="answer", body="ok", users={"ann": "pw"})
    with bench(listener("main", "http", reverse=True, route=route), **more) as plane, plane.connect() as client:
        ask(client, b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnB3\r\n\r\n")
        ask(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        one, two = lines(path, 2)
        assert (one["user"], one["status"]) == ("ann", 200)
        assert ("user" in two, two["status"]) == (False, 401)


def test_refused_requests_say_why(log):
    """A request that a route blocks, or that lacks a login, has its reason; the next one, which is served, has none."""
    path, more = log
    route = RoutePlan(id=1, name="own", action="block")
    with bench(listener("main", "http", reverse=True, route=route), **more) as plane, plane.connect() as client:
        for _ in range(2):
            assert ask(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 403 ")
        found = lines(path, 2)
        assert [(each["status"], each["reason"]) for each in found] == [(403, "access")] * 2
    path.unlink()
    route = RoutePlan(id=1, name="own", action="answer", body="ok", users={"ann": "pw"})
    with bench(listener("main", "http", reverse=True, route=route), **more) as plane, plane.connect() as client:
        ask(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        ask(client, b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnB3\r\n\r\n")
        one, two = lines(path, 2)
        assert (one["status"], one["reason"]) == (401, "auth")
        assert (two["status"], "reason" in two) == (200, False)


def test_a_worker_goes_on_in_a_new_file(log, tmp_path):
    """After a rename and an order, lines go to the new file, and none is lost."""
    path, more = log
    old = tmp_path / "access.log.1"
    with serving(answer) as target, bench(listener("main", "http", target.port, reverse=True), **more) as plane:
        with plane.connect() as client:
            ask(client, b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            path.rename(old)
            ask(client, b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            plane.order(Reopen())
            wait_for(path.exists, "the new file")
            ask(client, b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        plane.ended()
        assert [each["path"] for each in lines(path, 1)] == ["/3"]
        assert [each["path"] for each in lines(old, 2)] == ["/1", "/2"]
