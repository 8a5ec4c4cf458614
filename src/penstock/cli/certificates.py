"""`penstock certificates`: what a node's listeners show to their clients, until when, and what renews it."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table

if TYPE_CHECKING:
    from rich.table import Table

WIDE_COLUMNS = 120
"""From this width on a table shows all columns."""


@click.command()
@node_option
@output_options
def certificates(node: str | None, form: str) -> None:
    """
    List the certificates of a running node, and how they are.

    Those of ACME say when they are renewed, and why that failed.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.certificates()
    emit(form, found, map(flat, found), lambda: console().print(listing(found, console().width)))


def listing(found: list[dict[str, Any]], width: int) -> "Table":
    """
    Return certificates as a table; a narrow terminal gets the columns that tell most.

    Args:
        found: As the node gave them.
        width: Of the terminal; unit columns.
    """
    names = ["Names", "State", "Ends", *(["Source", "Issuer", "Renews"] if width >= WIDE_COLUMNS else []), "Error"]
    result = table(*names)
    for each in found:
        cells = _cells(each)
        add_row(result, *(cells[name] for name in names))
    return result


def _cells(each: dict[str, Any]) -> dict[str, str]:
    return {
        "Names": " ".join(each["names"]) or each["file"],
        "State": each["state"],
        "Ends": (each["not_after"] or "-")[:10],
        "Source": each["source"],
        "Issuer": each["issuer"] or "-",
        "Renews": (each["renews_at"] or "-")[:16].replace("T", " "),
        "Error": each["last_error"] or "-",
    }
