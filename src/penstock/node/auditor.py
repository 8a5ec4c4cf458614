"""Runs the audit: asks the kernel every minute and on demand, and tells the operator what does not add up."""

import asyncio

from penstock.base.clock import NS, Clock
from penstock.config.plan import ListenerPlan
from penstock.metrics.audit import AuditView, sheet
from penstock.metrics.live import rfc3339
from penstock.metrics.registry import Registry
from penstock.node.log import Log
from penstock.node.sampler import Sampler
from penstock.node.witness import Witness

EVERY_SECONDS = 60.0
"""Between two questions to the kernel; 10,000 connections take 60 ms of a core, 0.1 % of it."""

TOLD_NS = 60 * NS
"""A residual is told once in this time: it stays until the node is restarted, and one line is enough to look."""

NAMED = 5
"""Connections that a line names."""


class Auditor:
    """
    Asks and tells.

    Args:
        sampler: Reads the ledgers.
        listeners: With the ports that they are bound to.
        clock: Gives the time.
        log: Where to tell.
    """

    def __init__(self, sampler: Sampler, listeners: tuple[ListenerPlan, ...], clock: Clock, log: Log) -> None:
        self._sampler, self._clock, self._log = sampler, clock, log
        self._plans = {each.id: each for each in listeners}
        self._witness = Witness(listeners)
        self._running: asyncio.Task[None] | None = None
        self._told_ns: int | None = None
        self._refusal = ""

    def replan(self, listeners: tuple[ListenerPlan, ...]) -> None:
        """Look at these listeners from now on, and at those that went for as long as they have connections."""
        now = {each.id: each for each in listeners}
        counts = self._registry.listeners
        self._plans = {number: each for number, each in self._plans.items() if counts.of(number).active} | now
        self._witness = Witness(tuple(self._plans.values()))

    @property
    def _registry(self) -> Registry:
        return self._sampler.registry

    async def ask(self) -> AuditView:
        """Ask the kernel now and return the sheet; who comes while it is asked gets the same answer."""
        if self._running is None:
            self._running = asyncio.create_task(self._ask())
        await asyncio.shield(self._running)
        snapshot = self._sampler.snapshot
        return sheet(self._registry.audited, self._registry.witnessed, snapshot.taken_at)

    async def _ask(self) -> None:
        try:
            readers, now = self._sampler.readers(), rfc3339(self._clock.wall_ns())
            found = await asyncio.to_thread(self._witness.look, readers, now)
        finally:
            self._running = None
        self._registry.witnessed = found
        if found.refusal != self._refusal:
            self._refusal = found.refusal
            if found.refusal:
                self._log.warning("the kernel is no witness of what is counted", detail=found.refusal)

    async def ask_every_minute(self) -> None:
        """Ask, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.ask()
            except Exception as error:  # the next minute is another try
                self._log.error("audit failed", detail=repr(error))

    def tell(self, audit: AuditView) -> None:
        """Log what does not add up, once a minute."""
        if audit.exact:
            return
        now = self._clock.monotonic_ns()
        if self._told_ns is not None and now - self._told_ns < TOLD_NS:
            return
        self._told_ns = now
        away = {f"{line.dimension}_{line.quantity}": line.sum - line.total for line in audit.lines if line.residual}
        suspects = audit.kernel.suspects[:NAMED]
        self._log.error("counts do not add up", **away, **({"connections": list(suspects)} if suspects else {}))
