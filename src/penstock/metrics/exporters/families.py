"""What a node serves, before anybody writes it down: each family with its numbers. All exporters are made of this."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import isfinite, isnan
from platform import python_version
from typing import NamedTuple

from penstock.metrics import catalog
from penstock.metrics.banned import ORIGINS, REASONS
from penstock.metrics.catalog import Family
from penstock.metrics.histogram import Distribution
from penstock.metrics.kinds import USER
from penstock.metrics.labels import KeySeries
from penstock.metrics.quotas import QuotaFigures
from penstock.metrics.snapshot import PairView, Snapshot, TargetView, Usage
from penstock.metrics.tracker import NODE, WINDOWS

Key = tuple[str, ...]
"""Values of labels, in the family's order."""

Samples = Iterable[tuple[Key, float]]

Distributions = Iterable[tuple[Key, Distribution]]


class Sample(NamedTuple):
    """
    One number.

    Args:
        name: The family's, or that of a part of a histogram.
        labels: By name.
        value: The number.
    """

    name: str
    labels: dict[str, str]
    value: float


class Reading(NamedTuple):
    """
    One family at one tick.

    Args:
        family: Which one.
        numbers: By values of labels; empty for a histogram.
        distributions: The same of a histogram; empty for any other kind.
    """

    family: Family
    numbers: Mapping[Key, float]
    distributions: Mapping[Key, Distribution]

    def samples(self) -> Iterator[Sample]:
        """Yield every sample; those of a histogram by rising bounds, then count and sum."""
        for values, number in self.numbers.items():
            yield Sample(self.family.name, dict(zip(self.family.labels, values, strict=True)), number)
        for values, found in self.distributions.items():
            yield from self._spread(values, found)

    def _spread(self, values: Key, found: Distribution) -> Iterator[Sample]:
        bucket, count, total = self.family.parts
        labels = dict(zip(self.family.labels, values, strict=True))
        cumulative = found.cumulative()
        for bound, below in zip(names_of(found.bounds), cumulative, strict=True):
            yield Sample(bucket, labels | {"le": bound}, below)
        yield Sample(count, labels, cumulative[-1])
        yield Sample(total, labels, found.sum)


def number(value: float) -> str:
    """Return a number as Prometheus writes it; whole numbers whole, however large."""
    if isinstance(value, int) or isfinite(value):
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


def unicode_of(text: str) -> str:
    """Return a text that can be written as UTF-8: a lone surrogate, from bytes that were none, becomes `?`."""
    return text.encode("utf-8", "replace").decode()


@lru_cache(64)
def names_of(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Return what the buckets of a histogram are called: by their upper bounds, the last one without."""
    return (*(number(float(bound)) for bound in bounds), "+Inf")


def readings(snapshot: Snapshot, usage: Usage | None) -> list[Reading]:
    """
    Return every family of a node, in the order of the catalogue.

    Args:
        snapshot: Of the node.
        usage: Of its processes; None leaves the `process_` families out.
    """
    found = [_reading(family, snapshot) for family in catalog.NODE]
    for kind, series in snapshot.labelled.items():
        found += _labelled(kind, series)
        if kind == USER:
            found += _quotas(catalog.USER_QUOTA, catalog.USER_QUOTA_USED, snapshot.quotas.users)
    if usage is not None:
        found += [Reading(family, {(): value}, {}) for family, value in _usage(usage)]
    return found


def chosen(found: Iterable[Reading], names: Collection[str]) -> list[Reading]:
    """
    Return the families that are meant by any of these names.

    Args:
        found: Families.
        names: Of families, with or without `_total`, or of their samples, such as `..._bucket`: a histogram is served
            whole, because OpenMetrics knows no part of one. Unknown names mean nothing.
    """
    return [reading for reading in found if not reading.family.names.isdisjoint(names)]


def _reading(family: Family, snapshot: Snapshot) -> Reading:
    if family.kind == "histogram":
        return Reading(family, {}, together(_DISTRIBUTIONS[family.name](snapshot)))
    return Reading(family, _merged(_SAMPLES[family.name](snapshot)), {})


def _labelled(kind: str, series: Sequence[KeySeries]) -> list[Reading]:
    """Return the families of a kind whose keys are labels."""
    connections, active, moved = catalog.LABELLED[kind][:3]
    bytes_in, bytes_out = catalog.DIRECTIONS
    directions: dict[Key, float] = {(bytes_in, each.name): each.bytes_in for each in series}
    directions |= {(bytes_out, each.name): each.bytes_out for each in series}
    return [
        Reading(connections, {(each.name,): each.connections for each in series}, {}),
        Reading(active, {(each.name,): each.active for each in series}, {}),
        Reading(moved, directions, {}),
    ]


def _quotas(size: Family, used: Family, quotas: Sequence[QuotaFigures]) -> list[Reading]:
    return [
        Reading(size, {(each.name,): each.size for each in quotas}, {}),
        Reading(used, {(each.name,): each.used for each in quotas}, {}),
    ]


def _merged(samples: Samples) -> Mapping[Key, float]:
    """Add up samples of equal labels: two listeners may send to one target, and a series is served once."""
    merged: dict[Key, float] = {}
    for values, number in samples:
        merged[values] = merged.get(values, 0) + number
    return merged


def together(distributions: Distributions) -> Mapping[Key, Distribution]:
    """Add up histograms of equal labels."""
    merged: dict[Key, Distribution] = {}
    for values, found in distributions:
        merged[values] = merged[values] + found if values in merged else found
    return merged


def _by_pair(number: Callable[[PairView], int]) -> Callable[[Snapshot], Samples]:
    return lambda snapshot: (((view.listener, view.route), number(view)) for view in snapshot.pairs)


def _by_target(number: Callable[[TargetView], int]) -> Callable[[Snapshot], Samples]:
    return lambda snapshot: (((view.route, view.address), number(view)) for view in snapshot.targets)


def _bytes(snapshot: Snapshot) -> Samples:
    for view in snapshot.pairs:
        for direction, number in zip(catalog.DIRECTIONS, (view.bytes_in, view.bytes_out), strict=True):
            yield (direction, view.listener, view.route), number


def _target_bytes(snapshot: Snapshot) -> Samples:
    for view in snapshot.targets:
        for direction, number in zip(catalog.TARGET_DIRECTIONS, (view.target_rx, view.target_tx), strict=True):
            yield (direction, view.route, view.address), number


def _target_up(snapshot: Snapshot) -> Samples:
    """Two listeners may send to one target under one name: it is up if it is up for both."""
    up: dict[Key, int] = {}
    for view in snapshot.targets:
        key = view.route, view.address
        up[key] = min(int(view.state == "up"), up.get(key, 1))
    return up.items()


def _checks(snapshot: Snapshot) -> Samples:
    for view in snapshot.targets:
        for result, number in view.checks.items():
            yield (view.route, view.address, result), number


def _certificates(snapshot: Snapshot) -> Samples:
    """Two certificates may have the same first name: that which ends first is the one to know of."""
    ends: dict[Key, int] = {}
    for view in snapshot.certificates:
        key = view.name, view.source
        ends[key] = min(view.not_after_s, ends.get(key, view.not_after_s))
    return ends.items()


def _throughput(snapshot: Snapshot) -> Samples:
    if not snapshot.collection.series:
        return
    for window, seconds in zip(catalog.WINDOWS, WINDOWS.values(), strict=True):
        rates = snapshot.series.rates(NODE, seconds)
        for direction, rate in zip(catalog.DIRECTIONS, (rates.bytes_in, rates.bytes_out), strict=True):
            yield (direction, window), rate


def _requests(snapshot: Snapshot) -> Samples:
    for listener, route, code, count in snapshot.requests.codes:
        yield (listener, route, code), count


def _workers(snapshot: Snapshot) -> Samples:
    return [(("configured",), snapshot.workers.configured), (("alive",), snapshot.workers.alive)]


_SAMPLES: dict[str, Callable[[Snapshot], Samples]] = {
    catalog.CONNECTIONS.name: _by_pair(lambda view: view.connections),
    catalog.ACTIVE.name: _by_pair(lambda view: view.active),
    catalog.BYTES.name: _bytes,
    catalog.THROUGHPUT.name: _throughput,
    catalog.REQUESTS.name: _requests,
    catalog.REFUSED.name: lambda snapshot: (((reason,), count) for reason, count in snapshot.refused.items()),
    catalog.BANS.name: lambda snapshot: (((each,), snapshot.banned.active.get(each, 0)) for each in ORIGINS),
    catalog.BANS_MADE.name: lambda snapshot: (((each,), snapshot.banned.made.get(each, 0)) for each in REASONS),
    catalog.SHADOWED.name: lambda snapshot: [((), snapshot.banned.shadowed)],
    catalog.PROXY_HEADERS.name: lambda snapshot: [((), snapshot.proxy_headers)],
    catalog.USERS_FILE_ERRORS.name: lambda snapshot: [((), snapshot.auth.users_file_errors)],
    catalog.AUTH.name: lambda snapshot: [(("success",), snapshot.auth.success), (("failure",), snapshot.auth.failure)],
    catalog.OUTCOMES.name: lambda snapshot: (((o.ended_by, o.phase), o.count) for o in snapshot.outcomes),
    catalog.TARGET_CONNECTIONS.name: _by_target(lambda view: view.connections),
    catalog.TARGET_ACTIVE.name: _by_target(lambda view: view.active),
    catalog.TARGET_BYTES.name: _target_bytes,
    catalog.TARGET_UP.name: _target_up,
    catalog.TARGET_CHECKS.name: _checks,
    catalog.TARGET_EJECTIONS.name: _by_target(lambda view: view.ejections),
    catalog.CERTIFICATES.name: _certificates,
    catalog.ROUTE_QUOTA.name: lambda snapshot: (((each.name,), each.size) for each in snapshot.quotas.routes),
    catalog.ROUTE_QUOTA_USED.name: lambda snapshot: (((each.name,), each.used) for each in snapshot.quotas.routes),
    catalog.QUOTAS_SPENT.name: lambda snapshot: [
        (("route",), snapshot.quotas.spent_routes),
        (("user",), snapshot.quotas.spent_users),
    ],
    catalog.AUDIT.name: lambda snapshot: (((name,), number) for name, number in snapshot.audit.residual_bytes.items()),
    catalog.EVICTIONS.name: lambda snapshot: (((kind,), number) for kind, number in snapshot.evictions.items()),
    catalog.WORKERS.name: _workers,
    catalog.RESPAWNS.name: lambda snapshot: [((), snapshot.workers.respawns)],
    catalog.PAUSES.name: lambda snapshot: [((), snapshot.workers.accept_pauses)],
    catalog.BUILD.name: lambda snapshot: [((snapshot.node.version, python_version()), 1)],
}


_DISTRIBUTIONS: dict[str, Callable[[Snapshot], Distributions]] = {
    catalog.DURATION.name: lambda snapshot: [((), snapshot.endings.durations)],
    catalog.REQUEST_DURATION.name: lambda snapshot: (
        ((listener, route), found) for listener, route, found in snapshot.requests.durations
    ),
    catalog.DIAL.name: lambda snapshot: (((route, target), found) for route, target, found in snapshot.endings.dials),
}


def _usage(usage: Usage) -> Iterable[tuple[Family, float]]:
    return (
        (catalog.CPU, usage.cpu_seconds),
        (catalog.RESIDENT, usage.resident_bytes),
        (catalog.VIRTUAL, usage.virtual_bytes),
        (catalog.OPEN_FDS, usage.open_fds),
        (catalog.MAX_FDS, usage.max_fds),
        (catalog.START, usage.started_at),
    )
