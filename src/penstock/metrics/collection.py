"""
What is collected, part by part, and what can be switched while the node runs.

Totals, open connections and outcomes are no part: bytes are counted as they are moved, and stay exact whatever is off.
A part that is off answers with nothing (`covered` is 0, numbers are null), and begins anew when it is switched on.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import asdict, replace

from penstock.base.errors import PenstockError
from penstock.config.plan import MetricsPlan

ALL = "all"
"""What every part together is called."""


class CollectionError(PenstockError, ValueError):
    """A part that there is not, or that the configuration gives no room; the message is for the operator."""


class Collection(Struct, frozen=True, kw_only=True):
    """
    Which parts are on.

    Args:
        series: Windows and graphs of the node, listeners, routes and targets.
        clients, users, destinations: Who moves what, by name.
        percentiles: What ended connections measured: percentiles, and histograms of durations and dials.
        records: Ended connections, kept for looking up.
        exports: Deliveries to StatsD, push and OTLP. What asks for numbers itself, as Prometheus does, gets them.
    """

    series: bool
    clients: bool
    users: bool
    destinations: bool
    percentiles: bool
    records: bool
    exports: bool


PARTS = Collection.__struct_fields__
"""Every part, in the order in which they are shown."""


def room(plan: MetricsPlan) -> dict[str, str]:
    """
    Return for each part what keeps it from being switched on; empty where nothing does.

    Args:
        plan: What is configured.
    """
    needs = {
        "series": (plan.trackers, "metrics.trackers is 0"),
        "clients": (plan.clients, "metrics.clients is 0"),
        "users": (plan.users, "metrics.users is 0"),
        "destinations": (plan.destinations, "metrics.destinations is 0"),
        "percentiles": (True, ""),
        "records": (plan.connection_records, "metrics.connection_records is 0"),
        "exports": (plan.statsd or plan.push or plan.otlp, "none of metrics.statsd, push and otlp is set"),
    }
    return {part: "" if size else why for part, (size, why) in needs.items()}


def begin(plan: MetricsPlan) -> Collection:
    """
    Return what is on at the start.

    Args:
        plan: What is configured.
    """
    found = {part: plan.enabled and not why for part, why in room(plan).items()}
    return Collection(**found | {"percentiles": plan.enabled and plan.percentiles})


def switched(now: Collection, wanted: Mapping[str, bool], plan: MetricsPlan) -> Collection:
    """
    Return what is on after an order.

    Args:
        now: What is on.
        wanted: Parts by name, or `all`, and whether each shall be on. A part that is named beside `all` wins over it;
            `all` leaves out what has no room.
        plan: What is configured.

    Raises:
        CollectionError: If a part is unknown, or has no room. Nothing is switched then.
    """
    if unknown := sorted(wanted.keys() - {*PARTS, ALL}):
        raise CollectionError(f"{unknown[0][:60]!r} is no part; parts are: {', '.join(PARTS)}, and {ALL}")
    missing = room(plan)
    for part, on in wanted.items():
        if on and part != ALL and missing[part]:
            raise CollectionError(f"{part} cannot be switched on: {missing[part]}")
    if ALL in wanted:
        now = Collection(**{part: wanted[ALL] and not why for part, why in missing.items()})
    return replace(now, **{part: on for part, on in wanted.items() if part != ALL})


def changes(before: Collection, after: Collection) -> dict[str, bool]:
    """Return the parts that differ, and whether each is on now."""
    now = asdict(after)
    return {part: now[part] for part, on in asdict(before).items() if on != now[part]}
