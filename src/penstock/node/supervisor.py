"""
The supervisor: binds, starts the workers, ticks once a second, opens the doors, and sees everything out in order.

Start: descriptors, listeners and admin port bound (whatever is in use fails here), what was kept restored, workers
ready, doors open.
End: no longer ready, workers drain, a last tick, the last numbers kept, doors closed. The doors stay open while workers
drain, so that an operator sees how many connections are left.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import penstock
from penstock.base.addresses import Endpoint
from penstock.base.clock import NS, Clock, SystemClock
from penstock.base.errors import StartError
from penstock.config.changes import Section
from penstock.config.changes import Written as Table
from penstock.config.difference import Change
from penstock.config.layered import WrittenView
from penstock.config.plan import MetricsPlan, NodePlan
from penstock.metrics.audit import AuditView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import Collection
from penstock.metrics.live import SERIAL_BITS
from penstock.metrics.registry import Registry
from penstock.metrics.snapshot import Snapshot, TargetView, conditioned
from penstock.metrics.view import HistoryView
from penstock.node.access import try_access_log
from penstock.node.auditor import Auditor
from penstock.node.bans.desk import Desk
from penstock.node.bans.names import follow
from penstock.node.bans.opened import count_open
from penstock.node.certificates import Certificates, make_ready
from penstock.node.crew import Crew
from penstock.node.descriptors import raise_limit, shortage
from penstock.node.door import Door
from penstock.node.exports.exports import Exports
from penstock.node.health.health import Health
from penstock.node.keeper import Keeper
from penstock.node.limits import Limits
from penstock.node.log import Log, make_log
from penstock.node.processes import COMMAND, Outfit
from penstock.node.reload import Base, DrainView, Reloads, ReloadView, Source, Supply, bound
from penstock.node.sampler import Sampler
from penstock.node.sockets import OpenListener, UnixSocket, endpoint_of, open_admin, open_listeners
from penstock.node.summaries import Summaries
from penstock.policy.ban import parse_network
from penstock.policy.health import TargetOrder

SHORTEST_TICK_NS = NS // 10
"""A timer may wake a moment before the second that it was set to; the tick then belongs to the next one."""


class Addresses(NamedTuple):
    """
    Where a running node is reached.

    Args:
        listeners: Real address of each listener by name.
        admin: The admin door's; None for none.
        socket_path: The command line's Unix socket; empty for none.
    """

    listeners: Mapping[str, Endpoint]
    admin: Endpoint | None
    socket_path: str


class Supervisor:
    """
    One node. It is what `node.admin` calls a Node.

    Args:
        plan: All that it is told.
        log: Where it says what happens; None for standard error as the plan says.
        clock: Gives the time.
        command: What starts a worker process, after the interpreter.
        source: Reads the configuration again for a reload; None for a node that has none.
        base: What the plan was made of, for changes at runtime; None for a node whose tables stay.
    """

    def __init__(
        self,
        plan: NodePlan,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
        command: tuple[str, ...] = COMMAND,
        source: Source | None = None,
        base: Base | None = None,
    ) -> None:
        self.plan = plan
        self._log = log or make_log(plan.log_level, plan.log_format)
        self._clock = clock or SystemClock()
        self._command = command
        self._summaries = Summaries(self._log)
        self._keeper = Keeper(plan, self._log, self._clock)
        self._resources = ExitStack()
        self._reloads = Reloads(self, plan, source, self._log, base)
        self.listeners: tuple[OpenListener, ...] = ()
        self._door: Door | None = None
        self._exports: Exports | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._audits: asyncio.Task[None] | None = None
        self._names: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._started, self._done = asyncio.Event(), asyncio.Event()
        self._addresses: Addresses | None = None
        self._cut_ns: int | None = None
        self._sampler: Sampler
        self._crew: Crew
        self._auditor: Auditor
        self._health: Health
        self._desk: Desk
        self._limits: Limits
        self._certificates: Certificates

    # What the doors ask ----------------------------------------------------------------------------------------------

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
        return self._sampler.snapshot

    async def audit(self) -> AuditView:
        """Compare open connections with the kernel, and return the whole sheet."""
        return await self._auditor.ask()

    async def kept_graph(self, scope: str, seconds: int) -> HistoryView | None:
        """Return a graph from the store; see `admin.Node`."""
        return await self._keeper.graph(scope, seconds)

    async def close_connection(self, number: int) -> bool:
        """End the connection with this id; returns whether there was one."""
        generation, serial = number >> SERIAL_BITS, number & (1 << SERIAL_BITS) - 1
        return await self._crew.close_connection(generation, serial)

    def switch(self, wanted: Mapping[str, bool]) -> Collection:
        """Switch parts of the collection, and return what is on; raises CollectionError as `Registry.switch` does."""
        for part, on in self._sampler.switch(wanted).items():
            self._log.warning("collection switched", part=part, to="on" if on else "off")
        return self._sampler.registry.collection

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

    def refuses_reload(self) -> str:
        """Return why the node cannot be reloaded now; empty if it can."""
        return "" if self._sampler.state == "serving" else f"the node is {self._sampler.state}: it cannot be reloaded"

    async def take(self, plan: NodePlan, supply: Supply) -> list[str]:
        """Serve another plan; see `reload.Served`. What it names is counted under its name before anybody serves it."""
        self.plan = bound(plan, supply.listeners, self.plan.admin)
        self._health.replan(self.plan.worker)
        self._desk.replan(self.plan)
        self._desk.take_lists(await asyncio.to_thread(self._desk.write_lists))
        self._certificates.replan(self.plan)
        before, self.listeners = self.listeners, supply.listeners
        self._sampler.registry.replan(self.plan)
        self._auditor.replan(self.plan.worker.listeners)
        self._addresses = self.addresses._replace(listeners=_endpoints(self.plan))
        served = {each.plan.name: str(each.plan) for each in before}
        for each in self.plan.worker.listeners:
            if served.get(each.name) != str(each):
                self._log.info("listening", listener=each.name, protocol=each.protocol, address=str(each))
        refused = await self._crew.reload(self._outfit(), supply.new)
        for gone in supply.gone:
            gone.close()
        await self._look_at_certificates()
        return refused

    async def _look_at_certificates(self) -> None:
        self._sampler.registry.certificates = await asyncio.to_thread(self._certificates.views)

    def read_files(self, plan: NodePlan) -> None:
        """Read the files that a plan names and only the supervisor needs; raises ConfigurationError. Blocks."""
        self._desk.read_lists(plan)

    @property
    def desk(self) -> Desk:
        """Return who bans."""
        return self._desk

    def cut(self, network: str) -> int:
        """End open connections of a network's clients, and return how many there were at the last look."""
        found = parse_network(network)
        self._crew.cut(found.ranges)
        return sum(count_open(reader, found) for reader in self._sampler.readers())

    def monotonic_ns(self) -> int:
        """Return the time; unit ns."""
        return self._clock.monotonic_ns()

    def targets(self) -> tuple[TargetView, ...]:
        """Return how each target is now, and its totals of the last tick."""
        now = self._health.conditions
        return tuple(conditioned(each, now[each.id]) if each.id in now else each for each in self.snapshot().targets)

    def certificates(self) -> tuple[CertificateView, ...]:
        """Return how each certificate is; reads files."""
        return self._certificates.views()

    def order_target(self, route: str, address: str, order: TargetOrder | None, weight: int | None) -> tuple[int, ...]:
        """Do what an operator wants of a target, and return its ids; see `Health.order`."""
        return self._health.order(route, address, order, weight)

    def reopen(self) -> bool:
        """Go on in new files where logs were renamed; returns whether there is a file."""
        access = self.plan.worker.access
        if access.format == "off" or not self._started.is_set():
            return False
        self._crew.reopen()
        self._log.info("access log reopened", file=access.file)
        return True

    async def drain(self) -> None:
        """Begin to drain, and return at once; a second call changes nothing."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._drain())

    def drained(self) -> DrainView:
        """Return how far a drain is."""
        left = None if self._cut_ns is None else max(0, self._cut_ns - self._clock.monotonic_ns()) / NS
        return DrainView(self._sampler.state, self.snapshot().totals.active, left)

    def ready(self) -> tuple[bool, str]:
        """Return whether new connections are served, and why not."""
        state = self._sampler.state
        if state != "serving":
            return False, f"the node is {state}"
        return (True, "") if self._crew.serves else (False, "no worker accepts")

    # Beginning -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """
        Bind, start the workers, open the doors.

        Raises:
            StartError: With one line for the operator; nothing is left running or bound.
        """
        try:
            await self._start()
        except BaseException:
            if self._ending is not None:
                self._ending.cancel()
            await self._close()
            raise
        self._ticker = asyncio.create_task(self._tick_every_second())
        self._audits = asyncio.create_task(self._auditor.ask_every_minute())
        self._names = asyncio.create_task(follow(self._desk))
        self._sampler.state = "serving"
        self._tick()
        if self._exports is not None:
            self._exports.start()
        self._keeper.run()
        self._say_ready()
        self._certificates.start()
        self._started.set()

    async def _start(self) -> None:
        limit = raise_limit()
        try_access_log(self.plan.worker.access)
        await asyncio.to_thread(make_ready, self.plan.acme, self._clock.wall_ns() // NS)
        self.listeners = open_listeners(self.plan.worker.listeners, self.plan.workers)
        self._resources.callback(self._close_listeners)
        admin, local = self._open_door_sockets()
        await self._keeper.open()
        self._settle(admin)
        await self._keeper.restore(self._sampler.registry)
        await asyncio.to_thread(self.read_files, self.plan)
        self._desk.take_lists(await asyncio.to_thread(self._desk.write_lists))
        self._sampler.tick()  # whoever scrapes first sees what was restored
        self._exports = Exports(self.plan, self.snapshot, self._clock, self._log)  # and none of it is growth
        if warning := shortage(self.plan.worker, limit):
            self._log.warning("too few file descriptors", detail=warning)
        await self._crew.start()
        await self._look_at_certificates()
        self._health.start()
        self._door = Door(self, admin, None if local is None else local.socket)
        await self._door.start()

    def _open_door_sockets(self) -> tuple[socket.socket | None, UnixSocket | None]:
        admin = None
        if self.plan.admin is not None:
            admin = open_admin(*self.plan.admin)
            self._resources.callback(admin.close)
        if not self.plan.socket_path:
            return admin, None
        path = Path(self.plan.socket_path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"command socket: {path.parent} cannot be made: {error.strerror}") from error
        local = UnixSocket(str(path), "command socket", 0o600)
        self._resources.callback(local.close)
        return admin, local

    def _close_listeners(self) -> None:
        for each in self.listeners:
            each.close()

    def _settle(self, admin: socket.socket | None) -> None:
        """Put the real addresses into the plan, and build what depends on them."""
        door = None if admin is None else endpoint_of(admin)
        self.plan = bound(self.plan, self.listeners, door)
        registry = Registry(self.plan, self._clock.monotonic_ns())
        self._limits = Limits(self.plan.workers)
        self._resources.callback(self._limits.close)
        self._sampler = Sampler(self._clock, registry)
        self._auditor = Auditor(self._sampler, self.plan.worker.listeners, self._clock, self._log)
        self._health = Health(self.plan.worker, self._clock, self._log)
        registry.conditions = self._health.conditions
        deploy = self._reloads.refresh
        self._certificates = Certificates(self.plan, self._clock, self._log, self._health.board, deploy)
        self._desk = Desk(self.plan, self._clock, self._log)
        self._resources.callback(self._desk.close)
        self._sampler.watch = self._desk.look
        self._keeper.entries = self._desk.drawer
        self._crew = Crew(
            self._outfit(),
            self.plan.workers,
            self._sampler,
            self._clock,
            self._log,
            on_burial=self._limits.forget,
            on_respawn=registry.respawned,
            on_failure=self._health.failed,
        )
        self._desk.hand, self._desk.keep = self._crew.hand_bans, self._keeper.keep_entries
        self._addresses = Addresses(
            listeners=_endpoints(self.plan),
            admin=Endpoint(*door) if door else None,
            socket_path=self.plan.socket_path,
        )

    def _outfit(self) -> Outfit:
        limits, bans = self._limits.fd, self._desk.fds
        return Outfit(self.plan.worker, self.listeners, self._command, self._health.board, limits, bans)

    def _say_ready(self) -> None:
        addresses = self.addresses
        for notice in self.plan.notices:
            self._log.warning("older configuration", detail=notice)
        for plan in self.plan.worker.listeners:
            self._log.info("listening", listener=plan.name, protocol=plan.protocol, address=str(plan))
        self._log.info(
            "node ready",
            node=self.plan.name,
            version=penstock.__version__,
            workers=self.plan.workers,
            admin=str(addresses.admin or "off"),
            socket=addresses.socket_path or "off",
        )

    # Each second -----------------------------------------------------------------------------------------------------

    async def _tick_every_second(self) -> None:
        while True:
            await asyncio.sleep(until_tick(self._clock.wall_ns()) / NS)
            self._tick()

    def _tick(self, *, last: bool = False) -> None:
        try:
            snapshot = self._sampler.tick(last=last)
            self._sampler.registry.banned = self._desk.tick()
        except Exception as error:  # numbers that stand still are better than a proxy that does
            self._log.error("tick failed", detail=repr(error))
            return
        now = self._clock.monotonic_ns()
        self._summaries.tell(snapshot.troubles, self._sampler.offences, now)
        if last:
            self._summaries.flush(now)
        self._auditor.tell(snapshot.audit)
        if self._ending is not None and (left := snapshot.totals.active):
            self._log.info(f"drain: {left} {'connection' if left == 1 else 'connections'} left")

    # Ending ----------------------------------------------------------------------------------------------------------

    async def wait(self) -> None:
        """Return when everything has ended."""
        await self._done.wait()

    async def stop(self) -> None:
        """End every connection now, and return when everything has ended. A drain under way is cut short."""
        if not self._started.is_set():
            return
        if self._ending is None:
            self._ending = asyncio.create_task(self._finish())
        else:
            await self._crew.stop()
        await self._done.wait()

    async def _drain(self) -> None:
        await self._started.wait()
        seconds = self.plan.worker.timeouts.drain
        self._sampler.state = "draining"
        self._tick()
        self._log.info("draining", connections=self.snapshot().totals.active, at_most=f"{seconds / NS:g}s")
        self._cut_ns = self._clock.monotonic_ns() + seconds
        await self._crew.drain(self._cut_ns)
        await self._finish()

    async def _finish(self) -> None:
        self._sampler.state = "draining"
        try:
            await self._close()
        except Exception as error:  # whoever waits for the end must not wait for ever
            self._log.error("not everything ended well", detail=repr(error))
        finally:
            self._done.set()
        totals = self.snapshot().totals
        self._log.info(
            "node ended", connections=totals.connections, bytes_in=totals.bytes_in, bytes_out=totals.bytes_out
        )

    async def _close(self) -> None:
        """Let go of everything, in any state that `start` may have been left in."""
        if self._addresses is not None:
            await self._certificates.stop()
            await self._crew.stop()
        for task in (self._audits, self._names):
            if task is not None:
                task.cancel()
        if self._ticker is not None:
            self._ticker.cancel()
            self._tick(last=True)  # all that the workers left is in it
            if self._exports is not None:
                await self._exports.stop()
        await self._keeper.close()
        if self._door is not None:
            await self._door.stop()
        if self._addresses is not None:
            await self._health.stop()
        self._resources.close()


def _endpoints(plan: NodePlan) -> Mapping[str, Endpoint]:
    return MappingProxyType({each.name: Endpoint(each.host, each.port) for each in plan.worker.listeners})


def until_tick(wall_ns: int) -> int:
    """Return the time from now until the tick, which comes with each wall second; unit ns."""
    left = NS - wall_ns % NS
    return left if left >= SHORTEST_TICK_NS else left + NS
