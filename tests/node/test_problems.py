"""Errors as problem details."""

import pytest
from starlette.testclient import TestClient

from penstock.node.admin import make_app
from penstock.node.problems import problem


def test_a_problem_has_its_four_fields():
    """RFC 9457: type, title, status and detail, under the media type of problems."""
    answer = problem(404, "no such thing", {"X-More": "1"})
    assert answer.media_type == "application/problem+json"
    assert answer.headers["x-more"] == "1"
    assert answer.body == b'{"type":"about:blank","title":"Not Found","status":404,"detail":"no such thing"}'


def test_unknown_paths_are_named(node):
    """What is not there is a 404 that names the path and where to look."""
    client = TestClient(make_app(node), base_url="http://127.0.0.1")
    for path in ("/nothing", "/api/v1/stats/", "/api/v1/connections/1/2", "//metrics", "/{method}%7Bx%7D"):
        answer = client.get(path)
        assert answer.status_code == answer.json()["status"] == 404
        assert "openapi.json" in answer.json()["detail"]


def test_wrong_methods_are_told_the_right_ones(node):
    """What a path does not take is a 405 with Allow."""
    client = TestClient(make_app(node), base_url="http://127.0.0.1")
    for method, path, allowed in (
        ("POST", "/metrics", {"GET", "HEAD"}),
        ("GET", "/-/drain", {"POST"}),
        ("PUT", "/api/v1/connections/1", {"GET", "HEAD", "DELETE"}),
        ("OPTIONS", "/api/v1/stats", {"GET", "HEAD"}),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == allowed
        assert method in answer.json()["detail"]


def test_a_fault_of_ours_tells_nothing(node):
    """A bug is a 500 without details for whoever asks, and goes to the log."""
    app = make_app(node)
    node.snapshot = lambda: 1 / 0
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    answer = client.get("/api/v1/stats")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["cache-control"] == "no-store"
    assert "division" not in answer.text
    with pytest.raises(ZeroDivisionError):
        TestClient(app, base_url="http://127.0.0.1").get("/api/v1/stats")
