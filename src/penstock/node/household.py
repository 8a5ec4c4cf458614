"""
What a node consists of between its sockets and its doors: which parts there are, and what they know of each other.

`node/supervisor.py` says when they begin, tick and end; nobody else introduces them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

from msgspec.structs import replace

from penstock.base.clock import Clock
from penstock.config.plan import NodePlan, WorkerPlan
from penstock.metrics.keys import NOT_KEYS
from penstock.metrics.kinds import USER
from penstock.metrics.registry import Registry
from penstock.metrics.snapshot import Snapshot
from penstock.node.auditor import Auditor
from penstock.node.bans.desk import Desk
from penstock.node.bans.wiring import connect
from penstock.node.certificates import Certificates
from penstock.node.crew import Crew
from penstock.node.handover import Will
from penstock.node.health.health import Health
from penstock.node.keeper import Drawers, Keeper
from penstock.node.limits import Limits
from penstock.node.log import Log
from penstock.node.processes import Outfit
from penstock.node.quotas import Quotas
from penstock.node.sampler import Sampler
from penstock.node.sockets import OpenListener
from penstock.node.users.logins import Logins


class Household:
    """
    The parts of one node. Made once the real addresses are known.

    Args:
        plan: All that the node is told.
        listeners: What it listens on.
        keeper: Of its store.
        clock: Gives the time.
        log: Where it says what happens.
        command: What starts a worker process, after the interpreter.
        deploy: Serves certificates that are new.
        resources: Closes what is made here.
        will: What the process that it succeeds has said first; None for none.
        table: Descriptor of that one's limit table; None for none.

    Attributes:
        limits: What all workers count together.
        sampler: Reads what they write.
        registry: Keeps the totals.
        auditor: Compares them with the kernel's.
        health: Knows how targets are.
        certificates: Renews them.
        desk: Bans.
        logins: Verifies them.
        crew: The workers.
        quotas: Counts months.
    """

    def __init__(
        self,
        plan: NodePlan,
        listeners: Sequence[OpenListener],
        keeper: Keeper,
        *,
        clock: Clock,
        log: Log,
        command: tuple[str, ...],
        deploy: Callable[[], Awaitable[None]],
        resources: ExitStack,
        will: Will | None,
        table: int | None,
    ) -> None:
        worker = plan.worker
        self._clock, self._command = clock, command
        self.limits = Limits(plan.workers, table, None if will is None else will.seats)
        resources.callback(self.limits.close)
        if self.limits.anew:
            log.warning("upgrade: limits count anew", why=self.limits.anew)
        self.registry = _registry(plan, will, clock)
        self.sampler = Sampler(clock, self.registry)
        self.auditor = Auditor(self.sampler, worker.listeners, clock, log)
        self.health = Health(worker, clock, log)
        self.registry.conditions = self.health.conditions
        if will is not None:
            self.health.recall(will.targets, counts=False)
        self.certificates = Certificates(plan, clock, log, self.health.board, deploy)
        self.desk = Desk(plan, clock, log)
        resources.callback(self.desk.close)
        self.logins = Logins(worker, clock, log)
        self.logins.on_change = self._users_changed
        self.crew = Crew(
            self._outfit(worker, listeners),
            plan.workers,
            self.sampler,
            clock,
            log,
            on_burial=self.limits.forget,
            on_respawn=self.registry.respawned,
            on_failure=self.health.failed,
            generation=0 if will is None else will.generation,
            on_login=self.logins.verify,
        )
        connect(self.desk, self.crew, self.sampler, self.limits, keeper)
        self.quotas = Quotas(worker, clock, log)
        keeper.entries = Drawers((self.desk.drawer, self.quotas))
        self.limits.quotas = self.quotas
        self.registry.kinds.meter(self.quotas or None)

    def _outfit(self, plan: WorkerPlan, listeners: Sequence[OpenListener]) -> Outfit:
        return Outfit(plan, tuple(listeners), self._command, self.health.board, self.limits.seats, self.desk.fds)

    def _users_changed(self) -> None:
        self.registry.users_file_errors = self.logins.failures
        self.crew.forget_logins()

    # Another plan ----------------------------------------------------------------------------------------------------

    async def replan(self, plan: NodePlan) -> None:
        """Go by another plan, but for the workers: what it names is counted under its name before anybody serves it."""
        self.health.replan(plan.worker)
        self.desk.replan(plan)
        self.quotas.replan(plan.worker)
        self.registry.kinds.meter(self.quotas or None)
        await self.hand_lists()
        self.certificates.replan(plan)
        self.registry.replan(plan)
        self.auditor.replan(plan.worker.listeners)

    async def equip(
        self, plan: WorkerPlan, listeners: Sequence[OpenListener], new: Sequence[OpenListener]
    ) -> list[str]:
        """Let the workers serve another plan, and return why some did not; see `Crew.reload`."""
        await self.logins.replan(plan)
        return await self.crew.reload(self._outfit(plan, listeners), new)

    async def hand_lists(self) -> None:
        """Let the workers look into the newest block lists."""
        self.desk.take_lists(await asyncio.to_thread(self.desk.write_lists))

    async def look_at_certificates(self) -> None:
        """Publish how the certificates are."""
        self.registry.certificates = await asyncio.to_thread(self.certificates.views)

    # Its life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start what serves; raises StartError where a worker cannot."""
        await self.logins.start()
        await self.crew.start()
        await self.look_at_certificates()
        self.health.start()

    def tick(self, plan: WorkerPlan, *, last: bool, steady: bool) -> Snapshot:
        """
        Do what each second asks for, and return its snapshot.

        Args:
            plan: What the workers are told.
            last: Whether nothing will be counted after it.
            steady: Whether nobody is about to change the plan.
        """
        snapshot = self.sampler.tick(last=last)
        self.registry.banned = self.desk.tick()
        self.crew.catch_up()
        self.quotas.tick(self.crew.tell_spent)
        named = (each.name for each in snapshot.labelled.get(USER, ()) if each.name not in NOT_KEYS)
        self.registry.quotas = self.quotas.figures(named)
        if steady and self.limits.settle(plan, self._clock.monotonic_ns()):
            self.crew.sum_up(self.limits.seats)
        return snapshot

    def elder_left(self, generation: int) -> None:
        """Count for the last time what a worker of a process that we succeeded has counted."""
        self.limits.left(generation)
        self.sampler.detach(generation)


def _registry(plan: NodePlan, will: Will | None, clock: Clock) -> Registry:
    """Return what keeps the totals; under the names of the process before, until those of now are added."""
    if will is None:
        return Registry(plan, clock.monotonic_ns())
    registry = Registry(replace(plan, worker=will.plan.worker), clock.monotonic_ns())
    registry.replan(plan)
    return registry
