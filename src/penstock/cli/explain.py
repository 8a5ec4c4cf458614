"""`penstock explain`: which route a connection or request would take, and why no other."""

import ipaddress
import time
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.base.addresses import is_ip, parse_target, unmap
from penstock.cli.options import TARGET, config_option
from penstock.cli.output import add_row, console, emit, table
from penstock.cli.routes import VERSIONS, match_words, outcome_words
from penstock.cli.units import printable

if TYPE_CHECKING:
    from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan
    from penstock.policy.access import Refusal
    from penstock.policy.explain import Considered, Explanation
    from penstock.policy.supposed import Question

LIMIT = 100
"""Routes in a table; a screen or two. JSON holds all."""

KEYS = {"paths": "path"}
"""Keys of a match that the configuration spells otherwise than the plan."""


class Client(click.ParamType[str]):
    """An IP address, read in its shortest form."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address."""
        try:
            return unmap(str(ipaddress.ip_address(str(value))))
        except ValueError:
            self.fail(f"{str(value)!r} is no IP address", param, ctx)


@click.command()
@config_option
@click.option("--listener", "-l", metavar="NAME", required=True, help="Which listener the client connects to.")
@click.option("--client", type=Client(), default="127.0.0.1", show_default=True, help="The client's address.")
@click.option("--host", metavar="NAME", default="", help="The name that it asks for, in TLS or as Host.")
@click.option("--path", metavar="PATH", default="", help="The path of its request, where requests are looked at.")
@click.option("--port", type=click.IntRange(1, 65_535), default=None, help="The port that it asks for.")
@click.option("--user", metavar="NAME", default="", help="Who it has proved to be.")
@click.option("--destination", "-d", type=TARGET, help="Where the client of a forward proxy wants to go.")
@click.option("--tls-version", type=click.Choice(list(VERSIONS)), help="The highest version of TLS that it offers.")
@click.option("--output", "-o", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="What is printed: a table for people, JSON for programs.")  # fmt: skip
@click.option("--json", "form", flag_value="json", type=str, help="Short for -o json.")
@click.option("--limit", type=click.IntRange(min=0), default=LIMIT, show_default=True,
    help="At most so many other routes in a table; 0 for all.")  # fmt: skip
@click.pass_context
def explain(context: click.RichContext, /, config_file: str | None, **values: Any) -> None:
    """
    Show whether a connection may come in, and which route it takes.

    It asks a configuration file; no node needs to run. Other routes are listed with the first key that does not match.

    Example: penstock explain --listener web --client 192.0.2.7 --host app.example.com --path /api/users
    """
    from penstock.config.load import load  # noqa: PLC0415
    from penstock.policy.supposed import explain_for  # noqa: PLC0415

    plan = load(config_file)
    listener = _listener(context, plan, values["listener"])
    question = _question(context, listener, values)
    told = explain_for(plan.worker.routes, listener, question)
    refusal = judged(plan, listener, question, time.localtime())
    data = answer(listener, told, refusal)
    emit(values["form"], data, (), lambda: _show(listener, told, refusal, values["limit"]))


def _listener(context: click.RichContext, plan: "NodePlan", name: str) -> "ListenerPlan":
    found = next((each for each in plan.worker.listeners if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in plan.worker.listeners[:10])
        raise click.UsageError(f"there is no listener {name!r}; there are {names}", context)
    return found


def _question(context: click.RichContext, listener: "ListenerPlan", values: dict[str, Any]) -> "Question":
    from penstock.policy.supposed import Question, looks_at_requests  # noqa: PLC0415

    if (values["destination"] or values["user"]) and not listener.forward:
        flag = "--destination" if values["destination"] else "--user"
        raise click.UsageError(f"{flag} is for forward proxies, and {listener.name} is none", context)
    if values["path"] and not looks_at_requests(listener):
        raise click.UsageError(f"--path is for reverse proxies, and {listener.name} is none", context)
    host, port = parse_target(values["destination"]) if values["destination"] else ("", 0)
    asked, its_port = _host(context, values["host"])
    return Question(
        client=values["client"],
        host=asked,
        path=_path(context, values["path"]),
        port=values["port"] or its_port,
        user=values["user"],
        destination=host,
        destination_port=port,
        tls_version=VERSIONS.get(values["tls_version"] or "", 0),
    )


def _host(context: click.RichContext, text: str) -> tuple[str, int]:
    """Return what a Host field, or a hello, with this text asks for: a name, and a port or 0."""
    from penstock.protocols.http1.errors import BadRequest  # noqa: PLC0415
    from penstock.protocols.http1.target import parse_authority  # noqa: PLC0415

    if not text or is_ip(text):
        return text, 0
    try:
        host, port = parse_authority(text.encode(), 80)
    except BadRequest as error:
        raise click.UsageError(f"--host: a request for {text!r} is answered with 400: {error}", context) from error
    return host, port if text.endswith(f":{port}") else 0


def _path(context: click.RichContext, text: str) -> str:
    """Return the path that rules see of a request for `text`; empty for none."""
    from penstock.protocols.http1.errors import BadRequest  # noqa: PLC0415
    from penstock.protocols.http1.paths import normalize  # noqa: PLC0415

    path = text.partition("?")[0]
    try:
        if text and not (path.startswith("/") and path.isascii() and path.isprintable() and not {" ", "#"} & set(path)):
            raise BadRequest(400, "a path begins with a slash and has no spaces, fragments or other letters than ASCII")
        return normalize(path.encode())[0] if path else ""
    except BadRequest as error:
        raise click.UsageError(f"--path: a request for {text!r} is answered with 400: {error}", context) from error


def judged(plan: "NodePlan", listener: "ListenerPlan", question: "Question", now: time.struct_time) -> "Refusal | None":
    """
    Return why access rules would refuse a client; None if they would not, as far as names tell.

    Args:
        plan: With the rules.
        listener, question: What is asked.
        now: By the clock of the machine that the node is to run on.
    """
    from penstock.dataplane.doorman import minute_of_week  # noqa: PLC0415
    from penstock.dataplane.equipment import access_of  # noqa: PLC0415
    from penstock.policy.facts import RouteFacts  # noqa: PLC0415
    from penstock.policy.ranges import address_number  # noqa: PLC0415

    host, port = question.destination, question.destination_port
    facts = RouteFacts(
        listener=listener.id,
        user=question.user,
        port=port or question.port or listener.port,
        destination=host,
        destination_port=port,
    )
    address = host if is_ip(host) else ""
    return access_of(plan.worker, listener).refusal(
        facts, address_number(question.client), minute_of_week(now), address
    )


def answer(listener: "ListenerPlan", told: "Explanation", refusal: "Refusal | None" = None) -> dict[str, Any]:
    """
    Return the whole answer, for programs.

    Args:
        listener: That was asked about.
        told: What is decided there.
        refusal: What access rules say before any route is asked; None for nothing.
    """
    route = told.decision.route
    return {
        "listener": listener.name,
        "route": route.name,
        "why": told.decision.why,
        "action": route.action,
        "outcome": _outcome(route, listener),
        "refused": None if refusal is None else {"reason": str(refusal.reason), "why": refusal.detail},
        "considered": [
            {
                "route": each.route.name,
                "priority": each.route.priority,
                "taken": each.route is route,
                "missed": None if each.missed is None else KEYS.get(each.missed, each.missed),
                "match": match_words(each.route.match),
            }
            for each in told.considered
        ],
    }


def _outcome(route: "RoutePlan", listener: "ListenerPlan") -> str:
    return outcome_words(route, forward=listener.forward)


def _show(listener: "ListenerPlan", told: "Explanation", refusal: "Refusal | None", limit: int) -> None:
    route, why = told.decision
    if refusal is not None:
        click.echo(printable(f"{listener.name}: refused ({refusal.reason}): {refusal.detail}; otherwise"))
    own = "" if route is not listener.route else ", the listener's own"
    click.echo(
        printable(f"{listener.name}: route {route.name}{own}: {route.action} {_outcome(route, listener)}".rstrip())
    )
    click.echo(printable(f"because {why}"))
    nearest = sorted(told.considered, key=lambda each: (each.route is not route, each.missed is not None))
    shown = nearest[: limit or None]
    if not shown:
        return
    listing = table("Route", "Priority", "Match", "Verdict", right=["Priority"])
    for each in shown:
        add_row(listing, each.route.name, str(each.route.priority), match_words(each.route.match), verdict(each, told))
    console().print(listing)
    if more := len(told.considered) - len(shown):
        click.echo(f"and {more} more; --limit 0 shows all", err=True)


def verdict(each: "Considered", told: "Explanation") -> str:
    """Return what became of one route, in words."""
    taken = told.decision.route
    if each.route is taken:
        return "taken"
    if each.missed is not None:
        return f"{KEYS.get(each.missed, each.missed)} does not match"
    if each.route.priority < taken.priority:
        return f"matches too, with a lower priority than {taken.name}"
    return f"matches too; {taken.name} is more specific, or stands before it"
