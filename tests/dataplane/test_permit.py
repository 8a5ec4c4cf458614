"""What access rules say of where a connection goes."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import Reason
from penstock.config.plan import AccessRulePlan, DestinationPlan, MatchPlan, ParentPlan, RoutePlan, TargetPlan
from penstock.connection.commands import Describe
from penstock.dataplane.permit import ERRORS, Permit
from penstock.policy.access import Access
from penstock.policy.ranges import address_number
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener


def permit(*rules, private=True):
    """Return one of a client of a forward proxy."""
    access = Access(rules, 1, 1_080, asks=True, private=private)
    return Permit(SimpleNamespace(minute=0), access, 1, 1_080, address_number("192.0.2.7"))


def block(*destinations, **fields):
    """Return a rule that blocks destinations."""
    plans = tuple(DestinationPlan(host=host) for host in destinations)
    return AccessRulePlan(name="no", action="block", destinations=plans, **fields)


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ("www.internal:80", True), ("internal:80", False), ("10.0.0.1:443", True), ("[fd00::1]:443", True),
        ("[2001:db8::1]:443", False), ("", False), ("@x.internal:80", True), ("x.internal", True),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_judged(asked, refused):
    """By name, and by address where the client gives one; what no parser of addresses would take is judged as well."""
    refusal = permit(block("*.internal", "10.0.0.0/8", "fd00::/8")).refuses(Describe(asked))
    assert (refusal is not None) is refused


def test_ports_and_users_are_known():
    """A rule sees the port that was asked for, and who asks."""
    mail = permit(block(ports=((25, 25),)))
    assert mail.refuses(Describe("a:25")).reason == Reason.DESTINATION
    assert mail.refuses(Describe("a:26")) is None
    bob = permit(block(users=("bob",)))
    assert bob.refuses(Describe("a:25", "bob")).reason == Reason.ACCESS
    assert bob.refuses(Describe("a:25", "ann")) is None


def test_an_address_is_judged_with_the_name():
    """Each address of the place that was asked for is judged, private ones where they are not permitted too."""
    strict = permit(block("198.51.100.0/24"), private=False)
    assert strict.refuses(Describe("www.example.org:80")) is None
    assert strict.address("203.0.113.1") is None
    assert strict.address("198.51.100.1").detail == "access rule no blocks it"
    assert strict.address("127.0.0.1").detail == "127.0.0.1 is a private address"


def test_only_the_place_that_was_asked_for_is_guarded():
    """Targets that the operator has chosen are not."""
    mine = permit()
    mine.learn(Describe("[::1]:80"))
    assert mine.asks_for("::1", 80)
    assert not mine.asks_for("::1", 81)
    assert not mine.asks_for("target", 80)


def test_every_refusal_is_an_error_of_a_dial():
    """Both reasons that rules refuse for have a word that conversations know."""
    assert set(ERRORS) == {Reason.ACCESS, Reason.DESTINATION}


def test_a_rule_of_users_lets_nobody_in_who_has_no_name():
    """Where nobody is asked who they are, a rule for a user matches none, and what stands below it counts."""
    rules = (
        AccessRulePlan(name="ann", action="allow", priority=1, users=("ann",)),
        AccessRulePlan(name="all", action="block"),
    )
    with serving(echo) as target, bench(listener("main", "tcp", target.port), rules=rules) as plane:
        with plane.connect() as client:
            client.sendall(b"x")
            assert read_all(client) == b""
        (row,) = plane.ended()
        assert (row.outcome.reason, target.clients) == (Reason.ACCESS, 0)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_targets_of_a_route_are_right_where_a_client_asks_for_the_same(method):
    """A route that leads a name to that name's own private address leads there."""
    with origin(lambda message, wire: ok(b"mine")) as target:
        mine = TargetPlan(id=1, host="localhost", port=target.port)
        match = MatchPlan(destinations=(DestinationPlan(host="localhost"),))
        route = RoutePlan(id=2, name="mine", targets=(mine,), match=match)
        plan = listener("main", "http", allow_private=False)
        with bench(plan, routes=(route,)) as plane, Wire(plane.connect()) as wire:
            if method == "CONNECT":
                wire.send(f"CONNECT localhost:{target.port} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert wire.read_head()[0].split()[1] == "200"
            wire.send(request("GET", f"http://localhost:{target.port}/"))
            assert wire.read_message().body == b"mine"


def test_connections_through_a_parent_are_used_again():
    """Where the parent stands is the operator's word: its address is judged for nobody."""
    with origin(lambda message, wire: ok(b"far")) as target, bench(listener("up", "socks5")) as parent:
        route = RoutePlan(
            id=1, name="default", parent=ParentPlan(kind="socks5", host="127.0.0.1", port=parent.ports["up"])
        )
        with bench(replace(listener("main", "http", allow_private=False), route=route)) as plane:
            with Wire(plane.connect()) as wire:
                for _ in range(3):
                    wire.send(request("GET", f"http://localhost:{target.port}/"))
                    assert wire.read_message().body == b"far"
            assert len(parent.rows()) == 1
