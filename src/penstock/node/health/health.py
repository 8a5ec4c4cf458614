"""
All targets of a node: checks, reports of workers and orders come in, the board and the metrics go out.

The supervisor is the one writer of the board, so all workers agree, and a worker that is born later finds everything
there. What an operator has ordered outlives checks, ejections, reloads and upgrades, but not the node.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from penstock.base.clock import NS, Clock
from penstock.config.plan import RoutePlan, WorkerPlan
from penstock.dataplane import board
from penstock.dataplane.board import DOWN, DRAINED, EJECTED, OUT_OF_SERVICE, Board
from penstock.dataplane.orders import TargetFailed
from penstock.metrics.conditions import WELL, Condition
from penstock.metrics.live import rfc3339
from penstock.node.health.checks import Check, Checker, Way, ways
from penstock.node.health.memory import SavedTarget, found_again, resumed
from penstock.node.health.names import Names
from penstock.node.health.rounds import Rounds
from penstock.node.log import NOTICE_LINES, Allowance, Log
from penstock.policy.balance import FINE
from penstock.policy.health import TargetHealth, TargetOrder, TargetState

FOREVER = 1 << 62

ORDER_BITS = {TargetOrder.READY: 0, TargetOrder.DRAIN: DRAINED, TargetOrder.MAINT: OUT_OF_SERVICE}


class Watched(NamedTuple):
    """
    A target.

    Args:
        route: Whose it is.
        way: What leads to it.
        health: How it is.
    """

    route: RoutePlan
    way: Way
    health: TargetHealth


class Health:
    """
    Watches targets.

    Args:
        plan: What the workers serve.
        clock: Gives the time.
        log: Told of each change of state.
        check: Asks a target; None for the real thing.

    Attributes:
        board: Descriptor of the board, for workers.
        conditions: How each target is, by its id; the same object at all times.

    Raises:
        StartError: If a file of the routes' TLS cannot be used.
    """

    def __init__(self, plan: WorkerPlan, clock: Clock, log: Log, check: Check | None = None) -> None:
        self._clock, self._log = clock, log
        self._names = Names(clock, plan.dns_ttl)
        self._check = check or Checker(self._names).check
        self._targets: dict[int, Watched] = {}
        self._up: Counter[int] = Counter()
        self._desperate: set[int] = set()
        self._due: list[tuple[int, int]] = []
        self._next: dict[int, int] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._rounds: Rounds[int] = Rounds(self._ask, clock)
        self._lines = Allowance(NOTICE_LINES)
        self._running = False
        self.board = board.create()
        self._board = Board(self.board)
        self.conditions: dict[int, Condition] = {}
        self.replan(plan)

    # Its life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to check."""
        self._running = True
        for place, (number, each) in enumerate(self._targets.items()):
            self._schedule(number, each, place)
        self._set_alarm(self._clock.monotonic_ns())

    async def stop(self) -> None:
        """End all checks, and let go of the board: workers that still live keep theirs."""
        self._running = False
        if self._alarm is not None:
            self._alarm.cancel()
        await self._rounds.stop()
        self._names.close()
        self._board.close()
        os.close(self.board)

    def replan(self, plan: WorkerPlan) -> None:
        """
        Watch the targets of another plan. Who stays keeps its state and what was ordered.

        Raises:
            StartError: If a file of the routes' TLS cannot be used; nothing has changed then.
        """
        led, before = list(ways(routes_of(plan))), self._targets
        found = {way.target.id: self._watch(route, way) for route, way in led}
        for number in before.keys() - found.keys():
            self._rounds.remove(number)
            self.conditions.pop(number, None)
        self._targets = found
        self._up = Counter(e.route.id for e in found.values() if e.health.state is TargetState.UP)
        self._desperate &= {each.route.id for each in found.values()}
        for place, (number, each) in enumerate(found.items()):
            old = before.get(number)
            self._tell(number)
            if self._running and (old is None or old.way.health != each.way.health):
                self._schedule(number, each, place)
        self._board.publish()

    def _watch(self, route: RoutePlan, way: Way) -> Watched:
        now, old = self._clock.monotonic_ns(), self._targets.get(way.target.id)
        if old is None:
            return Watched(route, way, TargetHealth(route.health, way.target.weight, now))
        old.health.replan(route.health, way.target.weight, now)
        return Watched(route, way, old.health)

    # What comes in ---------------------------------------------------------------------------------------------------

    async def _ask(self, number: int) -> None:
        """Check a target."""
        each = self._targets.get(number)
        if each is None:
            return
        try:
            problem = await self._check(each.way)
        except Exception as error:  # a check that cannot be made says nothing about the target
            self._log.error("check failed", route=each.route.name, target=str(each.way.target), detail=repr(error))
            return
        if self._targets.get(number) is not each or each.health.order is TargetOrder.MAINT:
            return
        known = self.conditions[number]
        passed, failed = (known.passed, known.failed + 1) if problem else (known.passed + 1, known.failed)
        self.conditions[number] = known._replace(passed=passed, failed=failed)
        before = each.health.state
        each.health.checked(problem, self._clock.monotonic_ns())
        self._settle(number, before)

    def failed(self, report: TargetFailed) -> None:
        """A worker has taken a target out: take it out for all."""
        each = self._targets.get(report.target)
        if each is None:
            return
        before = each.health.state
        why = f"{report.failures} dials in a row failed: {report.detail}"
        if each.health.eject(why, self._clock.monotonic_ns()):
            known = self.conditions[report.target]
            self.conditions[report.target] = known._replace(ejections=known.ejections + 1)
            self._settle(report.target, before)

    def order(self, route: str, address: str, order: TargetOrder | None, weight: int | None) -> tuple[int, ...]:
        """
        Do what an operator wants of a target, and return its id; none if there is no such target, and several if
        listeners have targets of their own under one name.

        Args:
            route: Name of its route.
            address: `host:port`, as configured.
            order: What it shall do; None for what it does.
            weight: 1 or more; None for the one that it has.
        """
        wanted = route, address
        found = [n for n, each in self._targets.items() if (each.route.name, str(each.way.target)) == wanted]
        for number in found:
            each = self._targets[number]
            before, was = each.health.state, each.health.order
            each.health.obey(order, weight, self._clock.monotonic_ns())
            if each.health.order is not was:
                self._schedule(number, each)
            self._settle(number, before)
        return tuple(found)

    def remember(self) -> tuple[SavedTarget, ...]:
        """Return what a process that succeeds this one must know."""
        return tuple(
            SavedTarget(each.route.name, str(each.way.target), each.health.remember(), *self.conditions[number][-3:])
            for number, each in self._targets.items()
        )

    def recall(self, saved: tuple[SavedTarget, ...], *, counts: bool) -> None:
        """
        Go on from what an older process knew.

        Args:
            saved: As it said.
            counts: Whether its counts are added to ours.
        """
        names = {number: (each.route.name, str(each.way.target)) for number, each in self._targets.items()}
        for number, known in found_again(saved, names):
            each = self._targets[number]
            before, was = each.health.state, each.health.order
            each.health.recall(known.known, self._clock.monotonic_ns())
            if each.health.order is not was:
                self._schedule(number, each)
            self._settle(number, before)
            if counts:
                self.conditions[number] = resumed(known, self.conditions[number])

    def _schedule(self, number: int, each: Watched, place: int = 0) -> None:
        """Check a target, or check it no more."""
        if each.way.health.kind == "off" or each.health.order is TargetOrder.MAINT:
            self._rounds.remove(number)
        elif self._running:
            self._rounds.add(number, each.way.health.interval, place)

    # What time brings ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """End the ejections that are over, and let targets that start slowly get more."""
        now = self._clock.monotonic_ns()
        while self._due and self._due[0][0] <= now:
            when, number = heappop(self._due)
            if self._next.get(number) != when:  # something else has come before
                continue
            del self._next[number]
            each = self._targets.get(number)
            if each is not None:
                before = each.health.state
                each.health.wake(now)
                self._settle(number, before)
        self._set_alarm(now)

    def _set_alarm(self, now: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._due and self._running:
            wait = max(0, self._due[0][0] - now) / NS
            self._alarm = asyncio.get_running_loop().call_later(wait, self.wake)

    # What goes out ---------------------------------------------------------------------------------------------------

    def _settle(self, number: int, before: TargetState) -> None:
        """Tell workers, metrics and log how a target is now."""
        each, now = self._targets[number], self._clock.monotonic_ns()
        self._tell(number)
        self._board.publish()
        due = each.health.due(now)
        if due is not None and due < self._next.get(number, FOREVER):
            self._next[number] = due
            heappush(self._due, (due, number))
            if self._due[0] == (due, number):
                self._set_alarm(now)
        state = each.health.state
        if state is not before:
            self._up[each.route.id] += (state is TargetState.UP) - (before is TargetState.UP)
            self._say(each)
            self._say_if_desperate(each.route)

    def _tell(self, number: int) -> None:
        health, now = self._targets[number].health, self._clock.monotonic_ns()
        share = health.share(now)
        bits = DOWN * health.down | EJECTED * health.ejected | ORDER_BITS[health.order]
        self._board.write(number, bits, share)
        since = self._clock.wall_ns() - (now - health.since)
        known = self.conditions.get(number, WELL)
        changed = (known.state, known.why) != (health.state, health.why) or not known.since
        self.conditions[number] = known._replace(
            state=str(health.state),
            why=health.why,
            since=rfc3339(since) if changed else known.since,
            weight=share / FINE,
        )

    def _say(self, each: Watched) -> None:
        if not self._lines.take(self._clock.monotonic_ns()):
            return
        if skipped := self._lines.take_skipped():
            self._log.warning("changes of targets left out", count=skipped)
        health = each.health
        say = self._log.info if health.state is TargetState.UP else self._log.warning
        say(f"target {health.state}", route=each.route.name, target=str(each.way.target), why=health.why)

    def _say_if_desperate(self, route: RoutePlan) -> None:
        """Say when a route has nobody left, and all targets are used that no operator has taken out."""
        desperate = not self._up[route.id]
        if desperate is (route.id in self._desperate):
            return
        if desperate:
            self._desperate.add(route.id)
            self._log.warning("no target is up: all that are not taken out are used", route=route.name)
        else:
            self._desperate.discard(route.id)
            self._log.info("targets are up again", route=route.name)


def routes_of(plan: WorkerPlan) -> Iterable[RoutePlan]:
    """Return every route of a plan, once. Listeners that have no route's targets may have a route's name and number."""
    every = (*(each.route for each in plan.listeners), *plan.routes)
    return {(each.id, each.targets): each for each in every}.values()
