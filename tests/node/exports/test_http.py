"""Metrics posted to a real HTTP server, and read back as it got them."""

import socket
import ssl
import threading

import pytest
import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from penstock.node.exports import http
from penstock.node.exports.delivery import DeliveryError
from penstock.node.exports.http import otlp_receiver, push_receiver, taken_ns

SECRET = "hunter2"


def test_text_is_pushed(node, store, go):
    """VictoriaMetrics' path gets gzipped text with labels of its own and the time of the tick."""
    it = push_receiver(store.url(), "edge-1", compat_names=True)

    async def twice():
        await it.deliver(node.snapshot())
        await it.deliver(node.tick())
        await it.close()

    go(twice())
    first, second = store.posts
    assert (first.path, first.headers["content-encoding"]) == ("/api/v1/import/prometheus", "gzip")
    families = {family.name: family for family in text_string_to_metric_families(first.body.decode())}
    (sample,) = [s for s in families["penstock_bytes"].samples if s.labels["direction"] == "in" and s.value]
    assert sample.labels == {
        "job": "penstock", "instance": "edge-1", "direction": "in", "listener": "web", "route": "default"
    }  # fmt: skip
    assert (sample.value, sample.timestamp) == (1_000, 1_700_000_001.0)
    assert families["socks5_bytes_transferred"].samples[0].value == 3_000
    assert families["process_cpu_seconds"].samples[0].value > 0
    assert b" 1700000002000\n" in second.body


def test_otlp_is_posted(node, store, go):
    """OTLP's path gets protobuf: sums since the start of the node, and exponential histograms beside classic ones."""
    node.pen.end(node.pen.open(listener=1, now_ns=0), now_ns=5)
    node.tick()
    it = otlp_receiver(store.url(), compat_names=False)
    go(it.deliver(node.snapshot()))
    (post,) = store.posts
    assert (post.path, post.headers["content-type"]) == ("/v1/metrics", "application/x-protobuf")
    (resource,) = ExportMetricsServiceRequest.FromString(post.body).resource_metrics
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (names["service.instance.id"], names["host.name"]) == ("edge-1", socket.gethostname())
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    points = metrics["penstock_bytes_total"].sum.data_points
    assert sorted(point.as_int for point in points) == [0, 0, 1_000, 2_000]
    assert {point.start_time_unix_nano for point in points} == {1_700_000_000 * 10**9}
    assert {point.time_unix_nano for point in points} == {1_700_000_002 * 10**9}
    (exact,) = metrics["penstock_connection_duration_nanoseconds"].exponential_histogram.data_points
    assert (exact.count, exact.min, exact.max) == (1, 5, 5)
    assert metrics["penstock_connection_duration_seconds"].histogram.data_points[0].count == 1


def test_a_path_is_taken_as_it_is(node, store, go):
    """A path and a query that an operator wrote stay, and a login becomes Basic authorization."""
    it = push_receiver(store.url("/a%20b?extra=c=d", login=f"ann:{SECRET}@"), "n", compat_names=False)
    go(it.deliver(node.snapshot()))
    assert store.posts[0].path == "/a%20b?extra=c=d"
    assert store.posts[0].headers["authorization"] == "Basic YW5uOmh1bnRlcjI="
    assert SECRET not in it.shown
    assert it.shown.startswith("http://***@127.0.0.1")


def test_the_environment_sends_nothing_elsewhere(node, store, go, monkeypatch):
    """Proxies of the environment are not asked: what is sent where stands in the configuration."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    go(push_receiver(store.url(), "n", compat_names=False).deliver(node.snapshot()))
    assert len(store.posts) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 500, 503])
def test_a_refusal_is_a_failure(node, store, go, status):
    """Any answer but success is told with its status and the beginning of what it says; redirects are not followed."""
    store.status, store.answer = status, b"cannot parse it " * 10_000
    with pytest.raises(DeliveryError, match=f"answered {status}: cannot parse it") as caught:
        go(push_receiver(store.url(login=f"ann:{SECRET}@"), "n", compat_names=False).deliver(node.snapshot()))
    assert len(str(caught.value)) < 2 * http.ANSWER_BYTES
    assert SECRET not in str(caught.value)
    assert len(store.posts) == 1


def test_nobody_there_is_a_failure(node, store, go):
    """A refused connection is told in a line that holds no secret."""
    store.server_close()
    with pytest.raises(DeliveryError) as caught:
        go(push_receiver(store.url(login=f"ann:{SECRET}@"), "n", compat_names=False).deliver(node.snapshot()))
    assert str(caught.value)
    assert SECRET not in str(caught.value)


def test_silence_is_a_failure(node, store, go, monkeypatch):
    """Who does not answer in time is given up."""
    monkeypatch.setattr(http, "TIMEOUT_S", 0.05)
    store.silent.clear()
    with pytest.raises(DeliveryError, match=r"no answer|Timeout"):
        go(push_receiver(store.url(), "n", compat_names=False).deliver(node.snapshot()))


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 2", b"\x00" * 100])
def test_no_http_is_a_failure(node, go, said):
    """Whatever is no answer of HTTP costs one delivery."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DeliveryError):
            go(push_receiver(url, "n", compat_names=False).deliver(node.snapshot()))
        thread.join(15)


def test_certificates_are_checked(node, store, go, tmp_path, monkeypatch):
    """Over TLS a store must have a certificate that this machine trusts."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    store.socket = context.wrap_socket(store.socket, server_side=True)
    url = store.url().replace("http:", "https:")
    with pytest.raises(DeliveryError, match=r"(?i)certificate"):
        go(push_receiver(url, "n", compat_names=False).deliver(node.snapshot()))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    go(push_receiver(url, "n", compat_names=False).deliver(node.snapshot()))
    assert len(store.posts) == 1


def test_times_of_snapshots_are_read():
    """RFC 3339 to the millisecond becomes nanoseconds, exactly."""
    assert taken_ns("2023-11-14T22:13:20.123Z") == 1_700_000_000_123_000_000
