"""`penstock close` and `penstock drain`."""

import threading
from itertools import chain, repeat

import pytest

from penstock.cli import control


def test_close_each(penstock, node):
    """Each id is closed and told; the code is 0."""
    node.add(5)
    node.add(6)
    result = penstock("close", 5, 6)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "closed 5\nclosed 6\n")
    assert node.open == {}


def test_close_what_is_not_open(penstock, node):
    """An id that nobody has is told, the others are closed all the same, and the code is 1."""
    node.add(6)
    result = penstock("close", 5, 6)
    assert result.exit_code == 1
    assert result.stderr == "penstock: no open connection has the id 5\nclosed 6\n"


@pytest.mark.parametrize("words", [[], ["x"], ["0"], ["-1"]])
def test_close_wants_ids(penstock, node, words):
    """Without ids, or with what is none, it is wrong usage."""
    assert penstock("close", *words).exit_code == 2
    assert node.asked == []


def test_drain_returns_at_once(penstock, node):
    """Without --wait the order is given and that is all."""
    result = penstock("drain")
    assert result.exit_code == 0
    assert node.asked == [("POST", "/-/drain", {})]


def test_drain_waits_until_the_node_is_gone(penstock, node, monkeypatch):
    """With --wait the connections that are left are told as they change, until nobody answers any more."""
    monkeypatch.setattr(control, "POLL_SECONDS", 0.001)
    left = chain([3, 3, 1], repeat(0))
    answer = node.answer

    def count_down(method, target):
        if target == "/api/v1/stats":
            node.stats["totals"]["active"] = next(left)
            if not node.stats["totals"]["active"]:
                threading.Thread(target=node.stop).start()
        return answer(method, target)

    monkeypatch.setattr(node, "answer", count_down)
    result = penstock("drain", "--wait", "--timeout", "20")
    assert result.exit_code == 0
    counts = "".join(f"draining: {left} connections left\n" for left in (3, 1, 0))
    assert result.stderr == f"{counts}the node has exited\n"


def test_drain_gives_up_at_its_timeout(penstock, node, monkeypatch):
    """With --timeout a node that still drains is told, with 1."""
    monkeypatch.setattr(control, "POLL_SECONDS", 0.001)
    result = penstock("drain", "--wait", "--timeout", "0.05")
    assert result.exit_code == 1
    assert result.stderr.endswith("penstock: the node still drains after 0.05 s\n")
