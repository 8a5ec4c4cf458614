"""The group loads commands late, and every error is one line and an exit code."""

import subprocess
import sys

import pytest
import rich_click as click
from click.testing import CliRunner

from penstock.base.errors import ConfigurationError, StartError
from penstock.cli.exits import CommandError, Exit
from penstock.cli.group import Application, Lazy


def _group(action, **lazy):
    @click.group(cls=Application, lazy=lazy)
    def group():
        """Something."""

    @group.command()
    @click.option("--count", type=int)
    def act(count):
        """Act."""
        return action()

    return group


def _act(action, *words, **kwargs):
    return CliRunner().invoke(_group(action), ["act", *words], prog_name="penstock", **kwargs)


def _raise(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CommandError("no node runs", Exit.UNREACHABLE), 69, "penstock: no node runs\n"),
        (StartError("127.0.0.1:80 is in use"), 1, "penstock: 127.0.0.1:80 is in use\n"),
        (
            ConfigurationError(["a.toml:1: x: wrong", "a.toml:2: y: wrong"]),
            78,
            "a.toml:1: x: wrong\na.toml:2: y: wrong\n",
        ),
        (FileNotFoundError(2, "No such file or directory", "x"), 1, "penstock: No such file or directory: x\n"),
        (ValueError("odd"), 1, "penstock: internal error, ValueError: odd (PENSTOCK_DEBUG=1 shows where)\n"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_errors_are_lines_on_standard_error(error, code, line):
    """Each error ends the command with its code and a line per mistake, without a traceback."""
    result = _act(_raise(error))
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", line)


def test_debug_shows_the_traceback(monkeypatch):
    """PENSTOCK_DEBUG=1 adds where it happened."""
    monkeypatch.setenv("PENSTOCK_DEBUG", "1")
    result = _act(_raise(ValueError("odd")))
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("penstock: internal error, ValueError: odd (PENSTOCK_DEBUG=1 shows where)\n")


@pytest.mark.parametrize(("value", "code"), [(None, 0), (0, 0), (1, 1), (Exit.UNREACHABLE, 69)])
def test_what_a_command_returns_is_its_code(value, code):
    """A command that returns a number exits with it, one that returns nothing with 0."""
    assert _act(lambda: value).exit_code == code


def test_wrong_usage_is_one_line():
    """A flag that does not exist, or holds no number, is one line that names the command; the code is 2."""
    unknown = _act(lambda: None, "--cuont", "3")
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("penstock act: No such option '--cuont'.")
    assert unknown.stderr.count("\n") == 1
    assert "--count" in unknown.stderr
    bad = _act(lambda: None, "--count", "x")
    assert (bad.exit_code, bad.stderr.count("\n")) == (2, 1)
    assert "penstock act --help" in bad.stderr


def test_a_lazy_command_is_imported_when_called_and_not_for_help():
    """Help shows a command whose module does not exist; calling it is what imports."""
    group = _group(lambda: None, late=Lazy("penstock.cli.missing:late", "Panel", "Comes late."))
    help_text = CliRunner().invoke(group, ["--help"])
    assert (help_text.exit_code, "Comes late." in help_text.stdout) == (0, True)
    called = CliRunner().invoke(group, ["late"])
    assert called.exit_code == 1
    assert "No module named 'penstock.cli.missing'" in called.stderr


def test_a_wrong_command_is_answered_with_the_nearest():
    """Commands that are not imported yet are suggested like all others."""
    group = _group(lambda: None, status=Lazy("penstock.cli.missing:status", "Panel", "Shows."))
    result = CliRunner().invoke(group, ["statsu"], prog_name="penstock")
    assert result.exit_code == 2
    assert "No such command 'statsu'. Did you mean 'status'?" in result.stderr


def test_a_reader_that_leaves_ends_us_quietly():
    """With standard output closed by `| head`, there is no traceback and nothing on standard error."""
    code = (
        "import rich_click as click\n"
        "from penstock.cli.group import Application\n"
        "@click.group(cls=Application)\n"
        "def group(): pass\n"
        "@group.command()\n"
        "def much():\n"
        "    for _ in range(100_000): click.echo('x' * 100)\n"
        "group.main(['much'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "x" * 100 + "\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 1
