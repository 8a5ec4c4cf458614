"""When each target is checked: again and again, never all at once, never too many under way."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from penstock.base.clock import NS, Clock

CHECKS = 256
"""Checks under way at once: more would be late rather than take all descriptors of the supervisor. A check of a target
that is well takes milliseconds, so thousands a second pass."""

FIRST_NS = 2_000_000
"""Between the first checks of two targets: 500 in the first second."""

JITTER = 0.1
"""Part of an interval by which it is longer or shorter; HAProxy's spread-checks recommends 2 to 5 percent, Envoy has
an interval_jitter. What begins together comes apart."""

Key = TypeVar("Key", bound=Hashable)


class Rounds(Generic[Key]):
    """
    Calls a check for each key at its interval.

    Args:
        check: Called with the key; must not raise.
        clock: Gives the time.
        chance: Returns a number from 0 to 1.
    """

    def __init__(
        self, check: Callable[[Key], Awaitable[None]], clock: Clock, chance: Callable[[], float] = random.random
    ) -> None:
        self._check, self._clock, self._chance = check, clock, chance
        self._intervals: dict[Key, int] = {}
        self._serials: dict[Key, int] = {}
        self._due: list[tuple[int, int, Key]] = []
        self._serial = 0
        self._running: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    def add(self, key: Key, interval: int, place: int = 0) -> None:
        """
        Check a key from now on; one that is there already is checked anew.

        Args:
            interval: Unit ns.
            place: Among those that are added at once: each is first checked a little after the one before.
        """
        self._intervals[key] = interval
        self._plan(key, min(interval, place * FIRST_NS))

    def remove(self, key: Key) -> None:
        """Check a key no more; a check that is under way ends by itself."""
        self._intervals.pop(key, None)
        self._serials.pop(key, None)

    async def stop(self) -> None:
        """End all checks."""
        self._intervals.clear()
        self._serials.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _plan(self, key: Key, wait: int) -> None:
        self._serial += 1
        self._serials[key] = self._serial
        heappush(self._due, (self._clock.monotonic_ns() + wait, self._serial, key))
        self._pump()

    def _pump(self) -> None:
        """Begin what is due, and wake up for the next."""
        now = self._clock.monotonic_ns()
        while self._due and len(self._running) < CHECKS:
            when, serial, key = self._due[0]
            if self._serials.get(key) != serial:  # removed, or planned anew
                heappop(self._due)
                continue
            if when > now:
                self._wake_in(when - now)
                return
            heappop(self._due)
            task = asyncio.get_running_loop().create_task(self._run(key, serial))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _wake_in(self, wait: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(wait / NS, self._pump)

    async def _run(self, key: Key, serial: int) -> None:
        began = self._clock.monotonic_ns()
        await self._check(key)
        if self._serials.get(key) == serial:
            interval = self._intervals[key] * (1 + JITTER * (2 * self._chance() - 1))
            self._plan(key, max(0, round(began + interval) - self._clock.monotonic_ns()))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._pump()
