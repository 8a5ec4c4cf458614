"""Tables, JSON, YAML and CSV."""

import json

import click
import pytest

from penstock.cli.output import add_row, console, emit, flat, table, to_yaml, write_csv


def test_yaml_is_block_style_with_quoted_texts():
    """Nested data reads as YAML 1.2; no text can be taken for a number, a date or a word of YAML."""
    data = {"name": "no", "n": 1, "list": [{"a": 1, "b": [True, None]}, "x: y", []], "empty": {}, "on": 2, "a-b": 1.5}
    assert to_yaml(data) == (
        'name: "no"\n"n": 1\nlist:\n  - a: 1\n    b:\n      - true\n      - null\n  - "x: y"\n  - []\n'
        'empty: {}\n"on": 2\n"a-b": 1.5'
    )


def test_yaml_of_a_scalar():
    """A single value is a document too."""
    assert to_yaml("a\nb") == '"a\\nb"'
    assert to_yaml([]) == "[]"


def test_csv_has_a_heading_and_quotes(capsys):
    """Commas and quotes are quoted, control characters escaped, so that a line stays a line."""
    write_csv([{"a": 'x,"y"', "b": 1}, {"a": "two\nlines", "b": None}])
    assert capsys.readouterr().out == 'a,b\n"x,""y""",1\ntwo\\nlines,\n'


def test_no_rows_no_csv(capsys):
    """Without rows there is nothing to print, not even a heading."""
    write_csv([])
    assert capsys.readouterr().out == ""


def test_flat_joins_keys():
    """Nested figures become columns of their own."""
    assert flat({"a": 1, "b": {"c": 2, "d": {"e": 3}}}) == {"a": 1, "b_c": 2, "b_d_e": 3}


@pytest.mark.parametrize("form", ["json", "yaml", "csv", "table"])
def test_emit_prints_one_form(form, capsys):
    """Each form prints its own and nothing else."""
    emit(form, {"a": 1}, [{"a": 1}], lambda: click.echo("shown"))
    out = capsys.readouterr().out
    assert out == {"json": '{\n  "a": 1\n}\n', "yaml": "a: 1\n", "csv": "a\n1\n", "table": "shown\n"}[form]


def test_a_table_without_a_terminal_is_whole(capsys, monkeypatch):
    """Where no terminal sets a width, no cell is cut: grep and awk see everything."""
    monkeypatch.delenv("COLUMNS", raising=False)
    wide = table("Name", "N", right=["N"])
    add_row(wide, "x" * 300, "1")
    console().print(wide)
    assert "x" * 300 in capsys.readouterr().out


def test_a_narrow_table_cuts_words_before_figures(capsys, monkeypatch):
    """On a narrow terminal the words get dots; a heading over figures stays readable."""
    monkeypatch.setenv("COLUMNS", "30")
    narrow = table("Name", "Active", right=["Active"])
    add_row(narrow, "x" * 100, "12")
    console().print(narrow)
    lines = capsys.readouterr().out.splitlines()
    assert "Active" in lines[0]
    assert "…" in lines[1]
    assert "12" in lines[1]
    assert max(map(len, lines)) <= 30


def test_cells_are_no_markup(capsys):
    """Square brackets and escape sequences of strangers are shown as they are."""
    plain = table("User")
    add_row(plain, "[red]x[/red] \x1b[31m")
    console().print(plain)
    assert "[red]x[/red] \\x1b[31m" in capsys.readouterr().out


def test_json_of_emit_is_json(capsys):
    """What looks like an escape in a user's name stays data."""
    emit("json", {"user": "\x1b[2J"}, [], lambda: None)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert json.loads(out) == {"user": "\x1b[2J"}
