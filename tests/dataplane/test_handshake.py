"""Handshakes that fail: who is to blame, and what the client is told."""

import socket
import ssl

import pytest
from msgspec import structs

from penstock.base.outcomes import COMPLETE, EndedBy, Phase, Reason
from penstock.config.plan import MatchPlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import TlsPlan
from penstock.connection.tls import NAMELESS
from penstock.dataplane.handshake import reason_of
from penstock.metrics.ledger import APART, HEADER_WORDS, SCOPE
from penstock.protocols.client_hello import HelloReader
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener, quick


@pytest.mark.parametrize(
    ("said", "alert"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 10),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", 10),
        (b"SSH-2.0-OpenSSH\r\n", 70),
        (b"\x17\x03\x03\x00\x05hello", 10),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 50),
        (b"\x16\x03\x01\xff\xff" * 4, 22),
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_nonsense_is_refused(plan, protocol, said, alert):
    """What is no TLS is refused as the proxy's decision, and an alert says so, though OpenSSL has not one for all."""
    with serving(echo) as target, bench(listener("main", protocol, target.port, tls=plan)) as plane:
        with plane.connect() as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            answer = read_all(client)
        outcome = plane.ended()[0].outcome
        assert (outcome.ended_by, outcome.phase, outcome.reason) == (EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
        assert answer == b"\x15\x03\x03\x00\x02\x02%c" % alert
        assert plane.ended()[0].client_tx == len(answer)
        assert plane.ended()[0].texts[2].startswith("no TLS: ")


def test_client_that_leaves_or_distrusts(authority, plan):
    """A client that closes early, or does not trust the certificate, has ended the connection."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        plane.connect().close()
        with plane.connect() as raw, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
        assert {row.outcome.ended_by for row in plane.ended(2)} == {EndedBy.CLIENT}


def test_silent_client_meets_the_deadline(plan):
    """A client that says nothing, or half a hello, is ended at the handshake's deadline."""
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan), timeouts=quick(handshake=60)) as plane,
        plane.connect() as silent,
        plane.connect() as slow,
    ):
        slow.sendall(b"\x16\x03\x01\x02\x00\x01")
        plane.await_read(slow)
        plane.later(61)
        assert read_all(silent) == read_all(slow) == b""
        assert {row.outcome.ended_by for row in plane.ended(2)} == {EndedBy.CLIENT_TIMEOUT}


def test_a_row_tells_that_tls_ends_here(authority, plan):
    """From the handshake on the row says that it does not count what the socket carries, byte by byte."""
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as plain,
        authority.client_context().wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert plane.words[HEADER_WORDS + SCOPE] & APART


def test_hello_in_any_split_is_the_same(authority, plan):
    """A handshake that comes byte by byte is a handshake."""
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as raw,
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    raw.sendall(bytes([byte]))
                incoming.write(raw.recv(65_536))
        tls.write(b"hello")
        for byte in outgoing.read():
            raw.sendall(bytes([byte]))
        while True:
            incoming.write(raw.recv(65_536))
            try:
                assert tls.read(5) == b"hello"
                break
            except ssl.SSLWantReadError:
                pass


def test_client_certificates(authority):
    """Where they are required, one of the right authority is served, and none or another one is refused (auth)."""
    own = authority.issue("client.example")
    plan = TlsPlan(
        certificates=(authority.issue("localhost"),), client_certificates="required", client_ca=authority.file
    )
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with (
            plane.connect() as raw,
            authority.client_context(own).wrap_socket(raw, server_hostname="localhost") as client,
        ):
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
        with plane.connect() as raw, pytest.raises(ssl.SSLError), authority.client_context().wrap_socket(
            raw, server_hostname="localhost"
        ) as client:  # fmt: skip
            client.recv(1)
        reasons = [row.outcome.reason for row in plane.ended(2)]
        assert reasons.count(Reason.AUTH) == 1


def test_reasons_name_no_source_file():
    """What the log says of a failed handshake is for operators."""
    error = ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:997)")
    error.reason = "NO_SHARED_CIPHER"
    assert reason_of(error) == "no shared cipher"
    assert reason_of(ConnectionResetError(104, "Connection reset by peer")) == "Connection reset by peer"


def test_tls_listener_routes_by_name(authority):
    """One port: a name that is passed through meets its target's own certificate, the others ours; bytes are exact."""
    behind = TlsPlan(certificates=(authority.issue("pass.example"),))
    front = TlsPlan(certificates=(authority.issue("app.example"),))
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=behind)) as inner:
        passed = RoutePlan(
            id=2,
            name="passed",
            match=MatchPlan(domains=("pass.example",)),
            targets=(TargetPlan(id=2, host="127.0.0.1", port=inner.ports["main"]),),
            tls="passthrough",
        )
        with bench(listener("main", "tls", target.port, tls=front), routes=(passed,)) as plane:
            for place, name in enumerate(("pass.example", "app.example")):
                with (
                    plane.connect() as raw,
                    authority.client_context().wrap_socket(raw, server_hostname=name) as client,
                ):
                    client.sendall(b"x" * 50_000)
                    left = 50_000
                    while left:
                        left -= len(client.recv(left))
                    client.unwrap()
                row = plane.ended(place + 1)[place]
                assert row.outcome == COMPLETE
                assert row.texts[0] == name
                if name == "pass.example":
                    assert (row.target_tx, row.target_rx) == (row.client_rx, row.client_tx)
                    assert inner.ended()[0].client_rx == row.client_rx
                else:
                    assert (row.target_tx, row.target_rx) == (50_000, 50_000)
                assert row.client_rx > 50_000


@pytest.mark.parametrize("name", ["localhost", None])
def test_a_hello_that_decides_nothing_is_not_read(authority, plan, name, monkeypatch):
    """Without a route that it could choose, OpenSSL alone reads it; the row tells all the same what was asked for."""
    monkeypatch.setattr(HelloReader, "look", None)
    with serving(echo) as target, bench(listener("main", "tls", target.port, tls=plan)) as plane:
        context = authority.client_context()
        context.check_hostname = False
        with plane.connect() as raw, context.wrap_socket(raw, server_hostname=name) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
            client.unwrap()
        row = plane.ended()[0]
        assert (row.outcome, row.texts[0], row.target_tx) == (COMPLETE, name or NAMELESS, 5)
        assert row.requests == 1


@pytest.mark.parametrize("routes", [(), (RoutePlan(id=2, name="p", tls="passthrough"),)])
def test_trickled_hello_is_looked_at_and_left(authority, plan, routes):
    """A hello that comes byte by byte is terminated as one that comes at once, whether we read it or OpenSSL alone."""
    routes = tuple(structs.replace(each, match=MatchPlan(domains=("elsewhere.example",))) for each in routes)
    with (
        serving(echo) as target,
        bench(listener("main", "tls", target.port, tls=plan), routes=routes) as plane,
        plane.connect() as raw,
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            raw.sendall(bytes([byte]))
        incoming.write(raw.recv(65_536))
        tls.do_handshake()
        assert tls.version() == "TLSv1.3"
