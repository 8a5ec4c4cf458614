"""`penstock audit`: whether everything that a node counts adds up, and whether the kernel says the same."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.exits import Exit
from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.units import number

if TYPE_CHECKING:
    from rich.table import Table

RIGHT = ("Total", "Sum", "Residual")


@click.command()
@node_option
@output_options
@click.pass_context
def audit(context: click.Context, node: str | None, form: str) -> None:
    """
    Show whether everything that a running node counts adds up.

    Routes, listeners, client addresses, users, destinations and minutes are summed and compared with the node's total;
    the kernel is asked about every open connection. Ends with 1 if anything is left over.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415 - after the command line is known to be right

    client = NodeClient(find_node(node))
    found = client.audit()
    rows = [line | {"verdict": verdict(line)} for line in found["lines"]]
    emit(form, found, rows, lambda: console().print(sheet(rows)))
    if form == "table":
        click.echo(witnesses(found["kernel"]), err=True)
    if not found["exact"]:
        context.exit(Exit.FAILURE)


def verdict(line: dict[str, Any]) -> str:
    """Return the word for a line."""
    return "differs" if line["residual"] else "exact"


def sheet(rows: list[dict[str, Any]]) -> "Table":
    """
    Return the sheet.

    Args:
        rows: The node's lines, each with its verdict.
    """
    result = table("Dimension", "Adds up", "Quantity", *RIGHT, "Verdict", right=RIGHT)
    for row in rows:
        words = (row["dimension"], row["adds"], row["quantity"])
        add_row(result, *words, *(number(row[name.lower()]) for name in RIGHT), row["verdict"])
    return result


def witnesses(kernel: dict[str, Any]) -> str:
    """Return how many connections the kernel told of, and why it told of no more."""
    if kernel["refusal"]:
        return f"the kernel was not asked: {kernel['refusal']}"
    left_out = {
        "on Unix sockets": kernel["unix"],
        "with datagrams or TLS": kernel["apart"],
        "without a socket": kernel["closed"],
    }
    told = [f"{number(count)} {why}" for why, count in left_out.items() if count]
    line = f"the kernel told of {number(kernel['witnessed'])} of {number(kernel['open'])} open connections"
    suspects = f"; they differ in {', '.join(map(str, kernel['suspects']))}" if kernel["suspects"] else ""
    return f"{line}{'; not of ' if told else ''}{', '.join(told)}{suspects}"
