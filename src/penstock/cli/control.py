"""`penstock close` and `penstock drain`: the two orders that a node takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import rich_click as click

from penstock.cli.exits import CommandError, Exit
from penstock.cli.nodes import find_node, is_alive
from penstock.cli.options import node_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.cli.client import NodeClient

POLL_SECONDS = 0.2
"""Between two looks at a node that drains: five a second read as motion."""


@click.command()
@click.argument("ids", metavar="ID...", type=click.IntRange(min=1), nargs=-1, required=True)
@node_option
def close(ids: tuple[int, ...], node: str | None) -> int:
    """
    Close connections of a running node by their ids.

    `penstock connections` shows the ids. Ends with 1 if one of them was not open.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    missing = 0
    client = NodeClient(find_node(node))
    for each in ids:
        if client.close_connection(each):
            click.echo(f"closed {each}", err=True)
        else:
            missing += 1
            click.echo(f"penstock: no open connection has the id {each}", err=True)
    return Exit.FAILURE if missing else Exit.OK


@click.command()
@click.option("--wait", is_flag=True, help="Return when the node has exited, and show how many connections are left.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at most; ends with 1 after that.")
@node_option
def drain(wait: bool, timeout: float | None, node: str | None) -> None:
    """
    Stop a running node gently: no new connections, then exit.

    What still runs at the node's own deadline (timeouts.drain) is cut.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    path = find_node(node)
    client = NodeClient(path)
    client.drain()
    if not wait:
        click.echo("the node drains; it exits when its last connection has ended", err=True)
        return
    deadline = None if timeout is None else time.monotonic() + timeout
    with _progress() as show:
        gone = _watch(client, path, deadline, show)
    if not gone:
        raise CommandError(f"the node still drains after {timeout:g} s")
    click.echo("the node has exited", err=True)


def _watch(client: "NodeClient", path: str, deadline: float | None, show: "Callable[[int], None]") -> bool:
    """Follow a node until it is gone; returns False if the deadline passes first."""
    while is_alive(path):
        if deadline is not None and time.monotonic() >= deadline:
            return False
        try:
            show(client.stats()["totals"]["active"])
        except CommandError as error:
            if error.code != Exit.UNREACHABLE:
                raise
        time.sleep(POLL_SECONDS)
    return True


@contextmanager
def _progress() -> "Iterator[Callable[[int], None]]":
    """Give a function that shows how many connections are left: a bar on a terminal, else a line at each change."""
    from penstock.cli.output import console  # noqa: PLC0415

    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _line_at_change()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    text = TextColumn("draining: {task.fields[left]:,} connections left")
    with Progress(text, BarColumn(), TimeElapsedColumn(), console=screen, transient=True) as bar:
        task = bar.add_task("", total=None, left=0)
        most = 0

        def show(left: int) -> None:
            nonlocal most
            most = max(most, left, 1)
            bar.update(task, total=most, completed=most - left, left=left)

        yield show


def _line_at_change() -> "Callable[[int], None]":
    last = -1

    def show(left: int) -> None:
        nonlocal last
        if left != last:
            last = left
            click.echo(f"draining: {left} connections left", err=True)

    return show
