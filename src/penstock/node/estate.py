"""What a node that is succeeded leaves: all that was counted, and the ledgers that are still written."""

from penstock.metrics import parts
from penstock.node.crew import Crew
from penstock.node.elder import Elders
from penstock.node.handover import Counted
from penstock.node.health.health import Health
from penstock.node.keeper import Keeper
from penstock.node.sampler import Sampler
from penstock.node.upgrade import Estate


def estate_of(crew: Crew, sampler: Sampler, older: Elders | None, keeper: Keeper, health: Health) -> Estate:
    """
    Return it. Nobody may tick any more, the store is closed, and what older processes say waits for the successor.

    Args:
        crew: The node's workers.
        sampler: Has read their ledgers.
        older: Processes that drain since an upgrade before; None for none.
        keeper: Packs records.
        health: Knows the targets.
    """
    ledgers = {life.generation: life.ledger for life in crew.lives}
    if older is not None:
        older.pause()
        ledgers |= dict(older.ledgers())
    counted = Counted(
        parts=parts.export(sampler.registry),
        pages=tuple((each[0], each[1], each[2]) for each in keeper.pages(sampler.registry)),
        readers=tuple(each for each in sampler.export() if each.generation in ledgers),
        targets=health.remember(),
        entries=keeper.everything(),
    )
    return Estate(counted, list(ledgers.items()), [] if older is None else older.channels())
