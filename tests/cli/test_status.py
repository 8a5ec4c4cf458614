"""`penstock status`."""

import csv
import io
import json

import pytest


def test_a_table_for_people(penstock, node):
    """Totals, rates, listeners, targets and ends are on the screen, in units of people; zeros of ends are left out."""
    result = penstock("status")
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout
    assert "edge-1 is serving: up 2h05m, pid 42, 2/2 workers, 1 respawned, version 0.1.0" in text
    assert "7 connections open of 1,234 so far, 12 requests" in text
    assert "47.7 MiB  now 1.00 MiB/s" in text
    assert "[::1]:8003" in text
    assert "ended    complete/done 1,200, client/relay 27\n" in text
    assert "refused  auth 3\n" in text
    assert "internal" not in text


def test_json_is_what_the_door_said(penstock, node):
    """--json and -o json give the door's own object."""
    assert json.loads(penstock("status", "--json").stdout) == node.stats
    assert penstock("status", "-o", "json").stdout == penstock("status", "--json").stdout


def test_csv_has_a_line_per_listener(penstock, node):
    """CSV holds the listeners, nested figures flattened."""
    rows = list(csv.DictReader(io.StringIO(penstock("status", "-o", "csv").stdout)))
    assert [row["name"] for row in rows] == ["web", "egress"]
    assert rows[0]["throughput_bytes_out"] == "1048576.0"


def test_yaml(penstock, node):
    """YAML holds everything too."""
    text = penstock("status", "-o", "yaml").stdout
    assert text.startswith('node:\n  name: "edge-1"\n')
    assert '  - id: 2\n    name: "egress"\n' in text


@pytest.mark.parametrize("columns", [80, 120, 160])
def test_every_width_shows_every_figure(penstock, node, columns):
    """From 80 columns on, no line is longer than the terminal and nothing of this node is cut."""
    text = penstock("status", env={"COLUMNS": str(columns)}).stdout
    listeners = text[text.index("\nListener") + 1 :].splitlines()[:2]
    assert max(map(len, listeners)) <= columns
    assert "1.00 MiB/s" in listeners[1]
    assert "127.0.0.1:8001" in listeners[1]
    if columns >= 120:
        assert "1,234" in listeners[1]


def test_no_node(penstock):
    """Without a node: 69, one line, nothing on standard output."""
    result = penstock("status")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (69, "", 1)


def test_hostile_names_stay_text(penstock, node):
    """A name with an escape sequence or with markup is shown, not obeyed."""
    node.stats["node"]["name"] = "\x1b[2Jx"
    node.stats["listeners"][0]["name"] = "[red]web"
    text = penstock("status").stdout
    assert "\x1b" not in text
    assert "\\x1b[2Jx is serving" in text
    assert "[red]web" in text
