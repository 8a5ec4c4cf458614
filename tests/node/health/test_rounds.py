"""Every key is checked at its interval, and never too many at once."""

import asyncio

from penstock.base.clock import NS, SystemClock
from penstock.node.health import rounds as room
from penstock.node.health.rounds import Rounds

MS = NS // 1_000


class Counted:
    """A check that counts how often, and how many at once."""

    def __init__(self, gate=None):
        self.calls, self.under_way, self.most = {}, 0, 0
        self.gate = gate

    async def __call__(self, key):
        """Be checked."""
        self.calls[key] = self.calls.get(key, 0) + 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
        finally:
            self.under_way -= 1


async def until(condition):
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_key_is_checked_again_and_again():
    """Until it is removed; others go on."""

    async def go():
        check = Counted()
        rounds = Rounds(check, SystemClock())
        rounds.add("a", 5 * MS)
        rounds.add("b", 5 * MS, 1)
        await until(lambda: min(check.calls.get("a", 0), check.calls.get("b", 0)) >= 3)
        rounds.remove("a")
        seen = check.calls["a"], check.calls["b"]
        await until(lambda: check.calls["b"] >= seen[1] + 3)
        assert check.calls["a"] <= seen[0] + 1
        await rounds.stop()

    asyncio.run(go())


def test_too_many_wait_for_each_other(monkeypatch):
    """No more than the bound are under way, and all get their turn."""
    monkeypatch.setattr(room, "CHECKS", 3)
    monkeypatch.setattr(room, "FIRST_NS", 0)

    async def go():
        check = Counted(asyncio.Event())
        rounds = Rounds(check, SystemClock())
        for key in range(20):
            rounds.add(key, 60 * NS, key)
        await until(lambda: check.under_way == 3)
        check.gate.set()
        await until(lambda: len(check.calls) == 20)
        assert check.most == 3
        await rounds.stop()

    asyncio.run(go())


def test_a_stop_ends_what_is_under_way():
    """Nothing is left running, and nothing begins any more."""

    async def go():
        check = Counted(asyncio.Event())
        rounds = Rounds(check, SystemClock())
        for key in range(3):
            rounds.add(key, 5 * MS)
        await until(lambda: check.under_way == 3)
        await rounds.stop()
        assert check.under_way == 0
        seen = dict(check.calls)
        await asyncio.sleep(0)
        assert check.calls == seen
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(go())


def test_an_interval_has_jitter():
    """Chance makes it a tenth shorter or longer: what begins together comes apart."""

    class Clock:
        now = 0

        def monotonic_ns(self):
            return self.now

    async def go(chance):
        clock, planned = Clock(), []
        rounds = Rounds(Counted(), clock, lambda: chance)
        rounds.add("a", 100 * NS)
        plan = rounds._plan
        rounds._plan = lambda key, wait: (planned.append(wait), plan(key, wait))
        await until(lambda: planned)
        await rounds.stop()
        return planned[0]

    assert [asyncio.run(go(chance)) for chance in (0, 0.5, 1)] == [90 * NS, 100 * NS, 110 * NS]


def test_a_key_that_is_added_again_has_one_round():
    """Another interval replaces the first one."""

    async def go():
        check = Counted(asyncio.Event())
        rounds = Rounds(check, SystemClock())
        for _ in range(5):
            rounds.add("a", 60 * NS, 1_000)
        rounds.add("a", 60 * NS)
        await until(lambda: check.calls)
        assert check.calls == {"a": 1}
        await rounds.stop()

    asyncio.run(go())
