"""Connections that are dead and do not know it."""

import socket
import ssl
import struct

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Phase
from penstock.config.plan import RoutePlan, TargetPlan
from penstock.config.tls_plan import TlsPlan
from penstock.dataplane import reaper
from penstock.metrics.ledger import CLIENT_RX, HEADER_WORDS, PHASE
from penstock.testing.certificates import Authority
from penstock.testing.peers import echo, read_all, serving, swallow
from penstock.testing.relay_contract import fill
from penstock.testing.workbench import bench, listener, quick, wait_for


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    """Looks come every 50 ms."""
    monkeypatch.setattr(reaper, "REAP_EVERY_NS", 50_000_000)


def test_a_stuck_connection_is_ended():
    """A client that has spoken to a target which never says a word is ended after its time; one that waits is not."""
    with (
        serving(swallow) as target,
        bench(listener("main", "tcp", target.port), timeouts=quick(stuck=60)) as plane,
        plane.connect() as silent,
        plane.connect() as client,
    ):
        client.sendall(b"hello?")
        wait_for(lambda: any(row.target_tx for row in plane.rows()))
        pass_looks(plane, 61)
        assert read_all(client) == b""
        row = plane.ended()[0]
        assert row.outcome.ended_by is EndedBy.REAPED
        assert row.outcome.close_reason == "zombie"
        assert row.texts[2].startswith("stuck: ")
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(1)


def test_whoever_has_an_answer_is_not_stuck():
    """A connection whose target has ever answered may be quiet as long as the idle timeout says; so may one of TLS."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port), timeouts=quick(stuck=60)) as plane:
        with plane.connect() as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            pass_looks(plane, 600)
            client.sendall(b"y")
            assert client.recv(1) == b"y"
        assert plane.ended()[0].outcome == COMPLETE


def pass_looks(plane, seconds):
    """Let the worker's clock go on, over several looks."""
    for _ in range(5):
        plane.later(seconds / 5)


def test_a_client_that_goes_on_speaking_is_owed_no_answer():
    """A flow that only ever goes up, such as that of syslog, may pause for as long as the idle timeout says."""
    with (
        serving(swallow) as target,
        bench(listener("main", "tcp", target.port), timeouts=quick(stuck=60)) as plane,
        plane.connect() as client,
    ):
        client.sendall(b"one\n")
        wait_for(lambda: plane.rows() and plane.rows()[0].target_tx == 4)
        pass_looks(plane, 30)
        client.sendall(b"two\n")
        wait_for(lambda: plane.rows()[0].target_tx == 8)
        pass_looks(plane, 150)
        assert plane.rows()[0].outcome is None
        client.sendall(b"three\n")
        wait_for(lambda: plane.rows()[0].target_tx == 14)


def test_what_a_target_does_not_take_is_stuck_whoever_speaks():
    """A client that goes on speaking to a target which takes nothing any more is ended."""
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        bench(listener("main", "tcp", deaf.getsockname()[1]), timeouts=quick(stuck=60)) as plane,
        plane.connect() as client,
    ):
        client.sendall(b"one")
        wait_for(lambda: plane.rows() and plane.rows()[0].target_tx == 3)
        pass_looks(plane, 30)
        client.setblocking(False)
        fill(client)
        pass_looks(plane, 61)
        assert plane.ended()[0].texts[2].startswith("stuck: the target takes nothing")


def test_a_client_that_only_shook_hands_has_not_spoken(tmp_path):
    """The bytes of a TLS handshake are nothing that a target owes an answer to."""
    tls = TlsPlan(certificates=(Authority(tmp_path).issue("localhost"),))
    with (
        serving(swallow) as target,
        bench(listener("main", "tcp", target.port, tls=tls), timeouts=quick(stuck_tls=60)) as plane,
        plane.connect() as raw,
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw):
            wait_for(lambda: plane.words[HEADER_WORDS + PHASE] == Phase.RELAY)
            pass_looks(plane, 300)
            assert plane.rows()[0].outcome is None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_of_ours_is_no_word_of_the_client(tmp_path, version):
    """A client of TLS that waits for its target has not spoken, whatever PROXY header the target got; then it has."""
    tls = TlsPlan(certificates=(Authority(tmp_path).issue("localhost"),))
    with serving(swallow) as target:
        targets = (TargetPlan(id=1, host="127.0.0.1", port=target.port),)
        route = RoutePlan(id=1, name="default", targets=targets, send_proxy=version)
        plan = listener("main", "tcp", tls=tls, route=route)
        with bench(plan, timeouts=quick(stuck_tls=60)) as plane, plane.connect() as raw:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(raw) as client:
                (connection,) = plane.worker.connections()
                wait_for(lambda: plane.worker.words[connection.row + CLIENT_RX])  # of the handshake
                wait_for(lambda: plane.words[HEADER_WORDS + PHASE] == Phase.RELAY)
                pass_looks(plane, 300)
                assert plane.rows()[0].outcome is None
                before = plane.rows()[0].target_tx
                client.sendall(b"hello?")
                wait_for(lambda: plane.rows()[0].target_tx > before)
                pass_looks(plane, 61)
                assert plane.ended()[0].texts[2].startswith("stuck: ")


def test_tls_gets_more_time(tmp_path):
    """The time of TLS counts for connections with TLS."""
    tls = TlsPlan(certificates=(Authority(tmp_path).issue("localhost"),))
    with (
        serving(swallow) as target,
        bench(listener("main", "tcp", target.port, tls=tls), timeouts=quick(stuck=60, stuck_tls=3_600)) as plane,
        plane.connect() as raw,
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw) as client:
            client.sendall(b"hello?")
            wait_for(lambda: plane.rows() and plane.rows()[0].target_tx)
            pass_looks(plane, 300)
            assert plane.rows()[0].outcome is None


def test_an_end_that_the_kernel_has_closed_is_found():
    """A socket that was reset is closed to the kernel, whoever has heard of it."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        end = plane.connections()[0].client
        assert not reaper.is_closed(end)
        deaf = socket.socket()
        server = socket.create_server(("127.0.0.1", 0))
        deaf.connect(server.getsockname())
        other, _ = server.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()

        class Fake:
            sock = deaf

        assert wait_for(lambda: reaper.is_closed(Fake()))
        deaf.close()
        server.close()


def test_http_clients_between_requests_are_left_alone():
    """What waits for its next request is judged by its own timeouts."""
    with (
        bench(listener("main", "http"), timeouts=quick(handshake=6_000, stuck=60, half_zombie=60)) as plane,
        plane.connect() as client,
    ):
        wait_for(plane.connections)
        pass_looks(plane, 300)
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
