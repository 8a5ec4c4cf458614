"""The picture of a node at one tick."""

import msgspec
import pytest

from penstock.testing.standin import StandIn


@pytest.fixture
def node():
    """A node with two listeners and a worker."""
    node = StandIn()
    yield node
    node.close()


def test_stats_have_the_published_shape(node):
    """The JSON of a snapshot has the keys that are documented, and no other."""
    row = node.pen.open(listener=1)
    node.pen.aim(row, 1, 2)
    node.pen.move(row, 1_000, 2_000, 2_000, 1_000, 1)
    stats = msgspec.json.decode(msgspec.json.encode(node.tick().stats()))
    numbers = {"connections": 1, "active": 1, "bytes_in": 1_000, "bytes_out": 2_000, "requests": 1}
    numbers |= {"target_rx": 2_000, "target_tx": 1_000}
    throughput = {"bytes_in": 1_000.0, "bytes_out": 2_000.0}
    assert list(stats) == [
        "node", "workers", "totals", "throughput", "listeners", "routes", "targets", "outcomes", "refused",
        "taken_at",
    ]  # fmt: skip
    assert stats["totals"] == numbers
    assert stats["throughput"] == throughput
    assert stats["listeners"][0] == {
        "id": 1, "name": "web", "protocol": "tcp", "address": "127.0.0.1:8001", "route": "default",
        "throughput": throughput, **numbers,
    }  # fmt: skip
    assert stats["routes"][0] == {"id": 1, "name": "default", "throughput": throughput, **numbers}
    assert stats["targets"][1] == {
        "id": 2, "route": "default", "address": "[2001:db8::2]:80", "throughput": throughput, **numbers,
        "state": "up", "why": "", "since": "", "weight": 1.0, "checks": {"passed": 0, "failed": 0}, "ejections": 0,
    }  # fmt: skip
    assert set(stats["node"]) == {"name", "version", "started_at", "counts_since", "uptime", "state", "pid"}
    assert set(stats["workers"]) == {"configured", "alive", "respawns", "accept_pauses", "pids"}


def test_a_snapshot_cannot_be_changed(node):
    """Nobody writes to what others read."""
    snapshot = node.snapshot()
    for value, name in ((snapshot, "totals"), (snapshot.totals, "active"), (snapshot.node, "state")):
        with pytest.raises(AttributeError):
            setattr(value, name, None)
