"""`penstock metrics`."""

import json

import pytest

from penstock.metrics.collection import PARTS

ON = dict.fromkeys(PARTS, True)


@pytest.fixture
def collecting(node, monkeypatch):
    """A node that collects everything, and does what it is told."""
    state, answer = dict(ON), node.answer

    def switch(method, target):
        if target != "/api/v1/metrics/collection":
            return answer(method, target)
        if method == "PUT":
            state.update(node.sent)
        return 200, state

    monkeypatch.setattr(node, "answer", switch)
    return node


@pytest.mark.parametrize("words", [[], ["show"]])
def test_every_part_is_shown(penstock, collecting, words):
    """Without an order each part is told, with whether it is on."""
    result = penstock("metrics", *words)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [[part, "yes"] for part in PARTS]
    assert json.loads(penstock("metrics", *words, "--json").stdout) == ON
    assert penstock("metrics", *words, "-o", "csv").stdout.startswith("part,on\nseries,True\n")


def test_parts_are_switched(penstock, collecting):
    """The parts that are named are switched, and what is on afterwards is shown."""
    off = json.loads(penstock("metrics", "off", "series", "users", "--json").stdout)
    assert collecting.sent == {"series": False, "users": False}
    assert off == ON | {"series": False, "users": False}
    assert json.loads(penstock("metrics", "on", "users", "--json").stdout) == ON | {"series": False}
    penstock("metrics", "off", "all")
    assert collecting.sent == {"all": False}


@pytest.mark.parametrize("words", [["off"], ["on"], ["show", "users"], ["off", "totals"], ["stop", "users"]])
def test_wrong_usage(penstock, collecting, words):
    """An order without parts, an unknown part or order: nothing is switched, and the code is 2."""
    assert penstock("metrics", *words).exit_code == 2
    assert collecting.sent is None


def test_a_refusal_is_told(penstock, collecting, monkeypatch):
    """What the node refuses is told in its words, and the code is 1."""
    monkeypatch.setattr(collecting, "answer", lambda *_: (400, {"title": "Bad Request", "detail": "no room"}))
    result = penstock("metrics", "on", "users")
    assert (result.exit_code, result.stderr) == (1, "penstock: the node refused: no room\n")
