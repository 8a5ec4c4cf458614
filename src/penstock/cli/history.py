"""`penstock history`: which connections have ended, and how; once, or each as it ends."""

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.client import LARGEST_PAGE, PAGE, NodeClient
from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.units import duration, number, printable, size
from penstock.config.mistakes import Wrong
from penstock.config.units import parse_size
from penstock.metrics.filters import WORDS, parse_length

if TYPE_CHECKING:
    from rich.table import Table

EVERY_SECONDS = 1.0
"""A node reads its ledgers once a second; looking more often shows nothing new."""

LIMIT = 100
"""Records unless told otherwise: a screen or two."""

WIDE_COLUMNS = 120
"""From this width on a table shows all columns."""

Found = list[dict[str, Any]]


class Moment(click.ParamType[str]):
    """A time as the node reads it; how long ago may be written without its minus."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return what the node understands."""
        text = str(value)
        try:
            parse_length(text)
        except ValueError:
            return text
        return f"-{text}"


class Size(click.ParamType[int]):
    """A number of bytes, with or without a unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        text = str(value)
        try:
            return parse_size(f"{text}B" if text.isascii() and text.isdigit() else text)
        except Wrong as error:
            self.fail(f"{text!r}: {error}", param, ctx)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the filters; the command gets them by the names that the door gives them, None for those not given."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _word(name: str, what: str) -> Callable[[Any], Any]:
    return click.option(f"--{name.replace('_', '-')}", metavar="WORD", type=click.Choice(WORDS[name]), help=what)


_FILTERS: list[Callable[[Any], Any]] = [
    click.option(
        "--client", metavar="ADDRESS", help="An address, a network as in 192.0.2.0/24, or - for Unix sockets."
    ),
    click.option("--user", metavar="NAME", help="Only this user's."),
    click.option(
        "--destination", metavar="HOST[:PORT]", help="Where clients asked to go; *.SUFFIX for names below it."
    ),
    click.option("--route", metavar="NAME", help="Only those of this route."),
    click.option("--listener", metavar="NAME", help="Only those of this listener."),
    click.option("--target", metavar="HOST:PORT", help="Only those of this target."),
    _word("ended_by", "Who ended them, as in client or proxy."),
    _word("phase", "In which phase they ended, as in dial or relay."),
    _word("close_reason", "Why they were closed, as in timeout or limit."),
    _word("reason", "Why they were refused, as in auth or quota."),
    click.option(
        "--since", type=Moment(), help="Ended at this time or later: 2026-01-01T12:00:00Z, or 5m for minutes ago."
    ),
    click.option("--until", type=Moment(), help="Ended before this time."),
    click.option("--min-bytes", type=Size(), help="Moved at least so much, both ways together: 1000 or 10MiB."),
    click.option("--min-duration", metavar="TIME", help="Lasted at least so long: 90s, 0.5s, 5m."),
]


@click.command()
@filter_options
@click.option("--follow", "-f", is_flag=True, help="Go on with those that end from now on; until Ctrl-C.")
@click.option("--limit", type=click.IntRange(min=0), help=f"At most so many, 0 for all. Default: {LIMIT}.")
@click.option("--all", "everything", is_flag=True, help="Short for --limit 0.")
@click.option("--count", type=click.IntRange(min=1), help="With --follow: end after so many.")
@node_option
@output_options
def history(
    follow: bool, limit: int | None, everything: bool, count: int | None, node: str | None, form: str, **asked: Any
) -> None:
    """
    List connections of a running node that have ended.

    With --follow each is told once, as it ends; with --json as a line of JSON. --limit then shows so many older ones
    first.
    """
    if follow and form in ("yaml", "csv"):
        raise click.UsageError("--follow prints lines of text or, with --json, of JSON")
    limit = 0 if everything else limit
    client = NodeClient(find_node(node))
    if follow:
        _follow(client, asked, limit, count, form)
    else:
        _once(client, asked, LIMIT if limit is None else limit, form)


def _once(client: NodeClient, asked: dict[str, Any], limit: int, form: str) -> None:
    found, total = read(client, asked, limit or None)
    emit(form, found, found, lambda: console().print(listing(found, console().width)))
    if len(found) < total and form == "table":
        click.echo(f"{number(total - len(found))} more; --all shows all", err=True)


def read(client: NodeClient, asked: dict[str, Any], limit: int | None) -> tuple[Found, int]:
    """
    Return ended connections, the newest first, and how many match.

    Args:
        client: Whom to ask.
        asked: Filters by the door's names.
        limit: How many at most; None for all.
    """
    found: Found = []
    cursor = None
    while True:
        left = PAGE if limit is None else min(LARGEST_PAGE, limit - len(found))
        answer = client.history(**asked, limit=left, cursor=cursor)
        found += answer["connections"]
        cursor = answer["next"]
        if cursor is None or len(found) == limit:
            return found, max(answer["total"], len(found))


def _follow(client: NodeClient, asked: dict[str, Any], limit: int | None, count: int | None, form: str) -> None:
    show = json.dumps if form == "json" else line
    for told, each in enumerate(_endings(client, asked, limit), start=1):
        click.echo(show(each))
        if told == count:
            return


def _endings(client: NodeClient, asked: dict[str, Any], limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield some older records, the oldest first, and then each new one once, looking once a second by the clock."""
    last = client.history(limit=1)["last"]
    if limit is not None:
        older, _ = read(client, asked, limit or None)
        yield from (each for each in reversed(older) if each["number"] <= last)
    due = time.monotonic()
    while True:
        answer = client.history(**asked, after=last, limit=PAGE)
        if missed := max(0, answer["first"] - last - 1):
            click.echo(f"{number(missed)} left the node's memory before they could be read", err=True)
        yield from answer["connections"]
        last = answer["next"] or answer["last"]
        if answer["next"] is None:
            due = max(due + EVERY_SECONDS, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def listing(found: Found, width: int) -> "Table":
    """
    Return ended connections as a table; a narrow terminal gets the columns that tell most.

    Args:
        found: As the node gave them.
        width: Of the terminal; unit columns.
    """
    if width >= WIDE_COLUMNS:
        words = ["Ended", "Client", "Listener", "Destination", "User", "Outcome"]
        figures = ["In", "Out", "Requests", "Lasted"]
    else:
        words, figures = ["Ended", "Client", "Destination", "Outcome"], ["In", "Out"]
    result = table(*words, *figures, right=figures)
    for each in found:
        cells = _cells(each)
        add_row(result, *(cells[heading] for heading in (*words, *figures)))
    return result


def line(each: dict[str, Any]) -> str:
    """Return one ended connection as a line of text."""
    cells = _cells(each)
    words = [cells[name] for name in ("Ended", "Client", "Destination", "User", "Outcome", "In", "Out", "Lasted")]
    return printable("  ".join(words))


def _cells(each: dict[str, Any]) -> dict[str, str]:
    return {
        "Ended": each["ended_at"].partition(".")[0] + "Z",
        "Client": each["client"],
        "Listener": each["listener"],
        "Destination": each["destination"] or each["target"] or "-",
        "User": each["user"] or "-",
        "Outcome": outcome(each),
        "In": size(each["bytes_in"]),
        "Out": size(each["bytes_out"]),
        "Requests": number(each["requests"]),
        "Lasted": duration(each["duration"]),
    }


def outcome(each: dict[str, Any]) -> str:
    """Return how a connection ended: `complete`, `client in relay`, `proxy in negotiate: auth`."""
    if each["ended_by"] == "complete":
        return "complete"
    told = f"{each['ended_by']} in {each['phase']}"
    return f"{told}: {each['reason']}" if each["reason"] else told
