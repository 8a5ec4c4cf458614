"""`penstock reload`."""

import json

import pytest

CHANGES = [
    {"kind": "listener", "name": "new", "what": "added", "keys": []},
    {"kind": "timeouts", "name": "", "what": "changed", "keys": ["idle", "drain"]},
]
ANSWER = {"applied": True, "changes": CHANGES, "needs_restart": ["node.workers"], "refused": [], "undone": []}


def test_what_changes_is_printed(penstock, node):
    """A line for each change on standard output; what needs a restart is a message."""
    node.refusal = 200, ANSWER
    result = penstock("reload")
    assert result.exit_code == 0
    assert result.stdout == "listener new added\ntimeouts changed: idle, drain\n"
    assert result.stderr == "penstock: node.workers differs and needs a restart\n"
    assert node.asked == [("POST", "/api/v1/reload", {})]


@pytest.mark.parametrize("form", ["json", "csv", "yaml"])
def test_it_is_data_too(penstock, node, form):
    """Programs get every change."""
    node.refusal = 200, ANSWER
    result = penstock("reload", "--dry-run", "-o", form)
    assert "idle" in result.stdout
    assert form != "json" or json.loads(result.stdout) == ANSWER
    assert node.asked == [("POST", "/api/v1/reload", {"dry_run": "1"})]


def test_nothing_differs(penstock, node):
    """An unchanged file is said to be one."""
    node.refusal = 200, ANSWER | {"changes": [], "needs_restart": []}
    result = penstock("reload")
    assert (result.stdout, result.stderr) == ("", "nothing differs\n")


def test_mistakes_end_with_78(penstock, node):
    """Every mistake is a line on standard error."""
    node.refusal = 422, {"detail": "mistakes", "mistakes": ["a: one", "b: two"]}
    result = penstock("reload")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "a: one" in result.stderr
    assert "b: two" in result.stderr


def test_a_node_without_a_file_says_so(penstock, node):
    """What the node answers is told, with 1."""
    node.refusal = 409, {"detail": "there is nothing to reload"}
    result = penstock("reload")
    assert (result.exit_code, "there is nothing to reload" in result.stderr) == (1, True)
