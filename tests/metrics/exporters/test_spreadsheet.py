"""Rows as CSV."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.exporters.spreadsheet import AT_ONCE, STARTERS, safe_cell, to_csv


def rows_of(text):
    """Return what a reader makes of it."""
    return list(csv.reader(io.StringIO(text, newline="")))


def test_lines_are_those_of_rfc_4180():
    """A heading, CRLF behind each line, quotes where a cell needs them and doubled inside; None is empty."""
    text = "".join(to_csv(["a", "b"], [["x", 1], ['say "hi", you', None], ["two\r\nlines", -2.5]]))
    assert text == 'a,b\r\nx,1\r\n"say ""hi"", you",\r\n"two\r\nlines",-2.5\r\n'


def test_without_rows_there_is_a_heading():
    """A reader always learns the columns."""
    assert "".join(to_csv(["a", "b"], [])) == "a,b\r\n"


@pytest.mark.parametrize("text", ["=1+1", "+49", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "－1"])  # noqa: RUF001
def test_a_formula_is_a_text(text):
    """What a spreadsheet would run begins with an apostrophe, which it takes for `this is text`."""
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "-", "a=b", "192.0.2.7:80", "[::1]:80", "'quoted"])
def test_other_texts_stay(text):
    """Everything else is written as it is, our word for none too."""
    assert safe_cell(text) == text


@given(st.lists(st.tuples(st.text(), st.text()), max_size=9))
def test_any_text_comes_back(rows):
    """Any cells read back as they were, but for the apostrophe; none begins like a formula."""
    back = rows_of("".join(to_csv(["a", "b"], rows)))[1:]
    assert back == [[safe_cell(cell) for cell in row] for row in rows]
    assert not any(cell.startswith(STARTERS) and cell != "-" for row in back for cell in row)


def test_many_rows_come_in_pieces():
    """Long tables are handed on in pieces, each of whole lines."""
    pieces = list(to_csv(["a"], ([number] for number in range(2 * AT_ONCE + 1))))
    assert len(pieces) == 3
    assert all(piece.endswith("\r\n") for piece in pieces)
    assert len(rows_of("".join(pieces))) == 2 * AT_ONCE + 2
