"""`penstock limits`: what is limited, for whom, and how much of it is used."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table
from penstock.cli.units import number, size

if TYPE_CHECKING:
    from rich.table import Table

NEARLY = 0.8
"""Part of a limit from which on it is nearly full; Kubernetes warns of quotas from 0.9 on, AWS from 0.8."""


@click.command()
@node_option
@output_options
@click.option("--full", is_flag=True, help="Only those of which four fifths or more are used.")
def limits(node: str | None, form: str, full: bool) -> None:
    """
    List the limits of a running node, and how much of each is used.

    Of client addresses, and of users that only a users file names, those stand there that use the most of theirs.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.limits()
    if full:
        found["limits"] = [each for each in found["limits"] if each["full"] >= NEARLY]
    emit(form, found, map(flat, found["limits"]), lambda: console().print(listing(found)))


def listing(found: dict[str, Any]) -> "Table":
    """Return limits, as the node gave them, as a table."""
    figures = ["Open", "Limit", "Used", "Rate", "Bandwidth", "Each", "Month", "Quota", "Left"]
    result = table("Scope", "Name", *figures, "Until", "Full", right=figures)
    for each in found["limits"]:
        most, rate = each["connections"], each["rate"]
        cells = ["-" if most is None else number(most), "-" if rate is None else number(each["used"]), rate or "-"]
        cells += [each.get("bandwidth") or "-", each.get("bandwidth_per_connection") or "-"]
        month = ["-"] * 4
        if each.get("quota_resets"):
            month = [size(each["quota_used"]), each["quota"], size(each["quota_left"]), each["quota_resets"]]
        elif each.get("quota"):
            month[1] = each["quota"]
        add_row(result, each["scope"], each["name"] or "-", number(each["open"]), *cells, *month, fill(each))
        result.rows[-1].style = "red" if each["full"] >= 1 else "yellow" if each["full"] >= NEARLY else ""
    return result


def fill(each: dict[str, Any]) -> str:
    """Return how full the fullest limit is, and which that is."""
    return f"{each['full']:.0%} {each['fullest']}" if each["fullest"] else "-"
