"""The process that this one succeeds, as seen from here."""

import asyncio
import os
import socket

import msgspec
import pytest

from penstock.base.errors import StartError
from penstock.dataplane.orders import CutClients, Spent
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import MAGIC
from penstock.node import elder as room
from penstock.node import handover
from penstock.node.elder import Drainer, Elder, Elders, adopted, from_environment, refuse
from penstock.node.handover import Channel, Counted, Ended, Greeting, Handed, Hurry, Legacy, Refused, Will
from penstock.node.processes import in_memory
from penstock.node.upgrade import VARIABLE
from penstock.testing.pen import Pen
from penstock.testing.standin import PLAN

from .conftest import KeptLog, until

WILL = Will(PLAN, handover.SavedNumbers({}, {}, ()), 3)


def greeting(version=handover.VERSION, magic=MAGIC):
    """Return what an old process of this release says."""
    return Greeting(version, "1.2.3", 4, magic)


async def told(*packets, ask=Elder.greet):
    """Return what the new process makes of what the old one says: messages with data or descriptors."""
    ours, theirs = handover.pair()
    for message, fds in packets:
        given = [in_memory(fds)] if isinstance(fds, bytes) else fds
        await ours.send(message, given)
    ours._sock.shutdown(socket.SHUT_WR)
    try:
        return await ask(Elder(theirs))
    finally:
        ours.close()


def test_a_greeting_brings_plan_and_sockets():
    """Sockets of one listener come together, under its configured address."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        web = Handed("web", "127.0.0.1", 0)
        sockets = handover.Sockets((web, web)), [one.fileno(), two.fileno()]
        limits = in_memory(b"table")
        will, inherited, given = asyncio.run(
            told(sockets, (greeting(), [in_memory(msgspec.msgpack.encode(WILL)), limits]))
        )
        assert will == WILL
        assert os.fstat(given).st_ino == os.fstat(limits).st_ino
        found = inherited.claim("web", "127.0.0.1", 0)
        assert [each.getsockname() for each in found] == [one.getsockname(), two.getsockname()]
        for each in found:
            each.close()


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        ((greeting(version=0), b""), "release 1.2.3 counts otherwise"),
        ((greeting(magic=0), b""), "release 1.2.3 counts otherwise"),
        ((greeting(), [in_memory(b"\xff"), 0]), "not understood"),
        ((greeting(), b"\xff"), "descriptors are missing"),
        ((greeting(), []), "descriptors are missing"),
        ((Ended(1), []), "said Ended"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(packet, why):
    """Another release that counts otherwise, nonsense, and what is not due."""
    with pytest.raises(StartError, match=why):
        asyncio.run(told(packet))


def test_an_old_process_that_is_gone_is_told():
    """Before the greeting, and before the legacy."""
    for ask in (Elder.greet, Elder.succeed):
        with pytest.raises(StartError, match="gone, or serves on"):
            asyncio.run(told(ask=ask))


def test_ledgers_are_read_on_where_they_were_left():
    """What was counted is not counted again, what comes later is; a ledger that is missing is refused."""
    pen = Pen()
    pen.move(pen.open(), 5, 5)
    reader = LedgerReader(pen.fd, 7)
    reader.fold()
    counted = Counted({}, (), (reader.export(),))
    packets = ((handover.Ledgers((7,)), [pen.fd]), (Legacy(), msgspec.msgpack.encode(counted)))
    found = asyncio.run(told(*packets, ask=Elder.succeed))
    ((fd, saved),) = adopted(found)
    resumed = LedgerReader(fd, 7, saved)
    assert resumed.fold().moved.sum() == 0
    pen.move(pen.open(), 1, 2)
    growth = resumed.fold()
    assert (growth.listeners[0].sum(), growth.moved.sum()) == (1, 3)
    os.close(fd)
    with pytest.raises(StartError, match="missing"):
        adopted(found._replace(drainers=[]))
    pen.close()


def test_workers_of_the_old_process_are_followed_to_their_ends(monkeypatch):
    """Each is read one last time when it is told of, and the rest when the process is gone."""
    monkeypatch.setattr(room, "GONE_SECONDS", 0.0)
    detached, kept = [], KeptLog()

    async def go():
        ours, theirs = handover.pair()
        old, elders = Channel(theirs), Elders(detached.append, kept.log)
        await elders.wait(10)  # there is nobody to wait for
        elders.follow([Drainer(ours, {1: in_memory(b""), 2: in_memory(b"")})])
        assert [generation for generation, _ in elders.ledgers()] == [1, 2]
        elders.pause()
        await old.send(Ended(2))
        elders.resume()
        await until(lambda: detached == [2])
        assert elders.channels()[0][0] == (1,)
        await elders.hurry(5)
        assert (await old.receive()).message == Hurry(5)
        old.close()
        await elders.wait(10)
        assert detached == [2, 1]
        assert elders.ledgers() == []
        elders.close()

    asyncio.run(go())
    assert kept.events("the old process has ended")


def test_connections_of_old_workers_are_closed():
    """The process that has the worker is asked, and its answer is told; with the worker's end its connections end."""

    async def go():
        ours, theirs = handover.pair()
        old, elders = Channel(theirs), Elders(lambda _: None, KeptLog().log)
        elders.follow([Drainer(ours, {1: in_memory(b""), 2: in_memory(b"")})])
        assert not await elders.close_connection(3, 1)
        for found in (True, False):
            asked = asyncio.create_task(elders.close_connection(2, 7))
            assert (await old.receive()).message == handover.Close(2, 7)
            await old.send(handover.Closed(9, 9, found=True))  # nobody has asked
            await old.send(handover.Closed(2, 7, found=found))
            assert await asked is found
        asked = asyncio.create_task(elders.close_connection(1, 7))
        await old.receive()
        await old.send(Ended(1))
        assert await asked
        cut = CutClients((("00", "ff"),))
        elders.cut(cut)
        assert (await old.receive()).message == handover.Cut(cut)
        elders.leave()
        old.close()

    asyncio.run(go())


def test_old_workers_learn_whose_quotas_are_used_up():
    """Once for each answer, in its order, and again now and then: who did not hear it hears it later."""

    async def go():
        ours, theirs = handover.pair()
        old, elders = Channel(theirs), Elders(lambda _: None, KeptLog().log)
        elders.follow([Drainer(ours, {1: in_memory(b"")})])
        ann, nobody = [Spent(((3, "ann"),), last=False), Spent(((3, "bob"),), first=False)], [Spent(())]
        elders.tell_spent(nobody, 0)
        for packets, version in ((ann, 1), (nobody, 2)):
            elders.tell_spent(packets, version)
            assert [(await old.receive()).message for _ in packets] == list(map(handover.Spent, packets))
        for _ in range(room.SPENT_TICKS):
            elders.tell_spent(nobody, 2)
        elders.cut(CutClients(()))
        assert (await old.receive()).message == handover.Spent(nobody[0])
        assert (await old.receive()).message == handover.Cut(CutClients(()))
        elders.leave()
        old.close()

    asyncio.run(go())


def test_an_old_process_that_does_not_answer_is_not_waited_for(monkeypatch):
    """Nobody knows whether the connection is closed, and it is shown until it is."""
    monkeypatch.setattr(room, "CLOSE_SECONDS", 0.0)

    async def go():
        ours, theirs = handover.pair()
        elders = Elders(lambda _: None, KeptLog().log)
        elders.follow([Drainer(ours, {1: in_memory(b"")})])
        assert not await elders.close_connection(1, 7)
        elders.leave()
        theirs.close()

    asyncio.run(go())


def test_somebody_else_may_read_on():
    """Who leaves reads nothing one last time, and closes all."""

    async def go():
        ours, theirs = handover.pair()
        elders = Elders(lambda _: pytest.fail("read"), KeptLog().log)
        elders.follow([Drainer(ours, {1: in_memory(b"")})])
        elders.leave()
        assert ours.closed
        theirs.close()

    asyncio.run(go())


@pytest.mark.parametrize("text", ["", "x", "-1", "99999", "9" * 50])
def test_the_environment_names_a_channel_or_none(text):
    """Nonsense is nobody, and no child hears of it."""
    environ = {VARIABLE: text}
    assert from_environment(environ) is None
    assert environ == {}


def test_a_refusal_reaches_the_old_process():
    """From a process that has no loop yet."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    refuse("a mistake", {VARIABLE: str(theirs.detach())})
    assert msgspec.json.decode(ours.recv(1_000), type=Refused) == Refused("a mistake")
    assert ours.recv(1) == b""
    ours.close()
    refuse("nobody hears", {})
