"""What every exporter begins with."""

import math

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import Phase
from penstock.config.plan import MetricsPlan
from penstock.metrics import catalog
from penstock.metrics.catalog import FAMILIES, Family
from penstock.metrics.conditions import Condition
from penstock.metrics.exporters.families import Reading, Sample, chosen, names_of, number, readings
from penstock.metrics.histogram import Distribution
from penstock.metrics.ledger import H_PROXY_HEADERS
from penstock.metrics.quotas import QuotaFigures, QuotasView
from penstock.metrics.snapshot import Usage
from penstock.testing.standin import PLAN, SITE, WEB, StandIn

USAGE = Usage(cpu_seconds=1.5, resident_bytes=2, virtual_bytes=3, open_fds=4, max_fds=5, started_at=6.0)

HISTOGRAM = Family("x_seconds", "histogram", "Help", ("route",))

DISTRIBUTION = Distribution((0.5, 2.0), (1, 2, 3), 12.5)


@pytest.fixture
def node():
    """A node that has seen some traffic."""
    node = StandIn()
    row = node.pen.open(listener=1)
    node.pen.aim(row, 1, 2)
    node.pen.move(row, 1_000, 2_000, 2_000, 1_000, 1)
    node.pen.ledger.words[H_PROXY_HEADERS] += 3
    node.tick()
    yield node
    node.close()


def test_the_catalogue_is_read_in_its_order(node):
    """Every family is there once, in the order of the catalogue; those of processes where their usage is known."""
    assert tuple(reading.family for reading in readings(node.snapshot(), USAGE)) == FAMILIES
    assert tuple(reading.family for reading in readings(node.snapshot(), None)) == catalog.NODE


def test_numbers_are_those_of_the_snapshot(node):
    """A family holds one number for each set of label values."""
    found = {reading.family.name: reading for reading in readings(node.snapshot(), USAGE)}
    assert found["penstock_proxy_headers_total"].numbers == {(): 3}
    assert found["penstock_bytes_total"].numbers == {
        ("in", "web", "default"): 1_000, ("out", "web", "default"): 2_000,
        ("in", "egress", "out"): 0, ("out", "egress", "out"): 0,
    }  # fmt: skip
    assert found["process_cpu_seconds_total"].numbers == {(): 1.5}
    assert set(found["penstock_dial_duration_seconds"].distributions) == {
        ("default", "192.0.2.10:80"), ("default", "[2001:db8::2]:80"), ("default", "-"), ("out", "-")
    }  # fmt: skip


def test_keys_are_labels_where_they_are_asked_for():
    """`metrics.labels` adds families of a kind: its busiest keys, nobody, and all others."""
    node = StandIn(plan=replace(PLAN, metrics=MetricsPlan(labels=("user",))))
    row = node.pen.open(2, phase=Phase.RELAY)
    node.pen.describe(row, "a:1", "ann")
    node.pen.move(row, 10, 20)
    node.pen.end(node.pen.open(2))
    node.tick()
    found = {reading.family.name: reading.numbers for reading in readings(node.snapshot(), None)}
    assert found["penstock_user_connections_total"] == {("ann",): 1, ("-",): 1, ("other",): 0}
    assert found["penstock_user_connections_active"] == {("ann",): 1, ("-",): 0, ("other",): 0}
    assert found["penstock_user_bytes_total"] == {
        ("in", "ann"): 10, ("in", "-"): 0, ("in", "other"): 0, ("out", "ann"): 20, ("out", "-"): 0, ("out", "other"): 0
    }  # fmt: skip
    assert found["penstock_evictions_total"] == {("client",): 0, ("user",): 0, ("destination",): 0}
    assert set(found) == {family.name for family in (*catalog.NODE, *catalog.LABELLED["user"])}
    node.close()


@pytest.mark.parametrize("labels", [(), ("user",)])
def test_quotas_of_routes_are_told_and_those_of_users_where_they_are_labels(labels):
    """What may be had and what was had of a month, by route; by user only where `metrics.labels` asks for users."""
    node = StandIn(plan=replace(PLAN, metrics=MetricsPlan(labels=labels)))
    found = {reading.family.name: reading.numbers for reading in readings(node.tick(), None)}
    assert found["penstock_quotas_spent"] == {("route",): 0, ("user",): 0}
    view = QuotasView((QuotaFigures("app", 9, 3),), (QuotaFigures("ann", 7, 8),), 0, 1)
    found = {each.family.name: each.numbers for each in readings(replace(node.tick(), quotas=view), None)}
    assert found["penstock_route_quota_bytes"] == {("app",): 9}
    assert found["penstock_route_quota_used_bytes"] == {("app",): 3}
    assert found["penstock_quotas_spent"] == {("route",): 0, ("user",): 1}
    theirs = {("ann",): 7}, {("ann",): 8}
    names = "penstock_user_quota_bytes", "penstock_user_quota_used_bytes"
    assert tuple(found.get(name) for name in names) == (theirs if labels else (None, None))
    node.close()


def test_targets_are_up_or_not():
    """1 or 0 for each target; of one that two listeners send to under one name, 1 only if it is up for both."""
    other = replace(
        WEB, id=3, name="more", port=8003, route=replace(WEB.route, targets=(replace(WEB.targets[0], id=3),))
    )
    node = StandIn(plan=replace(PLAN, worker=replace(PLAN.worker, listeners=(WEB, other))))
    node.sampler.registry.conditions = {3: Condition("drain", passed=5, failed=2, ejections=1)}
    found = {reading.family.name: reading for reading in readings(node.tick(), None)}
    first, second = ("default", "192.0.2.10:80"), ("default", "[2001:db8::2]:80")
    assert found["penstock_target_up"].numbers == {first: 0, second: 1}
    assert [number(each.value) for each in found["penstock_target_up"].samples()] == ["0", "1"]
    checks = found["penstock_target_checks_total"].numbers
    assert (checks[*first, "passed"], checks[*first, "failed"], checks[*second, "passed"]) == (5, 2, 0)
    assert found["penstock_target_ejections_total"].numbers == {first: 1, second: 0}
    node.close()


def test_a_histogram_is_spread_into_samples():
    """Cumulative buckets by rising bound, the last one without; then the count and the sum."""
    reading = Reading(HISTOGRAM, {}, {("a",): DISTRIBUTION})
    assert list(reading.samples()) == [
        Sample("x_seconds_bucket", {"route": "a", "le": "0.5"}, 1),
        Sample("x_seconds_bucket", {"route": "a", "le": "2.0"}, 3),
        Sample("x_seconds_bucket", {"route": "a", "le": "+Inf"}, 6),
        Sample("x_seconds_count", {"route": "a"}, 6),
        Sample("x_seconds_sum", {"route": "a"}, 12.5),
    ]


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"x_seconds"}, ["x_seconds"]),
        ({"x_seconds_bucket"}, ["x_seconds"]),
        ({"x_seconds_sum", "x_seconds_count"}, ["x_seconds"]),
        ({"y_total"}, ["y_total"]),
        ({"y"}, ["y_total"]),
        ({"x_seconds_sum", "y"}, ["x_seconds", "y_total"]),
        ({"z", "", "x_seconds_total", "y_bucket", "X_SECONDS"}, []),
    ],
)
def test_names_choose(names, kept):
    """A family is chosen by its name, with or without `_total`, and by the name of any of its samples."""
    found = [
        Reading(HISTOGRAM, {}, {("a",): DISTRIBUTION}),
        Reading(Family("y_total", "counter", "Help"), {(): 1}, {}),
    ]
    assert [reading.family.name for reading in chosen(found, names)] == kept


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (2**63 - 1, "9223372036854775807"), (0.1, "0.1"), (1e300, "1e+300"), (-2.5, "-2.5"),
     (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)  # fmt: skip
def test_numbers_lose_nothing(value, text):
    """Whole numbers stay whole, others come back as they were, and what is no number has Prometheus' name."""
    assert number(value) == text


def test_bounds_are_named_once():
    """Bounds are written as floats, as OpenMetrics demands of `le`."""
    assert names_of((1, 2.5)) == ("1.0", "2.5", "+Inf")


def test_throughput_that_is_not_collected_is_not_told():
    """While series are off the gauges of throughput are left out: a zero would be a lie."""
    node = StandIn()
    node.pen.move(node.pen.open(), 10)
    node.tick()
    for on in (False, True):
        node.sampler.switch({"series": on})
        (found,) = chosen(readings(node.snapshot(), None), {catalog.THROUGHPUT.name})
        assert bool(found.numbers) is on
    node.close()


def test_certificates_are_told_by_their_end(node):
    """By first name and source; of two with the same, that which ends first, and 0 is none at all."""
    node.sampler.registry.certificates = (
        SITE, replace(SITE, not_after_s=5), replace(SITE, source="file"), replace(SITE, name="new", not_after_s=0),
    )  # fmt: skip
    (found,) = chosen(readings(node.tick(), None), {"penstock_certificate_expiry_timestamp_seconds"})
    assert found.numbers == {
        ("site.example.com", "acme"): 5, ("site.example.com", "file"): SITE.not_after_s, ("new", "acme"): 0,
    }  # fmt: skip
