"""`penstock connections`."""

import csv
import io
import json

import pytest

from penstock.cli import connections as module
from penstock.cli.client import NodeClient
from penstock.cli.connections import Rates, read


def test_a_table_for_people(penstock, node):
    """Each connection is a line; its destination is what the client asked for, or else the target."""
    node.add(7, destination="example.org:443", user="ann", listener="egress", age=192.4)
    node.add(8)
    result = penstock("connections")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "Id", "Client", "Listener", "Destination", "User", "State", "In", "Out", "Requests", "Age",
    ]  # fmt: skip
    assert lines[1].split() == [
        "7", "192.0.2.7:40000", "egress", "example.org:443", "ann", "relay", "2.00", "KiB", "1.00", "MiB", "0", "3m12s",
    ]  # fmt: skip
    assert "example.com:80" in lines[2]


def test_a_table_is_bounded(penstock, node):
    """A table shows the busiest hundred and says how many more there are; --limit 0 shows all."""
    for number in range(1, 131):
        node.add(number, bytes_in=number)
    result = penstock("connections")
    assert len(result.stdout.splitlines()) == 101
    assert result.stdout.splitlines()[1].split()[0] == "130"
    assert result.stderr == "30 more; --limit 0 shows all\n"
    assert len(penstock("connections", "--limit", "0").stdout.splitlines()) == 131


def test_all_pages_are_read(node, monkeypatch):
    """More connections than a page holds are read page by page, each once."""
    monkeypatch.setattr(module, "PAGE", 10)
    for number in range(1, 26):
        node.add(number)
    client = NodeClient(str(node.path))
    found, total = read(client, None, None)
    assert [each["id"] for each in found] == list(range(1, 26))
    assert total == 25
    assert [query.get("cursor") for _, _, query in node.asked] == [None, "10", "20"]


def test_one_listener(penstock, node):
    """--listener asks the node for those alone."""
    node.add(1, listener="a")
    node.add(2, listener="b")
    found = json.loads(penstock("connections", "--listener", "b", "--json").stdout)
    assert [each["id"] for each in found] == [2]


def test_csv_and_empty(penstock, node):
    """CSV holds the door's own fields; without connections it is empty, and JSON an empty list."""
    assert penstock("connections", "-o", "csv").stdout == ""
    assert json.loads(penstock("connections", "--json").stdout) == []
    node.add(1)
    (row,) = csv.DictReader(io.StringIO(penstock("connections", "-o", "csv").stdout))
    assert row["bytes_out"] == "1048576"


def test_rates_use_the_time_that_passed():
    """A rate is growth over the connection's own age, so a late reading shows no false peak."""
    rates = Rates()
    look = [{"id": 1, "age": 2.0, "bytes_in": 1_000, "bytes_out": 0}]
    rates.add(look)
    assert (look[0]["rate_in"], look[0]["rate_out"]) == (500.0, 0.0)
    look = [{"id": 1, "age": 4.5, "bytes_in": 1_000, "bytes_out": 2_500}]
    rates.add(look)
    assert (look[0]["rate_in"], look[0]["rate_out"]) == (0.0, 1_000.0)


def test_the_same_tick_read_twice_keeps_the_rates():
    """Two looks at one picture of the node show the same rates, not zero."""
    rates = Rates()
    for _ in range(2):
        look = [{"id": 1, "age": 2.0, "bytes_in": 1_000, "bytes_out": 4_000}]
        rates.add(look)
        assert (look[0]["rate_in"], look[0]["rate_out"]) == (500.0, 2_000.0)


def test_watch_as_lines_of_json(penstock, node, monkeypatch):
    """--watch --json prints one object a line for every connection and look, with rates."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.0)
    node.add(1, age=2.0, bytes_in=1_000)
    result = penstock("connections", "--watch", "--json", "--count", "3")
    looks = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(look["id"], look["rate_in"]) for look in looks] == [(1, 500.0)] * 3


def test_watch_without_a_terminal_prints_tables(penstock, node, monkeypatch):
    """Where there is no terminal to redraw, each look is a table with rates."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.0)
    node.add(1)
    result = penstock("connections", "--watch", "--count", "2")
    assert result.stdout.count("In/s") == 2
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_watch_has_two_forms(penstock, node, form):
    """A stream of CSV headings or YAML documents is nothing that a program could read: wrong usage."""
    result = penstock("connections", "--watch", "-o", form)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_wide_terminals_show_more(penstock, node):
    """A narrow terminal gets the columns that tell most, a wide one all of them; no line is longer than either."""
    node.add(2**52, destination="a-very-long-name-of-a-host.in-some-domain.example.org:44300", user="somebody")
    narrow = penstock("connections", env={"COLUMNS": "80"}).stdout.splitlines()
    wide = penstock("connections", env={"COLUMNS": "160"}).stdout.splitlines()
    assert "User" not in narrow[0]
    assert "User" in wide[0]
    assert max(map(len, narrow)) <= 80
    assert max(map(len, wide)) <= 160
    assert str(2**52) in narrow[1]


def test_hostile_texts_stay_text(penstock, node):
    """A user who is called like an escape sequence moves no cursor."""
    node.add(1, user="\x1b[2J", destination="x\r\ny:1")
    text = penstock("connections").stdout
    assert "\\x1b[2J" in text
    assert "x\\r\\ny:1" in text
