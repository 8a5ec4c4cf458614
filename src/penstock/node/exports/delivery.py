"""
The life of one delivery: each interval one snapshot, later and later while it fails, and a last one at the end.

What cannot be delivered is not kept: the next snapshot holds all that it held. Whatever a receiver does, the node hears
of it by one line in the log.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from penstock.base.clock import NS, Clock
from penstock.metrics.snapshot import Snapshot
from penstock.node.log import Log

LONGEST_S = 60.0
"""Where waiting for a receiver that fails ends; that of OpenTelemetry's exporters ends at 64 s."""

SAY_NS = 300 * NS
"""A receiver that goes on failing is told of once in this time; Prometheus' alerts look back five minutes as well."""

DETAIL = 300
"""Characters of a failure that are logged: receivers choose a part of them."""


class DeliveryError(Exception):
    """A receiver did not take what it was sent. The message is one line for the log, and holds no secret."""


class Receiver(Protocol):
    """
    Who gets metrics.

    Attributes:
        kind: What it is called in the log.
        shown: Where it is, without secrets.
        patient: Whether it is left alone for longer and longer while it fails.
    """

    kind: str
    shown: str
    patient: bool

    async def deliver(self, snapshot: Snapshot) -> None:
        """Send one snapshot; raises DeliveryError if it was not taken."""

    async def close(self) -> None:
        """Let go of sockets."""


class Delivery:
    """
    Delivers to one receiver.

    Args:
        receiver: Who gets it.
        snapshot: Gives the newest snapshot.
        interval: Between two deliveries; unit s.
        clock: Gives the time.
        log: Where failures are told.
        chance: Gives a number from 0 up to 1.
        wanted: Whether deliveries are on; while they are not, none is made, and growth is told when they are again.
    """

    def __init__(
        self,
        receiver: Receiver,
        snapshot: Callable[[], Snapshot],
        interval: float,
        clock: Clock,
        log: Log,
        chance: Callable[[], float] = random.random,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._receiver, self._snapshot, self._interval = receiver, snapshot, interval
        self._clock, self._chance, self._wanted = clock, chance, wanted
        self._log = log.bind(kind=receiver.kind, to=receiver.shown)
        self._stopping = asyncio.Event()
        self._failures = 0
        self._failing_ns = self._said_ns = 0

    def stop(self) -> None:
        """Deliver once more, then return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Deliver until told to stop, and once more then. Returns or is cancelled; raises nothing."""
        try:
            loop, due = asyncio.get_running_loop(), self.pause()
            while not await self._stopped_within(due):
                began = loop.time()
                await self._deliver()
                due = max(0.0, self.pause() - (loop.time() - began))
            await self._deliver()
        finally:
            await self._receiver.close()

    def pause(self) -> float:
        """Return the time until the next delivery; unit s."""
        if not self._failures or not self._receiver.patient:
            return self._interval
        longest = max(LONGEST_S, self._interval)
        doubled = min(self._interval * 2.0 ** min(self._failures, 16), longest)
        return doubled * (0.5 + self._chance() / 2)  # so that a fleet does not come back as one

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _deliver(self) -> None:
        if not self._wanted():
            return
        try:
            await self._receiver.deliver(self._snapshot())
        except DeliveryError as error:
            self._failed(str(error))
        except Exception as error:  # a fault of ours ends one delivery, not the node
            self._failed(f"a fault of Penstock: {error!r}")
        else:
            self._worked()

    def _failed(self, detail: str) -> None:
        now = self._clock.monotonic_ns()
        if not self._failures:
            self._failing_ns = now
        if not self._failures or now - self._said_ns >= SAY_NS:
            self._said_ns = now
            self._log.warning("metrics are not taken", detail=detail[:DETAIL])
        self._failures += 1

    def _worked(self) -> None:
        if self._failures:
            seconds = (self._clock.monotonic_ns() - self._failing_ns) / NS
            self._log.info("metrics are taken again", failures=self._failures, seconds=round(seconds, 1))
        self._failures = 0
