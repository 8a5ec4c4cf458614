"""The command group: it loads a command when it is called, and turns every error into one line and an exit code."""

import os
import sys
import traceback
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import rich_click as click

from penstock.base.errors import ConfigurationError, PenstockError
from penstock.cli.exits import Exit, code_of


class Lazy(NamedTuple):
    """
    A command that is not loaded yet.

    Args:
        where: Module and attribute, as in `penstock.cli.status:status`.
        panel: Heading that the help lists it under.
        summary: One line for the help; a test holds it equal to the first line of the command's own help.
    """

    where: str
    panel: str
    summary: str


class LazyGroup(click.RichGroup):
    """
    A group whose commands are imported on their first use; its own help needs none of them.

    Args:
        lazy: Commands by name, in the order of the help.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy or {})
        self._listing = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported; while the help lists them, only what it prints of it."""
        entry = self.lazy.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        if self._listing:
            return click.RichCommand(name=cmd_name, help=entry.summary, panel=entry.panel)
        module, _, name = entry.where.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - our own table; a test walks it
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command of `args` as `click.Group` does; for a wrong one say which is near, loaded or not."""
        wrong = not args[0].startswith("-") and args[0] not in self.list_commands(ctx)
        if wrong and not ctx.resilient_parsing:  # the shell's completion asks in the middle of a word
            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            ctx.fail(f"No such command '{args[0]}'.{f' Did you mean {near[0]!r}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write options and commands; of the commands their summaries alone."""
        self._listing = True
        try:
            super().format_options(ctx, formatter)
        finally:
            self._listing = False


class Application(LazyGroup):
    """The outermost group: whatever happens below it ends as an exit code and at most a line per mistake."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run and exit; arguments as of `click.Command.main`."""
        kwargs["standalone_mode"] = False
        try:
            code = _code(super().main(*args, **kwargs))
            sys.stdout.flush()
        except BrokenPipeError:
            code = _reader_left()
        except click.Abort:
            code = Exit.INTERRUPTED
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        except click.ClickException as error:
            code = _usage(error)
        except Exception as error:
            code = report(error)
        sys.exit(code)


def _code(result: Any) -> int:
    return int(result) if isinstance(result, int) else Exit.OK


def _reader_left() -> Exit:
    """Standard output has no reader any more (`| head`): end quietly, and let nothing try to flush it again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # not a real file: somebody captures our output, and there is nothing to flush
    return Exit.FAILURE


def _usage(error: click.ClickException) -> int:
    ctx = getattr(error, "ctx", None)
    name = ctx.command_path if ctx else "penstock"
    hint = f" (see {name} --help)" if isinstance(error, click.UsageError) else ""
    _say(f"{name}: {' '.join(error.format_message().split())}{hint}")
    return error.exit_code


def report(error: Exception) -> Exit:
    """Say an error on standard error, a line per mistake, and return its code; PENSTOCK_DEBUG=1 adds a traceback."""
    if os.environ.get("PENSTOCK_DEBUG") == "1":
        traceback.print_exception(error, file=sys.stderr)
    if "PENSTOCK_HANDOVER" in os.environ:  # another process waits for this one
        from penstock.node.elder import refuse  # noqa: PLC0415

        refuse("; ".join(error.mistakes) if isinstance(error, ConfigurationError) else str(error))
    if isinstance(error, ConfigurationError):
        for mistake in error.mistakes:
            _say(mistake)
    elif isinstance(error, PenstockError):
        _say(f"penstock: {error}")
    elif isinstance(error, OSError):
        _say(f"penstock: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    else:
        _say(f"penstock: internal error, {type(error).__name__}: {error} (PENSTOCK_DEBUG=1 shows where)")
    return code_of(error)


def _say(line: str) -> None:
    click.echo(line, err=True)
