"""`penstock check`: every mistake of a configuration at once, or a table of what it would run."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.options import config_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.units import number, printable

if TYPE_CHECKING:
    from penstock.config.plan import ListenerPlan, NodePlan


@click.command()
@config_option
@output_options
def check(config_file: str | None, form: str) -> None:
    """
    Check a configuration and show what it would run.

    Nothing is bound and nothing is started. Ends with 78 if there are mistakes, one line on standard error for each.
    """
    from penstock.config.load import load  # noqa: PLC0415

    plan = load(config_file)
    for notice in plan.notices:
        click.echo(notice, err=True)
    rows = [_row(each) for each in plan.worker.listeners]
    data = {"node": plan.name, "workers": plan.workers, "admin": _admin(plan), "listeners": rows}
    emit(form, data, (each | {"targets": " ".join(each["targets"])} for each in rows), lambda: _show(plan, rows))


def _row(listener: "ListenerPlan") -> dict[str, Any]:
    return {
        "name": listener.name,
        "protocol": listener.protocol,
        "address": str(listener),
        "route": listener.route.name,
        "targets": [f"{each} x{each.weight}" if each.weight > 1 else str(each) for each in listener.targets],
        "users": len(listener.users),
    }


def _admin(plan: "NodePlan") -> str:
    from penstock.base.addresses import Endpoint  # noqa: PLC0415

    return str(Endpoint(*plan.admin)) if plan.admin else "off"


def _show(plan: "NodePlan", rows: list[dict[str, Any]]) -> None:
    screen = console()
    workers = f"{plan.workers} workers" if plan.workers else "one process"
    click.echo(f"{printable(plan.name)}: {workers}, admin {_admin(plan)}, command socket {printable(plan.socket_path)}")
    listing = table("Listener", "Protocol", "Address", "Route", "Targets", "Users", right=["Users"])
    for each in rows:
        words = [each["name"], each["protocol"], each["address"], each["route"], " ".join(each["targets"]) or "-"]
        add_row(listing, *words, number(each["users"]) if each["users"] else "-")
    screen.print(listing)
