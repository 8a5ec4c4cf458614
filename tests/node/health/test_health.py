"""What checks, workers and operators say becomes one word on the board, one line in the log, and numbers."""

import asyncio
import io
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.config.plan import HealthPlan, ListenerPlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.config.tls_plan import TargetTlsPlan
from penstock.dataplane.board import (
    DOWN,
    DRAINED,
    EJECTED,
    GENERATION,
    HEADER_WORDS,
    OUT_OF_SERVICE,
    WEIGHT_SHIFT,
    Board,
)
from penstock.dataplane.orders import TargetFailed
from penstock.node.health.health import Health
from penstock.node.log import make_log
from penstock.policy.health import TargetOrder
from penstock.testing.clock import ManualClock

CHECKED = HealthPlan(kind="tcp", interval=NS // 100, rise=1, fall=1)
QUIET = HealthPlan(kind="off", ejection=10 * NS)


def plan(health=CHECKED, *routes):
    """Return a plan of one listener to two targets, and of other routes."""
    targets = tuple(TargetPlan(id=number, host="192.0.2.1", port=80 + number) for number in (1, 2))
    app = RoutePlan(id=1, name="app", targets=targets, health=health)
    listener = ListenerPlan(id=1, name="web", protocol="tcp", host="127.0.0.1", port=1, route=app)
    return WorkerPlan(listeners=(listener,), routes=routes)


class KeptLog:
    """A log and the events that were written to it."""

    def __init__(self):
        self._stream = io.StringIO()
        self.log = make_log("debug", "json", self._stream)

    def events(self, name=None):
        """Return the events of this name, or all."""
        found = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [event for event in found if name in (None, event["event"])]


class Stage:
    """A node's health on a clock moved by hand, a log that is kept, and targets that are as the test says."""

    def __init__(self, what):
        self.clock, self.kept, self.problems, self.asked = ManualClock(), KeptLog(), {}, []
        self.health = Health(what, self.clock, self.kept.log, self.check)
        self.board = Board(self.health.board)

    async def check(self, way):
        """Be as the test says."""
        self.asked.append(way.target.id)
        problem = self.problems.get(way.target.id, "")
        if isinstance(problem, Exception):
            raise problem
        return problem

    def bits(self, target):
        """Return why a target is out, on the board."""
        return self.board.words[HEADER_WORDS + target] & 0xFF

    def weight(self, target):
        """Return the weight of a target on the board."""
        return self.board.words[HEADER_WORDS + target] >> WEIGHT_SHIFT

    def said(self):
        """Return the events that were logged."""
        return [each["event"] for each in self.kept.events()]

    async def pass_by(self, seconds):
        """Let time pass, and what it brings happen."""
        self.clock.advance(seconds)
        self.health.wake()
        self.health._rounds._pump()
        await asyncio.sleep(0)

    async def hear(self, target):
        """Let time pass until a target was asked once more, and its answer was taken."""
        before = self.total(target)
        for _ in range(1_000):
            await self.pass_by(0.02)
            if self.total(target) > before:
                return
        raise AssertionError("nobody asks")

    def total(self, target):
        """Return how many checks of a target have a result."""
        return self.health.conditions[target].passed + self.health.conditions[target].failed


@asynccontextmanager
async def staged(what=None, known=()):
    """Run a node's health, one that goes on from what an older process knew."""
    stage = Stage(what or plan())
    stage.health.recall(known, counts=False)
    stage.health.start()
    try:
        yield stage
    finally:
        stage.board.close()
        await stage.health.stop()


def test_checks_take_a_target_out_and_back():
    """The board, the log and the numbers say so; the other target stays."""

    async def go():
        async with staged() as stage:
            await stage.hear(1)
            assert (stage.bits(1), stage.weight(1)) == (0, 100)
            stage.problems[1] = "connection refused"
            before = stage.board.words[GENERATION]
            await stage.hear(1)
            assert (stage.bits(1), stage.bits(2)) == (DOWN, 0)
            assert stage.board.words[GENERATION] > before
            down = stage.health.conditions[1]
            assert (down.state, down.why, down.failed) == ("down", "connection refused", 1)
            assert stage.kept.events("target down") == [
                stage.kept.events("target down")[0]
                | {"route": "app", "target": "192.0.2.1:81", "why": "connection refused"}
            ]
            stage.problems.clear()
            await stage.hear(1)
            assert stage.bits(1) == 0
            assert stage.health.conditions[1].state == "up"
            assert stage.said() == ["target down", "target up"]

    asyncio.run(go())


def test_a_worker_takes_a_target_out_for_all():
    """Its report ejects for the plan's time; what others report meanwhile is known already."""

    async def go():
        async with staged(plan(QUIET)) as stage:
            for _ in range(3):
                stage.health.failed(TargetFailed(1, 3, "connection refused: no"))
            stage.health.failed(TargetFailed(99, 3, "nobody knows it"))
            assert stage.bits(1) == EJECTED
            now = stage.health.conditions[1]
            assert (now.state, now.ejections) == ("ejected", 1)
            assert now.why == "3 dials in a row failed: connection refused: no"
            await stage.pass_by(9.9)
            assert stage.bits(1) == EJECTED
            await stage.pass_by(0.2)
            assert stage.bits(1) == 0
            stage.health.failed(TargetFailed(1, 1, "again"))
            await stage.pass_by(19)
            assert stage.bits(1) == EJECTED
            assert stage.asked == []

    asyncio.run(go())


def test_operators_are_obeyed():
    """Drain and maint are words on the board; a target in maintenance is asked nothing, until it is taken back."""

    async def go():
        async with staged() as stage:
            assert stage.health.order("app", "192.0.2.1:81", TargetOrder.DRAIN, None) == (1,)
            assert stage.bits(1) == DRAINED
            stage.problems[1] = "refused"
            await stage.hear(1)
            assert stage.bits(1) == DRAINED | DOWN
            stage.health.order("app", "192.0.2.1:81", TargetOrder.MAINT, None)
            assert stage.bits(1) & OUT_OF_SERVICE
            await stage.hear(2)
            seen = stage.total(1)
            for _ in range(5):
                await stage.hear(2)
            assert stage.total(1) == seen
            stage.problems.clear()
            stage.health.order("app", "192.0.2.1:81", TargetOrder.READY, None)
            await stage.hear(1)
            assert stage.bits(1) == 0

    asyncio.run(go())


def test_weights_can_be_ordered():
    """A weight goes to the board at once, in parts; who is not there is not found."""

    async def go():
        async with staged(plan(QUIET)) as stage:
            stage.health.order("app", "192.0.2.1:82", None, 5)
            assert (stage.weight(2), stage.bits(2)) == (500, 0)
            assert stage.health.conditions[2].weight == 5.0
            assert stage.health.order("app", "192.0.2.1:99", None, 5) == ()
            assert stage.health.order("other", "192.0.2.1:82", None, 5) == ()

    asyncio.run(go())


def test_a_slow_start_ramps_on_the_board():
    """The weight grows step by step until it is whole."""

    async def go():
        async with staged(plan(replace(QUIET, slow_start=10 * NS))) as stage:
            stage.health.order("app", "192.0.2.1:81", TargetOrder.DRAIN, None)
            stage.health.order("app", "192.0.2.1:81", TargetOrder.READY, None)
            seen = [stage.weight(1)]
            while seen[-1] < 100:
                await stage.pass_by(0.5)
                seen.append(stage.weight(1))
            assert seen[0] == 10
            assert seen == sorted(seen)
            assert len(set(seen)) >= 15
            assert len(seen) == 21
            assert not stage.health._due

    asyncio.run(go())


def test_a_route_without_anybody_is_told_once():
    """When the last target is out the log says that all are used, and says when that is over."""

    async def go():
        async with staged(plan(QUIET)) as stage:
            stage.health.failed(TargetFailed(1, 3))
            assert stage.said() == ["target ejected"]
            stage.health.failed(TargetFailed(2, 3))
            stage.health.order("app", "192.0.2.1:81", TargetOrder.DRAIN, None)
            assert stage.said()[1:] == [
                "target ejected",
                "no target is up: all that are not taken out are used",
                "target drain",
            ]
            await stage.pass_by(10)
            assert stage.said()[4:] == ["target up", "targets are up again"]

    asyncio.run(go())


def test_a_check_that_breaks_says_nothing_about_the_target():
    """A fault of ours is an error in the log; the target stays as it was, and is asked again."""

    async def go():
        async with staged() as stage:
            stage.problems[1] = ZeroDivisionError()
            while not stage.kept.events("check failed"):
                await stage.pass_by(0.02)
            assert stage.bits(1) == 0
            assert stage.total(1) == 0
            stage.problems.clear()
            await stage.hear(1)

    asyncio.run(go())


def test_a_flood_of_changes_is_cut():
    """Thousands of targets that change in one second are a few lines, and a count of the rest."""
    targets = tuple(TargetPlan(id=number, host="192.0.2.1", port=number) for number in range(3, 503))
    many = RoutePlan(id=2, name="many", targets=targets, health=QUIET)

    async def go():
        async with staged(plan(QUIET, many)) as stage:
            for target in targets:
                stage.health.failed(TargetFailed(target.id, 3))
            assert len(stage.said()) < 30
            stage.clock.advance(1.1)
            stage.health.order("app", "192.0.2.1:81", TargetOrder.DRAIN, None)
            (left_out,) = stage.kept.events("changes of targets left out")
            assert left_out["count"] == len(targets) - 20

    asyncio.run(go())


def test_another_plan_keeps_what_is_known():
    """Who stays keeps state and order; who goes is asked no more; who comes is asked."""
    more = RoutePlan(id=2, name="more", targets=(TargetPlan(id=3, host="192.0.2.3", port=80),), health=CHECKED)

    async def go():
        async with staged() as stage:
            stage.problems[1] = "refused"
            await stage.hear(1)
            stage.health.order("app", "192.0.2.1:82", TargetOrder.DRAIN, 9)
            stage.health.replan(plan(CHECKED, more))
            assert (stage.bits(1), stage.bits(2), stage.weight(2)) == (DOWN, DRAINED, 900)
            await stage.hear(3)
            since = stage.health.conditions[1].since
            await stage.hear(1)
            assert stage.health.conditions[1].since == since
            first = plan(CHECKED, more).listeners[0]
            alone = replace(first, route=replace(first.route, targets=first.route.targets[:1]))
            stage.health.replan(WorkerPlan(listeners=(alone,)))
            assert set(stage.health.conditions) == {1}
            stage.asked.clear()
            for _ in range(3):
                await stage.hear(1)
            assert set(stage.asked) == {1}

    asyncio.run(go())


def test_a_plan_that_cannot_be_checked_changes_nothing():
    """A file that is gone is an error, and the targets of before are watched on."""
    tls = TargetTlsPlan(ca="/nonexistent/ca.pem")
    broken = RoutePlan(
        id=2, name="x", targets=(TargetPlan(id=3, host="192.0.2.3", port=80),), health=CHECKED, target_tls=tls
    )

    async def go():
        async with staged() as stage:
            with pytest.raises(StartError, match="nonexistent"):
                stage.health.replan(plan(QUIET, broken))
            assert set(stage.health.conditions) == {1, 2}
            await stage.hear(1)

    asyncio.run(go())


def test_listeners_that_have_a_name_in_common_have_their_own_targets():
    """Two listeners without a route share its name and number, not its targets: all of them are watched."""
    first = plan(QUIET).listeners[0]
    second = replace(
        first, id=2, name="b", route=replace(first.route, targets=(TargetPlan(id=3, host="192.0.2.1", port=81),))
    )

    async def go():
        async with staged(WorkerPlan(listeners=(first, second))) as stage:
            assert set(stage.health.conditions) == {1, 2, 3}
            assert stage.health.order("app", "192.0.2.1:81", TargetOrder.DRAIN, None) == (1, 3)

    asyncio.run(go())


def test_an_end_leaves_nothing_behind():
    """Neither tasks nor descriptors."""

    async def go():
        before = len(list(Path("/proc/self/fd").iterdir()))
        async with staged():
            pass
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(go())


def test_a_successor_leaves_out_who_is_ejected():
    """An ejection goes on with the same end on the new board, and time ends it there."""

    async def go():
        async with staged() as elder:
            elder.health.failed(TargetFailed(2, 3, "refused"))
            known = elder.health.remember()
        async with staged(known=known) as heir:
            assert heir.bits(2) == EJECTED
            assert "dials in a row failed" in heir.health.conditions[2].why
            await heir.pass_by(11)
            assert heir.bits(2) == 0

    asyncio.run(go())


def test_a_successor_takes_orders_and_counts():
    """Who was taken out stays out on the new board and is not checked; counts go on where they were."""

    async def go():
        async with staged() as elder:
            elder.problems[2] = "refused"
            await elder.hear(2)
            elder.health.order("app", "192.0.2.1:81", TargetOrder.MAINT, 7)
            known = elder.health.remember()
        async with staged(known=known) as heir:
            assert (heir.bits(1), heir.weight(1) // heir.weight(2), heir.bits(2)) == (OUT_OF_SERVICE, 7, DOWN)
            await heir.hear(2)
            assert heir.asked.count(1) == 0
            heir.health.recall(known, counts=True)
            ours, theirs = heir.health.conditions[2], {each.address: each for each in known}["192.0.2.1:82"]
            assert (ours.passed, ours.failed) == (theirs.passed + 1, theirs.failed)
            assert theirs.failed
            assert heir.bits(2) == 0  # our own check knows better than the elder's

    asyncio.run(go())
