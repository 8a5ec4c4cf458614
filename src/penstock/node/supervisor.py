"""
The supervisor: binds, starts the workers, ticks once a second, opens the doors, and sees everything out in order.

Start: descriptors, listeners and admin port bound (whatever is in use fails here), what was kept restored, workers
ready, doors open.
End: no longer ready, workers drain, a last tick, the last numbers kept, doors closed. The doors stay open while workers
drain, so that an operator sees how many connections are left.
"""

import asyncio
import socket
from contextlib import ExitStack

from penstock.base.addresses import Endpoint
from penstock.base.clock import NS, Clock, SystemClock
from penstock.config.plan import NodePlan
from penstock.metrics.parts import Kept
from penstock.node.access import try_access_log
from penstock.node.answers import Answers
from penstock.node.bans.names import follow
from penstock.node.certificates import make_ready
from penstock.node.crew import STOP_SECONDS
from penstock.node.descriptors import raise_limit, shortage
from penstock.node.door import Door
from penstock.node.draining import Progress
from penstock.node.elder import Elder, Elders, adopted
from penstock.node.estate import estate_of
from penstock.node.exports.exports import Exports
from penstock.node.handover import Channel, Handed, Taken, Will, numbers_from, saved_numbers
from penstock.node.heir import Heir
from penstock.node.household import Household
from penstock.node.inherited import Inherited
from penstock.node.keeper import Keeper
from penstock.node.log import Log, make_log
from penstock.node.origin import Addresses, Origin, endpoints, say_ready
from penstock.node.processes import COMMAND
from penstock.node.reload import Base, Reloads, Source, Supply, bound
from penstock.node.sockets import OpenListener, UnixSocket, endpoint_of, open_doors, open_listeners
from penstock.node.summaries import Summaries
from penstock.node.upgrade import Estate, Upgrades, listening_sockets
from penstock.store.tables import Page

SHORTEST_TICK_NS = NS // 10
"""A timer may wake a moment before the second that it was set to; the tick then belongs to the next one."""


class Supervisor(Answers):
    """
    One node. With what it answers it is what `node.admin` calls a Node.

    Args:
        plan: All that it is told.
        log: Where it says what happens; None for standard error as the plan says.
        clock: Gives the time.
        command: What starts a worker process, after the interpreter.
        source: Reads the configuration again for a reload; None for a node that has none.
        base: What the plan was made of, for changes at runtime; None for a node whose tables stay.
        origin: What started it; None for nothing of note.
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
        origin: Origin | None = None,
    ) -> None:
        self.plan = plan
        self._log = log or make_log(plan.log_level, plan.log_format)
        self._clock = clock or SystemClock()
        self._command = command
        self._summaries = Summaries(self._log)
        self._keeper = Keeper(plan, self._log, self._clock)
        self._resources = ExitStack()
        self._reloads = Reloads(self, plan, source, self._log, base)
        self._origin = origin or Origin()
        self._upgrades = Upgrades(self, self._origin.program, self._log)
        self._will: Will | None = None
        self._given: int | None = None
        self._local: UnixSocket | None = None
        self._admin: socket.socket | None = None
        self._elders: Elders | None = None
        self._retired = False
        self._shutting: asyncio.Task[None] | None = None
        self._left: tuple[int, ...] = ()
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
        self._progress = Progress(self._log)

    # Being reloaded ---------------------------------------------------------------------------------------------------

    def refuses_reload(self) -> str:
        """Return why the node cannot be reloaded now; empty if it can."""
        return (
            ""
            if self._house.sampler.state == "serving"
            else f"the node is {self._house.sampler.state}: it cannot be reloaded"
        )

    async def take(self, plan: NodePlan, supply: Supply) -> list[str]:
        """Serve another plan; see `reload.Served`. What it names is counted under its name before anybody serves it."""
        self.plan = bound(plan, supply.listeners, self.plan.admin)
        await self._house.replan(self.plan)
        before, self.listeners = self.listeners, supply.listeners
        self._addresses = self.addresses._replace(listeners=endpoints(self.plan))
        served = {each.plan.name: str(each.plan) for each in before}
        for each in self.plan.worker.listeners:
            if served.get(each.name) != str(each):
                self._log.info("listening", listener=each.name, protocol=each.protocol, address=str(each))
        refused = await self._house.equip(self.plan.worker, self.listeners, supply.new)
        for gone in supply.gone:
            gone.close()
        await self._house.look_at_certificates()
        return refused

    def read_files(self, plan: NodePlan) -> None:
        """Read the files that a plan names and only the supervisor needs; raises ConfigurationError. Blocks."""
        self._house.desk.read_lists(plan)

    # Beginning -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """
        Bind, start the workers, open the doors.

        Raises:
            StartError: With one line for the operator; nothing is left running or bound.
        """
        elder = self._origin.elder
        try:
            await self._start(elder)
            if elder is not None:
                await elder.taken([each.path for each in self._unix_sockets()])
        except BaseException as error:
            if elder is not None:
                await elder.refuse(str(error) or repr(error))
            if self._elders is not None:  # whoever serves on reads them
                self._elders.leave()
                self._elders = None
            if self._ending is not None:
                self._ending.cancel()
            await self._close()
            raise
        self._own_files()
        self._house.sampler.state = "serving"
        self._tick()
        if self._exports is not None:
            self._exports.start()
        self._begin_ticking()
        say_ready(self._log, self.plan, self.addresses)
        self._house.certificates.start()
        self._started.set()

    async def _start(self, elder: Elder | None) -> None:
        limit = raise_limit()
        try_access_log(self.plan.worker.access)
        await asyncio.to_thread(make_ready, self.plan.acme, self._clock.wall_ns() // NS)
        inherited = self._origin.inherited
        if elder is not None:
            self._will, inherited, self._given = await elder.greet()
            self.plan = self._reloads.inherit(numbers_from(self._will.numbers))
        self.listeners = open_listeners(self.plan.worker.listeners, self.plan.workers, inherited)
        self._resources.callback(self._close_listeners)
        self._open_door_sockets(inherited)
        for left in inherited.close():
            self._log.warning("a socket that was given is not needed: it is closed", which=left)
        if elder is None:
            await self._keeper.open()
        self._settle()
        if elder is None:
            await self._keeper.restore(self._house.registry)
        await asyncio.to_thread(self.read_files, self.plan)
        await self._house.hand_lists()
        if elder is None:
            self._house.sampler.tick()  # whoever scrapes first sees what was restored
        if warning := shortage(self.plan.worker, limit):
            self._log.warning("too few file descriptors", detail=warning)
        await self._house.start()
        if elder is not None:
            await self._succeed(elder)
        self._exports = Exports(self.plan, self.snapshot, self._clock, self._log)  # what was restored is no growth
        await self._open_door()

    async def _succeed(self, elder: Elder) -> None:
        """Go on counting where the process that we succeed has stopped."""
        succession = await elder.succeed()
        await self._keeper.open()
        counted = succession.counted
        kept = Kept(counted.parts, goes_on=True)
        await self._keeper.inherit(self._house.registry, kept, [Page(*each) for each in counted.pages], counted.entries)
        for fd, saved in adopted(succession):
            self._house.sampler.adopt(fd, saved)
        self._house.health.recall(counted.targets, counts=True)
        await self._house.hand_lists()
        self._elders = Elders(self._house.elder_left, self._log)
        self._elders.follow(succession.drainers)
        self._house.limits.follow(each for each, _ in self._elders.ledgers())
        self._house.crew.on_cut, self._house.crew.on_spent = self._elders.cut, self._elders.tell_spent
        self._house.sampler.tick()
        self._log.info("upgrade: took over", old_pid=elder.pid)

    async def _open_door(self) -> None:
        admin = None if self._admin is None else self._admin.dup()
        self._door = Door(self, admin, None if self._local is None else self._local.socket.dup())
        await self._door.start()

    def _unix_sockets(self) -> list[UnixSocket]:
        files = [each.file for each in self.listeners]
        return [each for each in (*files, self._local) if each is not None]

    def _own_files(self) -> None:
        """Files of Unix sockets that an older process bound are ours to remove; those of systemd are its own."""
        if self._origin.elder is not None:
            for each in self._unix_sockets():
                each.own()

    def _open_door_sockets(self, inherited: Inherited) -> None:
        self._admin, self._local = open_doors(self.plan, inherited)
        for each in (self._admin, self._local):
            if each is not None:
                self._resources.callback(each.close)

    def _close_listeners(self) -> None:
        for each in self.listeners:
            each.close()

    def _settle(self) -> None:
        """Put the real addresses into the plan, and build what depends on them."""
        door = None if self._admin is None else endpoint_of(self._admin)
        self.plan = bound(self.plan, self.listeners, door)
        self._house = Household(
            self.plan,
            self.listeners,
            self._keeper,
            clock=self._clock,
            log=self._log,
            command=self._command,
            deploy=self._reloads.refresh,
            resources=self._resources,
            will=self._will,
            table=self._given,
        )
        self._addresses = Addresses(
            listeners=endpoints(self.plan),
            admin=Endpoint(*door) if door else None,
            socket_path=self.plan.socket_path,
        )

    # Each second -----------------------------------------------------------------------------------------------------

    def _begin_ticking(self) -> None:
        self._ticker = asyncio.create_task(self._tick_every_second())
        self._audits = asyncio.create_task(self._house.auditor.ask_every_minute())
        self._names = asyncio.create_task(follow(self._house.desk.spared))
        self._keeper.run()

    def _stop_ticking(self) -> None:
        for task in (self._ticker, self._audits, self._names):
            if task is not None:
                task.cancel()

    async def _tick_every_second(self) -> None:
        while True:
            await asyncio.sleep(until_tick(self._clock.wall_ns()) / NS)
            self._tick()

    def _tick(self, *, last: bool = False) -> None:
        try:
            steady = not self._reloads.turn.locked()
            snapshot = self._house.tick(self.plan.worker, last=last, steady=steady)
        except Exception as error:  # numbers that stand still are better than a proxy that does
            self._log.error("tick failed", detail=repr(error))
            return
        now = self._clock.monotonic_ns()
        self._summaries.tell(snapshot.troubles, self._house.sampler.troubled, now)
        if last:
            self._summaries.flush(now)
        self._house.auditor.tell(snapshot.audit)
        if self._ending is not None:
            self._progress.see(snapshot.totals.active, self._clock.monotonic_ns(), self._cut_ns)

    # Being succeeded -------------------------------------------------------------------------------------------------

    def still(self) -> asyncio.Lock:
        """Return what keeps reloads and changes out while it is held."""
        return self._reloads.turn

    def will(self) -> tuple[Will, list[tuple[Handed, int]], int]:
        """Return what a successor must know first, the listening sockets, and the limit table's descriptor."""
        sockets = listening_sockets(self._reloads.plan, self.listeners, self._admin, self._local)
        numbers = saved_numbers(self._reloads.numbers)
        seats = self._house.limits.saved((each.generation, each.number) for each in self._house.crew.lives)
        self._house.crew.sum_up(self._house.limits.seats)
        will = Will(self.plan, numbers, self._house.crew.generation, self._house.health.remember(), seats)
        return will, sockets, self._house.limits.fd

    async def lay_down(self) -> Estate:
        """Stop counting and let go of the store, and return everything that was counted."""
        if self._door is not None:
            await self._door.mute()  # whoever comes now waits for the successor
        self._stop_ticking()
        self._tick(last=True)
        if self._exports is not None:
            await self._exports.stop()
        await self._keeper.close()
        estate = estate_of(self._house.crew, self._house.sampler, self._elders, self._keeper, self._house.health)
        self._left = tuple(each for each, _ in estate.ledgers)
        return estate

    async def take_up(self) -> None:
        """Go on counting, as nobody else does."""
        await self._keeper.open()
        if self._elders is not None:
            self._elders.resume()
        old, self._door = self._door, None
        await self._open_door()
        self._shutting = asyncio.create_task(old.stop()) if old is not None else None
        self._exports = Exports(self.plan, self.snapshot, self._clock, self._log)
        self._exports.start()
        self._begin_ticking()

    def retire(self, channel: Channel, taken: Taken) -> None:
        """Stop accepting and drain; the successor reads the ledgers, and is told of each worker that ends."""
        self._retired = True
        for each in self._unix_sockets():
            if each.path in taken.paths:
                each.disown()
        if self._elders is not None:
            self._elders.leave()
            self._elders = None
        heir = Heir(channel, self._house.crew, self._left)
        self._house.crew.follow(heir)
        self._house.sampler.state = "draining"
        if self._ending is None:
            self._ending = asyncio.create_task(self._retire(heir))

    async def _retire(self, heir: Heir) -> None:
        await self._house.certificates.stop()
        door, self._door = self._door, None
        cut_ns = self._clock.monotonic_ns() + self.plan.worker.timeouts.drain
        closing = asyncio.create_task(door.stop()) if door is not None else None  # the order's own answer goes out
        listening = asyncio.create_task(heir.listen())
        await self._house.crew.drain(cut_ns)
        if closing is not None:  # before the socket is: our loop would hear of it for as long as the successor has it
            await closing
        await self._finish()
        listening.cancel()
        await heir.close()
        self._done.set()

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
            await self._house.crew.stop()
        await self._done.wait()

    async def drain(self) -> None:
        """Begin to drain, and return at once; a second call changes nothing."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        await self._started.wait()
        seconds = self.plan.worker.timeouts.drain
        self._house.sampler.state = "draining"
        self._cut_ns = self._clock.monotonic_ns() + seconds
        self._log.info("draining", connections=self.snapshot().totals.active, at_most=f"{seconds / NS:g}s")
        self._tick()
        if self._elders is not None:
            await self._elders.hurry(self._cut_ns)
        await self._house.crew.drain(self._cut_ns)
        if self._elders is not None:
            await self._elders.wait((self._cut_ns - self._clock.monotonic_ns()) / NS + STOP_SECONDS)
        await self._finish()

    async def _finish(self) -> None:
        self._house.sampler.state = "draining"
        try:
            await self._close()
        except Exception as error:  # whoever waits for the end must not wait for ever
            self._log.error("not everything ended well", detail=repr(error))
        finally:
            if not self._retired:
                self._done.set()
        if self._retired:
            self._log.info("the old process ends")
            return
        totals = self.snapshot().totals
        self._log.info(
            "node ended", connections=totals.connections, bytes_in=totals.bytes_in, bytes_out=totals.bytes_out
        )

    async def _close(self) -> None:
        """Let go of everything, in any state that `start` may have been left in."""
        if self._addresses is not None:
            if not self._retired:
                await self._house.certificates.stop()
            await self._house.crew.stop()
            await self._house.logins.stop()
        if self._elders is not None:
            await self._elders.hurry(self._clock.monotonic_ns())
            await self._elders.wait(STOP_SECONDS)
            self._elders.close()
        self._stop_ticking()
        if self._ticker is not None and not self._retired:
            self._tick(last=True)  # all that the workers left is in it
            if self._exports is not None:
                await self._exports.stop()
        if not self._retired:
            await self._keeper.close()
        if self._door is not None:
            await self._door.stop()
        if self._addresses is not None:
            await self._house.health.stop()
        self._resources.close()


def until_tick(wall_ns: int) -> int:
    """Return the time from now until the tick, which comes with each wall second; unit ns."""
    left = NS - wall_ns % NS
    return left if left >= SHORTEST_TICK_NS else left + NS
