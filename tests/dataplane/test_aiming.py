"""Connections find a target that answers, and targets know whom they serve."""

import socket
from contextlib import ExitStack

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import HealthPlan, RoutePlan, TargetPlan
from penstock.dataplane.board import DOWN, DRAINED
from penstock.dataplane.orders import TargetFailed
from penstock.testing.http_peers import Message, Wire, ok, origin
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener, wait_for


def dead_ports(stack, count):
    """Return ports that nobody listens on and nobody gets."""
    found = [stack.enter_context(socket.socket()) for _ in range(count)]
    for each in found:
        each.bind(("127.0.0.1", 0))
    return [each.getsockname()[1] for each in found]


def route(*ports, **more):
    """Return a route to these ports of loopback."""
    targets = tuple(TargetPlan(id=number, host="127.0.0.1", port=port) for number, port in enumerate(ports, 1))
    return RoutePlan(id=1, name="app", targets=targets, **more)


def answer(message: Message, wire: Wire) -> bytes:
    """Answer any request."""
    return ok(b"well")


def ask(wire):
    """Send a request, and return the status that comes back."""
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return wire.read_message().status


def reverse(*ports):
    """Run a reverse proxy before these ports."""
    return bench(listener("main", "http", *ports, reverse=True))


def standings(plane):
    """Return how the targets of the only listener's route stand."""
    return plane.worker.listeners[0].route._standings


def test_no_target_is_tried_twice_for_one_connection():
    """A connection that all targets refuse has asked each of them once."""
    with ExitStack() as stack:
        plan = route(*dead_ports(stack, 3), health=HealthPlan(failures=99))
        plane = stack.enter_context(bench(listener("main", "tcp", route=plan)))
        with plane.connect() as client:
            assert read_all(client) == b""
        assert plane.ended()[0].outcome == Outcome(EndedBy.TARGET, Phase.DIAL)
        assert [each.failures for each in standings(plane)] == [1, 1, 1]
        assert [each.open for each in standings(plane)] == [0, 0, 0]


def test_a_dead_target_costs_no_connection():
    """Every client is served while one of two targets is dead, and after some failures nobody waits for it at all."""
    with ExitStack() as stack:
        alive = stack.enter_context(serving(echo))
        plan = route(*dead_ports(stack, 1), alive.port, health=HealthPlan(failures=2, ejection=600 * NS))
        plane = stack.enter_context(bench(listener("main", "tcp", route=plan)))
        for _ in range(8):
            with plane.connect() as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        assert alive.clients == 8
        report = plane.report(TargetFailed)
        assert (report.target, report.failures) == (1, 2)
        assert "refused" in report.detail
        assert standings(plane)[0].failures == 2


def test_a_dial_that_stands_ends_a_row_of_failures():
    """Failures count in a row: one success, and the target begins anew."""
    with serving(echo) as target, bench(listener("main", "tcp", route=route(target.port, 1))) as plane:
        standings(plane)[0].failures = 2
        with plane.connect() as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert standings(plane)[0].failures == 0


def test_open_connections_are_counted_by_target():
    """A target's open connections are those that it serves now; least_connections sees that."""
    with serving(echo) as one, serving(echo) as two:
        plan = route(one.port, two.port, balance="least_connections")
        with bench(listener("main", "tcp", route=plan)) as plane, ExitStack() as stack:
            for count in range(1, 5):
                stack.enter_context(plane.connect()).sendall(b"x")
                wait_for(lambda count=count: sum(each.open for each in standings(plane)) == count)
            assert [each.open for each in standings(plane)] == [2, 2]
            stack.close()
            wait_for(lambda: [each.open for each in standings(plane)] == [0, 0])


def test_when_operators_took_all_out_clients_are_told():
    """A connection with nowhere to go is refused as such, a request with 503, and the next one may find a target."""
    with origin(answer) as target:
        plan = route(target.port)
        web = listener("web", "http", route=plan, reverse=True)
        with bench(listener("raw", "tcp", route=plan), web) as plane:
            plane.worker.board.write(1, DRAINED)
            plane.worker.board.publish()
            with plane.connect("raw") as client:
                assert read_all(client) == b""
            assert plane.ended()[0].outcome == Outcome(EndedBy.PROXY, Phase.DIAL, Reason.DESTINATION)
            assert "out of service" in plane.rows()[0].texts[2]
            with Wire(plane.connect("web")) as wire:
                assert ask(wire) == 503
                plane.worker.board.write(1, 0)
                plane.worker.board.publish()
                assert ask(wire) == 200


def test_a_request_is_open_until_it_is_answered():
    """Between two requests a kept-alive client is open with no target."""
    with origin(answer) as target, reverse(target.port) as plane, Wire(plane.connect()) as wire:
        for _ in range(3):
            assert ask(wire) == 200
            wait_for(lambda: standings(plane)[0].open == 0)


def test_idle_connections_of_a_target_that_left_are_closed():
    """What waits in the pool for a target is closed within a second of its leaving, and what comes back later too."""
    with origin(answer) as target, reverse(target.port) as plane, Wire(plane.connect()) as wire:
        assert ask(wire) == 200
        wait_for(lambda: plane.worker.pool.count == 1)
        plane.worker.board.write(1, DOWN)
        plane.worker.board.publish()
        wait_for(lambda: plane.worker.pool.count == 0)
        assert ask(wire) == 200
        assert plane.worker.pool.count == 0
