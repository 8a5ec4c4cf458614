"""`penstock targets` and `penstock target`."""

import json
from urllib.parse import unquote, urlsplit

import pytest

ONE = {
    "id": 1,
    "route": "app",
    "address": "192.0.2.1:80",
    "state": "up",
    "why": "",
    "since": "2024-01-01T00:00:00.000Z",
    "weight": 1.0,
    "active": 3,
    "connections": 1_234,
    "checks": {"passed": 7, "failed": 1},
    "ejections": 0,
}
TWO = ONE | {"id": 2, "address": "[2001:db8::1]:80", "state": "down", "why": "connection refused", "weight": 0.5}


@pytest.fixture
def balancing(node, monkeypatch):
    """A node with two targets, which keeps the paths that it was asked for."""
    answer, node.paths = node.answer, []

    def targets(method, target):
        if not target.startswith("/api/v1/targets"):
            return answer(method, target)
        node.paths.append((method, target))
        if method == "PUT":
            return 200, ONE | {"state": node.sent.get("state", "up"), "weight": node.sent.get("weight", 1.0)}
        return 200, {"targets": [ONE, TWO]}

    monkeypatch.setattr(node, "answer", targets)
    return node


def test_targets_are_listed(penstock, balancing):
    """Each with its state, weight, what is active, and why."""
    result = penstock("targets")
    assert result.exit_code == 0
    head, one, two = (line.split() for line in result.stdout.splitlines())
    assert head[:5] == ["Route", "Target", "State", "Weight", "Active"]
    assert one[:5] == ["app", "192.0.2.1:80", "up", "1", "3"]
    assert two[:5] == ["app", "[2001:db8::1]:80", "down", "0.5", "3"]
    assert "connection refused" in result.stdout
    assert json.loads(penstock("targets", "--json").stdout) == [ONE, TWO]
    assert "checks_passed" in penstock("targets", "-o", "csv").stdout.splitlines()[0]


def test_a_route_can_be_asked_for(penstock, balancing):
    """The node is asked for those of one route."""
    penstock("targets", "--route", "my app")
    assert urlsplit(balancing.paths[-1][1]).query in ("route=my+app", "route=my%20app")


def test_a_narrow_terminal_gets_what_tells_most(penstock, balancing, monkeypatch):
    """State and reason stay, figures of checks go."""
    monkeypatch.setenv("COLUMNS", "90")
    assert penstock("targets").stdout.splitlines()[0].split() == ["Route", "Target", "State", "Weight", "Active", "Why"]


@pytest.mark.parametrize("state", ["ready", "drain", "maint"])
def test_an_order_is_given(penstock, balancing, state):
    """Route and address are in the path, each as one part, and the answer is shown."""
    result = penstock("target", "my/app", "[2001:db8::1]:80", state)
    assert result.exit_code == 0
    assert balancing.sent == {"state": state}
    method, path = balancing.paths[-1]
    assert method == "PUT"
    assert [unquote(part) for part in path.split("/")[-2:]] == ["my/app", "[2001:db8::1]:80"]
    assert state in result.stdout


def test_a_weight_needs_no_state(penstock, balancing):
    """State, weight or both."""
    assert json.loads(penstock("target", "app", "192.0.2.1:80", "--weight", "5", "--json").stdout)["weight"] == 5
    assert balancing.sent == {"weight": 5}
    penstock("target", "app", "192.0.2.1:80", "drain", "--weight", "2")
    assert balancing.sent == {"state": "drain", "weight": 2}


@pytest.mark.parametrize("words", [[], ["app"], ["app", "a:1"], ["app", "a:1", "up"], ["app", "a:1", "--weight", "0"]])
def test_wrong_usage(penstock, balancing, words):
    """Nothing wanted, an unknown word, no weight: nothing is sent, and the code is 2."""
    assert penstock("target", *words).exit_code == 2
    assert balancing.sent is None


def test_a_refusal_is_told(penstock, balancing, monkeypatch):
    """A target that is not there is told in the node's words, and the code is 1."""
    monkeypatch.setattr(balancing, "answer", lambda *_: (404, {"title": "Not Found", "detail": "no target 'a:1'"}))
    result = penstock("target", "app", "a:1", "drain")
    assert (result.exit_code, result.stderr) == (1, "penstock: the node refused: no target 'a:1'\n")
