"""Families as JSON and as a table."""

import csv
import io
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.catalog import FAMILIES, Family
from penstock.metrics.exporters.families import Reading, readings
from penstock.metrics.exporters.listing import COLUMNS, to_json, to_table
from penstock.metrics.histogram import Distribution
from penstock.metrics.snapshot import Usage
from penstock.testing.standin import StandIn

AT = "2023-11-14T22:13:20.123Z"

USAGE = Usage(cpu_seconds=1.25, resident_bytes=2, virtual_bytes=3, open_fds=4, max_fds=5, started_at=6.5)

LABELLED = Family("x_seconds_total", "counter", "Help, with a comma", ("user",))


def table(found):
    """Return the lines of a table by column, as Python's reader finds them, in strict mode."""
    text = to_table(found, AT).decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert text.endswith("\r\n")
    assert tuple(rows[0]) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]


def test_json_tells_all_that_is_known():
    """Each family has name, type, help and unit, each number its labels; histograms have their parts."""
    histogram = Family("y", "histogram", "Help")
    found = [Reading(LABELLED, {("ann",): 1.5}, {}), Reading(histogram, {}, {(): Distribution((0.5,), (1, 2), 3.5)})]
    assert json.loads(to_json(found, AT)) == {
        "taken_at": AT,
        "families": [
            {
                "name": "x_seconds_total", "type": "counter", "help": "Help, with a comma", "unit": "seconds",
                "samples": [{"name": "x_seconds_total", "labels": {"user": "ann"}, "value": 1.5}],
            },
            {
                "name": "y", "type": "histogram", "help": "Help", "unit": "",
                "samples": [
                    {"name": "y_bucket", "labels": {"le": "0.5"}, "value": 1},
                    {"name": "y_bucket", "labels": {"le": "+Inf"}, "value": 3},
                    {"name": "y_count", "labels": {}, "value": 3},
                    {"name": "y_sum", "labels": {}, "value": 3.5},
                ],
            },
        ],
    }  # fmt: skip


def test_json_and_table_agree():
    """Both hold every sample of every family of a node, with the same numbers."""
    node = StandIn()
    node.pen.move(node.pen.open(listener=1), 2**53 + 1, 2)
    found = readings(node.tick(0.5), USAGE)
    told = json.loads(to_json(found, AT))
    assert [family["name"] for family in told["families"]] == [family.name for family in FAMILIES]
    flat = [
        (each["name"], family["type"], family["help"], family["unit"], each["labels"], each["value"], AT)
        for family in told["families"]
        for each in family["samples"]
    ]
    rows = [
        (*list(row.values())[:4], json.loads(row["labels"]), json.loads(row["value"]), row["taken_at"])
        for row in table(found)
    ]
    assert rows == flat
    assert any(row[5] == 2**53 + 1 for row in rows)
    node.close()


@given(st.text())
def test_any_label_comes_back(text):
    """Whatever a label holds comes back from both; what is no Unicode comes back as `?`."""
    found = [Reading(LABELLED, {(text,): 1}, {})]
    wanted = {"user": text.encode("utf-8", "replace").decode()}
    (row,) = table(found)
    assert json.loads(row["labels"]) == wanted
    assert json.loads(to_json(found, AT))["families"][0]["samples"][0]["labels"] == wanted


def test_numbers_that_json_has_not():
    """Infinity and NaN are null in JSON, which has no words for them."""
    gauge = Family("x", "gauge", "Help", ("n",))
    found = [Reading(gauge, {("1",): math.inf, ("2",): math.nan}, {})]
    assert [each["value"] for each in json.loads(to_json(found, AT))["families"][0]["samples"]] == [None, None]
