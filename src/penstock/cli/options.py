"""Options that several commands share, so that they read and behave alike everywhere."""

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from penstock.base.addresses import parse_listen, parse_target
from penstock.base.errors import AddressError
from penstock.cli.output import FORMATS

Command = TypeVar("Command", bound=Callable[..., Any])


class Address(click.ParamType[str]):
    """
    An address that is checked while the command line is read, and handed on as it was written.

    Args:
        parse: Raises AddressError for what is none.
        name: What help calls it.
        off: Whether the word `off` is taken too.
    """

    def __init__(self, parse: Callable[[str], Any], name: str, *, off: bool = False) -> None:
        self._parse, self.name, self._off = parse, name, off

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text if it is an address."""
        text = str(value)
        if self._off and text == "off":
            return text
        try:
            self._parse(text)
        except AddressError as error:
            self.fail(str(error), param, ctx)
        return text


class Workers(click.ParamType[str | int]):
    """A number of worker processes, or `auto`."""

    name = "n|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """Return `auto` or the number."""
        text = str(value)
        if text == "auto":
            return text
        if not (text.isascii() and text.isdigit()):
            self.fail(f"{text!r} is neither a number nor auto", param, ctx)
        return int(text)


LISTEN = Address(parse_listen, "address")
ADMIN = Address(parse_listen, "address", off=True)
TARGET = Address(parse_target, "host:port")
STATSD = Address(parse_target, "host:port", off=True)

listen_option = click.option(
    "--listen",
    "-l",
    type=LISTEN,
    multiple=True,
    required=True,
    help="Address to listen on: :8080, 127.0.0.1:8080, [::1]:8080 or unix:/path; may be given several times.",
)

auth_option = click.option(
    "--auth",
    metavar="USER:PASSWORD",
    envvar="PENSTOCK_AUTH",
    show_envvar=True,
    help="Demand this login. In the environment it does not show in the list of processes.",
)

node_option = click.option(
    "--node",
    "-n",
    metavar="NAME|PATH",
    envvar="PENSTOCK_NODE",
    show_envvar=True,
    help="Which node, by name or by the path of its socket; not needed if only one runs.",
)

config_option = click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(dir_okay=False),
    envvar="PENSTOCK_CONFIG",
    show_envvar=True,
    help="Configuration file. Without it: ./penstock.toml, then the user's, then the system's.",
)


def serving_options(command: Command) -> Command:
    """Add what every command that serves takes; `penstock.cli.serve.FLAGS` names each of them."""
    for option in reversed(_SERVING):
        command = option(command)
    return command


_SERVING: list[Callable[[Any], Any]] = [
    click.option("--workers", "-w", type=Workers(), help="Worker processes; auto is one per core, 0 all in one."),
    click.option("--admin", type=ADMIN, help="Address of metrics and API over TCP; off for none."),
    click.option(
        "--admin-token-file", metavar="FILE", help="Token that the admin address demands; needed off loopback."
    ),
    click.option("--name", metavar="NAME", help="What the node is called; its socket has the same name."),
    click.option(
        "--connections", metavar="N", type=click.IntRange(min=1), help="Open connections that the node takes."
    ),
    click.option("--idle", metavar="DURATION", help="Close a connection after so long without a byte: 30s, 4h, off."),
    click.option(
        "--splice", type=click.Choice(["auto", "always", "never"]), help="When bulk bytes stay in the kernel."
    ),
    click.option("--metrics/--no-metrics", default=None, help="Whether more than totals is collected."),
    click.option("--statsd", type=STATSD, help="Where deltas of the metrics go over UDP; off for nowhere."),
    click.option("--state-dir", metavar="DIR", help="Directory of what outlives a restart."),
    click.option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="The least that is logged."
    ),
    click.option("--log-format", type=click.Choice(["console", "json"]), help="Lines of text or of JSON."),
]


def output_options(command: Command) -> Command:
    """Add `-o` and `--json`; the command gets `form`."""
    command = click.option("--json", "form", flag_value="json", type=str, help="Short for -o json.")(command)
    return click.option(
        "--output",
        "-o",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="What is printed: a table for people, the others for programs.",
    )(command)
