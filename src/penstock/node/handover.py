"""
What a process and the one that succeeds it say to each other: one packet each, JSON, with descriptors beside it.

    old: Sockets ...  Greeting        all that listens; the plan that is served, and its numbers
    new: Ready                        its workers accept
    old: Ledgers ...  Legacy          the ledgers of its workers; totals, and how far the ledgers were read
    new: Taken                        it serves and counts: the old one stops accepting, and drains
    old: Ended ...                    a worker is no more: its ledger is read one last time
    new: Refused                      instead of Ready or Taken: why not; the old one serves on
    new: Hurry                        later: what still drains shall end by then
    new: Close                        later: a connection of a worker that drains shall end
    old: Closed                       the answer to it
    new: Cut                          later: connections of some clients shall end
    new: Spent                        later: whose quotas are used up

The end of either process is the end of file for the other.
Source: docs/decisions/0018-upgrade.md.
"""

import asyncio
import os
import socket
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from penstock.base.errors import PenstockError
from penstock.config.plan import NodePlan
from penstock.config.renumber import Numbers, TargetName
from penstock.dataplane import orders, packets
from penstock.metrics.resumed import SavedReader
from penstock.node.health.memory import SavedTarget
from penstock.node.seating import SavedSeats

VERSION = 4
"""Of all that is said here; another one is refused."""

DESCRIPTORS = 200
"""Most in one packet; Linux takes 253 (SCM_MAX_FD)."""

PACKET_BYTES = 131_072
"""Longest packet: DESCRIPTORS names and addresses, 107 bytes of path at most each. Whatever is longer goes into memory
of its own."""

MEMORY_BYTES = 1 << 30
"""Most that such memory holds; ten thousand routes and a million rows stay below 200 MB."""


class HandoverError(PenstockError):
    """The other process said what it should not, or is gone."""


class Handed(Struct, frozen=True):
    """
    What a descriptor is for.

    Args:
        name: Of the listener; `admin` or `command` for the doors.
        host, port: As configured.
    """

    name: str
    host: str
    port: int


class Sockets(Struct, frozen=True, tag="sockets"):
    """Listening sockets; a descriptor for each of these."""

    each: tuple[Handed, ...]


class Greeting(Struct, frozen=True, tag="greeting"):
    """
    The last word before the new one starts; the descriptors are memory that holds a `Will`, and the limit table.

    Args:
        version: VERSION.
        release: Of the old program.
        pid: Its process.
        magic: Layout of its ledgers.
    """

    version: int
    release: str
    pid: int
    magic: int


class SavedNumbers(Struct, frozen=True):
    """Numbers by name; see `config.renumber.Numbers`."""

    listeners: dict[str, int]
    routes: dict[str, int]
    targets: tuple[tuple[TargetName, int], ...]


class Will(Struct, frozen=True):
    """
    What the new one must know before it starts.

    Args:
        plan: What is served.
        numbers: Of all names that were served so far.
        generation: The highest of a worker so far.
        targets: How they are, so that the first connections go where they should.
        seats: Which columns of the limit table are taken.
    """

    plan: NodePlan
    numbers: SavedNumbers
    generation: int
    targets: tuple[SavedTarget, ...] = ()
    seats: SavedSeats = SavedSeats(0, 1)


class Ready(Struct, frozen=True, tag="ready"):
    """The new one's workers accept."""


class Ledgers(Struct, frozen=True, tag="ledgers"):
    """Ledgers of workers that still run; a descriptor for each generation. Those of an older process are among them."""

    generations: tuple[int, ...]


class Older(Struct, frozen=True, tag="older"):
    """A process that was succeeded before and still drains; the descriptor is the socket on which it tells of that."""

    generations: tuple[int, ...]


class Legacy(Struct, frozen=True, tag="legacy"):
    """All that was counted; the descriptor is memory that holds `Counted`."""


class Counted(Struct, frozen=True):
    """
    What was counted until the handover.

    Args:
        parts: As `parts.export` returns them.
        pages: First number, count and body of pages of records.
        readers: How far each ledger was read.
        targets: How they are, and what was counted of them.
        entries: Kind, key and body of what else is kept, such as bans; for a node without a store to read them from.
    """

    parts: dict[str, bytes]
    pages: tuple[tuple[int, int, bytes], ...]
    readers: tuple[SavedReader, ...]
    targets: tuple[SavedTarget, ...] = ()
    entries: tuple[tuple[str, str, str], ...] = ()


class Taken(Struct, frozen=True, tag="taken"):
    """
    The new one serves and counts.

    Args:
        paths: Unix sockets that it listens on: their files are its own.
    """

    paths: tuple[str, ...] = ()


class Refused(Struct, frozen=True, tag="refused"):
    """The new one ends; why."""

    why: str


class Ended(Struct, frozen=True, tag="ended"):
    """A worker of the old process is no more."""

    generation: int


class Hurry(Struct, frozen=True, tag="hurry"):
    """What still drains ends by this monotonic time; unit ns."""

    deadline_ns: int


class Close(Struct, frozen=True, tag="close"):
    """
    End a connection; answered with `Closed`.

    Args:
        generation: Of its worker.
        serial: Its number there.
    """

    generation: int
    serial: int


class Closed(Struct, frozen=True, tag="closed"):
    """The answer to `Close`: whether there was one."""

    generation: int
    serial: int
    found: bool


class Cut(Struct, frozen=True, tag="cut"):
    """End connections, in every worker that drains."""

    order: orders.CutClients


class Spent(Struct, frozen=True, tag="spent"):
    """Say to every worker that drains whose quotas are used up."""

    order: orders.Spent


Message = (
    Sockets
    | Greeting
    | Ready
    | Ledgers
    | Older
    | Legacy
    | Taken
    | Refused
    | Ended
    | Hurry
    | Close
    | Closed
    | Cut
    | Spent
)

_encode = msgspec.json.Encoder().encode
_decode: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Packet(NamedTuple):
    """
    A message and what came with it.

    Args:
        message: None at the end of file.
        fds: Owned by whoever received them.
    """

    message: Message | None
    fds: list[int]


class Channel:
    """
    One end.

    Args:
        sock: SOCK_SEQPACKET; owned from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor, for a child or another process."""
        return self._sock.fileno()

    @property
    def closed(self) -> bool:
        """Return whether this end is closed."""
        return self._sock.fileno() < 0

    async def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Say something; raises HandoverError where nobody listens any more."""
        packet = _encode(message)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        while True:
            try:
                self._sock.sendmsg([packet], ancillary)
            except BlockingIOError:
                await self._stirs(writable=True)
            except OSError as error:
                raise HandoverError(f"the other process is gone: {error.strerror or error}") from error
            else:
                return

    async def receive(self) -> Packet:
        """Return what is said next; raises HandoverError for what is no message."""
        while True:
            try:
                packet, fds = packets.receive(self._sock, PACKET_BYTES, DESCRIPTORS)
            except BlockingIOError:
                await self._stirs(writable=False)
                continue
            except ConnectionResetError:  # it left without reading all; what it said before that is still there
                continue
            except OSError:
                packet, fds = b"", []
            if not packet:
                return Packet(None, fds)
            try:
                return Packet(_decode.decode(packet), fds)
            except msgspec.MsgspecError as error:
                close_all(fds)
                raise HandoverError(f"not understood: {error}") from error

    async def _stirs(self, *, writable: bool) -> None:
        loop = asyncio.get_running_loop()
        stirred: asyncio.Future[None] = loop.create_future()
        watch, leave = (loop.add_writer, loop.remove_writer) if writable else (loop.add_reader, loop.remove_reader)
        fd = self._sock.fileno()
        watch(fd, _settle, stirred)
        try:
            await stirred
        finally:
            leave(fd)

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


def _settle(stirred: asyncio.Future[None]) -> None:
    if not stirred.done():
        stirred.set_result(None)


def pair() -> tuple[Channel, socket.socket]:
    """Return our end, and the one that a new process is given."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), theirs


def read_memory(fd: int) -> bytes:
    """Return what memory holds, and close it; raises HandoverError for more than MEMORY_BYTES."""
    try:
        size = os.fstat(fd).st_size
        if size > MEMORY_BYTES:
            raise HandoverError(f"{size} bytes: more than {MEMORY_BYTES}")
        found = b""
        while more := os.pread(fd, size - len(found), len(found)):
            found += more
        return found
    finally:
        os.close(fd)


def saved_numbers(numbers: Numbers) -> SavedNumbers:
    """Return numbers as they are handed over."""
    return SavedNumbers(dict(numbers.listeners), dict(numbers.routes), tuple(numbers.targets.items()))


def numbers_from(saved: SavedNumbers) -> Numbers:
    """Return numbers that were handed over."""
    return Numbers(saved.listeners, saved.routes, dict(saved.targets))


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
