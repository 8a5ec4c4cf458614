"""The validator's findings in our words."""

import pytest
from pydantic import ValidationError

from penstock.config.mistakes import Assign, Mistake
from penstock.config.model import Config, Listener
from penstock.config.translate import FINDINGS, LATER, near, table_of, translate
from penstock.config.way import Target

KNOWN_LOG = "unknown key; known are level, format, access, access_file, access_query"
LISTENER = {"listen": ":1", "protocol": "http"}


def mistakes(tree):
    """Return the mistakes of a tree."""
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(tree)
    return translate(caught.value)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"node": {"workerz": 1}}, Mistake(("node", "workerz"), "unknown key", "workers")),
        ({"node": {"Worker": 1}}, Mistake(("node", "Worker"), "unknown key", "workers")),
        ({"nodes": {}}, Mistake(("nodes",), "unknown key", "node")),
        ({"listeners": []}, Mistake(("listeners",), "unknown key", "[[listener]]")),
        ({"workers": 5}, Mistake(("workers",), "unknown key; [node] has it")),
        ({"protocol": "x"}, Mistake(("protocol",), "unknown key; [[listener]] has it", hidden=True)),
        (
            {"route": [{"name": "r", "match": {"listeners": ["x"]}}]},
            Mistake(("route", 0, "match", "listeners"), "unknown key; [[route]] has it"),
        ),
        (
            {"route": [{"name": "r", "targets": [{"address": "a:1", "balance": "x"}]}]},
            Mistake(("route", 0, "targets", 0, "balance"), "unknown key; [[route]] has it", hidden=True),
        ),
        ({"log": {"colour": True}}, Mistake(("log", "colour"), KNOWN_LOG)),
        ({"log": {"pazzwort": "x"}}, Mistake(("log", "pazzwort"), KNOWN_LOG, hidden=True)),
        (
            {"listener": [LISTENER | {"user": "x"}]},
            Mistake(("listener", 0, "user"), "unknown key", "users", hidden=True),
        ),
        ({"listener": [LISTENER | {"listn": "x"}]}, Mistake(("listener", 0, "listn"), "unknown key", "listen")),
        ({"manager": {"address": "x"}}, Mistake(("manager",), LATER)),
        (
            {"route": [{"name": "r", "match": {"domain": "x"}}]},
            Mistake(("route", 0, "match", "domain"), "unknown key", "domains"),
        ),
        (
            {"route": [{"name": "r", "match": {"ports": ["x"]}}]},
            Mistake(
                ("route", 0, "match", "ports", 0), 'must be a port from 1 to 65535, or a range such as "8000-8010"'
            ),
        ),
        ({"limits": {"rate": "1/m"}}, Mistake(("limits", "rate"), LATER)),
        ({"listener": [LISTENER | {"timeouts": {}}]}, Mistake(("listener", 0, "timeouts"), LATER)),
        (
            {"listener": [LISTENER | {"detect": ["tls"]}]},
            Mistake(("listener", 0, "detect", 0), f"{LATER}, which has http, socks5 or tcp"),
        ),
        (
            {"listener": [LISTENER | {"protocol": "socks"}]},
            Mistake(("listener", 0, "protocol"), "must be tcp, http, socks5, tls or auto", '"socks5"'),
        ),
        ({"log": {"level": 5}}, Mistake(("log", "level"), "must be debug, info, warning or error")),
        (
            {"route": [{"name": "r", "action": "x"}]},
            Mistake(("route", 0, "action"), "must be forward, redirect, answer, block or handler"),
        ),
        (
            {"listener": [{"protocol": "tcp"}]},
            Mistake(("listener", 0, "listen"), "missing", Assign("listen", '":8080"'), present=False),
        ),
        (
            {"listener": [LISTENER | {"targets": [{"weight": 1}]}]},
            Mistake(
                ("listener", 0, "targets", 0, "address"),
                "missing",
                Assign("address", '"example.com:80"'),
                present=False,
            ),
        ),
        (
            {"listener": [LISTENER | {"targets": "a:1"}]},
            Mistake(("listener", 0, "targets"), "must be a list", '["a:1"]'),
        ),
        ({"listener": [LISTENER | {"targets": {}}]}, Mistake(("listener", 0, "targets"), "must be a list")),
        ({"listener": LISTENER}, Mistake(("listener",), "must be a list of tables", "[[listener]]")),
        ({"listener": [5]}, Mistake(("listener", 0), "must be a table")),
        ({"node": 5}, Mistake(("node",), "must be a table", "[node]")),
        ({"listener": [LISTENER | {"users": ["a:b"]}]}, Mistake(("listener", 0, "users"), "must be a table")),
        (
            {"listener": [LISTENER | {"listen": ":99999"}]},
            Mistake(("listener", 0, "listen"), "'99999' is no port from 0 to 65535"),
        ),
        ({"timeouts": {"idle": 5}}, Mistake(("timeouts", "idle"), "a duration is text with a unit", '"5s"')),
        (
            {"listener": [LISTENER | {"users": {"a:b": "c"}}]},
            Mistake(
                ("listener", 0, "users", "a:b"), "a user's name is 1 to 255 bytes without colons or control characters"
            ),
        ),
    ],
)
def test_findings(tree, expected):
    """Each finding names its key, what is wrong, and what to write instead where that can be guessed."""
    assert mistakes(tree) == [expected]


def test_findings_are_bounded():
    """A file of nothing but mistakes is looked at so far and no further."""
    assert len(mistakes({str(number): 1 for number in range(FINDINGS + 50)})) == FINDINGS


def test_near():
    """What was probably meant is found whatever its case and dashes; what resembles nothing is not guessed."""
    assert near("Half-Closed", ["idle", "half_closed"]) == "half_closed"
    assert near("zzz", ["idle", "half_closed"]) == ""
    assert near("x" * 1_000_000, ["idle"]) == ""


def test_tables():
    """A key leads to the model of its table, through lists and optional values."""
    assert table_of(()) is Config
    assert table_of(("listener", 3)) is Listener
    assert table_of(("route", 0, "targets", 1)) is Target
    assert table_of(("node", "name")) is None
    assert table_of(("nothing", "at", "all")) is None
