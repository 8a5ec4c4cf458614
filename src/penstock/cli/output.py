"""Where results go: tables for people, JSON, YAML and CSV for programs. Standard output is data and nothing else."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.units import printable
from penstock.metrics.exporters.spreadsheet import safe_cell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

FORMATS = ("table", "json", "yaml", "csv")

UNBOUND_COLUMNS = 1_000
"""Width of a table that no terminal shows: whoever reads it with grep or awk gets every column whole."""


def console(*, stderr: bool = False) -> "Console":
    """Return a console of the terminal's width; NO_COLOR and TERM=dumb are honoured by rich itself."""
    from rich.console import Console  # noqa: PLC0415 - `--help` and `-o json` need no tables

    stream = sys.stderr if stderr else sys.stdout
    bound = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if bound else UNBOUND_COLUMNS, highlight=False, soft_wrap=False)


def table(*headings: str, right: Sequence[str] = ()) -> "Table":
    """
    Return an empty table in the house's plain style. On a narrow terminal words are cut and figures are not.

    Args:
        headings: Names of the columns.
        right: Those that hold figures and are flush right.
    """
    from rich.table import Table  # noqa: PLC0415

    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        figure = heading in right
        # rich narrows columns that may wrap before those that may not; the cells of `add_row` do not wrap either way
        result.add_column(_cell(heading), justify="right" if figure else "left", no_wrap=figure)
    return result


def add_row(to: "Table", *cells: str) -> None:
    """Add a line of plain text: square brackets are no markup here, and control characters are shown, not obeyed."""
    to.add_row(*map(_cell, cells))


def _cell(text: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def emit(form: str, data: Any, rows: Iterable[Mapping[str, Any]], show: Callable[[], None]) -> None:
    """
    Print a result.

    Args:
        form: One of FORMATS.
        data: For JSON and YAML.
        rows: For CSV; all with the same keys.
        show: Prints the table.
    """
    if form == "json":
        click.echo(json.dumps(data, indent=2))
    elif form == "yaml":
        click.echo(to_yaml(data))
    elif form == "csv":
        write_csv(rows)
    else:
        show()


def write_csv(rows: Iterable[Mapping[str, Any]]) -> None:
    """
    Print rows with a heading (RFC 4180, but for the line end: it is a line feed, as Unix tools expect).

    A text that a spreadsheet could take for a formula begins with `'`.
    """
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(sys.stdout, fieldnames=list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(
            {key: safe_cell(printable(value)) if isinstance(value, str) else value for key, value in row.items()}
        )


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a row without nesting: `{"a": {"b": 1}}` becomes `{"a_b": 1}`."""
    row: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            row.update(flat(item, f"{prefix}{key}_"))
        else:
            row[prefix + key] = item
    return row


def to_yaml(value: Any) -> str:
    """Return JSON-like data as YAML 1.2 in block style; texts are quoted as in JSON, which YAML reads alike."""
    return "\n".join(_yaml_lines(value))


def _yaml_lines(value: Any, indent: str = "") -> list[str]:
    if isinstance(value, Mapping) and value:
        return [line for key, item in value.items() for line in _yaml_entry(f"{indent}{_yaml_key(key)}:", item, indent)]
    if isinstance(value, list | tuple) and value:
        return [line for item in value for line in _yaml_item(item, indent)]
    return [f"{indent}{json.dumps(value)}"]


def _yaml_key(key: Any) -> str:
    """A key of letters that YAML cannot take for anything else stays plain."""
    text = str(key)
    plain = text.replace("_", "a").isalpha() and text.isascii()
    return (
        text
        if plain and text.lower() not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
        else json.dumps(text)
    )


def _yaml_entry(start: str, item: Any, indent: str) -> list[str]:
    if isinstance(item, Mapping | list | tuple) and item:
        return [start, *_yaml_lines(item, indent + "  ")]
    return [f"{start} {json.dumps(item)}"]


def _yaml_item(item: Any, indent: str) -> list[str]:
    first, *rest = _yaml_lines(item, indent + "  ")
    return [f"{indent}- {first[len(indent) + 2 :]}", *rest]
