"""`penstock audit`."""

import csv
import io
import json

import pytest

from .conftest import make_audit


def test_a_sheet_that_adds_up(penstock, node):
    """Every line has its total, sum, residual and verdict; standard error tells who was witnessed; the code is 0."""
    result = penstock("audit")
    assert result.exit_code == 0
    heading, routes, kernel = (line.split() for line in result.stdout.splitlines())
    assert heading[:2] == ["Dimension", "Adds"]
    assert routes == ["routes", "all", "routes", "bytes_in", "5,000", "5,000", "0", "exact"]
    assert kernel == ["kernel", "sockets", "bytes_in", "900", "900", "0", "exact"]
    assert result.stderr == "the kernel told of 7 of 7 open connections\n"


def test_a_residual_ends_with_1(penstock, node):
    """What does not add up is called so, with the connections in question."""
    node.audit = make_audit(7, suspects=[4294967297, 4294967298])
    result = penstock("audit")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split()[-4:] == ["900", "893", "7", "differs"]
    assert result.stderr.endswith("; they differ in 4294967297, 4294967298\n")
    assert penstock("audit", "--json").exit_code == penstock("audit", "-o", "csv").exit_code == 1


def test_json_and_csv(penstock, node):
    """JSON is the door's own object; CSV has a line for each quantity of each dimension, with its verdict."""
    result = penstock("audit", "--json")
    assert (json.loads(result.stdout), result.stderr, result.exit_code) == (node.audit, "", 0)
    rows = list(csv.DictReader(io.StringIO(penstock("audit", "-o", "csv").stdout)))
    assert [(row["dimension"], row["residual"], row["verdict"]) for row in rows] == [
        ("routes", "0", "exact"),
        ("kernel", "0", "exact"),
    ]


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ({"witnessed": 4, "unix": 1, "closed": 2},
         "the kernel told of 4 of 7 open connections; not of 1 on Unix sockets, 2 without a socket"),
        ({"witnessed": 6, "apart": 1},
         "the kernel told of 6 of 7 open connections; not of 1 with datagrams or TLS"),
        ({"refusal": "no netlink socket: denied"}, "the kernel was not asked: no netlink socket: denied"),
    ],
)  # fmt: skip
def test_what_is_not_witnessed_is_told(penstock, node, kernel, said):
    """Connections that the kernel tells nothing of are counted by why, and are no residual."""
    node.audit = make_audit(**kernel)
    result = penstock("audit")
    assert (result.exit_code, result.stderr) == (0, said + "\n")


def test_no_node(penstock):
    """Without a node: 69, one line, nothing on standard output."""
    result = penstock("audit")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (69, "", 1)
