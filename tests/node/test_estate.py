"""What a node that is succeeded leaves."""

import asyncio
from types import SimpleNamespace

from penstock.node import handover
from penstock.node.elder import Drainer, Elders
from penstock.node.estate import estate_of
from penstock.node.health.memory import SavedTarget
from penstock.node.processes import in_memory
from penstock.policy.health import Remembered, TargetOrder
from penstock.testing.standin import StandIn

from .conftest import KeptLog

SAVED = SavedTarget("web", "a:1", Remembered(TargetOrder.MAINT, 1, 1))


def test_ledgers_of_older_processes_are_passed_on():
    """Totals, records, every ledger with its reading, and the channels of those who drain; nothing of who is gone."""

    async def go():
        node, log = StandIn(), KeptLog().log
        node.pen.move(node.pen.open(), 1, 2)
        node.tick()
        older = Elders(node.sampler.detach, log)
        channel, theirs = handover.pair()
        older.follow([Drainer(channel, {5: in_memory(b"")})])
        crew = SimpleNamespace(lives=[SimpleNamespace(generation=1, ledger=node.pen.fd)])
        keeper = SimpleNamespace(pages=lambda registry: [(1, 2, b"page")], everything=lambda: (("ban", "a", "{}"),))
        health = SimpleNamespace(remember=lambda: (SAVED,))
        found = estate_of(crew, node.sampler, older, keeper, health)
        assert (found.counted.targets, found.counted.entries) == ((SAVED,), (("ban", "a", "{}"),))
        assert [generation for generation, _ in found.ledgers] == [1, 5]
        assert [each.generation for each in found.counted.readers] == [1]
        assert (found.counted.pages, "totals" in found.counted.parts) == (((1, 2, b"page"),), True)
        assert found.older == [((5,), channel.fileno())]
        assert estate_of(crew, node.sampler, None, keeper, health).older == []
        older.leave()
        theirs.close()
        node.close()

    asyncio.run(go())
