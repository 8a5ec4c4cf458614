"""What the admin door answers."""

import gzip

import msgspec
import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.testclient import TestClient

import penstock
from penstock.base.errors import ConfigurationError
from penstock.config.plan import MetricsPlan
from penstock.metrics.live import number_of
from penstock.metrics.view import HistoryView
from penstock.node.admin import make_app
from penstock.node.queries import LARGEST_ID
from penstock.node.reload import ReloadError
from penstock.store.store import UnreachableError
from penstock.testing.standin import PLAN, StandIn


@pytest.fixture
def node(node):
    """A node that has three connections."""
    for listener, moved in ((1, 10), (2, 300), (2, 20)):
        node.pen.move(node.pen.open(listener), moved, moved)
    node.tick()
    return node


def test_health_and_version(client):
    """Probes are answered in a word, the version in full."""
    assert (client.get("/health").text, client.get("/health").status_code) == ("OK", 200)
    assert client.get("/health").headers["content-type"].startswith("text/plain")
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/version").json()["version"] == penstock.__version__


@pytest.mark.parametrize("state", ["starting", "draining"])
def test_not_ready_while_starting_or_draining(node, client, state):
    """Readiness is 200 while the node serves, else 503 and why."""
    assert client.get("/readyz").status_code == 200
    node.sampler.state = state
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"the node is {state}"


def test_the_audit_is_the_nodes(node, client):
    """The sheet comes from the node, whole; a query is a mistake."""
    audit = client.get("/api/v1/audit").json()
    assert (audit["exact"], set(audit["residual_bytes"].values())) == (True, {0})
    assert {line["sum"] for line in audit["lines"] if line["quantity"] == "bytes_in"} == {330}
    assert client.get("/api/v1/audit?now=1").status_code == 400


def test_stats_are_the_snapshot(node, client):
    """Stats are the JSON of the newest snapshot."""
    stats = client.get("/api/v1/stats").json()
    assert stats["totals"]["connections"] == 3
    assert stats["totals"]["bytes_in"] == 330
    assert stats["throughput"]["bytes_in"] == 330
    assert [listener["active"] for listener in stats["listeners"]] == [1, 2]
    node.tick()
    assert client.get("/api/v1/stats").json()["throughput"]["bytes_in"] == 0


def test_connections_come_in_pages(client):
    """Following `next` shows all of them; the last page says null."""
    first = client.get("/api/v1/connections", params={"limit": 2}).json()
    assert [c["id"] for c in first["connections"]] == [number_of(1, 1), number_of(1, 2)]
    assert (first["next"], first["total"]) == (number_of(1, 2), 3)
    last = client.get("/api/v1/connections", params={"limit": 2, "cursor": first["next"]}).json()
    assert [c["id"] for c in last["connections"]] == [number_of(1, 3)]
    assert last["next"] is None


def test_connections_by_listener_and_by_bytes(client):
    """They can be filtered by listener, and the busiest shown first."""
    page = client.get("/api/v1/connections", params={"listener": "egress", "sort": "bytes"}).json()
    assert [c["bytes_in"] for c in page["connections"]] == [300, 20]
    assert page["total"] == 2


def test_one_connection(client):
    """A connection is shown by its id."""
    view = client.get(f"/api/v1/connections/{number_of(1, 2)}").json()
    assert (view["id"], view["listener"], view["client"]) == (number_of(1, 2), "egress", "192.0.2.7:40000")


def test_a_connection_is_closed(node, client):
    """DELETE ends a connection and answers 204 without a body."""
    answer = client.delete(f"/api/v1/connections/{number_of(1, 2)}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert node.closed == [number_of(1, 2)]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_connection_that_is_not_there(client, method):
    """An id that no open connection has is a 404 that names it."""
    answer = client.request(method, "/api/v1/connections/77")
    assert (answer.status_code, answer.json()["detail"]) == (404, "no connection 77 is open")


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "0x10", "1e3", "%20", "²", str(LARGEST_ID + 1), "9" * 5_000])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_that_is_none(node, client, method, number):
    """What is no id is a 400 that says what would be, and nobody is closed."""
    answer = client.request(method, f"/api/v1/connections/{number}")
    assert answer.status_code == 400
    assert "a number from 0 to" in answer.json()["detail"]
    assert node.closed == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "from 1 to 10000"),
        ("limit=10001", "from 1 to 10000"),
        ("limit=-5", "from 1 to 10000"),
        ("limit=", "from 1 to 10000"),
        ("limit=abc", "from 1 to 10000"),
        ("limit=" + "9" * 5_000, "from 1 to 10000"),
        ("cursor=x", "a number from 0 to"),
        ("sort=age", "one of id, bytes"),
        ("sort=bytes&cursor=1", "sort=id only"),
        ("listener=nobody", "there are: web, egress"),
        ("limit=1&limit=2", "given twice"),
        ("lmit=1", "known are: listener, limit, cursor, sort"),
    ],
)
def test_a_query_that_makes_no_sense(client, query, says):
    """Every wrong query is a 400 whose detail says what would be right."""
    answer = client.get(f"/api/v1/connections?{query}")
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_drain(node, client):
    """A drain is accepted, begun once for each order, and seen in readiness."""
    answer = client.post("/-/drain")
    assert (answer.status_code, answer.json()) == (202, {"state": "draining"})
    assert node.drains == 1
    assert client.get("/api/v1/drain").json()["seconds_left"] == 30
    assert client.get("/readyz").status_code == 503


def test_metrics_are_negotiated(client):
    """A scraper gets the form it prefers, and caches are told that it was asked."""
    plain = client.get("/metrics", headers={"Accept": "*/*", "Accept-Encoding": "identity"})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept, Accept-Encoding"
    assert "penstock_connections_active{" in plain.text
    assert "process_cpu_seconds_total " in plain.text
    fancy = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert fancy.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert len(list(text_string_to_metric_families(fancy.text))) > 10


def test_some_metrics_may_be_asked_for(client):
    """`name[]` and `name` choose families and samples; unknown names give an empty answer, too many a problem."""
    query = "name[]=penstock_bytes_total&name[]=penstock_workers&name=penstock_connection_duration_seconds_sum"
    text = client.get(f"/metrics?{query}", headers={"Accept": "application/openmetrics-text"}).text
    assert {family.name for family in text_string_to_metric_families(text)} == {
        "penstock_bytes", "penstock_workers", "penstock_connection_duration_seconds"
    }  # fmt: skip
    nothing = client.get("/metrics?name[]=no&name=")
    assert (nothing.status_code, nothing.text) == (200, "")
    assert "256" in client.get("/metrics", params=[("name[]", f"n{number}") for number in range(257)]).json()["detail"]


@pytest.mark.parametrize("compat_names", [False, True])
def test_older_names_are_shown_where_they_are_wanted(node, client, compat_names):
    """The plan says whether older families are served; they can be asked for like any other."""
    node.metrics = MetricsPlan(compat_names=compat_names)
    assert ("socks5_connections_total 3\n" in client.get("/metrics").text) is compat_names
    assert ("socks5_" in client.get("/metrics?name[]=socks5_connections_total").text) is compat_names


def test_all_metrics_are_exported(node, client):
    """The same numbers as `/metrics` as JSON or CSV, with all that is known of them; other words are refused."""
    scraped = {}
    for family in parse_text(client.get("/metrics").text):
        for sample in family.samples:
            scraped[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    export = client.get("/api/v1/metrics/export").json()
    told = {
        (sample["name"], tuple(sorted(sample["labels"].items()))): sample["value"]
        for family in export["families"]
        for sample in family["samples"]
    }
    assert export["taken_at"] == node.snapshot().taken_at
    assert set(told) == set(scraped)
    assert all(told[key] == scraped[key] for key in told if not key[0].startswith("process_"))
    table = client.get("/api/v1/metrics/export?format=csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.text.count("\r\n") == len(scraped) + 1
    assert client.get("/api/v1/metrics/export?format=xml").status_code == 400
    assert client.get("/api/v1/metrics/export?form=csv").status_code == 400


def test_metrics_are_gzipped_for_those_who_take_it(client):
    """A compressed answer says so, and is the same text."""
    with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert b"penstock_build_info" in gzip.decompress(b"".join(answer.iter_raw()))


@pytest.mark.parametrize("path", ["/metrics", "/health", "/api/v1/stats", "/api/v1/connections", "/version"])
def test_head_is_get_without_a_body(client, path):
    """HEAD is answered wherever GET is."""
    assert client.head(path).status_code == 200


def test_metrics_in_windows(node, client):
    """Windows and graphs of the node and of any part of it, and all of it at once."""
    assert client.get("/api/v1/metrics").json()["throughput"]["instant"]["bytes_in"] == 330
    assert client.get("/api/v1/metrics").json()["connections"]["by_route"]["out"]["active"] == 2
    ask = "/api/v1/metrics/throughput"
    answer = client.get(ask, params={"window": "60s", "scope": "listener:web"}).json()
    assert (answer["scope"], answer["window"], answer["throughput"]["bytes_in"]) == ("listener:web", 60, 10)
    assert client.get(ask).json()["window"] == 10
    node.tick()
    graph = client.get("/api/v1/metrics/history", params={"seconds": "300", "scope": "route:out"}).json()
    assert graph["series"]["bytes_in"] == [320, 0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/metrics?window=10s", 400),
        ("/api/v1/metrics/throughput?window=0s", 400),
        ("/api/v1/metrics/throughput?window=25h", 400),
        ("/api/v1/metrics/throughput?window=1s&window=2s", 400),
        ("/api/v1/metrics/throughput?scope=listener:nobody", 404),
        ("/api/v1/metrics/throughput?scope=client:192.0.2.250", 404),
        ("/api/v1/metrics/history?seconds=10m&scope=client:other", 400),
        ("/api/v1/metrics/history?seconds=-1", 400),
    ],
)
def test_metrics_that_are_not_there(client, path, status):
    """A wrong time is 400, an unknown scope 404, each with a sentence that helps."""
    answer = client.get(path)
    assert answer.status_code == status
    assert len(answer.json()["detail"]) > 20


def test_graphs_that_memory_does_not_hold_come_from_the_store(node, client):
    """Further back, or of who has left: the store is asked; where it knows nothing, memory's own answer stands."""
    kept = HistoryView(scope="node", step=3_600, at=[7_200], covered=[3_600.0], series={"bytes_in": [1.0]})
    node.kept = {"node": kept, "client:192.0.2.250": kept, "user:ann": UnreachableError("n.db: disk I/O error")}
    for ask in ("seconds=90d", "seconds=2h&scope=client:192.0.2.250", "scope=client:192.0.2.250"):
        assert client.get(f"/api/v1/metrics/history?{ask}").json() == msgspec.to_builtins(kept)
    assert client.get("/api/v1/metrics/history?seconds=90s").json()["step"] == 1
    answer = client.get("/api/v1/metrics/history?seconds=1d&scope=user:ann")
    assert (answer.status_code, answer.json()["detail"]) == (503, "n.db: disk I/O error")
    assert client.get("/api/v1/metrics/history?seconds=90d&scope=route:out").status_code == 400
    assert client.get("/api/v1/metrics/history?scope=route:gone").status_code == 404


def test_the_collection_is_shown_and_switched(node, client):
    """GET tells which parts are on, PUT switches those that it names, and both answer with all parts."""
    assert client.get("/api/v1/metrics/collection").json()["series"] is True
    answer = client.put("/api/v1/metrics/collection", json={"series": False})
    assert (answer.status_code, answer.json()["series"], answer.json()["percentiles"]) == (200, False, True)
    window = client.get("/api/v1/metrics/throughput").json()["throughput"]
    assert (window["covered"], window["bytes_in"]) == (0, 0)
    assert client.get("/api/v1/metrics/history").json()["at"] == []
    assert client.get("/api/v1/stats").json()["totals"]["bytes_in"] == 330
    assert client.get("/metrics").status_code == 200
    assert client.get("/api/v1/metrics").status_code == 200
    client.put("/api/v1/metrics/collection", json={"all": True})
    node.tick()
    assert client.get("/api/v1/metrics/history").json()["covered"] == [1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b'{"series": 1}', 400), (b'{"series": "off"}', 400),
        (b'{"totals": false}', 400), (b'{"exports": true}', 400), (b'{"series": false, "users": null}', 400),
        (b"\xff\xfe", 400), (b"[" * 4_000, 400), (b" " * 5_000, 413), (b'{"x\\ud800": true}', 400),
    ],
)  # fmt: skip
def test_orders_that_are_none_switch_nothing(node, client, body, status):
    """Any other body is a problem with a clear line, and nothing is switched."""
    before = node.snapshot().collection
    answer = client.put("/api/v1/metrics/collection", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]
    assert node.snapshot().collection == before


def test_prometheus_can_be_switched_off():
    """With metrics.prometheus = false there is no /metrics; the rest of the door is there."""
    node = StandIn(plan=replace(PLAN, metrics=MetricsPlan(prometheus=False)))
    client = TestClient(make_app(node), base_url="http://127.0.0.1:9190")
    assert [client.get(path).status_code for path in ("/metrics", "/api/v1/metrics")] == [404, 200]
    node.close()


def test_reload_tells_the_difference(node, client):
    """A reload answers with what changed; a dry run says what would; both paths are one."""
    for path in ("/api/v1/reload", "/-/reload"):
        answer = client.post(path)
        assert (answer.status_code, answer.json()["applied"]) == (200, True)
        assert answer.json()["changes"] == [{"kind": "listener", "name": "new", "what": "added", "keys": []}]
        assert client.post(path + "?dry_run=1").json()["applied"] is False
    assert client.post("/api/v1/reload?dry_run=yes").status_code == 400
    assert client.get("/api/v1/reload").status_code == 405


def test_a_reload_that_cannot_be_is_a_problem(node, client):
    """Mistakes are 422 with a list of all of them, no file is 409 with the reason."""
    node.reloaded = ConfigurationError(["a: one", "b: two"])
    answer = client.post("/api/v1/reload")
    assert (answer.status_code, answer.json()["mistakes"]) == (422, ["a: one", "b: two"])
    assert answer.headers["content-type"] == "application/problem+json"
    node.reloaded = ReloadError("no file")
    answer = client.post("/api/v1/reload")
    assert (answer.status_code, answer.json()["detail"]) == (409, "no file")
