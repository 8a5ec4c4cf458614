"""`penstock listeners` and `penstock routes`, and how one of them is changed while the node runs."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.exits import CommandError, Exit
from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, flat, table
from penstock.cli.reload import tell
from penstock.cli.settings import to_toml
from penstock.cli.units import number, printable

if TYPE_CHECKING:
    from penstock.cli.client import NodeClient

Command = Callable[..., Any]

ORDERS = ("show", "set", "remove")

FILE_BYTES = 1_048_576
"""Longest file of tables, as of a configuration."""


@click.command()
@node_option
@output_options
def listeners(node: str | None, form: str) -> None:
    """List the listeners of a running node, and which of them were changed at runtime."""
    _list("listener", node, form)


@click.command()
@node_option
@output_options
def routes(node: str | None, form: str) -> None:
    """List the routes of a running node, and which of them were changed at runtime."""
    _list("route", node, form)


def _order_options(command: Command) -> Command:
    for option in (
        output_options,
        node_option,
        click.option("--check", is_flag=True, help="Only show what would change."),
        click.argument("what", metavar="NAME|FILE"),
        click.argument("order", type=click.Choice(ORDERS)),
    ):
        command = option(command)
    return command


@click.command()
@_order_options
def listener(order: str, what: str, check: bool, node: str | None, form: str) -> None:
    """
    Show a listener of a running node, set listeners, or remove one.

    set takes a file of [[listener]] tables, or - for standard input; each is added or takes the place of its namesake.
    What is changed lasts until the next reload or restart: the configuration wins.
    """
    _order("listener", order, what, check, node, form)


@click.command()
@_order_options
def route(order: str, what: str, check: bool, node: str | None, form: str) -> None:
    """
    Show a route of a running node, set routes, or remove one.

    set takes a file of [[route]] tables, or - for standard input; each is added or takes the place of its namesake.
    What is changed lasts until the next reload or restart: the configuration wins.
    """
    _order("route", order, what, check, node, form)


def _list(section: str, node: str | None, form: str) -> None:
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.tables(section)
    counts = {each["name"]: each for each in client.stats().get(f"{section}s", [])}
    for each in found:
        each |= {key: counts.get(each["name"], {}).get(key, 0) for key in ("active", "connections")}
        if section == "listener":
            each["address"] = counts.get(each["name"], {}).get("address", each["table"].get("listen", ""))
    emit(form, found, map(flat, found), lambda: _show(section, found))


def _show(section: str, found: list[dict[str, Any]]) -> None:
    heads = ("Protocol", "Address") if section == "listener" else ("Action", "Listeners", "Targets")
    listing = table("Name", *heads, "Active", "Total", "Origin", right=["Active", "Total"])
    for each in found:
        cells = _listener_cells(each) if section == "listener" else _route_cells(each["table"])
        add_row(listing, each["name"], *cells, number(each["active"]), number(each["connections"]), each["origin"])
    console().print(listing)


def _listener_cells(each: dict[str, Any]) -> tuple[str, ...]:
    return str(each["table"].get("protocol", "-")), str(each["address"])


def _route_cells(written: dict[str, Any]) -> tuple[str, ...]:
    targets = written.get("targets", [])
    shown = [str(each.get("address")) if isinstance(each, dict) else str(each) for each in targets]
    return (
        str(written.get("action", "forward")),
        ", ".join(map(str, written.get("listeners", []))) or "all",
        ", ".join(shown) or "-",
    )


def _order(section: str, order: str, what: str, check: bool, node: str | None, form: str) -> None:
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    if check and order == "show":
        raise click.UsageError("show changes nothing: it takes no --check")
    wanted = read_tables(section, what) if order == "set" else []
    client = NodeClient(find_node(node))
    if order == "show":
        one = client.table(section, what)
        emit(form, one, [flat(one)], lambda: click.echo(printable_toml(section, one["table"])))
    elif order == "remove":
        tell(client.remove_table(section, what, check=check), form)
    else:
        _set(client, section, wanted, form, check=check)


def _set(client: "NodeClient", section: str, wanted: list[dict[str, Any]], form: str, *, check: bool) -> None:
    for done, each in enumerate(wanted):
        try:
            tell(client.set_table(section, each["name"], each, check=check), form)
        except Exception:
            for earlier in wanted[:done]:
                click.echo(f"penstock: {section} {printable(earlier['name'])} was set before that", err=True)
            raise


def printable_toml(section: str, written: dict[str, Any]) -> str:
    """Return a table as a configuration file has it; a terminal obeys nothing of it."""
    return "\n".join(map(printable, to_toml({section: [written]}).splitlines()))


def read_tables(section: str, source: str) -> list[dict[str, Any]]:
    """
    Return the tables of a file.

    Args:
        section: listener or route; the file holds nothing else.
        source: Its path; `-` for standard input.

    Raises:
        CommandError: With 78, if it holds something else.
    """
    where = "standard input" if source == "-" else source
    try:
        data = sys.stdin.buffer.read(FILE_BYTES + 1) if source == "-" else _read(source)
        if len(data) > FILE_BYTES:
            raise ValueError(f"is longer than {FILE_BYTES} bytes")
        tree = tomllib.loads(data.decode())
    except OSError as error:
        raise CommandError(f"{where}: {(error.strerror or str(error)).lower()}", Exit.CONFIGURATION) from error
    except (ValueError, RecursionError) as error:  # of TOML, UTF-8 or the length
        raise CommandError(f"{where}: {printable(str(error))}", Exit.CONFIGURATION) from error
    found = tree.get(section)
    if set(tree) != {section} or not isinstance(found, list):
        raise CommandError(f"{where}: must hold [[{section}]] tables, and nothing else", Exit.CONFIGURATION)
    if any(not isinstance(each, dict) or not isinstance(each.get("name"), str) for each in found):
        raise CommandError(f"{where}: each [[{section}]] needs a name", Exit.CONFIGURATION)
    return found


def _read(source: str) -> bytes:
    with Path(source).open("rb") as file:
        return file.read(FILE_BYTES + 1)
