"""Bandwidth of flows: every relay's promises are kept, bytes are not lost, and who waits costs nothing."""

import random
import socket
import threading

import msgspec
import pytest

from penstock.base.outcomes import COMPLETE
from penstock.config.limit_plan import BandwidthPlan, LimitPlan, LimitsPlan
from penstock.config.tls_plan import TlsPlan
from penstock.dataplane.shaping import ShapedSocket
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.relay_contract import RelayContract
from penstock.testing.workbench import bench, listener, wait_for

from .secured import SecuredContract

MIB = 1 << 20
WIDE = BandwidthPlan(rate=64 * MIB, burst=16 * MIB)
SLOW = BandwidthPlan(rate=256 << 10, burst=64 << 10)


class TestShapedConnections(RelayContract):
    """A relay whose bandwidth is limited keeps all promises of a relay."""

    def run(self, port, **more):
        """Return a bench whose connections are shaped."""
        return bench(listener("main", "tcp", port), limits=LimitsPlan(bandwidth_per_connection=WIDE), **more)


class TestSharedBandwidth(RelayContract):
    """So does one whose route has a bandwidth."""

    def run(self, port, **more):
        """Return a bench whose route is shaped."""
        return bench(limited("main", "tcp", port, own=LimitPlan(bandwidth=WIDE)), splice="always", **more)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], scope="class")
class TestTls(SecuredContract):
    """And one whose clients speak TLS: records, the wire's count and the goodbye are as without a limit."""

    def run(self, port, **more):
        """Return a bench that terminates TLS, and shapes what is in it."""
        limits = LimitsPlan(bandwidth_per_connection=WIDE, bandwidth_per_ip=WIDE)
        return bench(listener("main", "tcp", port, tls=self.plan), limits=limits, **more)

    def test_target_that_is_done_first_hears_all(self):
        """The target ends while the rest of a record waits for room: the client is told, and what it said arrives."""
        heard: list[bytes] = []

        def be_done_first(sock):
            first = sock.recv(1 << 16)
            sock.shutdown(socket.SHUT_WR)
            heard.append(first + read_all(sock))

        said = random.Random(9).randbytes(16_000)
        limits = LimitsPlan(bandwidth_per_connection=BandwidthPlan(rate=64 << 10, burst=64 << 10))
        with (
            serving(be_done_first) as target,
            bench(listener("main", "tcp", target.port, tls=self.plan), limits=limits) as plane,
            self.connect(plane) as client,
        ):
            client.sendall(said)
            assert read_all(client) == b""
            assert not client.cut
            client.sendall(b"late words")
            client.shutdown(socket.SHUT_WR)
            assert wait_for(lambda: heard) == [said + b"late words"]
            assert plane.ended()[0].outcome == COMPLETE


def limited(name, protocol, *ports, own=None, **more):
    """Return a listener whose own route has limits."""
    plan = listener(name, protocol, *ports, **more)
    return msgspec.structs.replace(plan, route=msgspec.structs.replace(plan.route, limits=own))


def through(plane, data):
    """Send data through an echo server, say that it is all, and return what comes back."""
    with plane.connect() as client:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        got = read_all(client)
        sender.join()
    return got


@pytest.mark.parametrize("size", [1, 1_447, 65_536, 300_000])
def test_a_stream_that_is_cut_into_pieces_is_whole(size):
    """What is read and sent in small pieces arrives unchanged, with the end behind its last byte."""
    data = random.Random(size).randbytes(size)
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port), limits=LimitsPlan(bandwidth_per_connection=SLOW)) as plane,
    ):
        assert through(plane, data) == data
        assert [row.outcome for row in plane.ended()] == [COMPLETE]


def test_only_who_is_limited_is_shaped():
    """A flow that nothing limits keeps its plain socket; one of a limited address, user, route or listener does not."""
    for limits, own, door, shaped in (
        (LimitsPlan(), None, None, False),
        (LimitsPlan(), LimitPlan(connections=5), None, False),
        (LimitsPlan(bandwidth_per_ip=WIDE), None, None, True),
        (LimitsPlan(bandwidth_per_ip=WIDE, exempt=("127.0.0.0/8",)), None, None, False),
        (LimitsPlan(), LimitPlan(bandwidth_per_connection=WIDE), None, True),
        (LimitsPlan(), None, LimitPlan(bandwidth=WIDE), True),
    ):
        with (
            serving(saying(b"hello")) as target,
            bench(limited("main", "tcp", target.port, own=own, limits=door), limits=limits) as plane,
            plane.connect() as client,
        ):
            assert read_all(client) == b"hello"
            (connection,) = plane.connections()
            assert isinstance(connection.client.sock, ShapedSocket) == shaped
            assert (connection.shaped is not None) == shaped


def test_the_least_of_what_a_connection_may_have_counts():
    """Node, listener, route and user each say what a connection may have: the slowest is its one meter."""
    own = LimitPlan(bandwidth_per_connection=SLOW)
    with (
        serving(saying(b"hello")) as target,
        bench(limited("main", "tcp", target.port, own=own), limits=LimitsPlan(bandwidth_per_connection=WIDE)) as plane,
        plane.connect() as client,
    ):
        assert read_all(client) == b"hello"
        (meter,) = plane.connections()[0].shaped.meters
        assert meter._rate == SLOW.rate


def test_flows_that_say_nothing_are_not_woken():
    """A hundred shaped connections at rest have no timer but the deadlines that every connection has."""
    limits = LimitsPlan(bandwidth_per_connection=SLOW, bandwidth_per_ip=WIDE)
    with serving(echo) as target, bench(listener("main", "tcp", target.port), limits=limits) as plane:
        clients = [plane.connect() for _ in range(100)]
        for client in clients:
            client.sendall(b"x" * 100)
        for client in clients:
            assert client.recv(100)
        wait_for(lambda: not any(each.shaped._wanted for each in plane.connections()), "nobody to wait")
        waiting = [timer for timers in plane.worker.reactor._slots.values() for timer in timers]
        assert len(plane.connections()) == 100
        assert not [timer for timer in waiting if isinstance(timer, ShapedSocket) and timer._visit]
        for client in clients:
            client.close()


def test_a_connection_that_ends_while_it_waits_leaves_nothing():
    """Who is cut in the middle of its bytes counts as waiting no more, and its timer finds nobody."""
    limits = LimitsPlan(bandwidth_per_ip=SLOW)
    with serving(saying(bytes(4 * MIB))) as target, bench(listener("main", "tcp", target.port), limits=limits) as plane:
        client = plane.connect()
        assert client.recv(1)
        (connection,) = plane.connections()
        shaped = connection.shaped
        (meter,) = shaped.meters
        wait_for(lambda: meter.waiting[1] == 1, "a flow that waits")
        client.close()
        plane.ended()
        wait_for(lambda: meter.waiting == [0, 0], "nobody who waits")
        assert shaped.meters == ()


@pytest.mark.parametrize("secure", [False, True])
def test_requests_are_shaped_and_whole(authority, secure):
    """HTTP goes through a shaped socket as well: bodies both ways, one request after the other, on one connection."""
    tls = TlsPlan(certificates=(authority.issue("localhost"),)) if secure else None
    body = random.Random(5).randbytes(200_000)
    own = LimitPlan(bandwidth_per_connection=BandwidthPlan(rate=2 * MIB, burst=MIB))
    with (
        origin(lambda asked, wire: ok(asked.body)) as target,
        bench(limited("main", "http", own=own, tls=tls)) as plane,
        plane.connect() as raw,
        Wire(authority.client_context().wrap_socket(raw, server_hostname="localhost") if secure else raw) as wire,
    ):
        for _ in range(3):
            wire.send(request("POST", target.url(), body))
            assert wire.read_message().body == body
        assert plane.connections()[0].shaped is not None
