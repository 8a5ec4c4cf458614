"""Tests of `penstock.node.bans.endpoints`, over the admin door."""

import pytest
from starlette.testclient import TestClient

from penstock.node.admin import make_app


@pytest.fixture
def door(node):
    """Its door over TCP."""
    return TestClient(make_app(node), base_url="http://127.0.0.1:9190", client=("198.51.100.1", 5))


def test_a_ban_is_made_shown_listed_and_lifted(door):
    """With a slash in its path where it is a network."""
    for network in ("192.0.2.7", "198.51.101.0/24", "2001:db9::/64"):
        made = door.post("/api/v1/bans", json={"address": network, "for": "1h", "reason": "x"})
        assert (made.status_code, made.json()["network"]) == (201, network)
        assert door.get(f"/api/v1/bans/{network}").json()["reason"] == "x"
    assert [each["network"] for each in door.get("/api/v1/bans").json()["bans"]] == [
        "192.0.2.7",
        "198.51.101.0/24",
        "2001:db9::/64",
    ]
    for network in ("192.0.2.7", "198.51.101.0/24", "2001:db9::/64"):
        assert door.delete(f"/api/v1/bans/{network}").status_code == 204
        assert door.delete(f"/api/v1/bans/{network}").status_code == 404
    assert door.get("/api/v1/bans").json() == {"bans": [], "next": None, "total": 0, "lists": []}


def test_pages_and_filters(door):
    """A cursor goes on where a page ended."""
    for number in range(5):
        door.post("/api/v1/bans", json={"address": f"192.0.2.{number}", "shadow": number == 1})
    page = door.get("/api/v1/bans", params={"limit": 3}).json()
    assert (len(page["bans"]), page["next"], page["total"]) == (3, "192.0.2.2", 5)
    page = door.get("/api/v1/bans", params={"limit": 3, "cursor": page["next"]}).json()
    assert ([each["network"] for each in page["bans"]], page["next"]) == (["192.0.2.3", "192.0.2.4"], None)
    assert door.get("/api/v1/bans", params={"origin": "shadow"}).json()["total"] == 1
    assert door.get("/api/v1/bans", params={"address": "192.0.2.3"}).json()["total"] == 1


def test_who_asks_is_never_banned(door):
    """Neither alone nor with a network around; the reason is told."""
    refused = door.post("/api/v1/bans", json={"address": "198.51.100.0/24"})
    assert refused.status_code == 422
    assert "198.51.100.1 is an operator of this node" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/bans", b"{", 422),
        ("POST", "/api/v1/bans", b'{"address": "nonsense"}', 422),
        ("POST", "/api/v1/bans", b"x" * 5_000, 413),
        ("POST", "/api/v1/bans/confirm", b"[]", 400),
        ("POST", "/api/v1/bans/confirm", b'{"address": "nonsense"}', 400),
        ("DELETE", "/api/v1/bans/nonsense", b"", 400),
        ("GET", "/api/v1/bans/nonsense", b"", 404),
        ("GET", "/api/v1/bans?address=192.0.2.0/24", b"", 400),
        ("GET", "/api/v1/bans?origin=nobody", b"", 400),
        ("GET", "/api/v1/why", b"", 400),
        ("GET", "/api/v1/why?ip=nonsense", b"", 400),
        ("GET", "/api/v1/why?ip=192.0.2.0/24", b"", 400),
    ],
)
def test_requests_that_make_no_sense(door, method, path, body, status):
    """Each is a problem, and none an error of ours."""
    assert door.request(method, path, content=body).status_code == status


def test_a_confirmation_lets_stay(door):
    """And tells what stays."""
    door.post("/api/v1/bans", json={"address": "192.0.2.7", "confirm": "60s"})
    assert door.post("/api/v1/bans/confirm").json()["confirmed"][0]["network"] == "192.0.2.7"
    assert door.post("/api/v1/bans/confirm").json() == {"confirmed": []}


def test_open_connections_end_where_it_is_asked_for(node, door):
    """And how many there were is told; a ban in shadow cuts nobody."""
    assert door.post("/api/v1/bans", json={"address": "192.0.2.7", "cut": True}).json()["cut"] == 2
    assert door.post("/api/v1/bans", json={"address": "192.0.2.8", "cut": True, "shadow": True}).json()["cut"] is None
    assert door.post("/api/v1/bans", json={"address": "192.0.2.9"}).json()["cut"] is None
    assert node.cuts == ["192.0.2.7"]


def test_an_address_within_a_banned_network_is_told_so(door):
    """Who would lift what is not there learns what holds."""
    door.post("/api/v1/bans", json={"address": "192.0.2.0/29"})
    gone = door.delete("/api/v1/bans/192.0.2.7")
    assert (gone.status_code, gone.json()["detail"]) == (404, "192.0.2.7 is not banned itself; it is by 192.0.2.0/29")
