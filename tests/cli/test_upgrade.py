"""`penstock upgrade`."""

import json

ANSWER = {"pid": 12, "draining": 11}


def test_who_serves_is_printed(penstock, node):
    """The new process and the old one."""
    node.refusal = 200, ANSWER
    result = penstock("upgrade")
    assert (result.exit_code, result.stdout) == (0, "process 12 serves, 11 drains\n")
    assert node.asked == [("POST", "/api/v1/upgrade", {})]
    assert json.loads(penstock("upgrade", "--json").stdout) == ANSWER


def test_a_failure_ends_with_1(penstock, node):
    """Why it failed is told."""
    node.refusal = 409, {"detail": "not upgraded, all goes on as before: a port is in use"}
    result = penstock("upgrade")
    assert (result.exit_code, "a port is in use" in result.stderr) == (1, True)
