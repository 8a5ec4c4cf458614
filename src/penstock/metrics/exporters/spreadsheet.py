"""Rows as CSV (RFC 4180) that a spreadsheet shows and never runs."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

STARTERS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - the wide ones are meant
"""What a spreadsheet may take for the beginning of a formula, in the wide forms of CJK keyboards too (OWASP, CSV
injection)."""

AT_ONCE = 500
"""Lines in one piece: about 100 KB."""


def safe_cell(text: str) -> str:
    """Return a text for a cell: one that could be a formula begins with `'`. A lone `-`, our word for none, stays."""
    return "'" + text if text.startswith(STARTERS) and text != "-" else text


def to_csv(fields: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """
    Yield rows as CSV, some lines at a time: a heading first, lines that end with CRLF, quotes where they are needed.

    Args:
        fields: Names of the columns.
        rows: Texts are made safe, numbers are written as they are, None is an empty cell.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(fields)
    for count, row in enumerate(rows, start=1):
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
        if not count % AT_ONCE:
            yield _taken(out)
    yield _taken(out)


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text
