"""Why an address is refused, or would soon be: every rule that holds against it, and what it did lately."""

from collections.abc import Sequence

from msgspec import Struct

from penstock.base.clock import NS
from penstock.metrics.filters import Filter, parse_client
from penstock.metrics.records import RecordsView
from penstock.metrics.searching import RecordView, search
from penstock.node.bans.desk import Desk
from penstock.node.bans.fills import FillView
from penstock.node.bans.views import BanError, BanView, ListView
from penstock.policy.ban import parse_network

REFUSALS = 10
"""Connections that were refused, in an answer: the newest."""

LOOKED_AT = 1_000
"""Connections of the address that are looked at for them."""


class CountView(Struct, frozen=True, kw_only=True):
    """
    What a detector counts of an address now.

    Args:
        detector: Which.
        counted: What it counts.
        count: How many there are in the window.
        threshold: How many are too many.
        window: Unit s.
    """

    detector: str
    counted: str
    count: int
    threshold: int
    window: float


class WhyView(Struct, frozen=True, kw_only=True):
    """
    What holds against an address.

    Args:
        address: Which, as it is called here.
        refused: Whether a ban refuses it now.
        bans: All bans that hold for it, those in shadow mode among them.
        lists: All block lists that hold it.
        limits: What of its limits is in use.
        counts: What detectors count of it.
        offences: How often it has been banned by itself lately.
        protected: Why it cannot be banned; empty if it can.
        refusals: Its newest connections that were refused.
    """

    address: str
    refused: bool
    bans: Sequence[BanView]
    lists: Sequence[ListView]
    limits: Sequence[FillView]
    counts: Sequence[CountView]
    offences: int
    protected: str
    refusals: Sequence[RecordView]


def why(desk: Desk, records: RecordsView, text: str) -> WhyView:
    """
    Return what holds against an address. Takes milliseconds: it belongs into a thread where block lists are long.

    Args:
        desk: Who bans.
        records: Connections that have ended.
        text: The address.

    Raises:
        BanError: If it is no address.
    """
    try:
        network = parse_network(text)
    except ValueError as error:
        raise BanError(f"ip: {error}") from None
    if not network.single:
        raise BanError("ip: one address is needed, as in 192.0.2.7")
    address = network.ranges[0][0]
    bans, lists = desk.holding(address), desk.listed(address)
    counts = [
        CountView(
            detector=rule.name, counted=rule.counted, count=count, threshold=rule.threshold, window=rule.window / NS
        )
        for rule, count in desk.counts(address)
    ]
    found = search(records, Filter(client=parse_client(network.text)), limit=LOOKED_AT)
    return WhyView(
        address=network.text,
        refused=bool(lists) or any(not each.shadow for each in bans),
        bans=bans,
        lists=lists,
        limits=desk.fills(address, desk.monotonic),
        counts=counts,
        offences=desk.offended(address),
        protected=desk.spared.protection().refuses(network),
        refusals=[each for each in found.connections if each.reason][:REFUSALS],
    )
