"""What two processes say to each other at a handover."""

import asyncio
import gc
import os
import socket
from pathlib import Path

import pytest
from msgspec import msgpack

from penstock.config.renumber import Numbers
from penstock.node import handover
from penstock.node.handover import (
    Channel,
    Counted,
    HandoverError,
    Ready,
    Refused,
    Will,
    close_all,
    numbers_from,
    read_memory,
    saved_numbers,
)
from penstock.node.processes import in_memory
from penstock.testing.standin import PLAN


def channels():
    """Return both ends as channels."""
    ours, theirs = handover.pair()
    return ours, Channel(theirs)


def test_messages_and_descriptors_come_whole():
    """Each packet is one message, with its own descriptors; the end is the end of file."""

    async def go():
        ours, theirs = channels()
        fd = in_memory(b"hello")
        waiting = asyncio.create_task(theirs.receive())
        await asyncio.sleep(0)
        await ours.send(Ready(), [fd])
        await ours.send(Refused("no"))
        ours.close()
        packet = await waiting
        assert (packet.message, read_memory(packet.fds[0])) == (Ready(), b"hello")
        os.close(fd)
        assert await theirs.receive() == (Refused("no"), [])
        assert await theirs.receive() == (None, [])
        with pytest.raises(HandoverError, match="gone"):
            await theirs.send(Ready())
        theirs.close()
        assert theirs.closed

    asyncio.run(go())


def test_last_words_are_heard_from_who_read_nothing():
    """A process that leaves unread what it was sent is heard all the same."""

    async def go():
        ours, theirs = channels()
        await ours.send(Ready())
        await theirs.send(Refused("a mistake"))
        theirs.close()
        assert (await ours.receive()).message == Refused("a mistake")
        assert (await ours.receive()).message is None
        ours.close()

    asyncio.run(go())


@pytest.mark.parametrize("noise", [b"{}", b"\xff", b'{"type": "drain"}', b"[" * 1_000])
def test_noise_is_an_error(noise):
    """Whatever is no message of ours, with its descriptors closed."""

    async def go():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            socket.send_fds(ours, [noise], [ours.fileno()])
            channel = Channel(theirs)
            gc.collect()  # what other tests left would be closed in the midst of it
            before = len(list(Path("/proc/self/fd").iterdir()))
            with pytest.raises(HandoverError, match="not understood"):
                await channel.receive()
            assert len(list(Path("/proc/self/fd").iterdir())) == before
            channel.close()

    asyncio.run(go())


def test_plans_and_counts_survive_memory(monkeypatch):
    """A plan with its numbers, and counts, are read as they were written; more than the bound is refused."""
    numbers = Numbers({"web": 1}, {"default": 2}, {("default", "h:1", 0): 3})
    will = Will(PLAN, saved_numbers(numbers), 4)
    found = msgpack.decode(read_memory(in_memory(msgpack.encode(will))), type=Will)
    assert (found, numbers_from(found.numbers)) == (will, numbers)
    counted = Counted({"totals": b"x"}, ((1, 2, b"y"),), ())
    assert msgpack.decode(msgpack.encode(counted), type=Counted) == counted
    monkeypatch.setattr(handover, "MEMORY_BYTES", 1)
    with pytest.raises(HandoverError, match="more than"):
        read_memory(in_memory(b"xx"))
    close_all([])
