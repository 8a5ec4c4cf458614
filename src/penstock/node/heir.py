"""The process that succeeds this one, as seen from here: it reads our workers' ledgers and is told of their ends."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from penstock.dataplane import orders
from penstock.node.handover import Channel, Close, Closed, Cut, Ended, HandoverError, Hurry, Spent, close_all
from penstock.node.processes import CLOSES


class Worker(Protocol):
    """The part of a worker's life that is told of."""

    @property
    def generation(self) -> int:
        """Return its number."""

    def send(self, order: orders.Order) -> bool:
        """Give it an order."""


class Workers(Protocol):
    """The part of a crew that drains."""

    @property
    def lives(self) -> Sequence[Worker]:
        """Return those that live."""

    async def close_connection(self, generation: int, serial: int) -> bool:
        """Close a connection of one of them; returns whether there was one."""


class Heir:
    """
    Follows the ledgers of a crew that drains by telling who reads them.

    Args:
        channel: To the successor.
        crew: What drains.
        generations: All that the successor was told of.
    """

    def __init__(self, channel: Channel, crew: Workers, generations: Sequence[int] = ()) -> None:
        self._channel, self._crew = channel, crew
        self._ended: asyncio.Queue[int] = asyncio.Queue()
        alive = {life.generation for life in crew.lives}
        for generation in generations:
            if generation not in alive:
                self._ended.put_nowait(generation)
        self._telling = asyncio.create_task(self._tell())
        self._closing: set[asyncio.Task[None]] = set()

    def attach(self, generation: int, fd: int) -> None:
        """Nothing is attached any more: a crew that drains starts nobody."""

    def detach(self, generation: int) -> None:
        """A worker is no more."""
        self._ended.put_nowait(generation)

    async def listen(self) -> None:
        """Obey the successor until it is gone; what drains goes on then."""
        while True:
            try:
                message, fds = await self._channel.receive()
            except HandoverError:
                return
            close_all(fds)
            if message is None:
                return
            if isinstance(message, Hurry):
                for life in self._crew.lives:
                    life.send(orders.Drain(message.deadline_ns))
            elif isinstance(message, Cut | Spent):
                for life in self._crew.lives:
                    life.send(message.order)
            elif isinstance(message, Close) and len(self._closing) < CLOSES:
                task = asyncio.create_task(self._close_one(message))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def _close_one(self, wanted: Close) -> None:
        found = await self._crew.close_connection(wanted.generation, wanted.serial)
        with suppress(HandoverError):
            await self._channel.send(Closed(wanted.generation, wanted.serial, found))

    async def close(self) -> None:
        """Say what is left to say, and leave: the end of file says that all workers are gone."""
        await asyncio.wait_for(asyncio.shield(self._ended.join()), 1.0) if not self._telling.done() else None
        self._telling.cancel()
        self._channel.close()

    async def _tell(self) -> None:
        while True:
            generation = await self._ended.get()
            try:
                await self._channel.send(Ended(generation))
            except HandoverError:
                pass  # nobody counts any more
            self._ended.task_done()
