"""Keeps every worker's seat taken: starts them, replaces the dead, and sees them out at the end."""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from penstock.base.clock import NS, Clock
from penstock.base.errors import StartError
from penstock.dataplane import orders
from penstock.dataplane.limit_table import Seats
from penstock.node.backoff import Backoff, Respawn
from penstock.node.log import NOTICE_LINES, Allowance, Log
from penstock.node.processes import Life, NoticeSink, Outfit, ProcessLife, in_memory
from penstock.node.sockets import OpenListener
from penstock.node.threads import ThreadLife

READY_SECONDS = 30.0
"""From spawn until a worker accepts. It takes 0.1 s; on a machine with a load of seven a core it has taken over ten.
nginx waits for ever."""

STOP_SECONDS = 2.0
"""From an order that a worker must obey at once until it is killed."""

PARK_NS = NS
"""A worker that will be away longer hands its share of new connections to the others."""


class Folds(Protocol):
    """The part of the sampler that follows workers."""

    def attach(self, generation: int, fd: int) -> None:
        """Begin to read the ledger of a life."""

    def detach(self, generation: int) -> None:
        """Read the ledger of a life that ended one last time, and end what it left open."""


Birth = Callable[[int, int, Outfit, Clock, NoticeSink], Life]


SPENT_NAMES = 40
"""Names in one order: each has at most 255 characters, of which JSON may make six bytes each, and a packet 65,536."""


class Crew:
    """
    All workers of a node.

    Args:
        outfit: What each is given.
        workers: How many processes; 0 for one thread.
        folds: Follows their ledgers.
        clock: Gives the time.
        log: Where their lives are told.
        on_burial: Called with the seat of each one that has ended, before it has an heir.
        on_respawn: Called when a dead one has been replaced.
        on_failure: Called when one has taken a target out.
        on_login: Called when one asks whether a login is right, with what sends it the answer.
        birth: How one begins; None for the usual way.
        generation: The highest that was given to a worker so far.

    Attributes:
        on_cut: Called with each order to end connections of clients, for whoever else has some.
        on_spent: Called with what workers are told of quotas, and its version, for whoever else has connections.
    """

    def __init__(
        self,
        outfit: Outfit,
        workers: int,
        folds: Folds,
        clock: Clock,
        log: Log,
        *,
        on_burial: Callable[[int], None] = lambda _: None,
        on_respawn: Callable[[], None] = lambda: None,
        on_failure: Callable[[orders.TargetFailed], None] = lambda _: None,
        on_login: Callable[[orders.Verify, Callable[[orders.Order], bool]], None] = lambda *_: None,
        birth: Birth | None = None,
        generation: int = 0,
    ) -> None:
        self._outfit = outfit
        self._seats = max(1, workers)
        self._birth: Birth = birth or (ProcessLife if workers else ThreadLife)
        self._folds = folds
        self._clock = clock
        self._log = log
        self._on_burial, self._on_respawn = on_burial, on_respawn
        self._on_failure, self._on_login = on_failure, on_login
        self._lives: dict[int, Life] = {}
        self._behind: set[tuple[int, int]] = set()
        self._remembering: set[int] = set()
        self._summing: set[int] = set()
        self._told: dict[int, tuple[int, int]] = {}
        self._generation = generation
        self.on_cut: Callable[[orders.CutClients], None] = lambda _: None
        self.on_spent: Callable[[Sequence[orders.Spent], int], None] = lambda *_: None
        self._keepers: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._notices = Allowance(NOTICE_LINES)

    # What it is like -------------------------------------------------------------------------------------------------

    @property
    def serves(self) -> bool:
        """Return whether at least one worker accepts."""
        return not self._ending.is_set() and any(life.serves for life in self._lives.values())

    @property
    def lives(self) -> tuple[Life, ...]:
        """Return the workers that live, oldest first."""
        return tuple(self._lives.values())

    @property
    def generation(self) -> int:
        """Return the highest that was given to a worker so far."""
        return self._generation

    def follow(self, folds: Folds) -> None:
        """Let somebody else follow the ledgers from now on."""
        self._folds = folds

    async def close_connection(self, generation: int, serial: int) -> bool:
        """Close a connection of the worker of this generation; returns whether there was one."""
        life = self._lives.get(generation)
        return life is not None and await life.close_connection(serial)

    def reopen(self) -> None:
        """Let every worker write its log to the file that has its name now."""
        for life in self.lives:
            life.send(orders.Reopen())

    def forget_logins(self) -> None:
        """Let every worker ask again whether logins are right."""
        self._remembering |= set(self._lives)
        self.catch_up()

    def hand_bans(self, place: int, bans: tuple[int, int, int]) -> None:
        """
        Let every worker look into another table of banned networks; those that begin later begin with it.

        Args:
            place: Which of them is another.
            bans: Descriptors of all tables; those of before may be closed afterwards.
        """
        self._outfit = self._outfit._replace(bans=bans)
        self._behind |= {(generation, place) for generation in self._lives}
        self.catch_up()

    def sum_up(self, limits: Seats) -> None:
        """Let every worker sum other columns of the limit table; those that begin later begin with them."""
        self._outfit = self._outfit._replace(limits=limits)
        self._summing |= set(self._lives)
        self.catch_up()

    def catch_up(self) -> None:
        """Give workers what they have not taken yet, tables of bans and news of users: one that is stuck takes none."""
        for generation in sorted(self._summing):
            life, seats = self._lives.get(generation), self._outfit.limits
            if life is None or life.ended.done() or life.send(orders.SumUp(seats.first, seats.columns)):
                self._summing.discard(generation)
        for generation, place in sorted(self._behind):
            life, fd = self._lives.get(generation), self._outfit.bans[1 + place]
            if life is None or life.ended.done() or life.send(orders.NewBans(place), [fd] if fd >= 0 else []):
                self._behind.discard((generation, place))
        for generation in sorted(self._remembering):
            life = self._lives.get(generation)
            if life is None or life.ended.done() or life.send(orders.NewUsers()):
                self._remembering.discard(generation)

    def tell_spent(self, spent: Sequence[tuple[int, str]], version: int) -> None:
        """
        Tell workers whose quotas are used up, those that do not know yet; who is stuck hears it at the next call.

        Args:
            spent: `limit_table.ROUTE` or `USER`, and names.
            version: Another one for another answer; 0 for none, which those that begin know.
        """
        parts = [tuple(spent[first : first + SPENT_NAMES]) for first in range(0, len(spent), SPENT_NAMES)] or [()]
        last = len(parts) - 1
        packets = [orders.Spent(part, first=not place, last=place == last) for place, part in enumerate(parts)]
        self.on_spent(packets, version)
        for generation, life in self._lives.items():
            known, sent = self._told.get(generation, (0, 1))
            sent = sent if known == version else 0
            while sent < len(packets) and not life.ended.done() and life.send(packets[sent]):
                sent += 1
            self._told[generation] = version, sent
        self._told = {generation: told for generation, told in self._told.items() if generation in self._lives}

    def cut(self, ranges: Sequence[tuple[int, int]]) -> None:
        """End the connections of clients whose addresses, as numbers, lie in these ranges."""
        order = orders.CutClients(tuple((f"{first:032x}", f"{last:032x}") for first, last in ranges))
        self.on_cut(order)
        for life in self.lives:
            if not life.ended.done() and not life.send(order):
                self._log.warning("a worker did not cut connections", worker=life.number)

    async def reload(self, outfit: Outfit, new: Sequence[OpenListener]) -> list[str]:
        """
        Let every worker serve another plan from the next connection on; those that begin later begin with it.

        Args:
            outfit: What workers are given from now on.
            new: Those of its listeners that the one before had not.

        Returns:
            For each worker that could not, which it is and why; it drains.
        """
        self._outfit = outfit
        plan = in_memory(msgspec.json.encode(outfit.plan))
        try:
            lives = [life for life in self.lives if not life.ended.done()]
            answers = await asyncio.gather(*(life.reload(plan, new) for life in lives))
        finally:
            os.close(plan)
        stale = [(life, why) for life, why in zip(lives, answers, strict=True) if why]
        if not self._ending.is_set():
            for life, _ in stale:  # its heir begins with the new plan
                life.send(orders.Drain(self._clock.monotonic_ns() + outfit.plan.timeouts.drain))
        return [f"worker {life.number}: {why}" for life, why in stale]

    # Beginning -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """
        Start every worker and wait until all accept.

        Raises:
            StartError: If one cannot be started, dies or is not ready in time; none is left running then.
        """
        try:
            born = [self._hire(number) for number in range(self._seats)]
            await asyncio.gather(*(_until_ready(life) for life in born))
        except OSError as error:
            await self._give_up()
            raise StartError(f"a worker could not be started: {error.strerror or error}") from error
        except BaseException:
            await self._give_up()
            raise
        self._keepers = [asyncio.create_task(self._keep(life)) for life in born]

    async def _give_up(self) -> None:
        self._ending.set()
        for life in self.lives:
            life.kill()
        if self._lives:
            await asyncio.wait([life.ended for life in self.lives], timeout=STOP_SECONDS)
        for life in self.lives:
            self._bury(life)

    def _hire(self, number: int) -> Life:
        for listener in self._outfit.listeners:
            listener.unpark(number)
        self._generation += 1
        life = self._birth(self._generation, number, self._outfit, self._clock, self._take_notice)
        try:
            self._folds.attach(life.generation, life.ledger)
        except OSError:
            life.kill()
            life.bury()
            raise
        self._lives[life.generation] = life
        return life

    # Replacing -------------------------------------------------------------------------------------------------------

    async def _keep(self, life: Life) -> None:
        backoff = Backoff()
        heir: Life | None = life
        while heir is not None:
            how = await heir.ended
            self._bury(heir)
            if self._ending.is_set():
                return
            respawn = backoff.died(heir.started_ns, self._clock.monotonic_ns())
            self._tell_death(heir.number, how, respawn, worker_pid=heir.pid)
            heir = await self._succeed(heir.number, backoff, respawn)

    async def _succeed(self, number: int, backoff: Backoff, respawn: Respawn) -> Life | None:
        while await self._pause(number, respawn.delay_ns):
            try:
                life = self._hire(number)
            except OSError as error:
                now = self._clock.monotonic_ns()
                respawn = backoff.died(now, now)
                self._tell_death(number, f"not started: {error.strerror or error}", respawn)
                continue
            self._on_respawn()
            asyncio.get_running_loop().call_later(READY_SECONDS, _kill_unless_ready, life)
            life.ready.add_done_callback(partial(self._welcome, life))
            return life
        return None

    def _welcome(self, heir: Life, ready: asyncio.Future[None]) -> None:
        if not ready.cancelled():
            self._log.info("worker ready", worker=heir.number, worker_pid=heir.pid)

    async def _pause(self, number: int, delay_ns: int) -> bool:
        """Wait before the next start; returns False if the node ends meanwhile."""
        if self._ending.is_set():
            return False
        if not delay_ns:
            return True
        if delay_ns > PARK_NS and self.serves:
            for listener in self._outfit.listeners:
                listener.park(number)
        try:
            await asyncio.wait_for(self._ending.wait(), delay_ns / NS)
        except TimeoutError:
            return True
        return False

    def _bury(self, life: Life) -> None:
        """Fold what it left; then nothing of it is left but what it counted."""
        self._lives.pop(life.generation, None)
        try:
            self._folds.detach(life.generation)
        except Exception as error:  # a ledger that cannot be read must not cost the node a worker
            self._log.error("last fold failed", worker=life.number, detail=repr(error))
        self._on_burial(life.number)
        life.bury()

    def _tell_death(self, number: int, how: str, respawn: Respawn, **more: Any) -> None:
        if not respawn.say:
            return
        fields = {"worker": number, **more, "how": how, "next_start_in": f"{respawn.delay_ns / NS:g}s"}
        if respawn.loops:
            self._log.error("worker keeps dying", **fields, deaths=respawn.deaths)
        else:
            self._log.warning("worker died", **fields)

    def _take_notice(self, life: Life, notice: orders.Notice | orders.TargetFailed | orders.Verify) -> None:
        if isinstance(notice, orders.Verify):
            self._on_login(notice, life.send)
            return
        if isinstance(notice, orders.TargetFailed):
            self._on_failure(notice)
            return
        if not self._notices.take(self._clock.monotonic_ns()):
            return
        say = getattr(self._log, notice.level, self._log.info)
        if skipped := self._notices.take_skipped():
            self._log.warning("notices left out", count=skipped)
        fields = {"detail": notice.detail} if notice.detail else {}
        say(notice.event, worker=life.number, **fields)

    # Ending ----------------------------------------------------------------------------------------------------------

    async def drain(self, deadline_ns: int) -> None:
        """
        Stop accepting, let connections finish until the deadline, and see every worker out.

        Args:
            deadline_ns: Monotonic time at which what still runs is cut; unit ns.
        """
        self._ending.set()
        for life in self.lives:
            life.send(orders.Drain(deadline_ns))
        self._close_listeners()
        left = max(0, deadline_ns - self._clock.monotonic_ns()) / NS
        await self._see_out(left + STOP_SECONDS)
        await self.stop()

    async def stop(self) -> None:
        """End every connection and worker now."""
        self._ending.set()
        self._close_listeners()
        for life in self.lives:
            life.send(orders.Stop())
        await self._see_out(STOP_SECONDS)
        for life in self.lives:
            life.kill()
        await self._see_out(STOP_SECONDS)
        for keeper in self._keepers:
            keeper.cancel()

    async def _see_out(self, seconds: float) -> None:
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=seconds)

    def _close_listeners(self) -> None:
        for listener in self._outfit.listeners:
            listener.close()


async def _until_ready(life: Life) -> None:
    waiting: tuple[asyncio.Future[Any], ...] = (life.ready, life.ended)
    await asyncio.wait(waiting, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if life.ended.done():
        raise StartError(f"worker {life.number} ended before it was ready: {life.ended.result()}")
    if not life.ready.done():
        raise StartError(f"worker {life.number} was not ready within {READY_SECONDS:g} s")


def _kill_unless_ready(life: Life) -> None:
    if not life.ready.done() and not life.ended.done():
        life.kill()
