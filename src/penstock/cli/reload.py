"""`penstock reload`: a running node reads its configuration again."""

from typing import Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import emit
from penstock.cli.units import printable


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@node_option
@output_options
def reload(dry_run: bool, node: str | None, form: str) -> None:
    """
    Let a running node read its configuration again.

    Prints what changes. Everything is validated first: with a mistake nothing changes, and it ends with 78 and a line
    on standard error for each.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.reload(dry_run=dry_run)
    tell(found, form)


def tell(found: dict[str, Any], form: str) -> None:
    """Say what a reload, or a change at runtime, has changed; `found` is the node's answer."""
    changes = [each | {"keys": " ".join(each["keys"])} for each in found["changes"]]
    emit(form, found, changes, lambda: _show(found))
    for key in found["needs_restart"]:
        click.echo(f"penstock: {printable(key)} differs and needs a restart", err=True)
    for each in found["undone"]:
        what = printable(f"{each['kind']} {each['name']} {each['what']}")
        click.echo(f"penstock: undone, as the file says otherwise: {what} at runtime", err=True)
    for why in found["refused"]:
        click.echo(f"penstock: {printable(why)}; it drains, and its heir begins with the new plan", err=True)


def _show(found: dict[str, Any]) -> None:
    for each in found["changes"]:
        keys = f": {', '.join(each['keys'])}" if each["keys"] else ""
        click.echo(printable(" ".join(filter(None, (each["kind"], each["name"], each["what"]))) + keys))
    if not found["changes"]:
        click.echo("nothing differs", err=True)
