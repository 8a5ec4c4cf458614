"""`penstock status`: totals, rates, listeners, targets and outcomes of a node on one screen."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table
from penstock.cli.units import duration, number, printable, rate, size

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table


WIDE_COLUMNS = 110
"""From this width on a table shows all columns."""


@click.command()
@node_option
@output_options
def status(node: str | None, form: str) -> None:
    """
    Show what a running node does.

    CSV holds one line for each listener; JSON and YAML hold everything.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415 - after the command line is known to be right

    client = NodeClient(find_node(node))
    stats = client.stats()
    emit(
        form,
        stats,
        (flat(each) for each in stats["listeners"]),
        lambda: console().print(overview(stats, console().width)),
    )


def overview(stats: dict[str, Any], width: int) -> "Group":
    """
    Return the whole screen.

    Args:
        stats: What `GET /api/v1/stats` answered.
        width: Of the terminal; unit columns.
    """
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    parts: list[RenderableType] = [Text(line) for line in _summary(stats)]
    parts += [Text(), scopes("Listener", stats["listeners"], width)]
    if stats["targets"]:
        parts += [Text(), scopes("Target", stats["targets"], width)]
    if ends := _ends(stats):
        parts += [Text(), Text(ends)]
    return Group(*parts)


def _summary(stats: dict[str, Any]) -> list[str]:
    node, workers, totals, now = stats["node"], stats["workers"], stats["totals"], stats["throughput"]
    respawns = f", {number(workers['respawns'])} respawned" if workers["respawns"] else ""
    crew = f"{workers['alive']}/{workers['configured']} workers" if workers["configured"] else "one process"
    return [
        f"{printable(node['name'])} is {node['state']}: up {duration(node['uptime'])}, pid {node['pid']}, "
        f"{crew}{respawns}, version {node['version']}",
        f"{number(totals['active'])} connections open of {number(totals['connections'])} so far, "
        f"{number(totals['requests'])} requests",
        f"in  {size(totals['bytes_in']):>9}  now {rate(now['bytes_in'])}",
        f"out {size(totals['bytes_out']):>9}  now {rate(now['bytes_out'])}",
    ]


def scopes(heading: str, views: Iterable[dict[str, Any]], width: int) -> "Table":
    """
    Return the table of listeners or of targets: words first, then figures.

    Args:
        heading: `Listener` or `Target`.
        views: From the node's stats.
        width: Of the terminal; a narrow one gets the columns that tell most. Unit columns.
    """
    wide = width >= WIDE_COLUMNS
    second = ["Protocol", "Address"] if heading == "Listener" else ["Route"]
    words = [heading, *(second if wide or heading == "Target" else ["Address"])]
    figures = ["Active", *(["Total", "Requests"] if wide else []), "In", "Out", "In/s", "Out/s"]
    result = table(*words, *figures, right=figures)
    for view in views:
        cells = _cells(view)
        add_row(result, *(cells[each] for each in (*words, *figures)))
    return result


def _cells(view: dict[str, Any]) -> dict[str, str]:
    now = view["throughput"]
    return {
        "Listener": str(view.get("name")),
        "Target": view["address"],
        "Protocol": str(view.get("protocol")),
        "Address": view["address"],
        "Route": view["route"],
        "Active": number(view["active"]),
        "Total": number(view["connections"]),
        "Requests": number(view["requests"]),
        "In": size(view["bytes_in"]),
        "Out": size(view["bytes_out"]),
        "In/s": rate(now["bytes_in"]),
        "Out/s": rate(now["bytes_out"]),
    }


def _ends(stats: dict[str, Any]) -> str:
    """Return how connections ended and why some were refused; only what happened."""
    ended = [
        f"{each['ended_by']}/{each['phase']} {number(each['count'])}" for each in stats["outcomes"] if each["count"]
    ]
    refused = [f"{reason} {number(count)}" for reason, count in stats["refused"].items() if count]
    lines = [f"ended    {', '.join(ended)}"] if ended else []
    lines += [f"refused  {', '.join(refused)}"] if refused else []
    return "\n".join(lines)
