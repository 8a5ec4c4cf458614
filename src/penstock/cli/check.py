"""`penstock check`: every mistake of a configuration at once, or a table of what it would run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.cli.options import config_option, output_options
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.routes import all_routes, certificate_values, match_words, outcome_words, route_values, target_words
from penstock.cli.units import number, printable

if TYPE_CHECKING:
    from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan


@click.command()
@config_option
@output_options
def check(config_file: str | None, form: str) -> None:
    """
    Check a configuration and show what it would run.

    Nothing is bound and nothing is started. Ends with 78 if there are mistakes, one line on standard error for each.
    Warnings stand there too: keys with a newer name, certificates that end soon, routes that are never taken.
    """
    from penstock.config.load import load  # noqa: PLC0415

    plan = load(config_file)
    for warning in (*plan.notices, *_never_taken(plan), *(_left_out(plan) if plan.bans.lists else ())):
        click.echo(warning, err=True)
    rows = [_row(each) for each in plan.worker.listeners]
    data = {"node": plan.name, "workers": plan.workers, "admin": _admin(plan), "listeners": rows}
    data |= {"routes": [route_values(*each) for each in all_routes(plan)], "certificates": list(_certificates(plan))}
    emit(form, data, (each | {"targets": " ".join(each["targets"])} for each in rows), lambda: _show(plan, rows))


def _row(listener: "ListenerPlan") -> dict[str, Any]:
    return {
        "name": listener.name,
        "protocol": listener.protocol,
        "address": str(listener),
        "route": listener.route.name,
        "targets": target_words(listener.route),
        "users": len(listener.users),
        "users_file": listener.users_file,
    }


def _never_taken(plan: "NodePlan") -> Iterator[str]:
    from penstock.policy.evaded import evaded  # noqa: PLC0415
    from penstock.policy.pointless import pointless  # noqa: PLC0415
    from penstock.policy.unreachable import unreachable  # noqa: PLC0415

    for route, why in unreachable(plan.worker.routes):
        yield f"route[{route.name}]: is never taken: {why}"
    for route, why in evaded(plan.worker):
        yield f"route[{route.name}]: blocks {why}"
    for rule, why in pointless(plan.worker.rules, plan.worker):
        yield f"access[{rule.name}]: never counts: {why}"


def _left_out(plan: "NodePlan") -> list[str]:
    """Return block lists with who is never banned; raises ConfigurationError for mistakes in them."""
    from penstock.base.clock import SystemClock  # noqa: PLC0415 - who has no lists need not wait for numpy
    from penstock.node.bans.left_out import in_words, left_out  # noqa: PLC0415
    from penstock.node.bans.lists import read_lists  # noqa: PLC0415
    from penstock.node.bans.spared import Spared  # noqa: PLC0415

    protection = Spared(plan, SystemClock()).protection()
    found = ((each.path, left_out(each, protection)) for each in read_lists(plan.bans.lists))
    return [f"{path}: nobody bans these, and they stay out: {in_words(names)}" for path, names in found if names]


def _certificates(plan: "NodePlan") -> Iterator[dict[str, Any]]:
    for listener in plan.worker.listeners:
        for certificate in listener.tls.certificates if listener.tls else ():
            yield {"listener": listener.name} | certificate_values(certificate)


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
        add_row(listing, *words, _users(each))
    screen.print(listing)
    if routes := all_routes(plan):
        _show_routes(plan, routes)
    if certificates := list(_certificates(plan)):
        listing = table("Certificate", "Listener", "Names", "Expires")
        for each in certificates:
            add_row(listing, each["cert"], each["listener"], " ".join(each["names"]), each["expires"])
        screen.print()
        screen.print(listing)


def _users(row: dict[str, Any]) -> str:
    words = [number(row["users"])] if row["users"] else []
    return " + ".join([*words, *(["file"] if row["users_file"] else [])]) or "-"


def _show_routes(plan: "NodePlan", routes: list[tuple["RoutePlan", list[str]]]) -> None:
    listing = table("Route", "Priority", "Listeners", "Match", "Action", "To", right=["Priority"])
    for route, names in routes:
        served = "all" if len(names) == len(plan.worker.listeners) else " ".join(names)
        words = [route.name, str(route.priority), served, match_words(route.match), route.action]
        add_row(listing, *words, outcome_words(route) or "-")
    screen = console()
    screen.print()
    screen.print(listing)
