"""`penstock run`: serve a configuration file. And what all serving commands share: a plan becomes a node."""

from typing import Any

import rich_click as click

from penstock.cli.options import config_option, serving_options

FLAGS = {
    "name": "--name",
    "workers": "--workers",
    "admin": "--admin",
    "admin_token_file": "--admin-token-file",
    "state_dir": "--state-dir",
    "connections": "--connections",
    "idle": "--idle",
    "splice": "--splice",
    "metrics": "--metrics",
    "statsd": "--statsd",
    "log_level": "--log-level",
    "log_format": "--log-format",
}
"""The flags of `serving_options` by the names of their parameters, as `penstock.config` knows them."""


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the serving options as flags with their values; None for what was not given."""
    return {FLAGS[parameter]: value for parameter, value in values.items()}


@click.command()
@config_option
@serving_options
def run(config_file: str | None, **values: Any) -> int:
    """
    Serve what a configuration file describes.

    Flags win over the environment (PENSTOCK__SECTION__KEY), which wins over the file. SIGHUP reads all of them
    again. SIGTERM and Ctrl-C drain, a second one ends at once.
    """
    from penstock.config.load import layered  # noqa: PLC0415 - pydantic takes longer than the rest of the start
    from penstock.node.run import run as serve  # noqa: PLC0415

    flags = given(values)
    base = layered(config_file, flags=flags)
    return serve(base.plan(), source=lambda: layered(config_file, flags=flags), base=base)
