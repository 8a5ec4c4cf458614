"""Quotas in a worker: what is used up ends or slows down connections, and everything else goes on."""

import socket

import msgspec

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.limit_plan import BandwidthPlan, LimitPlan, QuotaPlan
from penstock.dataplane import orders
from penstock.dataplane.limit_table import ROUTE, USER
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import bench, listener, wait_for

SLOW = BandwidthPlan(rate=1_024, burst=65_536)
STOP = LimitPlan(quota=QuotaPlan(size=1))
THROTTLE = LimitPlan(quota=QuotaPlan(size=1, throttle=SLOW))
SPENT = Outcome(EndedBy.PROXY, Phase.RELAY, Reason.QUOTA)


def limited(name, protocol, *ports, own, **more):
    """Return a listener whose own route, of the same name, has limits."""
    plan = listener(name, protocol, *ports, **more)
    return msgspec.structs.replace(plan, route=msgspec.structs.replace(plan.route, id=ord(name), name=name, limits=own))


def echoed(client):
    """Return what comes back for a byte; nothing at the end."""
    try:
        client.sendall(b"x")
        return client.recv(1)
    except ConnectionError:
        return b""


def test_what_is_used_up_ends_and_others_go_on():
    """An order ends what is open on that route, refuses who comes, and means no other; the next one lets go."""
    with (
        serving(echo) as target,
        bench(limited("a", "tcp", target.port, own=STOP), limited("b", "tcp", target.port, own=STOP)) as plane,
        plane.connect("a") as first,
        plane.connect("b") as second,
    ):
        assert echoed(first) == echoed(second) == b"x"
        plane.order(orders.Spent(((ROUTE, "a"),)))
        assert first.recv(1) == b""
        assert plane.ended()[0].outcome == SPENT
        assert "quota" in plane.ended()[0].texts[2]
        assert echoed(second) == b"x"
        with plane.connect("a") as third:
            assert echoed(third) == b""
        assert {row.outcome.reason for row in plane.ended(2)} == {Reason.QUOTA}
        plane.order(orders.Spent(()))
        wait_for(lambda: not plane.worker.entrance.table.spent, "an order that is obeyed")
        with plane.connect("a") as fourth:
            assert echoed(fourth) == b"x"


def test_an_order_in_several_packets_is_one():
    """Names of all packets count, from the first to the last, and none before the last."""
    with serving(echo) as target, bench(limited("a", "tcp", target.port, own=STOP)) as plane:
        table = plane.worker.entrance.table
        plane.order(orders.Spent(((ROUTE, "old"),)))
        plane.order(orders.Spent(((ROUTE, "a"),), last=False))
        plane.order(orders.Spent(((USER, "ada"),), first=False))
        both = {table.key(ROUTE, "a"), table.key(USER, "ada")}
        wait_for(lambda: table.spent == both, "both names")


def test_what_is_throttled_goes_on_with_another_bandwidth():
    """Open connections pay to the slow meter from the order on, and to none after the next; so do new ones."""
    with (
        serving(echo) as target,
        bench(limited("a", "tcp", target.port, own=THROTTLE)) as plane,
        plane.connect("a") as client,
    ):
        assert echoed(client) == b"x"
        (connection,) = plane.connections()
        assert connection.shaped.meters == ()
        plane.order(orders.Spent(((ROUTE, "a"),)))
        (meter,) = wait_for(lambda: connection.shaped.meters, "a meter")
        assert meter._rate == SLOW.rate
        with plane.connect("a") as second:
            assert echoed(second) == b"x"
            assert all(each.shaped.meters == (meter,) for each in plane.connections())
        plane.order(orders.Spent(()))
        wait_for(lambda: not connection.shaped.meters, "no meter")
        assert echoed(client) == b"x"


def test_requests_beyond_a_quota_hear_429():
    """A client between two requests is ended; one that comes anew hears 429, and the request is counted with it."""
    with (
        origin(lambda asked, wire: ok(b"yes")) as target,
        bench(limited("a", "http", own=STOP)) as plane,
    ):
        with Wire(plane.connect("a")) as wire:
            wire.send(request("GET", target.url()))
            assert wire.read_message().status == 200
            plane.order(orders.Spent(((ROUTE, "a"),)))
            assert wire.read_head() is None
        with Wire(plane.connect("a")) as wire:
            wire.send(request("GET", target.url()))
            assert wire.read_message().status == 429
        wait_for(lambda: plane.answers() == {200: 1, 429: 1}, "both requests to be counted")


def test_a_socks_client_beyond_a_quota_is_not_allowed():
    """SOCKS has a reply for it: 2, connection not allowed by ruleset (RFC 1928 section 6)."""
    with serving(echo) as target, bench(limited("a", "socks5", own=STOP)) as plane:
        plane.order(orders.Spent(((ROUTE, "a"),)))
        wait_for(lambda: plane.worker.entrance.table.spent, "an order that is obeyed")
        with plane.connect("a") as client:
            client.sendall(b"\5\1\0")
            assert client.recv(2) == b"\5\0"
            client.sendall(b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + target.port.to_bytes(2, "big"))
            assert client.recv(2) == b"\5\2"
