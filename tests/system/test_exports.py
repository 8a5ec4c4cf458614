"""Metrics as others have them: scraped by Prometheus and VictoriaMetrics, pushed, and sent by StatsD and OTLP."""

import contextlib
import itertools
import json
import socket
import threading

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from penstock.testing import http_peers
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, read_all, serving

from .stores import eventually, exported, prometheus, victoria

pytestmark = pytest.mark.system

SECONDS = 30

WINDOW = 5
"""Seconds over which rates are compared."""

CHUNK = b"x" * 50_000

GROWING = ("_total", "_bucket", "_count", "_sum")


def metrics(**keys):
    """Return a table of metrics with deliveries each second, as TOML."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[metrics]", 'export_interval = "1s"', *lines, ""])


def said(node, listener, data):
    """Say something through a listener, and return the echo."""
    with socket.create_connection(node.address(listener), SECONDS) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


@contextlib.contextmanager
def steady_traffic(node):
    """Echo 5 MB/s through the listener `tcp` for as long as the block lasts."""
    done = threading.Event()

    def move():
        with socket.create_connection(node.address("tcp"), SECONDS) as client:
            while not done.wait(0.01):
                client.sendall(CHUNK)
                left = len(CHUNK)
                while left:
                    left -= len(client.recv(left))

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(SECONDS)


def growing(text):
    """Return what only grows in a scrape, by name and labels; what is of processes goes on growing."""
    return {
        (("__name__", sample.name), *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("penstock_") and sample.name.endswith(GROWING)
    }


@pytest.mark.needs("prometheus")
def test_a_real_prometheus_agrees_with_us():
    """It finds the node up, reads OpenMetrics, has only numbers of ticks, and its rate() is ours within 1 %."""
    with serving(echo) as server, running(table("tcp", "tcp", server.port)) as node, steady_traffic(node):
        with prometheus(node.admin) as store:
            series = 'penstock_bytes_total{direction="in",listener="tcp"}'
            eventually(lambda: store.query(f"count_over_time({series}[1m]) > {WINDOW + 2}"), "some scrapes")
            assert [each["value"][1] for each in store.query("up")] == ["1"]
            assert [each["value"][1] for each in store.query("min_over_time(up[1m])")] == ["1"]
            eventually(lambda: rates_agree(node, store, series), "rates within 1 %")
            (found,) = store.query(f"{series}[1m]")
            metadata = json.loads(store.get("/api/v1/targets/metadata", metric="penstock_bytes"))["data"]
            assert [each["type"] for each in metadata] == ["counter"]  # without `_total`: this was OpenMetrics
        ticks = json.loads(node.fetch("/api/v1/metrics/history?seconds=120&scope=listener:tcp"))
    scraped = [float(value) for _, value in found["values"]]
    assert scraped == sorted(scraped)
    growth = [
        rate * covered for rate, covered in zip(ticks["series"]["bytes_in"], ticks["covered"], strict=True) if rate
    ]
    totals = [0, *itertools.accumulate(growth)]
    assert all(min(abs(value - total) for total in totals) <= 1e-5 * value for value in scraped)
    assert len(set(scraped)) > WINDOW


def rates_agree(node, store, series):
    """Return whether Prometheus' rate over the window is ours of the same time, within 1 %, both ways."""
    (rate,) = store.query(f"rate({series}[{WINDOW}s])")
    window = json.loads(node.fetch(f"/api/v1/metrics/throughput?window={WINDOW}s&scope=listener:tcp"))["throughput"]
    ours, theirs = window["bytes_in"], float(rate["value"][1])
    return (
        ours > 1_000_000 and abs(theirs - ours) <= 0.01 * ours and window["bytes_out"] == pytest.approx(ours, rel=0.01)
    )


@pytest.mark.needs("victoria-metrics")
def test_a_real_victoriametrics_scrapes_text(tmp_path):
    """A scraper that takes text alone finds the same numbers as whoever asks for them."""
    with serving(echo) as server, running(table("tcp", "tcp", server.port)) as node:
        said(node, "tcp", b"x" * 1_234)
        node.settled("tcp", 1)
        wanted = growing(node.fetch("/metrics").decode())
        with victoria(tmp_path, scrape=node.admin) as store:
            eventually(lambda: same(last(store, job="penstock"), wanted), "a scrape")
            (up,) = (each for key, each in exported(store).items() if ("__name__", "up") in key)
            assert up[-1][1] == 1


def same(found, wanted):
    """Return whether both are the same series with the same numbers; VictoriaMetrics keeps 15 digits of a fraction."""
    return set(found) == set(wanted) and all(
        found[key] == value if isinstance(value, int) else abs(found[key] - value) <= 1e-14 * value
        for key, value in wanted.items()
    )


def last(store, **labels):
    """Return the last number of each growing series that a store has with these labels, without them and `instance`."""
    found = {}
    for key, values in exported(store).items():
        own = tuple(pair for pair in key if pair[0] not in ("instance", *labels))
        if set(labels.items()) <= set(key) and own[0][1].startswith("penstock_") and own[0][1].endswith(GROWING):
            found[own] = values[-1][1]
    return found


@pytest.mark.needs("victoria-metrics")
def test_a_real_victoriametrics_takes_the_push(tmp_path):
    """
    What was pushed last is what the node had counted, to the byte, at times of ticks.

    The store is away for a while: that is told once, and so is its return; nothing of a total is missing.
    """
    with victoria(tmp_path) as store:
        port, url = store.port, f"http://ann:hunter2@127.0.0.1:{store.port}"
    tables = '[node]\nname = "edge-7"\n', metrics(push=url, compat_names=True)
    with contextlib.ExitStack() as stack:
        with serving(echo) as server, running(*tables, table("tcp", "tcp", server.port)) as node:
            assert said(node, "tcp", b"x" * 77_777) == b"x" * 77_777
            eventually(lambda: node.logged("metrics are not taken"), "a failure")
            store = stack.enter_context(victoria(tmp_path, port))
            eventually(lambda: node.logged("metrics are taken again"), "success")
            said(node, "tcp", b"x" * 1_000)
            node.settled("tcp", 2)
            wanted = growing(node.fetch("/metrics").decode())
        eventually(lambda: same(last(store, job="penstock", instance="edge-7"), wanted), "the last push")
        series = exported(store)
    assert len(node.logged("metrics are not taken")) == 1
    assert "hunter2" not in json.dumps(node.events)
    name = (("__name__", "socks5_bytes_transferred_total"), ("instance", "edge-7"), ("job", "penstock"))
    assert series[name][-1][1] == 2 * 78_777
    times = [at for at, _ in series[name]]
    assert len(set(times)) == len(times)
    for key, samples in series.items():
        values = [value for _, value in samples]
        assert values == sorted(values) or not key[0][1].endswith(GROWING)


@contextlib.contextmanager
def receivers(take):
    """Yield the socket of a StatsD server, and the keys that send to it and to an OTLP receiver that answers so."""
    with (
        contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as statsd,
        http_peers.origin(take) as otlp,
    ):
        statsd.bind(("127.0.0.1", 0))
        port = statsd.getsockname()[1]
        yield statsd, {"statsd": f"127.0.0.1:{port}", "statsd_format": "dogstatsd", "otlp": otlp.url()}


def test_statsd_and_otlp_have_everything_in_the_end():
    """A StatsD server that adds up and an OTLP receiver hold the node's last totals when it has ended."""
    posts = []

    def take(post, wire):
        posts.append((post.start.split(" ")[1], post.body))
        return http_peers.ok(b"")

    with receivers(take) as (statsd, keys), serving(echo) as server:
        with running(metrics(**keys), table("tcp", "tcp", server.port)) as node:
            for size in (10, 2_000, 300_000):
                said(node, "tcp", b"x" * size)
            node.settled("tcp", 3)
            wanted = growing(node.fetch("/metrics").decode())
        counters = added_up(statsd)
    for (_, name), *labels in wanted:
        tags = {f"{label}:{text}" for label, text in labels} | {f"node:{socket.gethostname()}"}
        told = counters.get((name.replace("_", ".", 1), frozenset(tags)), 0)
        assert told == pytest.approx(wanted[("__name__", name), *labels], abs=1e-6)
    path, body = posts[-1]
    assert path == "/v1/metrics"
    (scope,) = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics
    told = {metric.name: metric for metric in scope.metrics}
    assert sum(point.as_int for point in told["penstock_bytes_total"].sum.data_points) == 2 * 302_010
    (exact,) = told["penstock_connection_bytes_in"].exponential_histogram.data_points
    assert (exact.count, exact.min, exact.max) == (3, 10, 300_000)


def test_a_restart_tells_nothing_twice(tmp_path):
    """
    A node that continues its totals tells a StatsD server only what is new, and OTLP since when it counts.

    Sums that go on have the start time of the first life: to a later one they would all be growth.
    """
    posts = []

    def take(post, wire):
        (resource,) = ExportMetricsServiceRequest.FromString(post.body).resource_metrics
        (metric,) = (each for each in resource.scope_metrics[0].metrics if each.name == "penstock_bytes_total")
        posts.append(metric.sum.data_points[0])
        return http_peers.ok(b"")

    with receivers(take) as (statsd, keys), serving(echo) as server:
        for size, total in ((5_000, 5_000), (70, 5_070)):
            with running(metrics(**keys), table("tcp", "tcp", server.port), folder=tmp_path) as node:
                said(node, "tcp", b"x" * size)
                node.until(lambda stats, total=total: stats["totals"]["bytes_in"] == total)
            told = [value for (name, tags), value in added_up(statsd).items() if name == "penstock.bytes_total"]
            assert told == [size, size]
            assert posts[-1].as_int == total
    starts = {point.start_time_unix_nano for point in posts}
    assert len(starts) == 1
    assert 0 < starts.pop() < posts[0].time_unix_nano


def added_up(statsd):
    """Return counters by name and tags, as a StatsD server adds them up, from all that has come."""
    counters = {}
    with contextlib.suppress(BlockingIOError):
        while True:
            for line in statsd.recv(65_535, socket.MSG_DONTWAIT).decode().split("\n"):
                head, kind, tags = line.split("|")
                name, _, value = head.partition(":")
                if kind == "c":
                    key = name, frozenset(tags.removeprefix("#").split(","))
                    counters[key] = counters.get(key, 0) + float(value)
    return counters
