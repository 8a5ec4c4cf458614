"""`penstock limits`: what is limited, for whom, and how much of it is used."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table
from penstock.cli.units import number

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
    figures = ["Open", "Limit", "Used", "Rate"]
    result = table("Scope", "Name", *figures, right=figures)
    for each in found["limits"]:
        most, rate = each["connections"], each["rate"]
        cells = ["-" if most is None else number(most), "-" if rate is None else number(each["used"]), rate or "-"]
        add_row(result, each["scope"], each["name"] or "-", number(each["open"]), *cells)
    return result
