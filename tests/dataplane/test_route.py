"""Routes at work: whose turn it is, and who is left out."""

import contextlib
import socket
import threading
from types import SimpleNamespace

import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy
from penstock.config.plan import HealthPlan, ParentPlan, RoutePlan, RouteTimeoutPlan, TargetPlan
from penstock.connection.commands import DialError
from penstock.dataplane.board import DOWN, DRAINED, EJECTED, OUT_OF_SERVICE, Board
from penstock.dataplane.orders import TargetFailed
from penstock.dataplane.reactor import Reactor
from penstock.dataplane.route import Route, Routes
from penstock.testing.clock import ManualClock
from penstock.testing.http_peers import Wire, ok, origin
from penstock.testing.peers import read_all
from penstock.testing.workbench import PATIENCE_S, bench, listener

ONE, TWO, THREE = (TargetPlan(id=number, host="192.0.2.1", port=number) for number in (1, 2, 3))
PLAN = RoutePlan(id=1, name="app", targets=(ONE, TWO), health=HealthPlan(failures=2, ejection=10 * NS))


class Stage:
    """A worker that has a board, a clock that is moved by hand, and somebody who hears its reports."""

    def __init__(self):
        self.clock, self.told = ManualClock(), []
        self.board = Board()
        self.entrance = SimpleNamespace(table=None)
        self.reactor = Reactor(None, self.clock.monotonic_ns)
        self.report = self.told.append

    def route(self, plan=PLAN):
        """Return a route of this worker."""
        return Route(plan, self)

    def say(self, target, bits, weight=0):
        """Write on the board."""
        self.board.write(target, bits, weight)
        self.board.publish()

    def turn(self, seconds):
        """Let time pass."""
        self.clock.advance(seconds)
        self.reactor.turn(0)


@pytest.fixture
def stage():
    """A worker to have routes."""
    found = Stage()
    yield found
    found.board.close()
    found.reactor.close()


def picks(route, count=4):
    """Return the ids of the next picks."""
    found = (route.next_target("192.0.2.9") for _ in range(count))
    return [0 if each is None else each.plan.id for each in found]


def fail(route, target, times=1, error=DialError.REFUSED):
    """Let dials to a target fail."""
    for _ in range(times):
        route.failed(next(each for each in route._standings if each.plan.id == target), error, "no")


def test_listeners_that_share_a_route_share_its_turns(stage):
    """Equal routes are one, and go on where the other one has left off; other targets make it another route."""
    app = RoutePlan(id=1, name="app", targets=(ONE, TWO))
    other = RoutePlan(id=1, name="app", targets=(TWO,))
    routes = Routes([app, RoutePlan(id=1, name="app", targets=(ONE, TWO)), other], stage)
    assert routes.of(app) is routes.of(RoutePlan(id=1, name="app", targets=(ONE, TWO)))
    assert picks(routes.of(app), 3) == [1, 2, 1]
    assert picks(routes.of(other), 2) == [2, 2]


@pytest.mark.parametrize("bits", [DOWN, EJECTED, DRAINED, OUT_OF_SERVICE])
def test_what_the_board_takes_out_gets_nothing(stage, bits):
    """From the next pick on, and until the board says otherwise."""
    route = stage.route()
    assert picks(route) == [1, 2, 1, 2]
    stage.say(2, bits)
    assert picks(route) == [1, 1, 1, 1]
    stage.say(2, 0)
    assert sorted(picks(route)) == [1, 1, 2, 2]


def test_the_board_says_the_weight(stage):
    """A weight on the board is instead of the configured one."""
    route = stage.route()
    stage.say(1, 0, 300)
    assert sorted(picks(route, 8)) == [1] * 6 + [2] * 2


def test_when_all_are_unwell_those_that_nobody_took_out_are_used(stage):
    """The safety valve: down and ejected targets are used when there is no other, drained ones and others never."""
    route = stage.route(RoutePlan(id=1, name="app", targets=(ONE, TWO, THREE)))
    stage.say(1, DOWN)
    stage.say(2, EJECTED)
    assert picks(route) == [3, 3, 3, 3]
    stage.say(3, DRAINED)
    assert picks(route) == [1, 2, 1, 2]
    stage.say(1, OUT_OF_SERVICE | DOWN)
    assert picks(route) == [2, 2, 2, 2]
    stage.say(2, OUT_OF_SERVICE)
    assert picks(route) == [0, 0, 0, 0]
    stage.say(1, 0)
    assert picks(route) == [1, 1, 1, 1]


def test_failures_in_a_row_take_a_target_out_at_once(stage):
    """The worker that sees them waits for nobody; the supervisor is told once, and the target comes back by itself."""
    route = stage.route()
    fail(route, 1)
    assert picks(route) == [1, 2, 1, 2]
    assert stage.told == []
    fail(route, 1)
    assert picks(route) == [2, 2, 2, 2]
    assert stage.told == [TargetFailed(1, 2, "connection refused: no")]
    stage.turn(10.1)
    assert sorted(picks(route)) == [1, 1, 2, 2]


def test_one_failure_after_an_ejection_begins_the_next_one(stage):
    """A target that is back and fails at once is out for twice as long; one dial that stands makes it whole."""
    route = stage.route()
    fail(route, 1, 2)
    stage.turn(10.1)
    fail(route, 1)
    stage.turn(19.5)
    assert picks(route) == [2, 2, 2, 2]
    stage.turn(1)
    assert sorted(picks(route)) == [1, 1, 2, 2]
    route._standings[0].failures = 0
    fail(route, 1)
    assert sorted(picks(route)) == [1, 1, 2, 2]
    assert len(stage.told) == 2


def test_what_another_worker_found_out_is_known_here(stage):
    """When an ejection that the board told of is over, one failure is enough here as well."""
    route = stage.route()
    stage.say(1, EJECTED)
    assert picks(route) == [2, 2, 2, 2]
    stage.say(1, 0)
    picks(route)
    fail(route, 1)
    assert picks(route) == [2, 2, 2, 2]
    assert len(stage.told) == 1


def test_failures_while_a_target_is_out_are_no_news(stage):
    """Targets that are used because all are out may fail on: the ejection is not begun again, nobody is told again."""
    route = stage.route()
    for target in (1, 2):
        fail(route, target, 2)
    assert sorted(picks(route)) == [1, 1, 2, 2]
    fail(route, 1, 50)
    assert len(stage.told) == 2


def test_our_own_faults_are_not_the_targets(stage):
    """A dial that failed for want of descriptors, or would have come back to us, says nothing about the target."""
    route = stage.route()
    fail(route, 1, 9, DialError.RESOURCE)
    fail(route, 1, 9, DialError.LOOP)
    assert picks(route) == [1, 2, 1, 2]
    assert stage.told == []


@pytest.mark.parametrize(
    "plan",
    [
        RoutePlan(id=1, name="one", targets=(ONE,)),
        RoutePlan(id=1, name="off", targets=(ONE, TWO), health=HealthPlan(failures=0)),
        RoutePlan(id=1, name="via", targets=(ONE, TWO), parent=ParentPlan(kind="http", host="192.0.2.3", port=1)),
    ],
    ids=str,
)
def test_nobody_is_ejected_where_that_helps_nobody(stage, plan):
    """A single target, a route that wants none of it, and targets behind a parent, which may be what failed."""
    route = stage.route(plan)
    before = picks(route)
    fail(route, 1, 9)
    assert picks(route) == before
    assert stage.told == []


def test_a_long_reason_is_cut(stage):
    """What the supervisor is told fits its packet, whatever a target has said."""
    route = stage.route()
    for _ in range(2):
        route.failed(route._standings[0], DialError.FAILED, "x" * 100_000)
    assert len(stage.told[0].detail) == 200


def test_another_target_is_never_one_that_is_out(stage):
    """After a failed dial the next choice was not tried and is not out; then there is none."""
    route = stage.route(RoutePlan(id=1, name="app", targets=(ONE, TWO, THREE)))
    stage.say(2, DOWN)
    first = route.next_target("")
    other = route.other_target("", (first,))
    assert {first.plan.id, other.plan.id} == {1, 3}
    assert route.other_target("", (first, other)) is None


def test_every_balancer_is_at_work(stage):
    """The word of the plan decides who is next: a client of source_hash stays where it is."""
    plan = RoutePlan(id=1, name="app", targets=(ONE, TWO, THREE), balance="source_hash")
    assert len(set(picks(stage.route(plan), 8))) == 1
    plan = RoutePlan(id=1, name="app", targets=(ONE, TWO, THREE), balance="least_connections")
    route = stage.route(plan)
    route._standings[0].open = route._standings[2].open = 5
    assert picks(route)[1:] == [2, 2, 2]


def test_a_route_without_targets_has_none(stage):
    """A forward proxy's route names nobody."""
    assert picks(stage.route(RoutePlan(id=1, name="out")), 1) == [0]


def test_the_worker_stands_in_for_nothing_else(stage):
    """A route needs of its worker what this stage has, and no more."""
    names = {name: getattr(stage, name) for name in ("board", "reactor", "report")}
    assert picks(Route(PLAN, SimpleNamespace(**names))) == [1, 2, 1, 2]


def route_with(*ports, **timeouts):
    """Return a route to these ports of loopback with deadlines of its own; unit s."""
    said = {name: int(seconds * NS) for name, seconds in timeouts.items()}
    targets = tuple(TargetPlan(id=number, host="127.0.0.1", port=port) for number, port in enumerate(ports, 1))
    return RoutePlan(id=1, name="app", targets=targets, timeouts=RouteTimeoutPlan(**said))


def test_a_route_waits_for_the_beginning_of_an_answer_as_long_as_it_says():
    """A target that is silent too long is 504; one that has begun may go on as long as the idle timeout says."""
    asked, go_on = threading.Event(), threading.Event()

    def halting(message, wire):
        if message.start.startswith("GET /silent"):
            asked.set()
            assert go_on.wait(PATIENCE_S)
            return ok(b"late")
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe")
        assert go_on.wait(PATIENCE_S)
        return b"re"

    with origin(halting) as target:
        plan = listener("main", "http", reverse=True, route=route_with(target.port, response=60))
        with bench(plan) as plane, Wire(plane.connect()) as slow, Wire(plane.connect()) as silent:
            slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert slow.read_head().status == 200
            silent.send(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n")
            assert asked.wait(PATIENCE_S)
            plane.later(61)
            assert silent.read_message().status == 504
            plane.later(61)
            go_on.set()
            assert slow.read(4) == b"here"


def test_a_route_has_an_idle_timeout_of_its_own():
    """A relay on it ends by its own idle timeout, not the node's, also after one end has closed its direction."""
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        bench(listener("main", "tcp", route=route_with(deaf.getsockname()[1], idle=0.2))) as plane,
        plane.connect() as open_,
        plane.connect() as half,
    ):
        half.shutdown(socket.SHUT_WR)
        assert read_all(open_) == read_all(half) == b""
        assert {row.outcome.ended_by for row in plane.ended(2)} == {EndedBy.CLIENT_TIMEOUT}


def test_a_route_has_a_time_for_dials_of_its_own():
    """A dial on it ends after its own time; 0 is for ever, None the worker's."""
    with bench(listener("main", "tcp", route=route_with(1, connect=0.2))) as plane:
        route = plane.worker.listeners[0].route
        assert (route.connect, route.idle, route.response) == (NS // 5, 0, 0)
    with bench(listener("main", "tcp", route=route_with(1, idle=0))) as plane:
        assert plane.worker.listeners[0].route.idle > 1_000 * 365 * 86_400 * 10**6
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        contextlib.ExitStack() as stack,
        bench(listener("main", "tcp", route=route_with(full.getsockname()[1], connect=0.2))) as plane,
    ):
        for _ in range(4):  # so that the kernel welcomes nobody any more
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with plane.connect() as client:
            assert read_all(client) == b""
        assert plane.ended()[0].outcome.ended_by is EndedBy.TARGET_TIMEOUT
