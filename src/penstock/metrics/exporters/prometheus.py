"""A snapshot as Prometheus text 0.0.4 and as OpenMetrics 1.0."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from platform import python_version

from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from penstock.metrics import catalog
from penstock.metrics.catalog import Family
from penstock.metrics.histogram import Distribution
from penstock.metrics.snapshot import PairView, Snapshot, TargetView, Usage
from penstock.metrics.tracker import NODE, WINDOWS

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, in the family's order, and the number."""

Distributions = Iterable[tuple[tuple[str, ...], Distribution]]
"""The same of a histogram."""

COMPRESSION = 1
"""Level of gzip: metrics shrink tenfold at the fastest already."""


class Format(Enum):
    """What can be served; the value is its content type."""

    TEXT = exposition.CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST


class SnapshotCollector(Collector):
    """
    Gives prometheus_client the families of one snapshot.

    Args:
        snapshot: Of the node.
        usage: Of its processes; None leaves the `process_` families out.
    """

    def __init__(self, snapshot: Snapshot, usage: Usage | None) -> None:
        self._snapshot, self._usage = snapshot, usage

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        for family in catalog.NODE:
            if family.kind == "histogram":
                yield _histogram(family, _DISTRIBUTIONS[family.name](self._snapshot))
            else:
                yield _metric(family, _SAMPLES[family.name](self._snapshot))
        if self._usage is not None:
            for family, value in _usage(self._usage):
                yield _metric(family, [((), value)])


def render(snapshot: Snapshot, usage: Usage | None, form: Format, *, compressed: bool = False) -> bytes:
    """
    Return the metrics of a node.

    Args:
        snapshot: Of the node.
        usage: Of its processes; None leaves the `process_` families out.
        form: In which form.
        compressed: Whether to gzip them.
    """
    collector = SnapshotCollector(snapshot, usage)
    if form is Format.OPENMETRICS:
        body: bytes = openmetrics.generate_latest(collector)  # type: ignore[no-untyped-call]
    else:
        body = exposition.generate_latest(collector)
    return gzip.compress(body, COMPRESSION, mtime=0) if compressed else body


def _metric(family: Family, samples: Samples) -> Metric:
    if family.kind == "counter":
        metric: Metric = CounterMetricFamily(family.name, family.help)
    else:
        metric = GaugeMetricFamily(family.name, family.help)
    for values, number in _merged(samples).items():
        metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), number)
    return metric


def _histogram(family: Family, distributions: Distributions) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    merged: dict[tuple[str, ...], Distribution] = {}
    for values, found in distributions:
        merged[values] = merged[values] + found if values in merged else found
    for values, found in merged.items():
        names = [*map(floatToGoString, found.bounds), "+Inf"]
        metric.add_metric(values, list(zip(names, found.cumulative(), strict=True)), found.sum)
    return metric


def _merged(samples: Samples) -> dict[tuple[str, ...], float]:
    """Add up samples of equal labels: two listeners may send to one target, and a series is served once."""
    merged: Counter[tuple[str, ...]] = Counter()
    for values, number in samples:
        merged[values] += number  # type: ignore[assignment]
    return merged  # type: ignore[return-value]


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


def _throughput(snapshot: Snapshot) -> Samples:
    for window, seconds in zip(catalog.WINDOWS, WINDOWS.values(), strict=True):
        rates = snapshot.series.rates(NODE, seconds)
        for direction, rate in zip(catalog.DIRECTIONS, (rates.bytes_in, rates.bytes_out), strict=True):
            yield (direction, window), rate


def _workers(snapshot: Snapshot) -> Samples:
    return [(("configured",), snapshot.workers.configured), (("alive",), snapshot.workers.alive)]


_SAMPLES: dict[str, Callable[[Snapshot], Samples]] = {
    catalog.CONNECTIONS.name: _by_pair(lambda view: view.connections),
    catalog.ACTIVE.name: _by_pair(lambda view: view.active),
    catalog.BYTES.name: _bytes,
    catalog.THROUGHPUT.name: _throughput,
    catalog.REQUESTS.name: _by_pair(lambda view: view.requests),
    catalog.REFUSED.name: lambda snapshot: (((reason,), count) for reason, count in snapshot.refused.items()),
    catalog.OUTCOMES.name: lambda snapshot: (((o.ended_by, o.phase), o.count) for o in snapshot.outcomes),
    catalog.TARGET_CONNECTIONS.name: _by_target(lambda view: view.connections),
    catalog.TARGET_ACTIVE.name: _by_target(lambda view: view.active),
    catalog.TARGET_BYTES.name: _target_bytes,
    catalog.AUDIT.name: lambda snapshot: (((name,), number) for name, number in snapshot.audit.residual_bytes.items()),
    catalog.WORKERS.name: _workers,
    catalog.RESPAWNS.name: lambda snapshot: [((), snapshot.workers.respawns)],
    catalog.PAUSES.name: lambda snapshot: [((), snapshot.workers.accept_pauses)],
    catalog.BUILD.name: lambda snapshot: [((snapshot.node.version, python_version()), 1)],
}


_DISTRIBUTIONS: dict[str, Callable[[Snapshot], Distributions]] = {
    catalog.DURATION.name: lambda snapshot: [((), snapshot.endings.durations)],
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
