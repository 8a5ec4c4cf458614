"""Connects the desk of bans with the rest of a node: who is watched, whom it commands, what is kept."""

from penstock.base.addresses import unpack_ip
from penstock.node.bans.desk import Desk
from penstock.node.bans.fills import FillView, fills
from penstock.node.bans.opened import count_open
from penstock.node.crew import Crew
from penstock.node.keeper import Keeper
from penstock.node.limits import Limits
from penstock.node.sampler import Sampler
from penstock.policy.ban import Network


def connect(desk: Desk, crew: Crew, sampler: Sampler, limits: Limits, keeper: Keeper) -> None:
    """
    Let the desk see what ends, command workers, look at limits, and have kept what it holds.

    Args:
        desk: Who bans.
        crew: The workers.
        sampler: Reads what they write.
        limits: What they count.
        keeper: Of the store.
    """

    def cut(network: Network) -> int:
        count = sum(count_open(reader, network) for reader in sampler.readers())
        crew.cut(network.ranges)
        return count

    def look_up(address: int, now: int) -> list[FillView]:
        packed = address.to_bytes(16)
        return fills(limits.table, desk.plan.worker.limits, packed, unpack_ip(packed), now)

    sampler.watch = desk.look
    keeper.entries = desk.drawer
    desk.hand, desk.keep, desk.cut, desk.fills = crew.hand_bans, keeper.keep_entries, cut, look_up
