"""The command line as a whole."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

import penstock as package
from penstock.cli.main import COMMANDS, app

HEAVY = {"asyncio", "httpx2", "numpy", "prometheus_client", "pydantic", "starlette", "structlog", "uvicorn"}


def test_version(penstock):
    """--version tells it and nothing else."""
    result = penstock("--version")
    assert (result.exit_code, result.stdout) == (0, f"penstock, version {package.__version__}\n")


def test_help_lists_every_command(penstock):
    """The help shows each command with its summary."""
    text = penstock("--help", env={"COLUMNS": "160"}).stdout
    assert [name for name, entry in COMMANDS.items() if name not in text or entry.summary not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_are_the_commands_own(name):
    """What the lazy help says of a command is the first line of that command's help, and it has a name of its own."""
    module, _, attribute = COMMANDS[name].where.partition(":")
    command = getattr(import_module(module), attribute)
    assert command.name == name
    assert command.help.strip().split("\n")[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(penstock, name):
    """`penstock NAME --help` works, and every flag of it says what it does."""
    result = penstock(name, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    command = app.get_command(None, name)
    assert [p.name for p in command.params if p.param_type_name == "option" and not p.help] == []


def test_no_arguments_show_help(penstock):
    """Without a command the help is shown and the code is that of wrong usage."""
    result = penstock()
    assert result.exit_code == 2
    assert "Usage: penstock" in result.stdout


def test_unknown_command(penstock):
    """A command that does not exist is wrong usage, in one line."""
    result = penstock("statsu")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "statsu" in result.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["tcp", "--help"], ["demo", "--help"], ["status", "--help"]]
)
def test_help_loads_nothing_heavy(words):
    """Help and version load no event loop, validator, array library, HTTP library or web server."""
    code = (
        "import json, sys\n"
        "from penstock.cli.main import app\n"
        f"try: app.main({words!r})\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    loaded = {name.partition(".")[0] for name in json.loads(result.stderr)}
    assert loaded & HEAVY == set()
    assert result.stdout
