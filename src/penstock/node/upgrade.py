"""
Upgrade: a new process of the program takes the listening sockets, and then the counting, while this one goes on.

Everything that can fail comes first. The new process reads its configuration, takes the sockets and starts its workers;
only when they accept does this one hand over what it has counted, and only when the new one counts does it stop
accepting. Until then any failure leaves this node as it is.
Source: docs/decisions/0018-upgrade.md.
"""

import asyncio
import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import NamedTuple, Protocol, TypeVar

import msgspec

import penstock
from penstock.base.errors import PenstockError
from penstock.config.plan import NodePlan
from penstock.metrics.ledger import MAGIC
from penstock.node import handover
from penstock.node.handover import Channel, Counted, Handed, HandoverError, Message, Taken, Will
from penstock.node.inherited import ADMIN, COMMAND
from penstock.node.log import Log
from penstock.node.notify import notify
from penstock.node.processes import how_it_ended, in_memory
from penstock.node.sockets import OpenListener, UnixSocket

VARIABLE = "PENSTOCK_HANDOVER"
"""Names the descriptor of the new process's end."""

READY_SECONDS = 60.0
"""From its start until its workers accept: ten thousand routes load in 3 s, and a busy machine takes its time."""

TAKEN_SECONDS = 60.0
"""From the handover until it counts: it reads the store, a second for each 100 MB."""

END_SECONDS = 5.0
"""For a new process that has given up, until it is killed."""

Wanted = TypeVar("Wanted", bound=Message)


class UpgradeError(PenstockError):
    """The new process could not take over; the message says why. This one serves on."""


class UpgradeView(msgspec.Struct, frozen=True):
    """
    What an upgrade did.

    Args:
        pid: The process that serves now.
        draining: The process that finishes what is open, and then ends.
    """

    pid: int
    draining: int


class Estate(NamedTuple):
    """
    What a node leaves to its successor.

    Args:
        counted: Totals, records, and how far ledgers were read.
        ledgers: Generation and descriptor of each.
        older: Processes that still drain: their generations, and the descriptor of the channel to each.
    """

    counted: Counted
    ledgers: Sequence[tuple[int, int]]
    older: Sequence[tuple[tuple[int, ...], int]]


class Handing(Protocol):
    """What an upgrade needs of a node."""

    def refuses_reload(self) -> str:
        """Return why it cannot be changed now; empty if it can."""

    def still(self) -> AbstractAsyncContextManager[None]:
        """Keep reloads and changes out while this is held."""

    def will(self) -> tuple[Will, list[tuple[Handed, int]], int]:
        """Return what the new process must know first, the listening sockets, and the limit table's descriptor."""

    async def lay_down(self) -> Estate:
        """Stop counting and let go of the store, and return everything that was counted."""

    async def take_up(self) -> None:
        """Go on counting, as nobody else does."""

    def retire(self, channel: Channel, taken: Taken) -> None:
        """Stop accepting and drain; the successor reads the ledgers, and is told of each worker that ends."""


class Upgrades:
    """
    Upgrades of one node.

    Args:
        node: What is handed over.
        program: The command that starts the new process; empty for a node that is no program of its own.
        log: Where it is told.
    """

    def __init__(self, node: Handing, program: Sequence[str], log: Log) -> None:
        self._node, self._program, self._log = node, program, log

    async def upgrade(self) -> UpgradeView:
        """
        Let a new process take over.

        Raises:
            UpgradeError: If it could not; this node serves on.
        """
        if not self._program:
            raise UpgradeError("this node is part of another program: it cannot be upgraded by itself")
        async with self._node.still():
            if why := self._node.refuses_reload():
                raise UpgradeError(why.replace("reloaded", "upgraded"))
            channel, process = self._start()
            try:
                taken = await self._hand_over(channel, process)
            except UpgradeError as error:
                channel.close()
                self._log.error("not upgraded, all goes on as before", why=str(error), new_pid=process.pid)
                await _see_out(process)
                raise
        notify(f"MAINPID={process.pid}\nREADY=1")
        self._log.info("upgraded: the new process serves, this one drains", new_pid=process.pid)
        self._node.retire(channel, taken)
        return UpgradeView(process.pid, os.getpid())

    def _start(self) -> "tuple[Channel, subprocess.Popen[bytes]]":
        ours, theirs = handover.pair()
        with theirs:
            environ = os.environ | {VARIABLE: str(theirs.fileno())}
            try:
                process = subprocess.Popen(self._program, env=environ, pass_fds=(theirs.fileno(),))  # noqa: S603 - ourselves
            except OSError as error:
                ours.close()
                why = f"{self._program[0]}: {error.strerror or error}"
                self._log.error("not upgraded, all goes on as before", why=why)
                raise UpgradeError(why) from error
        self._log.info("upgrade begins", new_pid=process.pid)
        return ours, process

    async def _hand_over(self, channel: Channel, process: "subprocess.Popen[bytes]") -> Taken:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._greet(channel)
                await _expect(channel, handover.Ready, process)
        except (HandoverError, TimeoutError) as error:
            raise UpgradeError(str(error) or f"the new process was not ready within {READY_SECONDS:g} s") from error
        estate = await self._node.lay_down()
        try:
            async with asyncio.timeout(TAKEN_SECONDS):
                await _bequeath(channel, estate)
                return await _expect(channel, Taken, process)
        except BaseException as error:
            process.kill()  # before we count again: two must not write the same ticks
            await self._node.take_up()
            if not isinstance(error, HandoverError | TimeoutError | UpgradeError):
                raise
            raise UpgradeError(str(error) or f"the new process did not count within {TAKEN_SECONDS:g} s") from error

    async def _greet(self, channel: Channel) -> None:
        will, sockets, limits = self._node.will()
        for at in range(0, len(sockets), handover.DESCRIPTORS):
            some = sockets[at : at + handover.DESCRIPTORS]
            await channel.send(handover.Sockets(tuple(each for each, _ in some)), [fd for _, fd in some])
        greeting = handover.Greeting(handover.VERSION, penstock.__version__, os.getpid(), MAGIC)
        await _send_memory(channel, greeting, msgspec.msgpack.encode(will), limits)


async def _bequeath(channel: Channel, estate: Estate) -> None:
    for at in range(0, len(estate.ledgers), handover.DESCRIPTORS):
        some = estate.ledgers[at : at + handover.DESCRIPTORS]
        await channel.send(handover.Ledgers(tuple(each for each, _ in some)), [fd for _, fd in some])
    for generations, fd in estate.older:
        await channel.send(handover.Older(generations), [fd])
    await _send_memory(channel, handover.Legacy(), msgspec.msgpack.encode(estate.counted))


async def _send_memory(channel: Channel, message: Message, data: bytes, *more: int) -> None:
    fd = in_memory(data)
    try:
        await channel.send(message, [fd, *more])
    finally:
        os.close(fd)


async def _expect(channel: Channel, wanted: type[Wanted], process: "subprocess.Popen[bytes]") -> Wanted:
    """Return the message that comes next; raises UpgradeError for another one, or none."""
    message, fds = await channel.receive()
    handover.close_all(fds)
    if isinstance(message, wanted):
        return message
    if isinstance(message, handover.Refused):
        raise UpgradeError(message.why)
    if message is None:
        code = await _see_out(process)
        raise UpgradeError(f"the new process ended: {how_it_ended(code)}")
    raise UpgradeError(f"the new process said {type(message).__name__} where {wanted.__name__} was due")


async def _see_out(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a process that gives up; returns its exit status."""

    def wait() -> int:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(END_SECONDS)
        process.kill()
        return process.wait()

    return await asyncio.to_thread(wait)


def listening_sockets(
    plan: NodePlan, listeners: Sequence[OpenListener], admin: socket.socket | None, local: UnixSocket | None
) -> list[tuple[Handed, int]]:
    """
    Return all that listens, with what it is for.

    Args:
        plan: Addresses as configured.
        listeners: Its sockets.
        admin: The admin door's; None for none.
        local: The command line's; None for none.
    """
    found = [
        (Handed(each.name, each.host, each.port), sock.fileno())
        for each, listener in zip(plan.worker.listeners, listeners, strict=True)
        for sock in listener.sockets
        if sock.fileno() >= 0  # one of a worker that will not be back soon is closed
    ]
    if admin is not None and plan.admin is not None:
        found.append((Handed(ADMIN, *plan.admin), admin.fileno()))
    if local is not None:
        found.append((Handed(COMMAND, f"unix:{local.path}", 0), local.socket.fileno()))
    return found
