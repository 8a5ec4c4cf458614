"""What may be wanted of a target, and how targets are told."""

import pytest

from penstock.node.problems import Problem
from penstock.node.targets import WantedTarget, listed, one, parse_order
from penstock.policy.health import TargetOrder

PATH = "/api/v1/targets/default/192.0.2.10:80"


@pytest.fixture
def node(node):
    """A node with a route to two targets."""
    node.tick()
    return node


def test_orders_are_read():
    """State, weight or both; what is left out stays."""
    assert parse_order(b'{"state": "drain"}') == WantedTarget(TargetOrder.DRAIN)
    assert parse_order(b'{"weight": 256}') == WantedTarget(weight=256)
    assert parse_order(b'{"state": "ready", "weight": 1}') == WantedTarget(TargetOrder.READY, 1)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b"{}", "state, weight or both"),
        (b'{"state": "up"}', "up"),
        (b'{"weight": 0}', "from 1 to 256"),
        (b'{"weight": 257}', "from 1 to 256"),
        (b'{"weight": 1.5}', "int"),
        (b'{"wieght": 1}', "wieght"),
        (b"[]", "object"),
        (b"\xff", "malformed"),
    ],
)
def test_what_is_no_order_is_told(client, node, body, why):
    """Each mistake is a 400 that says what is wrong, and nothing happens."""
    with pytest.raises(Problem, match=why):
        parse_order(body)
    answer = client.put(PATH, content=body)
    assert answer.status_code == 400
    assert why in answer.json()["detail"]
    assert node.wanted == {}


def test_targets_are_listed(client):
    """All of them, or those of a route; one that is not there is a 404 that names what is."""
    every = client.get("/api/v1/targets").json()["targets"]
    assert [each["address"] for each in every] == ["192.0.2.10:80", "[2001:db8::2]:80"]
    assert {(each["state"], each["weight"], each["ejections"]) for each in every} == {("up", 1.0, 0)}
    assert every[0]["checks"] == {"passed": 0, "failed": 0}
    assert client.get("/api/v1/targets?route=default").json()["targets"] == every
    assert client.get("/api/v1/targets?route=out").status_code == 404
    assert client.get("/api/v1/targets?rout=out").status_code == 400


def test_one_target_is_told(client):
    """By route and address, IPv6 in brackets; another one is a 404 that names those that are there."""
    assert client.get(PATH).json()["id"] == 1
    assert client.get("/api/v1/targets/default/[2001:db8::2]:80").json()["id"] == 2
    missing = client.get("/api/v1/targets/default/192.0.2.11:80")
    assert missing.status_code == 404
    assert "it has: 192.0.2.10:80" in missing.json()["detail"]
    assert client.get("/api/v1/targets/other/192.0.2.10:80").status_code == 404


def test_an_order_is_given_and_seen(client, node):
    """The answer shows how the target is now."""
    answer = client.put(PATH, json={"state": "drain", "weight": 3})
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["weight"]) == ("drain", 3)
    assert node.wanted == {("default", "192.0.2.10:80"): {"state": TargetOrder.DRAIN, "weight": 3}}
    assert client.put("/api/v1/targets/default/192.0.2.11:80", json={"state": "drain"}).status_code == 404


def test_a_long_order_is_refused(client):
    """A body that cannot be an order is not read to its end."""
    assert client.put(PATH, content=b" " * 100_000).status_code == 413


def test_lists_are_plain(node):
    """Listing changes nothing, and takes targets from anywhere."""
    views = node.targets()
    assert listed(iter(views), None) == list(views)
    assert one(iter(views), "default", "192.0.2.10:80") is views[0]
