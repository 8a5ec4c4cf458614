"""`penstock connections`: who is connected, where to, and how fast; once or as a live view."""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.client import LARGEST_PAGE, PAGE, NodeClient
from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.units import duration, number, rate, size

if TYPE_CHECKING:
    from rich.table import Table

EVERY_SECONDS = 1.0
"""A node reads its ledger once a second; looking more often shows nothing new."""

LIMIT = 100
"""Rows of a table unless told otherwise; more is for programs."""

WIDE_COLUMNS = 120
"""From this width on a table shows all columns."""


class Rates:
    """
    Bytes per second of each connection, from successive readings.

    A connection's own age says how much time really passed between them: a late reading is no false peak.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int, int, float, float]] = {}

    def add(self, connections: list[dict[str, Any]]) -> None:
        """Add `rate_in` and `rate_out` to each connection of a new reading; unit bytes/s."""
        now = {}
        for each in connections:
            now[each["id"]] = self._of(each)
            *_, each["rate_in"], each["rate_out"] = now[each["id"]]
        self._last = now

    def _of(self, each: dict[str, Any]) -> tuple[float, int, int, float, float]:
        age, bytes_in, bytes_out = each["age"], each["bytes_in"], each["bytes_out"]
        before = self._last.get(each["id"], (0.0, 0, 0, 0.0, 0.0))
        elapsed = age - before[0]
        if elapsed <= 0:  # the node has not looked again since
            return before
        return age, bytes_in, bytes_out, (bytes_in - before[1]) / elapsed, (bytes_out - before[2]) / elapsed


@click.command()
@click.option("--watch", "-w", is_flag=True, help="Look again every second, with rates; until Ctrl-C.")
@click.option("--listener", metavar="NAME", help="Only those of this listener.")
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"At most so many, 0 for all. Default: {LIMIT} in a table, else all."
)
@click.option("--count", type=click.IntRange(min=1), help="With --watch: look so many times, then end.")
@node_option
@output_options
def connections(
    watch: bool, listener: str | None, limit: int | None, count: int | None, node: str | None, form: str
) -> None:
    """
    List the open connections of a running node.

    With --watch and --json every look prints one line of JSON for each connection.
    """
    if watch and form in ("yaml", "csv"):
        raise click.UsageError("--watch prints a table or, with --json, lines of JSON")
    if limit is None and form == "table":
        limit = LIMIT
    client = NodeClient(find_node(node))
    if not watch:
        _once(client, listener, limit, form)
    elif form == "json":
        _stream(client, listener, limit, count)
    else:
        _live(client, listener, limit, count)


def _once(client: NodeClient, listener: str | None, limit: int | None, form: str) -> None:
    found, total = read(client, listener, limit or None)
    emit(form, found, found, lambda: console().print(listing(found, console().width)))
    if len(found) < total and form == "table":
        click.echo(f"{number(total - len(found))} more; --limit 0 shows all", err=True)


def read(client: NodeClient, listener: str | None, limit: int | None) -> tuple[list[dict[str, Any]], int]:
    """
    Return open connections, and how many there are.

    Args:
        client: Whom to ask.
        listener: Only those of this one; None for all.
        limit: How many at most, the busiest ones; None for all of them, by id.
    """
    if limit is not None and limit <= LARGEST_PAGE:
        answer = client.connections(listener=listener, limit=limit, sort="bytes")
        return answer["connections"], answer["total"]
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = client.connections(listener=listener, limit=PAGE, cursor=cursor)
        found += answer["connections"]
        cursor = answer["next"]
        if cursor is None or (limit is not None and len(found) >= limit):
            return found[:limit], max(answer["total"], len(found))


def listing(found: list[dict[str, Any]], width: int, *, rates: bool = False) -> "Table":
    """
    Return connections as a table; a narrow terminal gets the columns that tell most.

    Args:
        found: As the node gave them, with rates if they are shown.
        width: Of the terminal; unit columns.
        rates: Whether to show them.
    """
    if width >= WIDE_COLUMNS:
        words = ["Id", "Client", "Listener", "Destination", "User", "State"]
        figures = ["In", "Out", *(["In/s", "Out/s"] if rates else []), "Requests", "Age"]
    else:
        words = ["Id", "Client", "Destination"]
        figures = [*(["In/s", "Out/s"] if rates else ["In", "Out"]), "Age"]
    result = table(*words, *figures, right=["Id", *figures])
    for each in found:
        cells = _cells(each)
        add_row(result, *(cells[heading] for heading in (*words, *figures)))
    return result


def _cells(each: dict[str, Any]) -> dict[str, str]:
    return {
        "Id": str(each["id"]),
        "Client": each["client"],
        "Listener": each["listener"],
        "Destination": each["destination"] or each["target"] or "-",
        "User": each["user"] or "-",
        "State": each["state"],
        "In": size(each["bytes_in"]),
        "Out": size(each["bytes_out"]),
        "In/s": rate(each.get("rate_in", 0.0)),
        "Out/s": rate(each.get("rate_out", 0.0)),
        "Requests": number(each["requests"]),
        "Age": duration(each["age"]),
    }


def _looks(
    client: NodeClient, listener: str | None, limit: int | None, count: int | None
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Yield readings with rates, once a second by the clock, however long a reading takes."""
    rates = Rates()
    due = time.monotonic()
    look = 0
    while count is None or look < count:
        if look:
            time.sleep(max(0.0, due - time.monotonic()))
        look += 1
        due = max(due + EVERY_SECONDS, time.monotonic())
        found, total = read(client, listener, limit or None)
        rates.add(found)
        yield found, total


def _stream(client: NodeClient, listener: str | None, limit: int | None, count: int | None) -> None:
    for found, _ in _looks(client, listener, limit, count):
        for each in found:
            click.echo(json.dumps(each))


def _live(client: NodeClient, listener: str | None, limit: int | None, count: int | None) -> None:
    screen = console()
    if not screen.is_terminal:
        for found, _ in _looks(client, listener, limit, count):
            screen.print(listing(found, screen.width, rates=True))
        return
    from rich.console import Group  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=screen, screen=True, auto_refresh=False) as live:
        for found, total in _looks(client, listener, limit, count):
            busiest = sorted(found, key=lambda each: each["rate_in"] + each["rate_out"], reverse=True)
            heading = Text(f"{number(total)} connections, the busiest first; Ctrl-C ends", style="bold")
            room = max(1, screen.height - 3)
            live.update(Group(heading, Text(), listing(busiest[:room], screen.width, rates=True)), refresh=True)
