"""A process that drains and tells its successor."""

import asyncio

from penstock.dataplane import orders
from penstock.dataplane.orders import CutClients, Drain
from penstock.node import handover
from penstock.node.handover import Channel, Close, Closed, Cut, Ended, Hurry, Spent
from penstock.node.heir import Heir


class Life:
    """A worker that keeps its orders."""

    def __init__(self, generation):
        self.generation, self.orders = generation, []

    def send(self, order):
        """Keep it."""
        self.orders.append(order)


class Crew:
    """Workers that live."""

    def __init__(self, *generations):
        self.lives = [Life(each) for each in generations]

    async def close_connection(self, generation, serial):
        """Have one connection."""
        return (generation, serial) == (1, 5)


def test_every_end_is_told_once():
    """Workers that were gone when the ledgers were handed over, and those that end later; then the end of file."""

    async def go():
        ours, theirs = handover.pair()
        other = Channel(theirs)
        heir = Heir(ours, Crew(2, 3), (1, 2, 3))
        heir.attach(9, 0)
        heir.detach(3)
        heir.detach(2)
        await heir.close()
        assert [(await other.receive()).message for _ in range(4)] == [Ended(1), Ended(3), Ended(2), None]
        other.close()

    asyncio.run(go())


def test_the_successor_may_be_in_a_hurry():
    """Its deadline is given to every worker; when it is gone, what drains goes on."""

    async def go():
        ours, theirs = handover.pair()
        other, crew = Channel(theirs), Crew(1, 2)
        heir = Heir(ours, crew)
        await other.send(Hurry(5))
        other.close()
        await heir.listen()
        assert [life.orders for life in crew.lives] == [[Drain(5)], [Drain(5)]]
        heir.detach(1)  # nobody hears it, and nothing comes of that
        await heir.close()

    asyncio.run(go())


def test_the_successor_may_end_connections():
    """One by its number, those of a client in every worker, and those whose quota is used up."""

    async def go():
        ours, theirs = handover.pair()
        other, crew = Channel(theirs), Crew(1, 2)
        heir = Heir(ours, crew)
        listening = asyncio.create_task(heir.listen())
        for serial in (5, 6):
            await other.send(Close(1, serial))
            assert (await other.receive()).message == Closed(1, serial, found=serial == 5)
        cut = CutClients((("00", "ff"),))
        spent = orders.Spent(((3, "ann"),))
        await other.send(Cut(cut))
        await other.send(Spent(spent))
        await other.send(Hurry(1))
        other.close()
        await listening
        assert [life.orders for life in crew.lives] == [[cut, spent, Drain(1)]] * 2
        await heir.close()

    asyncio.run(go())
