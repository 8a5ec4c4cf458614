"""
Families as OTLP metrics: what OpenTelemetry's collectors and stores take.

Only who is told to send OTLP loads this module: its messages come with the extra `penstock[otlp]`.
Source: OpenTelemetry Protocol 1.x, metrics data model; units are UCUM's.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from penstock.metrics.catalog import PREFIX, Family
from penstock.metrics.exporters.families import Key, Reading, unicode_of
from penstock.metrics.histogram import Distribution, Exponential

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE

UCUM = {"": "1", "bytes_per_second": "By/s", "bytes": "By", "seconds": "s"}
"""What a family's unit is in UCUM."""

INTEGERS = range(-(2**63), 2**63)
"""What a number may be to be told whole."""


class Source(NamedTuple):
    """
    Who tells it.

    Args:
        node: Name of the node.
        host: Name of its machine.
        version: Of Penstock.
        started_ns: When counting began; unit ns since the epoch.
        now_ns: When the numbers were taken; unit ns since the epoch.
    """

    node: str
    host: str
    version: str
    started_ns: int
    now_ns: int


def render(readings: Iterable[Reading], exact: Mapping[str, Exponential], source: Source) -> bytes:
    """
    Return an export request as its bytes.

    Args:
        readings: Families.
        exact: Exponential histograms by what they measure, as in `endings.EndingsView`.
        source: Who tells it, and of when.
    """
    metrics = [_metric(reading, source) for reading in readings]
    metrics += [_exponential(name, histogram, source) for name, histogram in exact.items()]
    scope = ScopeMetrics(scope=InstrumentationScope(name="penstock", version=source.version), metrics=metrics)
    resource = Resource(
        attributes=_attributes(
            {
                "service.name": "penstock",
                "service.version": source.version,
                "service.instance.id": source.node,
                "host.name": source.host,
            }
        )
    )
    request = ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope])])
    body: bytes = request.SerializeToString()
    return body


def exact_name(measured: str) -> tuple[str, str]:
    """Return what the exponential histogram of a measure is called, and its unit: nanoseconds or bytes."""
    if measured.endswith("_duration"):
        return f"{PREFIX}{measured}_nanoseconds", "ns"
    return f"{PREFIX}connection_{measured}", "By"


def _metric(reading: Reading, source: Source) -> Metric:
    family = reading.family
    metric = Metric(name=family.name, description=family.help, unit=UCUM[family.unit])
    if family.kind == "histogram":
        points = [_bounded(family, values, found, source) for values, found in reading.distributions.items()]
        metric.histogram.CopyFrom(Histogram(data_points=points, aggregation_temporality=CUMULATIVE))
        return metric
    numbers = [_number(family, values, number, source) for values, number in reading.numbers.items()]
    if family.kind == "counter":
        metric.sum.CopyFrom(Sum(data_points=numbers, aggregation_temporality=CUMULATIVE, is_monotonic=True))
    else:
        metric.gauge.CopyFrom(Gauge(data_points=numbers))
    return metric


def _number(family: Family, values: Key, number: float, source: Source) -> NumberDataPoint:
    point = NumberDataPoint(
        attributes=_attributes(dict(zip(family.labels, values, strict=True))), time_unix_nano=source.now_ns
    )
    if family.kind == "counter":
        point.start_time_unix_nano = source.started_ns
    if isinstance(number, int) and number in INTEGERS:
        point.as_int = number
    else:
        point.as_double = number
    return point


def _bounded(family: Family, values: Key, found: Distribution, source: Source) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=_attributes(dict(zip(family.labels, values, strict=True))),
        start_time_unix_nano=source.started_ns,
        time_unix_nano=source.now_ns,
        count=sum(found.counts),
        sum=found.sum,
        bucket_counts=found.counts,
        explicit_bounds=found.bounds,
    )


def _exponential(measured: str, histogram: Exponential, source: Source) -> Metric:
    name, unit = exact_name(measured)
    point = ExponentialHistogramDataPoint(
        start_time_unix_nano=source.started_ns,
        time_unix_nano=source.now_ns,
        count=len(histogram),
        scale=histogram.scale,
        zero_count=histogram.zeros,
    )
    full = np.flatnonzero(histogram.counts)
    if len(full):
        first, last = int(full[0]), int(full[-1])
        point.positive.offset = first - 1  # theirs counts from base ** index on, ours up to base ** number
        point.positive.bucket_counts.extend(histogram.counts[first : last + 1].tolist())
    if histogram.most >= 0:
        point.min, point.max = histogram.least, histogram.most
    metric = Metric(name=name, description=f"What percentiles of {measured.replace('_', ' ')} are made of", unit=unit)
    metric.exponential_histogram.CopyFrom(ExponentialHistogram(data_points=[point], aggregation_temporality=CUMULATIVE))
    return metric


def _attributes(labels: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=unicode_of(value))) for name, value in labels.items()]
