"""`penstock limits`: what is limited, for whom, and how much of it is used."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table
from penstock.cli.units import number, size

if TYPE_CHECKING:
    from rich.table import Table


@click.command()
@node_option
@output_options
def limits(node: str | None, form: str) -> None:
    """
    List the limits of a running node, and how much of each is used.

    Of client addresses those stand there that use the most of theirs.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    with NodeClient(find_node(node)) as client:
        found = client.limits()
    emit(form, found, map(flat, found["limits"]), lambda: console().print(listing(found)))


def listing(found: dict[str, Any]) -> "Table":
    """Return limits, as the node gave them, as a table."""
    figures = ["Open", "Limit", "Used", "Rate", "Bandwidth", "Each", "Month", "Quota"]
    result = table("Scope", "Name", *figures, "Until", right=figures)
    for each in found["limits"]:
        most, rate = each["connections"], each["rate"]
        cells = ["-" if most is None else number(most), "-" if rate is None else number(each["used"]), rate or "-"]
        cells += [each.get("bandwidth") or "-", each.get("bandwidth_per_connection") or "-"]
        month = [size(each["quota_used"]), each["quota"], each["quota_resets"]] if each.get("quota") else ["-"] * 3
        add_row(result, each["scope"], each["name"] or "-", number(each["open"]), *cells, *month)
    return result
