"""`penstock targets` and `penstock target`: how a node's targets are, and what an operator wants of one."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table
from penstock.cli.units import number

if TYPE_CHECKING:
    from rich.table import Table

ORDERS = ("ready", "drain", "maint")

WIDE_COLUMNS = 120
"""From this width on a table shows all columns."""


@click.command()
@click.option("--route", metavar="NAME", help="Only those of this route.")
@node_option
@output_options
def targets(route: str | None, node: str | None, form: str) -> None:
    """
    List the targets of a running node, and how they are.

    A target that is drained is done when nothing is active on it.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.targets(route)
    emit(form, found, map(flat, found), lambda: console().print(listing(found, console().width)))


@click.command()
@click.argument("route")
@click.argument("address", metavar="HOST:PORT")
@click.argument("state", type=click.Choice(ORDERS), required=False)
@click.option("--weight", type=click.IntRange(min=1), help="Its share from now on, instead of the configured one.")
@node_option
@output_options
def target(route: str, address: str, state: str | None, weight: int | None, node: str | None, form: str) -> None:
    """
    Take a target of a running node out, or back.

    drain sends it nothing new while what is open goes on; maint ends its checks, too; ready takes it back. What is
    ordered outlives checks and reloads, but not the node.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    if state is None and weight is None:
        raise click.UsageError(f"nothing is wanted: say {', '.join(ORDERS)}, or --weight")
    client = NodeClient(find_node(node))
    found = client.order_target(route, address, state, weight)
    emit(form, found, [flat(found)], lambda: console().print(listing([found], console().width)))


def listing(found: list[dict[str, Any]], width: int) -> "Table":
    """
    Return targets as a table; a narrow terminal gets the columns that tell most.

    Args:
        found: As the node gave them.
        width: Of the terminal; unit columns.
    """
    wide = width >= WIDE_COLUMNS
    figures = ["Weight", "Active", *(["Total", "Passed", "Failed", "Ejected"] if wide else [])]
    words = ["Since", "Why"] if wide else ["Why"]
    result = table("Route", "Target", "State", *figures, *words, right=figures)
    for each in found:
        cells = _cells(each)
        add_row(result, *(cells[name] for name in ("Route", "Target", "State", *figures, *words)))
    return result


def _cells(each: dict[str, Any]) -> dict[str, str]:
    return {
        "Route": each["route"],
        "Target": each["address"],
        "State": each["state"],
        "Weight": f"{each['weight']:g}",
        "Active": number(each["active"]),
        "Total": number(each["connections"]),
        "Passed": number(each["checks"]["passed"]),
        "Failed": number(each["checks"]["failed"]),
        "Ejected": number(each["ejections"]),
        "Since": each["since"] or "-",
        "Why": each["why"] or "-",
    }
