"""`penstock upgrade`: a new process of the program takes over from a running node."""

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import emit


@click.command()
@node_option
@output_options
def upgrade(node: str | None, form: str) -> None:
    """
    Let a new process take over from a running node.

    It is started as the old one was, gets its listening sockets, and goes on with its counts; the old one finishes
    what is open, and exits. If the new one cannot start, the old one serves on, and it ends with 1.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.upgrade()
    emit(form, found, [found], lambda: click.echo(f"process {found['pid']} serves, {found['draining']} drains"))
