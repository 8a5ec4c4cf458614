"""What Prometheus reads: checked by its own tool and by both parsers, from a node that has had work of every kind."""

import gzip
import http.client
import socket
import subprocess
import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from penstock.testing import http_peers
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, read_all, serving

pytestmark = pytest.mark.system

SECONDS = 30

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def busy():
    """A node whose listeners have served, refused and failed, and that goes on to be used while it is read."""
    with (
        serving(echo) as server,
        http_peers.origin(lambda *_: http_peers.ok(b"x" * 1_000)) as origin,
        running(table("tcp", "tcp", server.port), table("http", "http"), table("socks5", "socks5"), workers=2) as node,
    ):
        done = threading.Event()
        thread = threading.Thread(target=use, args=(node, origin, done), daemon=True)
        thread.start()
        node.until(lambda stats: all(each["connections"] > 20 for each in stats["listeners"]))
        yield node
        done.set()
        thread.join(SECONDS)


def use(node, origin, done):
    """Give every listener work, some of it bad, until told to stop."""
    while not done.is_set():
        said(node, "tcp", b"hello")
        said(node, "http", http_peers.request("GET", origin.url(), None, "Connection: close"))
        said(node, "http", b"garbage\r\n\r\n")
        said(node, "socks5", b"\x05\x01\0\x05\x01\0\x01\x7f\0\0\x01\0\x01")
        said(node, "socks5", b"\x06\x01")


def said(node, listener, data):
    """Say something, and wait until the other end has nothing more to say."""
    with socket.create_connection(node.address(listener), SECONDS) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        read_all(client)


def scrape(node, accept, encoding="identity"):
    """Return headers and body of a scrape."""
    door = http.client.HTTPConnection(*node.admin, timeout=SECONDS)
    door.request("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": encoding})
    answer = door.getresponse()
    body = answer.read()
    door.close()
    assert answer.status == 200
    return answer.headers, body


@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say(busy):
    """`promtool check metrics` is silent about the endpoint while the node works, and leaves with 0."""
    for _ in range(5):
        _, body = scrape(busy, "text/plain")
        result = subprocess.run(
            ["promtool", "check", "metrics"], check=False, input=body, capture_output=True, timeout=SECONDS
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "parse"), [("text/plain", parse_text), (OPENMETRICS, parse_openmetrics)], ids=["text", "openmetrics"]
)
def test_both_parsers_read_it(busy, accept, parse):
    """prometheus_client reads both forms, compressed or not; every family has type and help, and counters only grow."""
    seen = {}
    for encoding in ("identity", "gzip", "identity"):
        headers, body = scrape(busy, accept, encoding)
        assert headers["Content-Type"].startswith(accept.partition(";")[0])
        text = (gzip.decompress(body) if encoding == "gzip" else body).decode()
        for family in parse(text):
            assert family.documentation
            assert family.type != "unknown"
            for sample in family.samples:
                key = sample.name, *sorted(sample.labels.items())
                if family.type == "counter":
                    assert sample.value >= seen.get(key, 0)
                seen[key] = sample.value
    assert seen["penstock_connections_total", ("listener", "http"), ("route", "default")] > 20
    assert seen["penstock_refused_total", ("reason", "protocol")] > 20


def test_both_forms_say_the_same(busy):
    """Text and OpenMetrics name the same families of ours."""
    names = []
    for accept, parse in (("text/plain", parse_text), (OPENMETRICS, parse_openmetrics)):
        found = parse(scrape(busy, accept)[1].decode())
        names.append({each.name for each in found if each.name.startswith("penstock_") and each.type != "gauge"})
    assert names[0] == names[1]
    assert len(names[0]) >= 5
