"""Listeners and routes at the admin door."""

import pytest
from starlette.testclient import TestClient

from penstock.base.errors import ConfigurationError
from penstock.node.admin import make_app
from penstock.node.reload import ReloadError, UnknownTableError
from penstock.node.tables import TABLE_BYTES


@pytest.fixture
def node(node):
    """A node whose listener `web` is written."""
    node.tick()
    return node


def test_tables_are_shown_and_changed(node, client):
    """As they are written, with where they are from; a change answers what a reload answers."""
    web = {"name": "web", "origin": "configuration", "table": {"name": "web", "listen": ":8001"}}
    assert client.get("/api/v1/listeners").json() == {"listeners": [web]}
    assert client.get("/api/v1/listeners/web").json() == web
    assert client.get("/api/v1/routes").json() == {"routes": []}
    assert client.get("/api/v1/runtime").json() == {"changes": []}
    answer = client.put("/api/v1/routes/app", json={"name": "app", "targets": ["h:1"]}).json()
    assert (answer["applied"], answer["changes"][0]["name"]) == (True, "app")
    assert client.get("/api/v1/routes/app").json()["origin"] == "runtime"
    assert client.get("/api/v1/runtime").json()["changes"][0]["kind"] == "route"
    assert client.delete("/api/v1/routes/app").status_code == 200
    assert node.written["route", "app"] == {}


def test_a_check_changes_nothing(node, client):
    """What would change is answered."""
    answer = client.put("/api/v1/routes/app?check=true", json={"targets": ["h:1"]}).json()
    assert (answer["applied"], ("route", "app") in node.written) == (False, False)
    assert client.put("/api/v1/routes/app?check=yes", json={}).status_code == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownTableError("no route is called 'app'"), 404),
        (ReloadError("it drains"), 409),
        (ConfigurationError(["a: one", "b: two"]), 422),
    ],
)
def test_refusals_are_problems(node, client, error, status):
    """With every mistake, where there are several."""
    node.reloaded = error
    answer = client.delete("/api/v1/routes/app")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json().get("mistakes") == (["a: one", "b: two"] if status == 422 else None)
    assert client.put("/api/v1/routes/app", json={}).status_code == status


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":' * 5_000, b'"x"', b"\xff", b"null"])
def test_a_body_that_is_no_table_is_refused(client, body):
    """With 400, whatever it is."""
    assert client.put("/api/v1/routes/app", content=body).status_code == 400


def test_bodies_and_names_are_bounded(client):
    """A longer body is 413; another name than the path's is 400; an unknown one is 404 with those that there are."""
    assert client.put("/api/v1/routes/app", content=b" " * (TABLE_BYTES + 1)).status_code == 413
    assert client.put("/api/v1/routes/app", json={"name": "other"}).status_code == 400
    assert "there are: web" in client.get("/api/v1/listeners/none").json()["detail"]
    assert client.get("/api/v1/listeners/web?x=1").status_code == 400


def test_files_and_code_need_proof(node):
    """Who has neither a token nor the Unix socket cannot make the node read a file or run a function."""
    open_door = TestClient(make_app(node), base_url="http://127.0.0.1:9190")
    answer = open_door.put("/api/v1/routes/app", json={"body_file": "/etc/shadow", "handler": "os:system"})
    assert (answer.status_code, answer.json()["detail"].partition(":")[0]) == (403, "body_file, handler")
    assert open_door.put("/api/v1/listeners/s", json={"certificates": ["a.pem"]}).status_code == 403
    local = TestClient(make_app(node, local=True), base_url="http://penstock")
    assert local.put("/api/v1/routes/app", json={"body_file": "/etc/motd"}).status_code == 200
    node.admin_token = "s3cret"
    known = TestClient(make_app(node), base_url="http://x", headers={"Authorization": "Bearer s3cret"})
    assert known.put("/api/v1/routes/app", json={"body_file": "/etc/motd"}).status_code == 200
    assert TestClient(make_app(node)).put("/api/v1/routes/app", json={}).status_code == 401
