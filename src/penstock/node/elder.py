"""
The process that this one succeeds: what it hands over while it still serves, and its workers while they drain.

Their ledgers are read here until the old process says that they are no more. When it is gone without a word, so are
they: a worker ends with its supervisor.
"""

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import msgspec

from penstock.base.errors import StartError
from penstock.dataplane.orders import CutClients, Spent
from penstock.metrics.ledger import MAGIC
from penstock.metrics.resumed import SavedReader
from penstock.node import handover
from penstock.node.handover import Channel, Counted, Greeting, Handed, HandoverError, Legacy, Message, Will
from penstock.node.inherited import Given, Inherited, listening
from penstock.node.log import Log
from penstock.node.processes import CLOSE_SECONDS, CLOSES
from penstock.node.upgrade import TAKEN_SECONDS, VARIABLE

GONE_SECONDS = 2.0
"""From the end of an old process until its workers are taken for dead: they end within one turn of their loops."""

SPENT_TICKS = 5
"""Calls after which it is said again whose quotas are used up: a worker that was stuck may not have heard it."""

Form = TypeVar("Form")


class Drainer(NamedTuple):
    """
    A process that drains.

    Args:
        channel: On which it tells of its workers.
        ledgers: Descriptors by generation.
    """

    channel: Channel
    ledgers: dict[int, int]


class Succession(NamedTuple):
    """
    What the old process has left.

    Args:
        counted: Its totals, records and readings.
        drainers: It, and older ones that still drain.
    """

    counted: Counted
    drainers: list[Drainer]


class Elder:
    """
    The process that this one succeeds.

    Args:
        sock: The channel to it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._channel = Channel(sock)
        self.pid = 0

    async def greet(self) -> tuple[Will, Inherited, int]:
        """
        Return what it serves, its listening sockets, and the descriptor of its limit table.

        Raises:
            StartError: If it is of a release that counts otherwise, or gone.
        """
        given: list[tuple[Handed, int]] = []
        while True:
            message, fds = await self._next()
            if isinstance(message, handover.Sockets):
                given += zip(message.each, fds, strict=True)
            elif isinstance(message, Greeting):
                self.pid = message.pid
                if (message.version, message.magic) != (handover.VERSION, MAGIC):
                    raise StartError(f"release {message.release} counts otherwise: a restart is needed")
                if len(fds) != 2:
                    raise StartError("upgrade: descriptors are missing")
                return _read(fds[:1], Will), _given(given), fds[1]
            else:
                raise StartError(f"the old process said {type(message).__name__}")

    async def succeed(self) -> Succession:
        """Say that all is ready, and return what was counted; raises StartError if the old process says otherwise."""
        try:
            await self._channel.send(handover.Ready())
        except HandoverError as error:
            raise StartError(str(error)) from error
        ledgers: dict[int, int] = {}
        older: list[tuple[tuple[int, ...], int]] = []
        async with asyncio.timeout(TAKEN_SECONDS):
            while True:
                message, fds = await self._next()
                if isinstance(message, handover.Ledgers):
                    ledgers |= dict(zip(message.generations, fds, strict=True))
                elif isinstance(message, handover.Older):
                    older.append((message.generations, fds[0]))
                elif isinstance(message, Legacy):
                    counted = _read(fds, Counted)
                    break
                else:
                    raise StartError(f"the old process said {type(message).__name__}")
        drainers = [
            Drainer(Channel(socket.socket(fileno=fd)), {each: ledgers.pop(each) for each in generations})
            for generations, fd in older
        ]
        return Succession(counted, [*drainers, Drainer(self._channel, ledgers)])

    async def taken(self, paths: Sequence[str]) -> None:
        """Say that everything is served and counted here; the old process drains from now on."""
        await self._channel.send(handover.Taken(tuple(paths)))

    async def refuse(self, why: str) -> None:
        """Say that nothing comes of it."""
        if not self._channel.closed:
            try:
                await self._channel.send(handover.Refused(why))
            except HandoverError:
                pass
            self._channel.close()

    async def _next(self) -> tuple[Message, list[int]]:
        try:
            message, fds = await self._channel.receive()
        except HandoverError as error:
            raise StartError(f"upgrade: {error}") from error
        if message is None:
            raise StartError("upgrade: the old process is gone, or serves on by itself")
        return message, fds


class Elders:
    """
    All processes that drain and are read here.

    Args:
        detach: Reads the ledger of a generation one last time.
        log: Where their end is told.
    """

    def __init__(self, detach: Callable[[int], None], log: Log) -> None:
        self._detach, self._log = detach, log
        self._drainers: list[Drainer] = []
        self._listening: list[asyncio.Task[None]] = []
        self._closes: dict[tuple[int, int], asyncio.Future[bool]] = {}
        self._saying: set[asyncio.Task[None]] = set()
        self._spent, self._calls = 0, 0
        self._done = asyncio.Event()
        self._done.set()

    def follow(self, drainers: Sequence[Drainer]) -> None:
        """Hear what they say of their workers from now on."""
        self._drainers += [each for each in drainers if each not in self._drainers]
        self._listening += [asyncio.create_task(self._hear(each)) for each in drainers]
        if drainers:
            self._done.clear()

    def ledgers(self) -> list[tuple[int, int]]:
        """Return generation and descriptor of each ledger."""
        return [item for each in self._drainers for item in each.ledgers.items()]

    def channels(self) -> list[tuple[tuple[int, ...], int]]:
        """Return the generations of each process, and its channel's descriptor."""
        return [(tuple(each.ledgers), each.channel.fileno()) for each in self._drainers]

    def pause(self) -> None:
        """Hear nothing for now: what is said waits for whoever hears next."""
        for task in self._listening:
            task.cancel()
        self._listening.clear()

    def resume(self) -> None:
        """Hear again."""
        self._listening = [asyncio.create_task(self._hear(each)) for each in self._drainers]

    async def hurry(self, deadline_ns: int) -> None:
        """Have what still drains end by this monotonic time; unit ns."""
        for each in list(self._drainers):
            await _say(each.channel, handover.Hurry(deadline_ns))

    async def close_connection(self, generation: int, serial: int) -> bool:
        """Close a connection of a worker that drains; returns whether there was one, as far as is known in time."""
        drainer = next((each for each in self._drainers if generation in each.ledgers), None)
        if drainer is None:
            return False
        key = generation, serial
        answer = self._closes.get(key)
        if answer is None:
            if len(self._closes) >= CLOSES:
                return False
            answer = self._closes[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):  # the old process waits for its worker so long once
                await drainer.channel.send(handover.Close(generation, serial))
                return await asyncio.shield(answer)
        except (HandoverError, TimeoutError):
            return False
        finally:
            self._closes.pop(key, None)

    def cut(self, order: CutClients) -> None:
        """End connections of clients, in every worker that drains."""
        self._say(handover.Cut(order))

    def tell_spent(self, packets: Sequence[Spent], version: int) -> None:
        """
        Tell every worker that drains whose quotas are used up: at once if that is news, else now and then.

        Args:
            packets: What is told.
            version: Another one for another answer; 0 for none.
        """
        self._calls += 1
        if version == self._spent and (not version or self._calls % SPENT_TICKS):
            return
        self._spent = version
        self._say(*map(handover.Spent, packets))

    def _say(self, *messages: Message) -> None:
        """Say these to every process that drains, one after the other."""
        for each in self._drainers:
            task = asyncio.create_task(_say(each.channel, *messages))
            self._saying.add(task)
            task.add_done_callback(self._saying.discard)

    async def wait(self, seconds: float) -> None:
        """Return when all of them are gone, or so many seconds have passed."""
        try:
            await asyncio.wait_for(self._done.wait(), seconds)
        except TimeoutError:
            pass

    def close(self) -> None:
        """Read every ledger one last time, and let go of all."""
        self.pause()
        for each in list(self._drainers):
            self._bury(each)

    def leave(self) -> None:
        """Let go of everything without a last reading: somebody else reads on."""
        self.pause()
        for each in self._drainers:
            each.channel.close()
            handover.close_all(list(each.ledgers.values()))
        self._drainers.clear()

    async def _hear(self, drainer: Drainer) -> None:
        while True:
            try:
                message, fds = await drainer.channel.receive()
            except HandoverError:
                message, fds = None, []
            handover.close_all(fds)
            if message is None:
                if drainer.ledgers:
                    await asyncio.sleep(GONE_SECONDS)
                self._bury(drainer)
                return
            if isinstance(message, handover.Ended):
                self._end(drainer, message.generation)
            elif isinstance(message, handover.Closed):
                self._answer(message)

    def _answer(self, closed: handover.Closed) -> None:
        answer = self._closes.get((closed.generation, closed.serial))
        if answer is not None and not answer.done():
            answer.set_result(closed.found)

    def _end(self, drainer: Drainer, generation: int) -> None:
        fd = drainer.ledgers.pop(generation, None)
        if fd is None:
            return
        try:
            self._detach(generation)
        except Exception as error:  # a ledger that cannot be read costs its counts, and nothing else
            self._log.error("last fold failed", generation=generation, detail=repr(error))
        os.close(fd)
        for each in [key for key in self._closes if key[0] == generation]:
            self._answer(handover.Closed(*each, found=True))  # gone with its worker

    def _bury(self, drainer: Drainer) -> None:
        for generation in list(drainer.ledgers):
            self._end(drainer, generation)
        drainer.channel.close()
        self._drainers.remove(drainer)
        if not self._drainers:
            self._log.info("the old process has ended")
            self._done.set()


async def _say(channel: Channel, *messages: Message) -> None:
    """Say something to an old process; one that is gone is heard as such."""
    with suppress(HandoverError):
        for each in messages:
            await channel.send(each)


def from_environment(environ: MutableMapping[str, str] = os.environ) -> Elder | None:
    """Return the process that started this one to be succeeded; None if there is none."""
    sock = _channel(environ.pop(VARIABLE, ""))
    return None if sock is None else Elder(sock)


def refuse(why: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Tell the process that started this one, if any, why nothing comes of it; for whoever fails before a loop runs."""
    sock = _channel(environ.pop(VARIABLE, ""))
    if sock is not None:
        with sock:
            try:
                sock.send(msgspec.json.encode(handover.Refused(why)))
            except OSError:
                pass


def _channel(fd: str) -> socket.socket | None:
    if not (fd.isascii() and fd.isdigit()) or len(fd) > 7:
        return None
    try:
        sock = socket.socket(fileno=int(fd))
        if sock.family != socket.AF_UNIX:
            sock.detach()
            return None
    except OSError:
        return None
    sock.set_inheritable(False)
    return sock


def _given(handed: Sequence[tuple[Handed, int]]) -> Inherited:
    """Return sockets, those of one listener together."""
    found: dict[Handed, list[socket.socket]] = {}
    for each, fd in handed:
        sock = listening(fd)
        if sock is not None:
            found.setdefault(each, []).append(sock)
    return Inherited(Given(each.name, tuple(socks), (each.host, each.port)) for each, socks in found.items())


def _read(fds: Sequence[int], form: type[Form]) -> Form:
    if len(fds) != 1:
        raise StartError("upgrade: descriptors are missing")
    try:
        return msgspec.msgpack.decode(handover.read_memory(fds[0]), type=form)
    except (msgspec.MsgspecError, OSError, HandoverError) as error:
        raise StartError(f"upgrade: {form.__name__}: not understood: {error}") from error


def adopted(succession: Succession) -> list[tuple[int, SavedReader]]:
    """Return the descriptor of each ledger, and how far it was read; raises StartError where one is missing."""
    fds = {generation: fd for each in succession.drainers for generation, fd in each.ledgers.items()}
    readers = {each.generation: each for each in succession.counted.readers}
    if fds.keys() != readers.keys():
        raise StartError("upgrade: ledgers are missing")
    if any(each.magic != MAGIC for each in readers.values()):
        raise StartError("upgrade: a ledger has the layout of another release")
    return [(fds[generation], each) for generation, each in readers.items()]
