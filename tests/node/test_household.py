"""The parts of a node know each other, whatever the plan; what they hold is let go of."""

import gc
import os
from contextlib import ExitStack, asynccontextmanager

from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.node.household import Household
from penstock.node.keeper import Keeper
from penstock.testing.clock import ManualClock
from penstock.testing.procfs import descriptors

from .conftest import KeptLog, in_a_loop


def plan_of(*names):
    """Return a plan of tcp listeners with these names, on ports that nobody binds."""
    route = RoutePlan(id=1, name="default", targets=(TargetPlan(id=1, host="127.0.0.1", port=9),))
    listeners = tuple(
        ListenerPlan(id=number, name=name, protocol="tcp", host="127.0.0.1", port=number, route=route)
        for number, name in enumerate(names, 1)
    )
    return NodePlan(name="n", workers=1, admin=None, socket_path="/s", worker=WorkerPlan(listeners=listeners))


def made(resources, clock):
    """Return a household of one listener, whose things `resources` closes."""
    log, plan = KeptLog(), plan_of("web")

    async def deploy():
        raise AssertionError("no certificate is new")

    return Household(
        plan,
        (),
        Keeper(plan, log, clock),
        clock=clock,
        log=log,
        command=("-c", "raise SystemExit"),
        deploy=deploy,
        resources=resources,
        will=None,
        table=None,
    )


@asynccontextmanager
async def housed():
    """Give a household of one listener for as long as the block lasts."""
    with ExitStack() as resources:
        yield made(resources, ManualClock())


@in_a_loop
async def test_a_tick_adds_up_what_there_is():
    """A tick gives one snapshot, with the listeners of the plan, and the desk's bans and the crew's state are asked."""
    async with housed() as house:
        asked = []
        house.desk.tick = lambda: asked.append("desk") or ()
        house.crew.catch_up = lambda: asked.append("crew")
        snapshot = house.tick(plan_of("web").worker, last=False, steady=True)
        assert [each.name for each in snapshot.listeners] == ["web"]
        assert (asked, house.registry.banned) == (["desk", "crew"], ())


@in_a_loop
async def test_limits_are_settled_while_nobody_changes_the_plan():
    """Workers are told of another table of limits, but not in the middle of a reload, which tells them itself."""
    async with housed() as house:
        told = []
        house.limits.settle = lambda plan, now: True
        house.crew.sum_up = told.append
        for steady in (False, True):
            house.tick(plan_of("web").worker, last=False, steady=steady)
        assert told == [house.limits.seats]


@in_a_loop
async def test_another_plan_is_counted_under_its_names():
    """After another plan, the next snapshot has its listeners, before any worker knows of them."""
    async with housed() as house:
        await house.replan(plan_of("web", "mail"))
        snapshot = house.tick(plan_of("web", "mail").worker, last=False, steady=False)
        assert [each.name for each in snapshot.listeners] == ["web", "mail"]


@in_a_loop
async def test_users_that_could_not_be_read_are_published():
    """A change of the users files reaches the numbers and makes workers forget whom they remember."""
    async with housed() as house:
        told = []
        house.crew.forget_logins = lambda: told.append("forget")
        house.logins.on_change()
        assert (told, house.registry.users_file_errors) == (["forget"], house.logins.failures)


@in_a_loop
async def test_what_it_holds_is_closed():
    """Nothing of a household that never served is left open: no table of limits or bans, no board."""
    gc.collect()  # what other tests left
    before = descriptors(os.getpid())
    with ExitStack() as resources:
        house = made(resources, ManualClock())
        await house.health.stop()
    del house
    gc.collect()
    assert descriptors(os.getpid()) == before
