"""`penstock metrics`: which parts of the metrics a node collects, and the order to switch them."""

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.metrics.collection import ALL, PARTS


@click.command()
@click.argument("order", type=click.Choice(["show", "on", "off"]), default="show")
@click.argument("parts", type=click.Choice([*PARTS, ALL]), nargs=-1, metavar="[PART]...")
@node_option
@output_options
def metrics(order: str, parts: tuple[str, ...], node: str | None, form: str) -> None:
    """
    Show or switch what a running node collects.

    Parts are series, clients, users, destinations, percentiles, records, exports, and all. Totals, open connections
    and outcomes stay exact whatever is off. What was switched is as configured again after a restart.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    if order == "show" and parts:
        raise click.UsageError("show takes no parts; it shows all of them")
    if order != "show" and not parts:
        raise click.UsageError(f"{order} wants parts: {', '.join(PARTS)}, or {ALL}")
    client = NodeClient(find_node(node))
    found = client.collection() if order == "show" else client.switch(dict.fromkeys(parts, order == "on"))
    emit(form, found, ({"part": part, "on": on} for part, on in found.items()), lambda: _show(found))


def _show(found: dict[str, bool]) -> None:
    listing = table("Part", "Collected")
    for part, on in found.items():
        add_row(listing, part, "yes" if on else "no")
    console().print(listing)
