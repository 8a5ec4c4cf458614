"""A node's logins: its files are fresh, and its workers get answers."""

import asyncio
import contextlib

import argon2

from penstock.base.clock import SystemClock
from penstock.config.plan import ListenerPlan, WorkerPlan
from penstock.connection.commands import Verified
from penstock.dataplane import orders
from penstock.node.users import logins as module
from penstock.node.users.logins import Logins

HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def plan_with(path):
    """Return a plan whose listener names this file; empty for none."""
    listener = ListenerPlan(id=1, name="s", protocol="socks5", host="::", port=0, users_file=str(path))
    return WorkerPlan(listeners=(listener,))


def run(function, plan, kept):
    """Run a function with logins that have started, and the number of changes."""

    async def go():
        changes = []
        found = Logins(plan, SystemClock(), kept.log)
        found.on_change = lambda: changes.append(1)
        try:
            await found.start()
            async with asyncio.timeout(30):
                await function(found, changes)
        finally:
            await found.stop()

    asyncio.run(go())


async def verified(logins, path, user, password):
    """Return what a worker hears."""
    answer = asyncio.get_running_loop().create_future()
    logins.verify(orders.Verify(7, str(path), user, password, "192.0.2.1"), answer.set_result)
    told = await answer
    assert told.number == 7
    return told.verified


def test_workers_get_answers(tmp_path, kept):
    """Who asks is answered, under the number of the question."""
    path = tmp_path / "users"
    path.write_text(f"ann:{HASHER.hash('pw')}\n")

    async def go(logins, changes):
        assert await verified(logins, path, b"ann", b"pw") is Verified.RIGHT
        assert await verified(logins, path, b"ann", b"no") is Verified.WRONG

    run(go, plan_with(path), kept)


def test_changes_are_seen_without_an_order(tmp_path, kept, monkeypatch):
    """A file that differs is read by itself, and workers forget what they knew."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    path = tmp_path / "users"
    path.write_text("")

    async def go(logins, changes):
        before = len(changes)
        path.write_text(f"ann:{HASHER.hash('pw')}\n")
        while len(changes) == before:
            await asyncio.sleep(0.002)
        assert await verified(logins, path, b"ann", b"pw") is Verified.RIGHT

    run(go, plan_with(path), kept)


def test_another_plan(tmp_path, kept):
    """The files of a plan are read before it is served, and those that it does not name are forgotten."""
    path = tmp_path / "users"
    path.write_text(f"ann:{HASHER.hash('pw')}\n")

    async def go(logins, changes):
        assert await verified(logins, path, b"ann", b"pw") is Verified.WRONG
        await logins.replan(plan_with(path))
        assert await verified(logins, path, b"ann", b"pw") is Verified.RIGHT

    with contextlib.suppress(asyncio.CancelledError):
        run(go, plan_with(""), kept)
