"""Ways to a target: parents of both kinds, TLS with verification, and their failures; our own listeners are parents."""

import contextlib
import socket
import ssl
import threading

import pytest
from msgspec.structs import replace

from penstock.base.bounds import BULK_BYTES
from penstock.base.outcomes import COMPLETE, EndedBy, Phase
from penstock.config.plan import ParentPlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import TargetTlsPlan, TlsPlan
from penstock.dataplane.orders import CloseConnection
from penstock.testing.http_peers import Wire, ok, request
from penstock.testing.peers import echo, read_all, saying, serving, swallow
from penstock.testing.tap import tapping
from penstock.testing.workbench import bench, listener, quick, wait_for

BIG = bytes(range(256)) * 8_192


def route(port, **more):
    """Return a route to a target on loopback."""
    target = TargetPlan(id=1, host=more.pop("host", "127.0.0.1"), port=port)
    return RoutePlan(id=1, name="default", targets=(target,), **more)


def through(plane, data):
    """Return what comes back through a plane's main listener."""
    with plane.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


@pytest.mark.parametrize("kind", ["socks5", "http"])
@pytest.mark.parametrize("login", [{}, {"ann": "secret"}])
def test_parents_lead_to_the_target(kind, login):
    """Through a SOCKS5 or HTTP parent, with a login or without, everything comes back and nothing else."""
    user, password = next(iter(login.items()), ("", ""))
    with serving(echo) as target, bench(listener("main", kind, users=login)) as upper:
        parent = ParentPlan(kind=kind, host="127.0.0.1", port=upper.ports["main"], user=user, password=password)
        with bench(listener("main", route=route(target.port, parent=parent))) as plane:
            assert through(plane, BIG) == BIG
            row = plane.ended()[0]
            assert row.outcome == COMPLETE
            assert (row.client_rx, row.client_tx) == (len(BIG), len(BIG))
            above = upper.ended()[0]
            assert (row.target_tx, row.target_rx) == (above.client_rx, above.client_tx)


def test_parent_behind_tls(authority):
    """An https parent is asked through TLS, and its certificate is verified."""
    tls = TlsPlan(certificates=(authority.issue("localhost"),))
    with serving(saying(b"220 hello")) as target, bench(listener("main", "http", tls=tls)) as upper:
        trusted = ParentPlan(
            kind="https", host="localhost", port=upper.ports["main"], tls=TargetTlsPlan(ca=authority.file)
        )
        with bench(listener("main", route=route(target.port, parent=trusted))) as plane, plane.connect() as client:
            assert client.recv(9, socket.MSG_WAITALL) == b"220 hello"
        with bench(listener("main", route=route(target.port, parent=replace(trusted, tls=TargetTlsPlan())))) as plane:
            assert through(plane, b"x") == b""
            (row,) = plane.ended()
            assert (row.outcome.ended_by, row.outcome.phase) == (EndedBy.TARGET, Phase.DIAL)
            assert row.texts[2].startswith(f"no TLS with https parent localhost:{upper.ports['main']}: certificate")


@pytest.mark.parametrize("wrong", [{"user": "ann", "password": "no"}, {"user": ""}])
@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_a_chain_that_fails_is_an_error(kind, wrong):
    """A parent that refuses us ends the connection; the target is never dialed around it."""
    with serving(echo) as target, bench(listener("main", kind, users={"ann": "secret"})) as upper:
        parent = ParentPlan(kind=kind, host="127.0.0.1", port=upper.ports["main"], **wrong)
        with bench(listener("main", route=route(target.port, parent=parent))) as plane:
            assert through(plane, b"x") == b""
            row = plane.ended()[0]
            assert (row.outcome.ended_by, row.outcome.phase) == (EndedBy.TARGET, Phase.DIAL)
            assert "parent 127.0.0.1" in row.texts[2]
        assert target.clients == 0


def tls_target(authority, *names):
    """Return a behaviour that answers in TLS, echoing one message."""
    issued = authority.issue(*names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)

    def behave(client):
        with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as tls:
            while data := tls.recv(65_536):
                tls.sendall(data)

    return behave


def test_reencrypt_verifies_the_target(authority):
    """The target's certificate must be right, by name or by IP address; what is wrong is no connection."""
    trusting = TargetTlsPlan(ca=authority.file)
    cases = [
        (("localhost",), "localhost", trusting, True),
        (("127.0.0.1",), "127.0.0.1", trusting, True),
        (("localhost",), "127.0.0.1", trusting, False),
        (("localhost",), "localhost", TargetTlsPlan(), False),
        (("other.example",), "127.0.0.1", replace(trusting, server_name="other.example"), True),
        (("localhost",), "127.0.0.1", TargetTlsPlan(verify=False), True),
    ]
    for names, host, tls, good in cases:
        with (
            serving(tls_target(authority, *names)) as target,
            bench(listener("main", route=route(target.port, host=host, target_tls=tls))) as plane,
        ):
            assert (through(plane, b"hello") == b"hello") is good, (names, host, tls)
            row = plane.ended()[0]
            if good:
                assert row.outcome == COMPLETE
                assert row.target_tx > row.client_rx + 200  # the handshake counts
            else:
                assert (row.outcome.ended_by, row.outcome.phase) == (EndedBy.TARGET, Phase.DIAL)
                assert "certificate refused" in row.texts[2]


def test_terminate_and_reencrypt(authority):
    """TLS on both sides: every byte arrives, in both directions."""
    tls = TlsPlan(certificates=(authority.issue("localhost"),))
    way = TargetTlsPlan(ca=authority.file)
    with (
        serving(tls_target(authority, "localhost")) as target,
        bench(listener("main", tls=tls, route=route(target.port, host="localhost", target_tls=way))) as plane,
        plane.connect() as raw,
        authority.client_context().wrap_socket(raw, server_hostname="localhost") as client,
    ):
        for size in (1, 16_384, 100_000):
            client.sendall(BIG[:size])
            got = b""
            while len(got) < size:
                got += client.recv(size - len(got))
            assert got == BIG[:size]


def test_bulk_for_a_target_that_speaks_tls_stays_in_records(authority):
    """A flow of bulk whose client speaks in the clear gets no pipes of the kernel, which would move it as it is."""
    way = TargetTlsPlan(ca=authority.file)
    with (
        serving(tls_target(authority, "localhost")) as target,
        bench(listener("main", route=route(target.port, host="localhost", target_tls=way)), splice="always") as plane,
        plane.connect() as client,
    ):
        assert answered(client, BIG[:50_000]) == BIG[:50_000]
        (connection,) = plane.connections()
        considered = threading.Event()
        plane.worker.reactor.post(lambda: plane.worker.pipes.consider(connection, BULK_BYTES))
        plane.worker.reactor.post(considered.set)
        assert considered.wait(10)
        assert connection.client.pipe is None
        assert answered(client, BIG[:50_000]) == BIG[:50_000]


def answered(client, data):
    """Send to an echo, and return what comes back of as much."""
    client.sendall(data)
    got = b""
    while len(got) < len(data) and (more := client.recv(len(data))):
        got += more
    return got


def test_silent_parent_meets_the_connect_timeout():
    """A parent that says nothing, and a target that shakes no hands, end at the connect timeout."""
    with serving(swallow) as silent:
        parent = ParentPlan(kind="socks5", host="127.0.0.1", port=silent.port)
        for more in ({"parent": parent}, {"target_tls": TargetTlsPlan(verify=False)}):
            with bench(listener("main", route=route(silent.port, **more)), timeouts=quick(connect=0.2)) as plane:
                assert through(plane, b"x") == b""
                outcome = plane.ended()[0].outcome
                assert (outcome.ended_by, outcome.phase) == (EndedBy.TARGET_TIMEOUT, Phase.DIAL)


def secretive(authority, answer):
    """Return a behaviour that answers requests in TLS."""
    issued = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)

    def behave(raw):
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as sock, Wire(sock) as wire:
            while wire.read_message() is not None:
                wire.send(ok(answer))

    return behave


def carried(plane, tap, count=1):
    """Check that rows say what went over the wire to the targets, to the byte."""
    rows = plane.ended(count)

    def wire():
        return tap.total("up"), tap.total("down")

    told = sum(row.target_tx for row in rows), sum(row.target_rx for row in rows)
    wait_for(lambda: wire() == told, f"{told} on the wire, there is {wire()}")


@pytest.mark.parametrize("size", [6, 16_384, 100_000])
@pytest.mark.parametrize("clients", [1, 2])
def test_exchanges_in_tls_count_wire_bytes(authority, size, clients):
    """Requests on one TLS connection to a target: session tickets and all else that it carries is counted."""
    with serving(secretive(authority, b"s" * size)) as target, tapping("127.0.0.1", target.port) as tap:
        way = route(tap.port, target_tls=TargetTlsPlan(verify=False))
        with bench(listener("main", "http", reverse=True, route=way)) as plane:
            for _ in range(clients):
                with Wire(plane.connect()) as wire:
                    wire.send(request("GET", "http://a.example/"))
                    assert len(wire.read_message().body) == size
                plane.ended(1)
            carried(plane, tap, clients)
            assert len(tap.lines) == 1


def test_failed_handshakes_count_wire_bytes(authority):
    """A target that is refused for its certificate has cost bytes, and they stand in the row."""
    with serving(secretive(authority, b"")) as target, tapping("127.0.0.1", target.port) as tap:
        way = route(tap.port, target_tls=TargetTlsPlan(ca=authority.file, server_name="other.example"))
        for protocol in ("tcp", "http"):
            tap.lines.clear()
            with bench(listener("main", protocol, reverse=True, route=way)) as plane:
                with plane.connect() as client:
                    client.sendall(request("GET", "http://a.example/", None, "Connection: close"))
                    read_all(client)
                assert plane.ended()[0].target_rx > 500
                carried(plane, tap)


@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_handshakes_cut_short_count_wire_bytes(protocol):
    """An operator closes a connection in the middle of its target's handshake: the hello was sent, and counts."""
    with serving(swallow) as silent, tapping("127.0.0.1", silent.port) as tap:
        way = route(tap.port, target_tls=TargetTlsPlan(verify=False))
        with bench(listener("main", protocol, reverse=True, route=way)) as plane, plane.connect() as client:
            client.sendall(request("GET", "http://a.example/"))
            wait_for(lambda: tap.lines and tap.total("up") > 200, "the hello")
            plane.order(CloseConnection(1))
            plane.ended()
            carried(plane, tap)


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_bytes_before_tls_count_once(authority, kind):
    """What was said to a parent is not counted again with the handshake behind it."""
    with (
        serving(secretive(authority, b"s")) as target,
        bench(listener("main", kind)) as upper,
        tapping("127.0.0.1", upper.ports["main"]) as tap,
    ):
        parent = ParentPlan(kind=kind, host="127.0.0.1", port=tap.port)
        way = route(target.port, target_tls=TargetTlsPlan(verify=False), parent=parent)
        with bench(listener("main", "tcp", route=way)) as plane:
            assert through(plane, request("GET", "http://a.example/")).endswith(b"s")
            carried(plane, tap)
