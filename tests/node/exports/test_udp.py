"""Growth told over UDP to a real socket, which adds up what it is told."""

import socket
from contextlib import closing

import pytest
from msgspec.structs import replace

from penstock.config.plan import MetricsPlan
from penstock.metrics.exporters.statsd import DATAGRAM_BYTES
from penstock.node.exports import udp
from penstock.node.exports.delivery import DeliveryError
from penstock.node.exports.udp import StatsdReceiver
from penstock.testing.standin import StandIn


class Server:
    """A StatsD server: counters grow, gauges stand."""

    def __init__(self, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", port))
        self.address = self.socket.getsockname()
        self.counters, self.gauges, self.datagrams = {}, {}, 0

    def read(self):
        """Read all that has come: on loopback a datagram is there when its send has returned."""
        while True:
            try:
                payload = self.socket.recv(65_535, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return self
            assert len(payload) <= DATAGRAM_BYTES
            self.datagrams += 1
            for line in payload.decode().split("\n"):
                name, _, rest = line.partition(":")
                value, kind, *tags = rest.split("|")
                key = name + "".join(tags)
                if kind == "c":
                    self.counters[key] = self.counters.get(key, 0) + float(value)
                else:
                    self.gauges[key] = float(value)

    def close(self):
        """Listen no more."""
        self.socket.close()


@pytest.fixture
def server():
    """A StatsD server."""
    with closing(Server()) as server:
        yield server


def receiver(address, start, **plan):
    """Return who tells this server; nothing is waited for."""
    return StatsdReceiver(MetricsPlan(statsd=address, **plan), "edge-1", start, listen=0.0)


IN = "penstock.bytes_total.direction.in.listener.web.route.default"
ACTIVE = "penstock.connections_active.listener.web.route.default"


def test_growth_since_the_start_arrives_once(node, server, go):
    """What was counted before the start is not told; then each flush brings what is new, and gauges as they are."""
    it = receiver(server.address, node.snapshot())
    go(it.deliver(node.snapshot()))
    server.read()
    assert (server.counters.get(IN, 0), server.gauges[ACTIVE]) == (0, 1)
    for moved, total in ((500, 500), (0, 500), (7, 507)):
        node.pen.move(node.pen.open(listener=1), moved)
        go(it.deliver(node.tick()))
        assert server.read().counters[IN] == total
    assert server.gauges[ACTIVE] == 4
    go(it.close())


def test_tags_and_prefix(node, server, go):
    """DogStatsD has labels as tags, the node among them, and names begin as the operator says."""
    it = receiver(server.address, node.snapshot(), statsd_format="dogstatsd", statsd_prefix="edge")
    node.pen.move(node.pen.open(listener=1), 9)
    go(it.deliver(node.tick()))
    assert server.read().counters["edge.bytes_total#node:edge-1,direction:in,listener:web,route:default"] == 9
    assert (it.kind, it.shown) == ("dogstatsd", f"127.0.0.1:{server.address[1]}")


def test_compat_names_are_told_too(node, server, go):
    """Older families go out under their own names, where they are wanted."""
    it = receiver(server.address, node.snapshot(), compat_names=True)
    node.pen.move(node.pen.open(listener=1), 5, 6)
    go(it.deliver(node.tick()))
    assert server.read().counters["penstock.socks5_bytes_transferred_total"] == 11


def test_a_receiver_that_was_down_has_lost_nothing(node, server, go):
    """While nobody listens only gauges are spent: who comes back is told all growth, exactly once."""
    it = receiver(server.address, node.snapshot())
    node.pen.move(node.pen.open(listener=1), 100)
    go(it.deliver(node.tick()))
    assert server.read().counters[IN] == 100
    server.close()
    for moved in (20, 3):
        node.pen.move(node.pen.open(listener=1), moved)
        with pytest.raises(DeliveryError, match="refused"):
            go(it.deliver(node.tick()))
    with closing(Server(server.address[1])) as again:
        go(it.deliver(node.tick()))
        assert again.read().counters[IN] == 23
        go(it.deliver(node.tick()))
        assert again.read().counters[IN] == 23


def test_a_name_that_nobody_knows_is_a_failure(node, go):
    """A name without an address costs one delivery, and loses nothing."""
    it = receiver(("nobody.invalid", 8125), node.snapshot())
    with pytest.raises(DeliveryError):
        go(it.deliver(node.tick()))


def test_every_address_of_a_name_gets_its_turn(node, server, go, monkeypatch):
    """Where the first address of a name refuses, the next delivery goes to the second one."""
    with closing(Server()) as other:
        closed = other.address
    found = [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", address) for address in (closed, server.address)]
    monkeypatch.setattr(udp.socket, "getaddrinfo", lambda *_, **__: found)
    it = receiver(("localhost", 1), node.snapshot())
    node.pen.move(node.pen.open(listener=1), 8)
    with pytest.raises(DeliveryError):
        go(it.deliver(node.tick()))
    go(it.deliver(node.tick()))
    assert server.read().counters[IN] == 8


def test_bursts_are_short(server, go):
    """A large node's many datagrams go out a few at a time, and all arrive."""
    node = StandIn()
    it = receiver(server.address, node.snapshot(), statsd_prefix="p" * 700)
    node.pen.move(node.pen.open(listener=1), 1, 1)
    go(it.deliver(node.tick()))
    assert server.read().datagrams > udp.BURST
    assert server.counters["p" * 700 + IN.removeprefix("penstock")] == 1
    node.close()


def test_totals_that_are_restored_late_are_no_growth(node, server, go):
    """A store that was out of reach at the start brings totals later: they are not told, and what follows is."""
    it = receiver(server.address, node.snapshot())
    go(it.deliver(node.tick()))
    with closing(StandIn()) as earlier:
        earlier.pen.move(earlier.pen.open(listener=1), 1_000_000)
        earlier.tick()
        saved = earlier.sampler.registry.export()
    node.sampler.registry.restore(replace(saved, since_ns=1))
    go(it.deliver(node.tick()))
    assert server.read().counters.get(IN, 0) == 0
    node.pen.move(node.pen.open(listener=1), 6)
    go(it.deliver(node.tick()))
    assert server.read().counters[IN] == 6


def test_a_plan_without_a_server_is_a_mistake(node):
    """Nobody is told where there is nobody."""
    with pytest.raises(ValueError, match="no StatsD server"):
        StatsdReceiver(MetricsPlan(), "n", node.snapshot())
