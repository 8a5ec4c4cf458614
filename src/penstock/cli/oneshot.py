"""`penstock tcp`, `http` and `socks5`: a proxy from the command line alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import rich_click as click
from click.core import ParameterSource

from penstock.cli.options import LISTEN, TARGET, auth_option, listen_option, serving_options
from penstock.cli.serve import given

also_http = click.option(
    "--http", type=LISTEN, multiple=True, help="Also serve an HTTP proxy at this address; may be given several times."
)
also_socks5 = click.option(
    "--socks5",
    type=LISTEN,
    multiple=True,
    help="Also serve a SOCKS5 proxy at this address; may be given several times.",
)


@click.command()
@listen_option
@click.option(
    "--target", "-t", type=TARGET, multiple=True, required=True,
    help="Where connections go; given several times, they take turns.",
)  # fmt: skip
@also_http
@also_socks5
@auth_option
@serving_options
@click.pass_context
def tcp(
    ctx: click.RichContext,
    /,
    listen: tuple[str, ...],
    target: tuple[str, ...],
    http: tuple[str, ...],
    socks5: tuple[str, ...],
    auth: str | None,
    **values: Any,
) -> int:
    """
    Serve a TCP proxy: every connection goes to a target.

    Example: penstock tcp --listen :8001 --target example.com:80 --target example.org:80
    """
    if auth and not (http or socks5) and ctx.get_parameter_source("auth") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--auth asks HTTP and SOCKS5 clients for a login; plain TCP knows none", ctx)
    tables = [{"protocol": "tcp", "listen": each, "targets": list(target)} for each in listen]
    return _serve([*tables, *_proxies("http", http, auth), *_proxies("socks5", socks5, auth)], values)


@click.command()
@listen_option
@also_socks5
@auth_option
@serving_options
def http(listen: tuple[str, ...], socks5: tuple[str, ...], auth: str | None, **values: Any) -> int:
    """
    Serve an HTTP forward proxy, CONNECT included.

    Example: penstock http --listen :8002 --auth user:password
    """
    return _serve([*_proxies("http", listen, auth), *_proxies("socks5", socks5, auth)], values)


@click.command()
@listen_option
@also_http
@auth_option
@serving_options
def socks5(listen: tuple[str, ...], http: tuple[str, ...], auth: str | None, **values: Any) -> int:
    """
    Serve a SOCKS5 proxy, SOCKS4 and 4a as a courtesy.

    Example: penstock socks5 --listen :8003 --auth user:password
    """
    return _serve([*_proxies("socks5", listen, auth), *_proxies("http", http, auth)], values)


def _proxies(protocol: str, listen: Sequence[str], auth: str | None) -> list[dict[str, Any]]:
    return [{"protocol": protocol, "listen": each, "auth": auth} for each in listen]


def _serve(listeners: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> int:
    from penstock.config.one_shot import one_shot_layers  # noqa: PLC0415 - pydantic takes longer than the rest of the start
    from penstock.node.run import run  # noqa: PLC0415

    flags = given(values)
    workers, admin = flags.pop("--workers"), flags.pop("--admin")
    base = one_shot_layers(listeners, workers=workers, admin=admin, flags=flags)
    return run(base.plan(), base=base)
