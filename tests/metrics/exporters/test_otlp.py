"""Numbers as OTLP, read back by OpenTelemetry's own messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import LogarithmMapping

from penstock.metrics.catalog import FAMILIES, UNITS, Family
from penstock.metrics.endings import PercentilesView
from penstock.metrics.exporters.families import Reading, readings
from penstock.metrics.exporters.otlp import CUMULATIVE, UCUM, Source, exact_name, render
from penstock.metrics.histogram import SCALE, Distribution, Exponential
from penstock.metrics.snapshot import Usage
from penstock.testing.standin import StandIn

SOURCE = Source("edge-1", "box", "1.2.3", 1_000, 2_000)

USAGE = Usage(
    cpu_seconds=1.25, resident_bytes=2**40 + 1, virtual_bytes=2**41, open_fds=12, max_fds=1_024, started_at=1.7e9
)

LARGEST = 2**48


def read(found=(), exact=None):
    """Return the only resource of a request, and its metrics by name."""
    request = ExportMetricsServiceRequest.FromString(render(found, exact or {}, SOURCE))
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("penstock", "1.2.3")
    metrics = {metric.name: metric for metric in scope.metrics}
    assert len(metrics) == len(scope.metrics)
    return resource.resource, metrics


def labels(attributes):
    """Return attributes by name."""
    return {each.key: each.value.string_value for each in attributes}


def exponential(*values):
    """Return the data point of these numbers."""
    histogram = Exponential()
    histogram.add(np.array(values, np.int64))
    _, metrics = read(exact={"bytes_in": histogram})
    (point,) = metrics["penstock_connection_bytes_in"].exponential_histogram.data_points
    return point


def test_the_resource_says_who_it_is():
    """Service, its version and instance, and the host are attributes of the resource."""
    resource, metrics = read()
    assert labels(resource.attributes) == {
        "service.name": "penstock",
        "service.version": "1.2.3",
        "service.instance.id": "edge-1",
        "host.name": "box",
    }
    assert metrics == {}


def test_every_family_of_a_node_arrives():
    """Counters are monotonic cumulative sums since the start, gauges gauges, whole numbers whole; all as read."""
    node = StandIn()
    node.pen.move(node.pen.open(listener=1), 2**60 + 1, 20)
    node.pen.end(node.pen.open(listener=1, now_ns=0), now_ns=7_500_000_000)
    found = readings(node.tick(), USAGE)
    _, metrics = read(found)
    assert set(metrics) == {family.name for family in FAMILIES}
    for reading in found:
        metric, family = metrics[reading.family.name], reading.family
        assert (metric.description, metric.unit) == (family.help, UCUM[family.unit])
        kind = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}[family.kind]
        assert metric.WhichOneof("data") == kind
        points = getattr(metric, kind).data_points
        assert {point.time_unix_nano for point in points} == {2_000}
        assert {point.start_time_unix_nano for point in points} == {0 if kind == "gauge" else 1_000}
        if kind != "gauge":
            assert getattr(metric, kind).aggregation_temporality == CUMULATIVE
        if kind != "histogram":
            values = {tuple(labels(p.attributes).values()): getattr(p, p.WhichOneof("value")) for p in points}
            assert values == dict(reading.numbers)
    assert metrics["penstock_bytes_total"].sum.is_monotonic
    assert any(point.as_int == 2**60 + 1 for point in metrics["penstock_bytes_total"].sum.data_points)
    node.close()


def test_classic_histograms_arrive():
    """Bounds, counts of each bucket, count and sum are those that were counted."""
    family = Family("x_seconds", "histogram", "Help", ("route",))
    _, metrics = read([Reading(family, {}, {("a",): Distribution((0.5, 2.0), (1, 2, 3), 12.5)})])
    (point,) = metrics["x_seconds"].histogram.data_points
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.5, 2.0], [1, 2, 3])
    assert (point.count, point.sum, labels(point.attributes)) == (6, 12.5, {"route": "a"})


@given(st.lists(st.integers(0, LARGEST), min_size=1, max_size=50))
def test_exponential_buckets_are_where_otlp_has_them(values):
    """
    Each number is in the bucket of OTLP's definition, (base ** index, base ** (index + 1)], zeros by themselves.

    The oracle calculates in whole numbers: with base = 2 ** (1 / 32), v <= base ** i means v ** 32 <= 2 ** i.
    """
    point = exponential(*values)
    assert (point.scale, point.count, point.zero_count) == (SCALE, len(values), values.count(0))
    assert (point.min, point.max) == (min(values), max(values))
    counts = {point.positive.offset + place: count for place, count in enumerate(point.positive.bucket_counts) if count}
    expected = {}
    for value in filter(None, values):
        index = (value ** (1 << SCALE) - 1).bit_length() - 1
        expected[index] = expected.get(index, 0) + 1
    assert counts == expected
    assert point.count == point.zero_count + sum(point.positive.bucket_counts)


@pytest.mark.parametrize("value", [2, 3, 7, 1_000, 123_456_789, 10**15])
def test_opentelemetry_puts_numbers_into_the_same_buckets(value):
    """OpenTelemetry's own mapping from number to bucket is ours."""
    assert exponential(value).positive.offset == LogarithmMapping(SCALE).map_to_index(value)


def test_bounds_belong_to_the_bucket_below():
    """Powers of two, which are bounds, are the last numbers of their buckets: 1 has index -1, 2 has 31."""
    point = exponential(1, 2)
    assert (point.positive.offset, len(point.positive.bucket_counts)) == (-1, 33)
    assert (point.positive.bucket_counts[0], point.positive.bucket_counts[32]) == (1, 1)


def test_an_empty_histogram_arrives_empty():
    """Before anything was measured there is a point with no bucket, no least and no most."""
    point = exponential()
    assert (point.count, list(point.positive.bucket_counts)) == (0, [])
    assert not point.HasField("min")
    assert not point.HasField("sum")


def test_every_measure_has_a_name():
    """Durations are told in nanoseconds, as they are counted; all else in bytes; no name is a family's."""
    names = dict(map(exact_name, PercentilesView.__struct_fields__))
    assert names["penstock_connection_duration_nanoseconds"] == "ns"
    assert names["penstock_connection_bytes_transferred"] == "By"
    assert len(names) == len(PercentilesView.__struct_fields__)
    assert not set(names) & {family.name for family in FAMILIES}


def test_every_unit_is_ucum():
    """Whatever unit a family may have, OTLP has a word for it."""
    assert set(UCUM) == {"", *UNITS}


def test_any_number_and_label_arrives():
    """Numbers beyond 63 bits are told as fractions, and labels that are no Unicode with `?`."""
    family = Family("x", "gauge", "Help", ("user",))
    _, metrics = read([Reading(family, {("\udcff",): 2**64, ("b",): 0.5}, {})])
    one, two = metrics["x"].gauge.data_points
    assert (one.as_double, labels(one.attributes), two.as_double) == (2.0**64, {"user": "?"}, 0.5)
