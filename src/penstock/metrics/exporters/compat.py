"""
Older families under their own names, for dashboards and alerts that ask for them. Served when `compat_names` is true.

Each is made of one of our families and of nothing else, so it can never differ from it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from penstock.metrics import catalog
from penstock.metrics.catalog import Family
from penstock.metrics.exporters.families import Key, Reading, readings, together
from penstock.metrics.snapshot import Snapshot, Usage

WINDOW = catalog.WINDOWS[0]
"""The window of throughput that has no label for one: what happens now."""

Wanted = Callable[[Mapping[str, str]], bool]


class Alias(NamedTuple):
    """
    One older family.

    Args:
        family: As it is served. Its labels are among those of the source; over all others is summed up.
        source: Ours.
        wanted: Which samples of the source count, by their labels.
    """

    family: Family
    source: Family
    wanted: Wanted = lambda labels: True


def _now(labels: Mapping[str, str]) -> bool:
    return labels["window"] == WINDOW


def _right(labels: Mapping[str, str]) -> bool:
    return labels["result"] == "success"


ALIASES = (
    Alias(Family("socks5_connections_total", "counter", "Client connections accepted"), catalog.CONNECTIONS),
    Alias(Family("socks5_active_connections", "gauge", "Client connections open"), catalog.ACTIVE),
    Alias(Family("smartproxy_active_connections", "gauge", "Client connections open"), catalog.ACTIVE),
    Alias(
        Family("socks5_connection_duration_seconds", "histogram", catalog.DURATION.help),
        catalog.DURATION,
    ),
    Alias(
        Family("smartproxy_connection_duration_seconds", "histogram", catalog.DURATION.help),
        catalog.DURATION,
    ),
    Alias(
        Family(
            "smartproxy_bytes_total", "counter", "Bytes moved on the client side, in from clients and out to them",
            ("direction",),
        ),
        catalog.BYTES,
    ),
    Alias(
        Family("socks5_bytes_transferred_total", "counter", "Bytes moved on the client side, both directions together"),
        catalog.BYTES,
    ),
    Alias(
        Family(
            "smartproxy_throughput_bytes_per_second", "gauge",
            "Bytes per second on the client side in the last second, both directions together",
        ),
        catalog.THROUGHPUT,
        _now,
    ),
    Alias(Family("socks5_auth_attempts_total", "counter", "Logins, right and wrong"), catalog.AUTH),
    Alias(Family("socks5_auth_success_total", "counter", "Logins that were right"), catalog.AUTH, _right),
    Alias(Family("socks5_blocked_requests_total", "counter", "Refusals for whatever reason"), catalog.REFUSED),
)  # fmt: skip
"""Every older family that has a source."""

COMPAT = tuple(alias.family for alias in ALIASES)


def served(snapshot: Snapshot, usage: Usage | None, *, compat_names: bool) -> list[Reading]:
    """
    Return all that a node tells: its families, and the older ones where they are asked for.

    Args:
        snapshot: Of the node.
        usage: Of its processes; None leaves the `process_` families out.
        compat_names: Whether the older ones are there.
    """
    found = readings(snapshot, usage)
    return found + aliases(found) if compat_names else found


def aliases(found: Iterable[Reading]) -> list[Reading]:
    """
    Return the older families.

    Args:
        found: Ours, of the same tick.
    """
    sources = {reading.family.name: reading for reading in found}
    return [_aliased(alias, sources[alias.source.name]) for alias in ALIASES]


def _aliased(alias: Alias, source: Reading) -> Reading:
    places = [source.family.labels.index(label) for label in alias.family.labels]
    numbers: dict[Key, float] = {}
    for values, number in source.numbers.items():
        if alias.wanted(dict(zip(source.family.labels, values, strict=True))):
            key = tuple(values[place] for place in places)
            numbers[key] = numbers.get(key, 0) + number
    spread = ((tuple(values[place] for place in places), one) for values, one in source.distributions.items())
    return Reading(alias.family, numbers, together(spread))
