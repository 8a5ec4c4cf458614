"""`penstock config`: the schema that editors use, and the values that are in effect."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.base.addresses import Endpoint
from penstock.base.clock import NS
from penstock.base.urls import shown_url
from penstock.cli.options import config_option
from penstock.cli.output import to_yaml
from penstock.cli.routes import HIDDEN, all_routes, is_written, listener_values, route_values, target_values

if TYPE_CHECKING:
    from penstock.config.plan import AccessPlan, ListenerPlan, MetricsPlan, NodePlan
    from penstock.config.tls_plan import AcmePlan


@click.group()
def config() -> None:
    """Show the configuration's schema or effective values."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of penstock.toml."""
    from penstock.config.schema import json_schema  # noqa: PLC0415

    click.echo(json.dumps(json_schema(), indent=2))


@config.command()
@config_option
@click.option("--json", "form", flag_value="json", type=str, help="Short for -o json.")
@click.option(
    "--output", "-o", "form", type=click.Choice(["toml", "json", "yaml"]), default="toml", show_default=True,
    help="What is printed.",
)  # fmt: skip
def show(config_file: str | None, form: str) -> None:
    """
    Show the values in effect, defaults included.

    File and environment are applied as `penstock run` does. Passwords and tokens are hidden.
    """
    from penstock.config.load import load  # noqa: PLC0415

    plan = load(config_file)
    values = effective(plan)
    for notice in plan.notices:
        click.echo(notice, err=True)
    writers: dict[str, Callable[[dict[str, Any]], str]] = {"toml": to_toml, "yaml": to_yaml, "json": _to_json}
    click.echo(writers[form](values))


def effective(plan: "NodePlan") -> dict[str, Any]:
    """Return a plan in the words of the configuration file, with its secrets hidden."""
    worker = plan.worker
    timeouts = worker.timeouts
    return {
        "node": {
            "name": plan.name, "workers": plan.workers, "state_dir": plan.state_dir, "splice": worker.splice,
        },
        "admin": {"listen": str(Endpoint(*plan.admin)) if plan.admin else "off"}
        | ({"token": HIDDEN} if plan.admin_token else {}),
        "limits": {"connections": worker.connections},
        "timeouts": {name: _duration(getattr(timeouts, name)) for name in timeouts.__struct_fields__},
        "dns": {"ttl": _duration(worker.dns_ttl), "negative_ttl": _duration(worker.dns_negative_ttl)},
        "log": {"level": plan.log_level, "format": plan.log_format} | _access(worker.access),
        "store": {"path": plan.store.path or "off", "flush": _duration(plan.store.flush)},
        "metrics": _metrics(plan.metrics),
        **({"acme": _acme(plan.acme)} if plan.acme.certificates else {}),
        "listener": [_listener(each) for each in worker.listeners],
    } | ({"route": routes} if (routes := [route_values(*each) for each in all_routes(plan)]) else {})  # fmt: skip


def _metrics(plan: "MetricsPlan") -> dict[str, Any]:
    said = {name: getattr(plan, name) for name in plan.__struct_fields__}
    samples = {"seconds": NS, "minutes": 60 * NS, "hours": 3_600 * NS}
    kept = {name: _duration(said.pop(name) * each) for name, each in samples.items()}
    return {"enabled": said.pop("enabled"), "sample_interval": "1s", "retention": kept} | said | {
        "labels": list(plan.labels),
        "statsd": str(Endpoint(*plan.statsd)) if plan.statsd else "off",
        "push": shown_url(plan.push) if plan.push else "off",
        "otlp": shown_url(plan.otlp) if plan.otlp else "off",
        "export_interval": _duration(plan.export_interval),
    }  # fmt: skip


def _acme(acme: "AcmePlan") -> dict[str, Any]:
    names = [list(each.names) for each in acme.certificates]
    said = {"directory": acme.directory, "challenge": acme.challenge, "storage": acme.storage}
    given = {"email": acme.email, "ca": acme.ca}
    return {"domains": names} | said | {key: value for key, value in given.items() if value}


def _access(access: "AccessPlan") -> dict[str, Any]:
    said: dict[str, Any] = {"access": access.format}
    return said if access.format == "off" else said | {"access_file": access.file, "access_query": access.query}


def _duration(ns: int) -> str:
    from penstock.config.units import serialize_duration  # noqa: PLC0415

    return serialize_duration(ns) if ns else "off"


def _listener(plan: "ListenerPlan") -> dict[str, Any]:
    values: dict[str, Any] = {"name": plan.name, "listen": str(plan), "protocol": plan.protocol}
    values |= listener_values(plan)
    if plan.targets and not is_written(plan.route):
        values["targets"] = [target_values(each) for each in plan.targets]
    if plan.detect:
        values["detect"] = list(plan.detect)
    if plan.users:
        values["users"] = dict.fromkeys(plan.users, HIDDEN)
    if plan.users_file:
        values["users_file"] = plan.users_file
    return values


def _to_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2)


def to_toml(values: dict[str, Any]) -> str:
    """Return sections, and lists of tables, as TOML."""
    blocks = []
    for section, content in values.items():
        for each in content if isinstance(content, list) else [content]:
            heading = f"[[{section}]]" if isinstance(content, list) else f"[{section}]"
            blocks.append("\n".join([heading, *(f"{key} = {_toml(value)}" for key, value in each.items())]))
    return "\n\n".join(blocks)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # a basic string of TOML is JSON's otherwise
