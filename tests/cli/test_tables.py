"""`penstock listeners`, `routes`, `listener` and `route`."""

import json
from urllib.parse import urlsplit

import pytest

WEB = {"name": "web", "origin": "configuration", "table": {"name": "web", "protocol": "tcp", "listen": ":0"}}
APP = {
    "name": "app",
    "origin": "runtime",
    "table": {"name": "app", "targets": ["h:1", {"address": "h:2", "weight": 2}], "listeners": ["web"]},
}
DONE = {
    "applied": True,
    "changes": [{"kind": "route", "name": "app", "what": "added", "keys": []}],
    "needs_restart": [],
    "refused": [],
    "undone": [],
}
MISTAKES = {"detail": "mistakes", "mistakes": ["route[bad].targets: one", "route[bad].x: two"]}


@pytest.fixture
def steered(node, monkeypatch):
    """A node with a listener and a route; a route called `bad` is refused."""
    answer, node.calls = node.answer, []

    def tables(method, target):
        url = urlsplit(target)
        if not url.path.startswith(("/api/v1/listeners", "/api/v1/routes")):
            return answer(method, target)
        node.calls.append((method, target, node.sent if method == "PUT" else None))
        if method != "GET":
            return (422, MISTAKES) if url.path.endswith("/bad") else (200, DONE)
        found = {"/api/v1/listeners": {"listeners": [WEB]}, "/api/v1/routes": {"routes": [APP]}}
        return 200, found.get(url.path, APP)

    monkeypatch.setattr(node, "answer", tables)
    return node


def test_tables_are_listed(penstock, steered):
    """With what is on them, and where they are from; programs get the table as well."""
    lines = penstock("listeners").stdout.splitlines()
    assert lines[1].split()[:2] == ["web", "tcp"]
    assert lines[1].split()[-1] == "configuration"
    lines = penstock("routes").stdout.splitlines()
    assert lines[1].split() == ["app", "forward", "web", "h:1,", "h:2", "0", "0", "runtime"]
    assert json.loads(penstock("routes", "--json").stdout)[0]["table"] == APP["table"]


def test_one_is_shown_as_it_is_written(penstock, steered):
    """TOML, or JSON with where it is from."""
    shown = penstock("route", "show", "app").stdout
    assert shown.startswith('[[route]]\nname = "app"\n')
    assert json.loads(penstock("route", "show", "app", "--json").stdout) == APP
    assert penstock("route", "show", "app", "--check").exit_code == 2


def test_tables_of_a_file_are_set(penstock, steered, tmp_path):
    """Each in its turn; what changes is printed."""
    path = tmp_path / "routes.toml"
    path.write_text('[[route]]\nname = "app"\ntargets = ["h:1"]\n[[route]]\nname = "b c"\n')
    result = penstock("route", "set", str(path), "--check")
    assert (result.exit_code, result.stdout) == (0, "route app added\nroute app added\n")
    assert steered.calls == [
        ("PUT", "/api/v1/routes/app?check=true", {"name": "app", "targets": ["h:1"]}),
        ("PUT", "/api/v1/routes/b%20c?check=true", {"name": "b c"}),
    ]


def test_standard_input_is_a_file_too(penstock, steered):
    """`-` reads tables from there."""
    assert penstock("listener", "set", "-", input='[[listener]]\nname = "x"\n').exit_code == 0
    assert steered.calls == [("PUT", "/api/v1/listeners/x", {"name": "x"})]


def test_one_is_removed(penstock, steered):
    """By its name."""
    assert penstock("route", "remove", "app").exit_code == 0
    assert steered.calls == [("DELETE", "/api/v1/routes/app", None)]


def test_mistakes_end_with_78(penstock, steered):
    """All of them are told, and what was set before them."""
    result = penstock("route", "set", "-", input='[[route]]\nname = "app"\n[[route]]\nname = "bad"\n')
    assert result.exit_code == 78
    assert "route[bad].targets: one\nroute[bad].x: two" in result.stderr
    assert "route app was set before that" in result.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[route", "Expected"),
        ('[[listener]]\nname = "x"\n', "must hold [[route]] tables, and nothing else"),
        ("", "must hold [[route]] tables"),
        ("[route]\nname = 'x'", "must hold [[route]] tables"),
        ("[[route]]\npriority = 1", "needs a name"),
        ("[[route]]\nname = 1", "needs a name"),
        ("#" * 1_048_577, "longer than"),
        (b"\xff", "codec"),
    ],
)
def test_what_holds_no_tables_is_refused(penstock, steered, text, why):
    """With 78 and why; nothing is asked."""
    result = penstock("route", "set", "-", input=text)
    assert (result.exit_code, why in result.stderr, steered.calls) == (78, True, [])


def test_a_missing_file_is_told(penstock, steered):
    """With 78."""
    result = penstock("route", "set", "none.toml")
    assert (result.exit_code, "none.toml: no such file" in result.stderr) == (78, True)
