"""Checks find out how real servers are."""

import asyncio
import socket
import ssl
import threading

import pytest

from penstock.base.clock import NS
from penstock.config.plan import HealthPlan, ParentPlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import TargetTlsPlan
from penstock.node.health.checks import HEADERS, Checker, ways
from penstock.node.health.names import Names
from penstock.protocols.proxy_header.header import Command
from penstock.protocols.proxy_header.parse import parse
from penstock.testing.certificates import Authority
from penstock.testing.clock import ManualClock
from penstock.testing.peers import read_all, reset, saying, serving, until_released

TCP = HealthPlan(kind="tcp", timeout=5 * NS)
HTTP = HealthPlan(kind="http", timeout=5 * NS)


def check(port, health=TCP, host="127.0.0.1", **more):
    """Return what is wrong with a target on this port."""
    route = RoutePlan(id=1, name="app", targets=(TargetPlan(id=1, host=host, port=port),), health=health, **more)

    async def go():
        names = Names(ManualClock(), NS)
        ((_, way),) = ways([route])
        try:
            return await Checker(names).check(way)
        finally:
            names.close()

    return asyncio.run(go())


def free_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def answer(status, seen=None):
    """Return a server that answers any request with a status, and keeps what it was asked."""

    def serve(client):
        data = b""
        while not data.endswith(b"close\r\n\r\n") and (more := client.recv(65_536)):
            data += more
        if seen is not None:
            seen.append(data)
        client.sendall(b"HTTP/1.1 %d Some Words\r\nContent-Length: 0\r\n\r\n" % status)
        read_all(client)

    return serve


def test_a_target_that_accepts_is_well():
    """For a check by TCP a connection is enough; without one the system's word is told."""
    with serving(saying(b"")) as target:
        assert check(target.port) == ""
    assert check(free_port()) == "connection refused"


def test_names_are_looked_up():
    """A target is found by its name; each of its addresses is tried."""
    with serving(saying(b"")) as target:
        assert check(target.port, host="localhost") == ""
    assert "name" in check(80, host="no-such-host.invalid").lower()
    assert check(80, host="a" * 70 + ".invalid") != ""


@pytest.mark.parametrize(
    ("status", "problem"), [(200, ""), (204, ""), (399, ""), (404, "status 404"), (503, "status 503")]
)
def test_a_status_decides(status, problem):
    """A target is well if it answers as it is expected to."""
    with serving(answer(status)) as target:
        assert check(target.port, HTTP) == problem


def test_what_is_expected_can_be_said():
    """Any ranges of statuses may be well."""
    with serving(answer(404)) as target:
        assert check(target.port, HealthPlan(kind="http", expect=((200, 204), (404, 404)))) == ""


def test_the_request_is_as_configured():
    """Path and host are what the plan says; the host is the target's own address if it says none."""
    seen = []
    with serving(answer(200, seen)) as target:
        check(target.port, HealthPlan(kind="http", path="/up?x=1", host="app.example"))
        check(target.port, HTTP)
    assert seen[0].startswith(b"GET /up?x=1 HTTP/1.1\r\nHost: app.example\r\nUser-Agent: penstock/")
    assert seen[0].endswith(b"Connection: close\r\n\r\n")
    assert b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % target.port in seen[1]


def test_a_target_that_resets_or_says_nothing_is_not_well():
    """What a broken target does is told in a few words."""
    with serving(reset) as target:
        assert check(target.port, HTTP) == "connection reset by peer"
    with serving(saying(b"")) as target:
        assert check(target.port, HTTP) == "closed without an answer"
    with serving(saying(b"SSH-2.0-OpenSSH\r\n")) as target:
        assert check(target.port, HTTP) == "the answer is not HTTP/1"
    with serving(saying(b"HTTP/1.1 200 " + b"x" * 100_000)) as target:
        assert check(target.port, HTTP) == "the answer is not HTTP/1"


@pytest.mark.parametrize("tls", [None, TargetTlsPlan(verify=False)])
def test_a_slow_target_costs_its_timeout_and_no_more(tls):
    """A target that accepts and is silent is not well once the time is over."""
    gate = threading.Event()
    with serving(until_released(gate)) as target:
        plan = HealthPlan(kind="http", timeout=NS // 10)
        assert check(target.port, plan, target_tls=tls) == "no answer in time"
        gate.set()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority, and a certificate of app.example."""
    return Authority(tmp_path_factory.mktemp("tls"))


def in_tls(authority, serve):
    """Return what a server does behind TLS."""
    made = authority.issue("app.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)

    def shake(client):
        with context.wrap_socket(client, server_side=True) as secure:
            serve(secure)

    return shake


@pytest.mark.parametrize("health", [TCP, HTTP])
def test_tls_is_spoken_where_traffic_speaks_it(authority, health):
    """The handshake belongs to the check: a certificate that traffic would refuse is refused here, too."""
    with serving(in_tls(authority, answer(200))) as target:
        right = TargetTlsPlan(ca=str(authority.file), server_name="app.example")
        assert check(target.port, health, target_tls=right) == ""
        wrong = TargetTlsPlan(ca=str(authority.file), server_name="other.example")
        assert "certificate refused" in check(target.port, health, target_tls=wrong)
    with serving(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as target:
        assert check(target.port, health, target_tls=right).startswith("TLS: ")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_proxy_header_says_that_it_is_a_check(version):
    """A target that demands a header gets one that names no client, before the request."""
    seen = []
    with serving(answer(200, seen)) as target:
        assert check(target.port, HTTP, send_proxy=version) == ""
    parsed = parse(seen[0])
    assert seen[0][: parsed.size] == HEADERS[version]
    assert parsed.header.source is None
    assert version == "v1" or parsed.header.command is Command.LOCAL
    assert seen[0][parsed.size :].startswith(b"GET / ")


def test_a_parent_is_not_on_the_way():
    """What is asked is how the target is, from here."""
    with serving(saying(b"")) as target:
        assert check(target.port, parent=ParentPlan(kind="http", host="127.0.0.1", port=free_port())) == ""


def test_contexts_are_made_where_they_are_used():
    """Routes that speak TLS alike share a context, and those that are not checked have none."""
    tls, targets = TargetTlsPlan(verify=False), (TargetPlan(id=1, host="192.0.2.1", port=443),)
    routes = [RoutePlan(id=i, name=str(i), targets=targets, target_tls=tls, health=TCP) for i in (1, 2)]
    routes.append(RoutePlan(id=3, name="3", targets=targets, target_tls=tls))
    one, two, off = (way for _, way in ways(routes))
    assert one.context is two.context is not None
    assert off.context is None
