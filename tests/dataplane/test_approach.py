"""Ways to a target: parents of both kinds, TLS with verification, and their failures; our own listeners are parents."""

import contextlib
import socket
import ssl

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import COMPLETE, EndedBy, Phase
from penstock.config.plan import ParentPlan, RoutePlan, TargetPlan, TargetTlsPlan, TlsPlan
from penstock.testing.certificates import Authority
from penstock.testing.peers import echo, read_all, saying, serving, swallow
from penstock.testing.workbench import bench, listener, quick

BIG = bytes(range(256)) * 8_192


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with files of its own."""
    return Authority(tmp_path_factory.mktemp("approach"))


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
            outcome = plane.ended()[0].outcome
            assert (outcome.ended_by, outcome.phase) == (EndedBy.TARGET, Phase.DIAL)


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


def test_silent_parent_meets_the_connect_timeout():
    """A parent that says nothing, and a target that shakes no hands, end at the connect timeout."""
    with serving(swallow) as silent:
        parent = ParentPlan(kind="socks5", host="127.0.0.1", port=silent.port)
        for more in ({"parent": parent}, {"target_tls": TargetTlsPlan(verify=False)}):
            with bench(listener("main", route=route(silent.port, **more)), timeouts=quick(connect=0.2)) as plane:
                assert through(plane, b"x") == b""
                outcome = plane.ended()[0].outcome
                assert (outcome.ended_by, outcome.phase) == (EndedBy.TARGET_TIMEOUT, Phase.DIAL)
