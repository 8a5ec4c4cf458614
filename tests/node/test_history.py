"""The history of ended connections at the admin door."""

import csv
import io
import json

import pytest
from starlette.testclient import TestClient

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.metrics.live import number_of
from penstock.metrics.searching import RecordView
from penstock.node.admin import make_app
from penstock.testing.standin import StandIn

REFUSED = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)


@pytest.fixture
def node(node):
    """A node in which four connections have ended, a second each."""
    for moved, texts, outcome in (
        (10, ("example.org:443", "ada", ""), COMPLETE),
        (300, ("=cmd()|x:80", "+bob", 'said "no", twice'), REFUSED),
        (20, ("www.example.org:80", "ada", ""), COMPLETE),
        (0, ("", "", ""), COMPLETE),
    ):
        now = node.clock.monotonic_ns()
        row = node.pen.open(2 if texts[0] else 1, now_ns=now - NS)
        node.pen.move(row, moved, moved)
        node.pen.describe(row, *texts)
        node.pen.end(row, outcome, now_ns=now)
        node.tick()
    return node


@pytest.fixture
def ask(client):
    """Ask for the history with a query, and return its JSON."""

    def go(**query):
        answer = client.get("/api/v1/history", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return go


def test_the_newest_come_first(ask):
    """Without a query: all of them, newest first, each in full."""
    page = ask()
    assert [each["number"] for each in page["connections"]] == [4, 3, 2, 1]
    assert (page["next"], page["total"], page["first"], page["last"]) == (None, 4, 1, 4)
    assert page["connections"][3] == {
        "number": 1, "id": number_of(1, 1), "client": "192.0.2.7:40000", "listener": "egress", "route": "out",
        "target": "", "destination": "example.org:443", "user": "ada", "bytes_in": 10, "bytes_out": 10,
        "target_rx": 0, "target_tx": 0, "requests": 0, "started_at": "2023-11-14T22:13:19.000Z",
        "ended_at": "2023-11-14T22:13:20.000Z", "duration": 1.0, "ended_by": "complete", "phase": "done",
        "close_reason": "normal", "reason": "", "detail": "", "dial_duration": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"user": "ada"}, [3, 1]),
        ({"destination": "*.example.org"}, [3]),
        ({"destination": "EXAMPLE.org:443"}, [1]),
        ({"client": "192.0.2.0/24"}, [4, 3, 2, 1]),
        ({"client": "::ffff:192.0.2.7"}, [4, 3, 2, 1]),
        ({"client": "10.0.0.0/8"}, []),
        ({"listener": "web"}, [4]),
        ({"route": "out"}, [3, 2, 1]),
        ({"route": "none of this name"}, []),
        ({"target": "192.0.2.10:80"}, []),
        ({"ended_by": "proxy"}, [2]),
        ({"phase": "done"}, [4, 3, 1]),
        ({"close_reason": "error"}, [2]),
        ({"reason": "auth"}, [2]),
        ({"min_bytes": 40}, [3, 2]),
        ({"min_duration": "1.5s"}, []),
        ({"since": "-1500ms"}, [4]),
        ({"since": "-3s", "until": "-2s"}, [2]),
        ({"since": "2023-11-14T22:13:21Z", "until": "2023-11-14T23:13:22+01:00"}, [2]),
        ({"user": "ada", "min_bytes": 40, "limit": 1}, [3]),
        ({"after": 2}, [3, 4]),
        ({"after": 2, "limit": 1}, [3]),
        ({"cursor": 3}, [2, 1]),
    ],
)
def test_filters(ask, query, found):
    """Each filter leaves what it means, several leave what all mean."""
    assert [each["number"] for each in ask(**query)["connections"]] == found


def test_pages(ask, node):
    """Following `next` shows each once, whatever ends meanwhile; after goes the other way and ends with null."""
    first = ask(limit=2)
    node.pen.end(node.pen.open())
    node.tick()
    second = ask(limit=2, cursor=first["next"])
    assert [each["number"] for each in first["connections"] + second["connections"]] == [4, 3, 2, 1]
    assert (second["next"], second["total"]) == (None, 5)
    assert ask(after=3, limit=1)["next"] == 4
    assert ask(after=4, limit=1)["next"] is None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("usr=ada", "known are: client, user, destination"),
        ("user=", "1 to 263"),
        ("user=a&user=b", "given twice"),
        ("client=nobody", "192.0.2.0/24"),
        ("destination=*", "*.example.org"),
        ("ended_by=me", "one of client, target"),
        ("phase=", "one of detect"),
        ("close_reason=x", "one of client_closed"),
        ("reason=x", "one of ban"),
        ("since=yesterday", "-5m"),
        ("until=2023-11-14", "-5m"),
        ("min_bytes=-1", "a number from 0"),
        ("min_bytes=1KiB", "a number from 0"),
        ("min_duration=5", "90s"),
        ("limit=0", "from 1 to 10000"),
        ("limit=10001", "from 1 to 10000"),
        ("cursor=x", "a number from 0"),
        ("after=-1", "a number from 0"),
        ("cursor=1&after=1", "only one of them"),
        ("format=xml", "one of json, csv, jsonl"),
        ("%00=%ff", "is unknown here"),
    ],
)
def test_a_query_that_makes_no_sense(client, query, says):
    """Every wrong query is a problem that says what would be right."""
    answer = client.get(f"/api/v1/history?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_csv(client):
    """CSV has a heading and a line for each; cells that a spreadsheet would run are texts, quotes are doubled."""
    answer = client.get("/api/v1/history", params={"format": "csv", "ended_by": "proxy"})
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert list(row) == list(RecordView.__struct_fields__)
    assert (row["destination"], row["user"], row["detail"]) == ("'=cmd()|x:80", "'+bob", 'said "no", twice')
    assert (row["bytes_in"], row["duration"], row["dial_duration"]) == ("300", "1.0", "")
    assert client.get("/api/v1/history?format=csv&user=nobody").text == ",".join(RecordView.__struct_fields__) + "\r\n"


def test_lines_of_json(client, ask):
    """JSON Lines hold the same objects as JSON, one a line."""
    answer = client.get("/api/v1/history?format=jsonl")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == ask()["connections"]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("application/x-ndjson, application/json;q=0.5", "application/x-ndjson"),
        ("text/html", "application/json"),
        ("text/*;q=0.3", "text/csv"),
    ],
)
def test_forms_are_negotiated(client, accept, media):
    """The Accept header chooses the form, and format= wins over it."""
    answer = client.get("/api/v1/history", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media
    assert answer.headers["vary"] == "Accept"
    assert client.get("/api/v1/history?format=json", headers={"Accept": accept}).json()["total"] == 4


def test_every_form_names_the_next_page(client):
    """Where there is more, a Link header leads on, in the same form with the same filters, to the last page."""
    path, seen = "/api/v1/history?format=jsonl&route=out&limit=1", []
    for _ in range(9):
        answer = client.get(path)
        seen += [json.loads(line)["number"] for line in answer.text.splitlines()]
        if "link" not in answer.headers:
            break
        path = answer.headers["link"].partition("<")[2].partition(">")[0]
    assert seen == [3, 2, 1]


def test_records_can_be_switched_off():
    """A node that keeps none answers with none."""
    from msgspec.structs import replace

    from penstock.config.plan import MetricsPlan
    from penstock.testing.standin import PLAN

    for metrics in (MetricsPlan(connection_records=0), MetricsPlan(enabled=False)):
        node = StandIn(plan=replace(PLAN, metrics=metrics))
        node.pen.end(node.pen.open())
        node.tick()
        page = TestClient(make_app(node), base_url="http://127.0.0.1").get("/api/v1/history").json()
        assert page == {"connections": [], "next": None, "total": 0, "first": 0, "last": 0}
        node.close()
