"""The second stage: places and rates of routes and users, and what each protocol's client hears beyond them."""

import contextlib
import os
import struct

import msgspec
import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.limit_plan import LimitPlan, LimitsPlan, RatePlan
from penstock.config.plan import MatchPlan, RoutePlan, TargetPlan
from penstock.connection.commands import DialError
from penstock.dataplane.limit_table import ROUTE, USER, LimitTable, create
from penstock.dataplane.shares import USERS_KNOWN, Places, Share, UserShares, _count
from penstock.metrics.ledger import H_TURNED_AWAY
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener, wait_for

HOUR = 3_600 * NS
ROUTE_LIMIT = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ROUTE_LIMIT)
USER_LIMIT = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.USER_LIMIT)


@pytest.fixture
def table():
    """One of a single worker."""
    fd = create(1, 16)
    view = LimitTable(fd)
    yield view
    view.close()
    os.close(fd)


def limit(connections=0, rate=0):
    """Return what somebody may have, in an hour."""
    return LimitPlan(connections=connections, rate=RatePlan(count=rate, window=HOUR) if rate else None)


def limited(name, protocol, *ports, own=None, **more):
    """Return a listener whose own route has limits."""
    plan = listener(name, protocol, *ports, **more)
    return msgspec.structs.replace(plan, route=msgspec.structs.replace(plan.route, limits=own))


# Shares and places ---------------------------------------------------------------------------------------------------


def test_a_place_is_given_back_once_it_is_needed_no_more(table):
    """Who goes over to another route holds a place of that one alone, and at the end holds none."""
    one, two = (Share(table, ROUTE, name, limit(1)) for name in ("one", "two"))
    first, second = Places(), Places()
    assert first.turn_to_route(one, NS)
    assert not second.turn_to_route(one, NS)
    assert second.turn_to_route(two, NS)
    assert first.turn_to_route(None, NS)
    assert second.turn_to_route(one, NS)
    assert not first.turn_to_route(one, NS)
    assert first.turn_to_route(two, NS)
    first.give_back(table)
    second.give_back(table)
    assert [table.open_in(share.slot(NS)) for share in (one, two)] == [0, 0]


def test_a_share_keeps_its_count_under_another_plan(table):
    """The same route of a next plan is the same key, with what is open and with what has passed."""
    old, new = (Share(table, ROUTE, "app", limit(connections, 5)) for connections in (3, 2))
    assert Places().turn_to_route(old, NS)
    assert Places().turn_to_route(new, NS)
    assert not Places().turn_to_route(new, NS)
    assert table.count(old.slot(NS), 5, HOUR, NS)
    assert table.used(new.slot(NS), HOUR, NS) == 1


def test_users_have_their_own_share_or_that_of_all(table):
    """A user that is named has what is said for it, others what is said for each, and nobody shares with another."""
    users = UserShares(table, LimitsPlan(per_user=limit(2), users={"ada": limit(9), "bob": limit()}))
    assert users
    assert users.of("ada").connections == 9
    assert users.of("bob") is None
    assert users.of("eve").connections == 2
    assert users.of("eve").key != users.of("mallory").key
    assert not UserShares(table, LimitsPlan())
    for number in range(USERS_KNOWN + 5):
        users.of(str(number))
    assert len(users._known) <= USERS_KNOWN


def test_what_is_said_beyond_a_limit(table):
    """The failure has the limit in it, and for a rate the seconds until it is worth while to come again."""
    share = Share(table, USER, "ada", limit(1, 1))
    assert table.count(share.slot(NS), 1, HOUR, NS)
    assert str(share.full()) == "ada has 1 connections"
    busy = share.busy(NS)
    assert (busy.error, str(busy)) == (DialError.USER_BUSY, "ada has had 1 in 3600 s")
    assert 3_600 <= busy.wait <= 7_200


@pytest.mark.parametrize("burst", [0, 2])
def test_what_a_burst_is_refused_is_put_back(table, burst):
    """Where a user is beyond its rate the route keeps what it has left, with a burst and without."""
    rate = RatePlan(count=2, window=HOUR, burst=burst)
    share, user = Share(table, ROUTE, "app", LimitPlan(rate=rate)), Share(table, USER, "ada", limit(9, 1))
    assert _count(share, user, NS) is None
    assert _count(share, user, NS).error == DialError.USER_BUSY
    assert table.used_of(share.slot(NS), rate, NS) == 1
    assert _count(share, None, NS) is None
    busy = _count(share, None, NS)
    assert busy.error == DialError.ROUTE_BUSY
    assert 1_800 <= busy.wait <= (1_800 if burst else 7_200)


# What clients hear ---------------------------------------------------------------------------------------------------


def test_a_tcp_client_beyond_a_route_is_closed():
    """A route with one place serves one TCP client, closes the next without a word, and then serves again."""
    with serving(echo) as target, bench(limited("main", "tcp", target.port, own=limit(1))) as plane:
        with plane.connect() as first:
            first.sendall(b"x")
            assert first.recv(1) == b"x"
            with plane.connect() as second:
                assert read_all(second) == b""
            assert plane.ended(1)[0].outcome == ROUTE_LIMIT
        plane.ended(2)
        with plane.connect() as third:
            third.sendall(b"x")
            assert third.recv(1) == b"x"


def asking(path):
    """Return a request as a client of a reverse proxy sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def hear(client, count):
    """Return so many bytes, or what came of them before the end."""
    heard = b""
    while len(heard) < count and (data := client.recv(count - len(heard))):
        heard += data
    return heard


def greeting(port):
    """Return a whole SOCKS5 CONNECT without a login."""
    return b"\5\1\0\5\1\0\1" + bytes((127, 0, 0, 1)) + struct.pack(">H", port)


@pytest.mark.parametrize("own", [limit(1), limit(rate=1)])
def test_a_socks_client_beyond_a_route_hears_reply_2(own):
    """A SOCKS client that gets no place, or comes too soon, hears that it is not allowed."""
    plan = limited("main", "socks5", own=own)
    with serving(echo) as target, bench(plan) as plane, plane.connect() as first, plane.connect() as second:
        first.sendall(greeting(target.port))
        assert hear(first, 12)[:4] == b"\5\0\5\0"
        second.sendall(greeting(target.port))
        assert read_all(second)[:4] == b"\5\0\5\2"
        assert plane.ended(1)[0].outcome == ROUTE_LIMIT


def test_an_http_client_beyond_a_rate_hears_429_and_goes_on():
    """Each request counts; beyond the rate the answer is 429 with Retry-After, the connection stays, it is counted."""
    with origin(lambda message, wire: ok(b"done")) as target:
        plan = limited("main", "http", target.port, reverse=True, own=limit(rate=3))
        with bench(plan) as plane, Wire(plane.connect()) as wire:
            for status in (200, 200, 200, 429, 429):
                wire.send(asking("/"))
                answer = wire.read_message()
                assert answer.status == status
            assert 3_600 <= int(answer.fields["retry-after"]) <= 7_200
            code = tuple(Reason).index(Reason.ROUTE_LIMIT) + 1
            wait_for(lambda: plane.words[H_TURNED_AWAY] == plane.words[H_TURNED_AWAY + code] == 2)
            assert len(target.requests) == 3


def test_an_http_client_beyond_the_places_hears_503():
    """A client holds its place between two requests; the next one hears 503 until the first has gone."""
    with origin(lambda message, wire: ok(b"done")) as target:
        plan = limited("main", "http", target.port, reverse=True, own=limit(1))
        with bench(plan) as plane, Wire(plane.connect()) as second:
            with Wire(plane.connect()) as first:
                first.send(asking("/"))
                assert first.read_message().status == 200
                second.send(asking("/"))
                assert second.read_message().status == 503
            plane.ended(1)
            second.send(asking("/"))
            assert second.read_message().status == 200


def test_a_client_changes_places_with_its_route():
    """One connection whose requests go to two routes holds a place of the one that it used last."""
    with origin(lambda message, wire: ok(b"done")) as target:
        aim = (TargetPlan(id=9, host="127.0.0.1", port=target.port),)
        app = RoutePlan(id=2, name="app", match=MatchPlan(paths=("/app/*",)), targets=aim, limits=limit(1))
        plan = listener("main", "http", target.port, reverse=True)
        with bench(plan, routes=(app,)) as plane, Wire(plane.connect()) as one, Wire(plane.connect()) as two:
            for wire, path, status in (
                (one, "/app/", 200), (two, "/app/", 503), (two, "/", 200), (one, "/", 200), (two, "/app/", 200),
                (one, "/app/", 503),
            ):  # fmt: skip
                wire.send(asking(path))
                assert wire.read_message().status == status


def test_users_have_limits_wherever_they_come_from():
    """A user has its places on all listeners together; another user has others."""
    users = {"ada": "pw", "eve": "pw"}
    with serving(echo) as target, contextlib.ExitStack() as stack:
        plans = [listener(name, "socks5", users=users) for name in ("one", "two")]
        plane = stack.enter_context(bench(*plans, limits=LimitsPlan(per_user=limit(1))))
        heard = []
        for name, user in (("one", b"ada"), ("two", b"ada"), ("two", b"eve")):
            client = stack.enter_context(plane.connect(name))
            client.sendall(b"\5\1\2\1" + bytes((len(user),)) + user + b"\2pw" + greeting(target.port)[3:])
            heard.append(hear(client, 8)[4:])
        assert heard == [b"\5\0\0\1", b"\5\2\0\1", b"\5\0\0\1"]
        assert plane.ended(1)[0].outcome == USER_LIMIT


def test_what_a_user_is_refused_does_not_count_for_the_route(table):
    """A request that its user may not make leaves the route's rate as it was."""
    with origin(lambda message, wire: ok(b"done")) as target:
        users = {"ada": "pw", "eve": "pw"}
        plan = limited("main", "http", users=users, own=limit(rate=3))
        with bench(plan, limits=LimitsPlan(per_user=limit(rate=1))) as plane, Wire(plane.connect()) as wire:
            heard = []
            for login in ("YWRhOnB3", "YWRhOnB3", "YWRhOnB3", "ZXZlOnB3"):
                wire.send(request("GET", target.url(), None, f"Proxy-Authorization: Basic {login}"))
                heard.append(wire.read_message().status)
            assert heard == [200, 429, 429, 200]
            wait_for(lambda: len(target.requests) == 2)
