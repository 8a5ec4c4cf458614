"""
What the doors ask of a node while it runs: numbers, and orders that neither begin nor end it.

`node/supervisor.py` begins and ends a node; between the two it answers with what it has put together.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain

from penstock.base.clock import NS, Clock
from penstock.config.changes import Section
from penstock.config.changes import Written as Table
from penstock.config.difference import Change
from penstock.config.layered import WrittenView
from penstock.config.plan import MetricsPlan, NodePlan
from penstock.metrics.audit import AuditView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import Collection
from penstock.metrics.composing import conditioned
from penstock.metrics.live import SERIAL_BITS
from penstock.metrics.snapshot import Snapshot, TargetView
from penstock.metrics.view import HistoryView
from penstock.node.bans.desk import Desk
from penstock.node.draining import Progress
from penstock.node.elder import Elders
from penstock.node.household import Household
from penstock.node.keeper import Keeper
from penstock.node.limits import LimitsView
from penstock.node.log import Log
from penstock.node.origin import Addresses
from penstock.node.reload import DrainView, Reloads, ReloadView
from penstock.node.upgrade import Upgrades, UpgradeView
from penstock.policy.health import TargetOrder


class Answers:
    """
    Most of what `node.admin` calls a Node.

    Attributes:
        plan: All that the node was told.
    """

    plan: NodePlan
    _log: Log
    _clock: Clock
    _keeper: Keeper
    _reloads: Reloads
    _upgrades: Upgrades
    _house: Household
    _elders: Elders | None
    _progress: Progress
    _addresses: Addresses | None
    _cut_ns: int | None
    _started: asyncio.Event

    @property
    def addresses(self) -> Addresses:
        """Return where the node is reached; valid once `start` has returned."""
        if self._addresses is None:
            raise RuntimeError("the node has not started")
        return self._addresses

    @property
    def admin_token(self) -> str | None:
        """Return the token that is demanded on TCP; None for none."""
        return self.plan.admin_token

    @property
    def metrics(self) -> MetricsPlan:
        """Return what is measured, and what of it is shown."""
        return self.plan.metrics

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot; valid once `start` has returned."""
        return self._house.sampler.snapshot

    async def audit(self) -> AuditView:
        """Compare open connections with the kernel, and return the whole sheet."""
        return await self._house.auditor.ask()

    async def kept_graph(self, scope: str, seconds: int) -> HistoryView | None:
        """Return a graph from the store; see `admin.Node`."""
        return await self._keeper.graph(scope, seconds)

    async def close_connection(self, number: int) -> bool:
        """End the connection with this id; returns whether there was one."""
        generation, serial = number >> SERIAL_BITS, number & (1 << SERIAL_BITS) - 1
        if await self._house.crew.close_connection(generation, serial):
            return True
        return self._elders is not None and await self._elders.close_connection(generation, serial)

    def switch(self, wanted: Mapping[str, bool]) -> Collection:
        """Switch parts of the collection, and return what is on; raises CollectionError as `Registry.switch` does."""
        for part, on in self._house.sampler.switch(wanted).items():
            self._log.warning("collection switched", part=part, to="on" if on else "off")
        return self._house.registry.collection

    async def reload(self, *, dry_run: bool = False) -> ReloadView:
        """Read the configuration again and serve it; see `Reloads.reload`."""
        return await self._reloads.reload(dry_run=dry_run)

    async def change(self, section: Section, name: str, table: Table | None, *, dry_run: bool = False) -> ReloadView:
        """Serve another listener or route until a reload; see `Reloads.change`."""
        return await self._reloads.change(section, name, table, dry_run=dry_run)

    def tables(self, section: Section) -> Sequence[WrittenView]:
        """Return every listener or route as it is written; raises ReloadError where nobody knows."""
        return self._reloads.tables(section)

    def changed(self) -> tuple[Change, ...]:
        """Return what was changed at runtime."""
        return self._reloads.changed()

    async def upgrade(self) -> UpgradeView:
        """Let a new process of the program take over; see `Upgrades.upgrade`."""
        return await self._upgrades.upgrade()

    @property
    def desk(self) -> Desk:
        """Return who bans."""
        return self._house.desk

    def targets(self) -> tuple[TargetView, ...]:
        """Return how each target is now, and its totals of the last tick."""
        now = self._house.health.conditions
        return tuple(conditioned(each, now[each.id]) if each.id in now else each for each in self.snapshot().targets)

    def limits(self) -> LimitsView:
        """Return all limits, and how much of each is used."""
        known = self.snapshot().kinds.get("user")
        seen = () if known is None else (str(key) for key in known.keys if key is not None)
        return self._house.limits.view(
            self.plan.worker, self._clock.monotonic_ns(), chain(seen, self._house.logins.names())
        )

    def certificates(self) -> tuple[CertificateView, ...]:
        """Return how each certificate is; reads files."""
        return self._house.certificates.views()

    def order_target(self, route: str, address: str, order: TargetOrder | None, weight: int | None) -> tuple[int, ...]:
        """Do what an operator wants of a target, and return its ids; see `Health.order`."""
        return self._house.health.order(route, address, order, weight)

    def reopen(self) -> bool:
        """Go on in new files where logs were renamed; returns whether there is a file."""
        access = self.plan.worker.access
        if access.format == "off" or not self._started.is_set():
            return False
        self._house.crew.reopen()
        self._log.info("access log reopened", file=access.file)
        return True

    def drained(self) -> DrainView:
        """Return how far a drain is."""
        left = None if self._cut_ns is None else max(0, self._cut_ns - self._clock.monotonic_ns()) / NS
        return DrainView(self._house.sampler.state, self.snapshot().totals.active, left, self._progress.began_with)

    def ready(self) -> tuple[bool, str]:
        """Return whether new connections are served, and why not."""
        state = self._house.sampler.state
        if state != "serving":
            return False, f"the node is {state}"
        return (True, "") if self._house.crew.serves else (False, "no worker accepts")
