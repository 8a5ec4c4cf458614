"""`penstock demo`: the command; what it does stands in `show`, which needs an event loop that help does not."""

import rich_click as click

from penstock.cli.options import ADMIN, Workers


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long; else on Ctrl-C.")
@click.option("--workers", "-w", type=Workers(), help="Worker processes; auto is one per core, 0 all in one.")
@click.option("--admin", type=ADMIN, help="Address of metrics and API over TCP; off for none.")
def demo(seconds: float | None, workers: str | int | None, admin: str | None) -> int:
    """
    Serve all proxies with live traffic, here and now.

    Everything stays on loopback: a TCP, an HTTP and a SOCKS5 proxy, an origin behind them, and clients that count every
    byte. At the end their counts stand beside the proxy's; ends with 1 if they differ.
    """
    import asyncio  # noqa: PLC0415

    from penstock.cli.demo.show import play  # noqa: PLC0415

    return asyncio.run(play(seconds, workers, admin))
