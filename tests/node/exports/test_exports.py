"""All deliveries of a node together."""

import sys

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from penstock.base.clock import NS, SystemClock
from penstock.base.errors import StartError
from penstock.config.plan import MetricsPlan
from penstock.node.exports.exports import Exports, receivers
from penstock.testing.standin import PLAN

from .conftest import until


def plan(**metrics):
    """Return a plan with these metrics."""
    return replace(PLAN, metrics=MetricsPlan(**metrics))


def test_a_plan_names_its_receivers(node):
    """Each destination of the plan is one receiver; a plan without any has none."""
    assert receivers(plan(), node.snapshot()) == []
    found = receivers(
        plan(statsd=("127.0.0.1", 8125), push="http://ann:secret@vm:8428", otlp="http://otel:4318/x"), node.snapshot()
    )
    assert [(each.kind, each.shown) for each in found] == [
        ("statsd", "127.0.0.1:8125"),
        ("push", "http://***@vm:8428/api/v1/import/prometheus"),
        ("otlp", "http://otel:4318/x"),
    ]


def test_otlp_without_its_extra_is_refused(node, monkeypatch):
    """Where OpenTelemetry's messages are not installed, a node that shall send them does not start, and says why."""
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2", None)
    monkeypatch.delitem(sys.modules, "penstock.metrics.exporters.otlp", raising=False)
    monkeypatch.delattr("penstock.metrics.exporters.otlp", raising=False)
    with pytest.raises(StartError, match=r"metrics\.otlp: .* pip install 'penstock\[otlp\]'"):
        receivers(plan(otlp="http://otel:4318"), node.snapshot())


def test_deliveries_begin_and_end(node, store, kept, go):
    """Each interval brings a delivery, the end a last one, of the last snapshot."""

    async def live():
        exports = Exports(
            plan(push=store.url(), otlp=store.url(), export_interval=NS // 100), node.snapshot, SystemClock(), kept.log
        )
        exports.start()
        await until(lambda: len({post.path for post in store.posts}) == 2)
        node.tick(100)
        await exports.stop()
        await exports.stop()

    go(live())
    last = {post.path: post.body for post in store.posts}
    assert b" 1700000101000\n" in last["/api/v1/import/prometheus"]
    (resource,) = ExportMetricsServiceRequest.FromString(last["/v1/metrics"]).resource_metrics
    assert resource.scope_metrics[0].metrics[0].sum.data_points[0].time_unix_nano == 1_700_000_101 * NS
    assert kept.events() == []


def test_a_node_without_receivers_does_nothing(node, kept, go):
    """Nothing is started and nothing is said."""

    async def live():
        exports = Exports(plan(), node.snapshot, SystemClock(), kept.log)
        exports.start()
        await exports.stop()

    go(live())
    assert kept.events() == []


def test_a_receiver_that_hangs_keeps_nobody(node, store, kept, go):
    """The end waits for last deliveries for its patience and no longer, says so, and cuts them."""
    store.silent.clear()

    async def live():
        exports = Exports(plan(push=store.url()), node.snapshot, SystemClock(), kept.log, patience=0.05)
        exports.start()
        await exports.stop()

    go(live())
    (event,) = kept.events()
    assert (event["event"], event["receivers"]) == ("last metrics were not taken in time", 1)


def test_a_failure_is_told_without_secrets(node, store, kept, go):
    """The log knows where metrics should have gone, and not with which password."""
    store.status = 401

    async def live():
        url = store.url("/write?key=hunter3", login="ann:hunter2@")
        exports = Exports(plan(push=url, export_interval=NS // 100), node.snapshot, SystemClock(), kept.log)
        exports.start()
        await until(kept.events)
        await exports.stop()

    go(live())
    assert "hunter" not in kept.stream.getvalue()
    assert kept.events()[0]["to"].endswith("/write?***")
