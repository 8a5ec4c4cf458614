"""SOCKS UDP ASSOCIATE over real sockets: whose datagrams are carried, whose are not, and what is counted."""

import contextlib
import socket
from socket import AF_INET, AF_INET6

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase
from penstock.config.limit_plan import BandwidthPlan, LimitsPlan
from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.dataplane import udp as room
from penstock.dataplane.meters import DOWN
from penstock.dataplane.resolver import Answer
from penstock.metrics.ledger import APART, HEADER_WORDS, ROW_WORDS, SCOPE
from penstock.testing.http_peers import Wire
from penstock.testing.socks_peers import ASSOCIATE, GREETING, ask, command, datagram
from penstock.testing.workbench import bench, listener, quick, wait_for


@contextlib.contextmanager
def udp(host="127.0.0.1", seconds=10):
    """Return a UDP socket."""
    with socket.socket(AF_INET6 if ":" in host else AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(seconds)
        yield sock


@contextlib.contextmanager
def association(plane, port=0):
    """Associate; return the TCP connection and where datagrams go."""
    with Wire(plane.connect()) as wire:
        bound = ask(wire, ASSOCIATE, "0.0.0.0", port)
        assert bound.code == 0
        yield wire, (bound.host, bound.port)


@pytest.fixture
def plane():
    """A SOCKS proxy."""
    with bench(listener("main", "socks5")) as found:
        yield found


def echo_once(target):
    """Send back the next datagram, and return it and who sent it."""
    data, sender = target.recvfrom(65_535)
    target.sendto(data, sender)
    return data, sender


@pytest.mark.parametrize("size", [0, 1, 1_400, 65_000])
def test_echo_is_exact_and_counted(plane, size):
    """A datagram goes there bare and comes back with its sender, unchanged; the four counters say what was carried."""
    payload = bytes(index % 251 for index in range(size))
    with udp() as target, udp() as client:
        there = target.getsockname()
        with association(plane) as (wire, door):
            sent = datagram(*there, payload)
            client.sendto(sent, door)
            assert echo_once(target)[0] == payload
            assert client.recv(65_535) == datagram(*there, payload)
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.read() == b""
        row = plane.ended()[0]
        assert row.outcome == COMPLETE
        assert (row.client_rx, row.client_tx) == (wire.tx + len(sent), wire.rx + len(sent))
        assert (row.target_tx, row.target_rx, row.requests) == (size, size, 1)


def test_datagrams_take_their_routes():
    """A datagram to where a route blocks is dropped, by name and by address; others go on as before."""
    with udp() as target, udp() as blocked, udp() as client:
        there, (_, port) = target.getsockname(), blocked.getsockname()
        wanted = (DestinationPlan(host="localhost"), DestinationPlan(host="127.0.0.1", ports=((port, port),)))
        no = RoutePlan(id=9, name="no", match=MatchPlan(destinations=wanted), action="block")
        with bench(listener("main", "socks5"), routes=(no,)) as plane, association(plane) as (_, door):
            client.sendto(datagram("localhost", port, b"x"), door)
            client.sendto(datagram("127.0.0.1", port, b"x"), door)
            client.sendto(datagram(*there, b"right"), door)
            assert echo_once(target)[0] == b"right"
            assert client.recv(65_535) == datagram(*there, b"right")
        blocked.setblocking(False)
        with pytest.raises(BlockingIOError):
            blocked.recv(1)


def test_an_association_says_that_its_bytes_are_apart(plane):
    """The row of an association tells that it counts more than its TCP socket carries; that of a tunnel does not."""
    with association(plane), Wire(plane.connect()) as other:
        other.send(GREETING)
        wait_for(lambda: plane.worker.ledger.open_rows == 2)
        scopes = [plane.words[HEADER_WORDS + row * ROW_WORDS + SCOPE] for row in range(2)]
        assert [bool(scope & APART) for scope in scopes] == [True, False]


def test_ipv6_target(plane):
    """A target of the other family is reached, and its answer names it."""
    with udp("::1") as target, udp() as client, association(plane) as (_, door):
        there = target.getsockname()[:2]
        client.sendto(datagram(*there, b"six"), door)
        assert echo_once(target)[0] == b"six"
        assert client.recv(100) == datagram(*there, b"six")


def test_other_sources_are_dropped(plane):
    """A datagram from another address, or from another port once one is known, is neither carried nor counted."""
    with udp() as target, udp() as client, udp() as other, udp("127.0.0.9") as stranger:
        there = target.getsockname()
        with association(plane) as (_, door):
            stranger.sendto(datagram(*there, b"stranger"), door)
            client.sendto(datagram(*there, b"client"), door)
            assert echo_once(target)[0] == b"client"
            client.recv(100)
            other.sendto(datagram(*there, b"other"), door)
            client.sendto(datagram(*there, b"again"), door)
            assert echo_once(target)[0] == b"again"
            client.recv(100)
            assert plane.rows()[0].target_tx == len(b"client" + b"again")


def test_announced_port_is_held_to(plane):
    """A client that said which port it sends from is heard from that port only."""
    with udp() as target, udp() as client, udp() as other, association(plane, client.getsockname()[1]) as (_, door):
        there = target.getsockname()
        other.sendto(datagram(*there, b"other"), door)
        client.sendto(datagram(*there, b"client"), door)
        assert target.recv(100) == b"client"


def test_fragments_and_nonsense_are_dropped(plane):
    """A fragment, and what is no datagram of SOCKS, is dropped; the next sound one is carried."""
    with udp() as target, udp() as client, association(plane) as (_, door):
        there = target.getsockname()
        for bad in (datagram(*there, b"x", fragment=1), b"", b"\0", b"\0\0\0\x09abcdef", b"\1\0\0\1\x7f\0\0\1\0\x50"):
            client.sendto(bad, door)
        client.sendto(datagram("127.0.0.1", 0, b"port 0"), door)
        client.sendto(datagram(*there, b"sound"), door)
        assert target.recv(100) == b"sound"


def test_only_known_targets_may_answer(plane):
    """Who was never written to is not heard, though it knows where the association sends from."""
    with udp() as target, udp() as stranger, udp() as client, association(plane) as (_, door):
        there = target.getsockname()
        client.sendto(datagram(*there, b"hello"), door)
        _, outside = target.recvfrom(100)
        stranger.sendto(b"psst", outside)
        target.sendto(b"answer", outside)
        assert client.recv(100) == datagram(*there, b"answer")
        assert plane.rows()[0].target_rx == 6


def test_target_written_to_longest_ago_is_forgotten(plane, monkeypatch):
    """Beyond the bound of remote addresses the oldest is not heard any more, the others are."""
    monkeypatch.setattr(room, "UDP_TARGETS", 2)
    with udp() as one, udp() as two, udp() as three, udp() as client, association(plane) as (_, door):
        for target in (one, two, three):
            client.sendto(datagram(*target.getsockname(), b"x"), door)
            _, outside = target.recvfrom(10)
        one.sendto(b"forgotten", outside)
        two.sendto(b"known", outside)
        assert client.recv(100) == datagram(*two.getsockname(), b"known")


def test_names_are_looked_up(plane):
    """A datagram to a name goes to its address; one whose name is none is dropped."""
    plane.worker.resolver._lookup = lambda host: (
        Answer(((AF_INET, "127.0.0.1"),)) if host == "here.example" else Answer((), "no such name")
    )
    with udp() as target, udp() as client, association(plane) as (_, door):
        port = target.getsockname()[1]
        client.sendto(datagram("nowhere.example", port, b"lost"), door)
        client.sendto(datagram("here.example", port, b"found"), door)
        assert echo_once(target)[0] == b"found"
        assert client.recv(100) == datagram("127.0.0.1", port, b"found")


@pytest.mark.parametrize("together", [False, True])
def test_association_ends_with_its_tcp_connection(plane, together):
    """When the client closes its TCP connection, even in the same packet as its request, the UDP ports are closed."""
    with Wire(plane.connect()) as wire:
        if together:
            sent = []
            plane.worker.reactor.post(lambda: wait_for(lambda: sent))
            wire.send(GREETING + command(ASSOCIATE, "0.0.0.0", 0))
            wire.sock.shutdown(socket.SHUT_WR)
            sent.append(1)
        else:
            assert ask(wire, ASSOCIATE, "0.0.0.0", 0).code == 0
            wire.sock.shutdown(socket.SHUT_WR)
        wire.read()
        assert plane.ended()[0].outcome == COMPLETE
        wait_for(lambda: len(plane.worker.reactor.table) == 3)


def test_silent_association_ends():
    """An association without a datagram for the idle time ends as the client's timeout."""
    with bench(listener("main", "socks5"), timeouts=quick(idle=0.2)) as plane:
        with association(plane) as (wire, _):
            assert wire.read() == b""
        assert plane.ended()[0].outcome == Outcome(EndedBy.CLIENT_TIMEOUT, Phase.RELAY)


def test_what_the_client_says_on_tcp_is_read_away(plane):
    """Bytes on the TCP connection of an association are counted and ignored, and do not stop its end being seen."""
    with udp() as target, udp() as client, association(plane) as (wire, door):
        wire.send(bytes(500_000))
        client.sendto(datagram(*target.getsockname(), b"x"), door)
        assert target.recv(10) == b"x"
        wire.sock.shutdown(socket.SHUT_WR)
        wire.read()
        assert plane.ended()[0].outcome == COMPLETE


def test_no_descriptor_is_told(plane, monkeypatch):
    """Where no socket can be made the client hears a failure, and the outcome is ours."""

    def none(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(room, "RawSocket", none)
    with Wire(plane.connect()) as wire:
        assert ask(wire, ASSOCIATE, "0.0.0.0", 0).code == 1
    assert plane.ended()[0].outcome.ended_by is EndedBy.RESOURCE


def test_waiting_names_are_bounded(plane, monkeypatch):
    """While so many names of one association are looked up, further ones are dropped; afterwards names work again."""
    monkeypatch.setattr(room, "UDP_NAMES_WAITING", 2)
    asked = []
    plane.worker.resolver.resolve = lambda host, callback: asked.append((host, callback))
    with udp() as target, udp() as client, association(plane) as (_, door):
        port = target.getsockname()[1]
        for index in range(5):
            client.sendto(datagram(f"n{index}.example", port, b"%d" % index), door)
        client.sendto(datagram("127.0.0.1", port, b"literal"), door)
        assert target.recv(100) == b"literal"
        assert [host for host, _ in asked] == ["n0.example", "n1.example"]
        for _, callback in asked[:2]:
            plane.worker.reactor.post(lambda callback=callback: callback(Answer(((AF_INET, "127.0.0.1"),))))
        assert {target.recv(10), target.recv(10)} == {b"0", b"1"}
        client.sendto(datagram("n9.example", port, b"9"), door)
        wait_for(lambda: len(asked) == 3)


def test_datagrams_beyond_a_bandwidth_are_lost_each_way():
    """A datagram that a bandwidth has no room for is dropped, and counted as received; a smaller one passes."""
    slow = BandwidthPlan(rate=200_000, burst=20_000)
    with (
        bench(listener("main", "socks5"), limits=LimitsPlan(bandwidth_per_connection=slow)) as plane,
        udp() as target,
        udp() as client,
        association(plane) as (_, door),
    ):
        there = target.getsockname()
        client.sendto(datagram(*there, bytes(60_000)), door)
        client.sendto(datagram(*there, b"small"), door)
        assert target.recvfrom(65_535)[0] == b"small"
        row = plane.settled()
        assert row.client_rx > 60_000
        assert row.target_tx == 5
        (connection,) = plane.connections()
        (meter,) = connection.shaped.meters
        meter.pay(DOWN, 100_000_000, plane.worker.reactor.now)
        client.sendto(datagram(*there, b"more"), door)
        echo_once(target)
        wait_for(lambda: plane.row(0).target_rx == 4, "an answer that comes")
        assert plane.settled().client_tx == row.client_tx
