"""`penstock ban`, `unban`, `confirm`, `bans` and `why`: who is refused before a byte is read, and why."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.nodes import find_node
from penstock.cli.options import node_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.units import number, printable

if TYPE_CHECKING:
    from rich.table import Table

WIDE_COLUMNS = 110
"""From this width on a table shows all columns."""


class Network(click.ParamType[str]):
    """
    An address, or a network.

    Args:
        single: Whether it must be one address.
    """

    name = "network"

    def __init__(self, *, single: bool = False) -> None:
        self._single = single

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is written, or say what to write."""
        from penstock.policy.ban import parse_network  # noqa: PLC0415

        try:
            network = parse_network(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._single and not network.single:
            self.fail("one address is needed, as in 192.0.2.7", param, ctx)
        return value


class Duration(click.ParamType[str]):
    """How long, as in 1h."""

    name = "duration"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is written, or say what to write."""
        from penstock.config.mistakes import Wrong  # noqa: PLC0415
        from penstock.config.units import parse_duration  # noqa: PLC0415

        try:
            length = parse_duration(value)
        except Wrong as wrong:
            self.fail(wrong.what + (f"; write {wrong.write}" if wrong.write else ""), param, ctx)
        if length <= 0:
            self.fail("must be longer than 0s", param, ctx)
        return value


@click.command()
@click.argument("address", metavar="ADDRESS|NETWORK", type=Network())
@click.option(
    "--for", "length", metavar="DURATION", type=Duration(), help="How long, as in 1h; for good unless it is given."
)
@click.option("--reason", metavar="TEXT", default="", help="Why, for whoever reads it later.")
@click.option(
    "--confirm",
    metavar="DURATION",
    type=Duration(),
    help="Undo it after so long, unless `penstock confirm` comes before.",
)
@click.option("--shadow", is_flag=True, help="Refuse nobody, only count who would be.")
@click.option("--cut", is_flag=True, help="End the connections that its clients have open, too.")
@node_option
@output_options
def ban(
    address: str,
    length: str | None,
    reason: str,
    confirm: str | None,
    shadow: bool,
    cut: bool,
    node: str | None,
    form: str,
) -> None:
    """
    Refuse an address or a network before a byte is read.

    With --confirm 60s it is undone by itself unless `penstock confirm` comes in time: who bans themselves is back in a
    minute. Loopback, the machine's own addresses, its gateway and name servers, targets, and whoever gives the order
    are never banned.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    wanted = {"address": address, "for": length, "reason": reason, "confirm": confirm, "shadow": shadow, "cut": cut}
    client = NodeClient(find_node(node))
    found = client.ban(wanted | {"asker": asker(os.environ)})
    emit(form, found, [_flat(found)], lambda: _said(found))


def asker(environ: Mapping[str, str]) -> str:
    """Return the address that a login over SSH comes from; empty for a login of another kind."""
    return environ.get("SSH_CONNECTION", "").partition(" ")[0].partition("%")[0]


@click.command()
@click.argument("address", metavar="ADDRESS|NETWORK", type=Network())
@node_option
def unban(address: str, node: str | None) -> None:
    """
    Lift a ban.

    It counts in all workers at once, and what the client did before is forgotten.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    client.unban(address)


@click.command()
@click.argument("address", metavar="[ADDRESS|NETWORK]", type=Network(), required=False)
@node_option
@output_options
def confirm(address: str | None, node: str | None, form: str) -> None:
    """
    Let bans stay that would be undone: one, or all that wait.

    Ends with 1 if none waits.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415
    from penstock.cli.exits import CommandError  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.confirm(address)
    if not found:
        raise CommandError("no ban waits for a confirmation; one that it came too late for is undone")
    emit(form, found, map(_flat, found), lambda: console().print(listing(found, console().width)))


@click.command()
@click.option("--origin", type=click.Choice(["manual", "auto", "shadow"]), help="Only those that were made so.")
@click.option("--reason", metavar="TEXT", help="Only those with exactly this reason, or of this detector.")
@click.option("--address", metavar="ADDRESS", type=Network(single=True), help="Only those that hold for it.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@node_option
@output_options
def bans(origin: str | None, reason: str | None, address: str | None, limit: int, node: str | None, form: str) -> None:
    """List the bans of a running node."""
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found, total, lists = client.bans(limit, origin=origin, reason=reason, address=address)
    emit(form, found, map(_flat, found), lambda: console().print(listing(found, console().width)))
    if total > len(found):
        click.echo(f"{number(total - len(found))} more; --limit shows more", err=True)
    for each in lists if form == "table" else ():
        click.echo(
            f"{printable(each['file'])}: {number(each['networks'])} networks, {printable(each['reason'])}", err=True
        )


@click.command()
@click.argument("ip", type=Network(single=True))
@node_option
@output_options
def why(ip: str, node: str | None, form: str) -> None:
    """
    Show why an address is refused, or would soon be.

    Which ban and which rule, what was counted, since when and until when; what detectors count of it now; and its
    newest connections that were refused.
    """
    from penstock.cli.client import NodeClient  # noqa: PLC0415

    client = NodeClient(find_node(node))
    found = client.why(ip)
    lines = list(reasons(found))
    emit(form, found, [{"line": line} for line in lines], lambda: click.echo("\n".join(map(printable, lines))))


def reasons(found: dict[str, Any]) -> list[str]:
    """Return what holds against an address, a line for each thing."""
    lines = [_ban_line(each) for each in found["bans"]]
    lines += [f"banned by the block list {each['file']}: {each['reason']}" for each in found["lists"]]
    if not lines:
        lines = ["nothing holds against it"]
    for each in found["limits"]:
        span = f" within {each['window']:g} s" if each["window"] else ""
        exempt = ", but it is exempt" if each["exempt"] else ""
        lines.append(f"{each['limit']}: {each['used']} of {each['most']}{span}{exempt}")
    for each in found["counts"]:
        window = f"{each['window']:g} s"
        lines.append(f"{each['detector']}: {each['count']} {each['counted']} of {each['threshold']} within {window}")
    if found["offences"]:
        lines.append(f"banned by itself lately: {found['offences']} times; the next ban is twice as long")
    if found["protected"]:
        lines.append(f"it cannot be banned: {found['protected']}")
    for each in found["refusals"]:
        detail = f", {each['detail']}" if each["detail"] else ""
        lines.append(f"refused {each['ended_at']} at {each['listener']}: {each['reason']}{detail}")
    return [f"{found['address']}: {line}" for line in lines]


def _ban_line(each: dict[str, Any]) -> str:
    seen = each["evidence"]
    verb = "would be banned (shadow)" if each["shadow"] else "banned"
    until = f"until {each['until']}" if each["until"] else "for good"
    line = f"{verb} as {each['network']}, {each['origin']}: {each['reason']}, since {each['since']}, {until}"
    if seen is not None:
        line += f"; {seen['count']} {seen['counted']} within {seen['window']:g} s, {seen['threshold']} are too many"
        line += f", offence {seen['offence']}"
    return line + (f"; undone at {each['confirm_by']} unless it is confirmed" if each["confirm_by"] else "")


def listing(found: list[dict[str, Any]], width: int) -> "Table":
    """
    Return bans as a table; a narrow terminal gets the columns that tell most.

    Args:
        found: As the node gave them.
        width: Of the terminal; unit columns.
    """
    words = ["Network", "Made", "Reason", "Until", *(["Since", "Refused"] if width >= WIDE_COLUMNS else [])]
    result = table(*words, right=["Refused"])
    for each in found:
        cells = {
            "Network": each["network"],
            "Made": "shadow" if each["shadow"] else each["origin"],
            "Reason": each["reason"],
            "Until": f"{each['confirm_by']} unless confirmed" if each["confirm_by"] else each["until"] or "for good",
            "Since": each["since"],
            "Refused": "-" if each["refused"] is None else number(each["refused"]),
        }
        add_row(result, *(cells[word] for word in words))
    return result


def _said(found: dict[str, Any]) -> None:
    until = f"until {found['until']}" if found["until"] else "for good"
    shadow = " in shadow: nobody is refused" if found["shadow"] else ""
    click.echo(printable(f"{found['network']} is banned {until}{shadow}"))
    if found["cut"]:
        click.echo(f"{number(found['cut'])} connections were open, and end")
    if found["confirm_by"]:
        click.echo(f"undone at {found['confirm_by']} unless `penstock confirm` comes before", err=True)


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in ("evidence", "cut")}
