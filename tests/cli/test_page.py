"""docs/cli.md says what the command line does."""

import re
from pathlib import Path

import pytest
import rich_click as click

from penstock.cli.exits import Exit
from penstock.cli.main import COMMANDS, app
from penstock.cli.serve import FLAGS

PAGE = (Path(__file__).resolve().parents[2] / "docs/cli.md").read_text()
ALL_OF_THEM = re.search(r"### All of them\n(.*?)\n### ", PAGE, re.S)[1]


def _section(name):
    found = re.search(rf"^### `penstock {name}`\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    assert found, f"{name} has no section"
    return found[1]


def _flags(text):
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", text))


def _options(command):
    inner = list(command.commands.values()) if isinstance(command, click.Group) else []
    return {
        flag
        for each in (command, *inner)
        for parameter in each.params
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--")
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_on_the_page(name):
    """Each command has a section, and each of its flags is told there or with those that all serving commands share."""
    shared = _flags(ALL_OF_THEM) if name in ("run", "tcp", "http", "socks5") else set()
    assert _options(app.get_command(None, name)) - _flags(_section(name)) - shared == set()


def test_the_page_tells_of_no_flag_that_is_not_there():
    """Whatever looks like a flag on the page is one."""
    real = {"--help", "-h", "--version", "-V"}
    for name in COMMANDS:
        command = app.get_command(None, name)
        inner = list(command.commands.values()) if isinstance(command, click.Group) else []
        real |= {
            flag
            for each in (command, *inner)
            for parameter in each.params
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
    assert _flags(PAGE) - real == set()
    assert set(FLAGS.values()) <= _flags(ALL_OF_THEM)


def test_every_inner_command_is_on_the_page():
    """Commands of a group are told by their whole name."""
    assert [name for name in app.get_command(None, "config").commands if f"penstock config {name}" not in PAGE] == []


def test_every_exit_code_is_on_the_page():
    """The table of exit codes holds each code and no other."""
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)] == [int(code) for code in Exit]
