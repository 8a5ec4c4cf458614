"""The demo itself: starts everything, shows it, and compares two counts of every byte at the end."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import rich_click as click

from penstock.base.addresses import Endpoint
from penstock.cli.demo.clients import Tally, Traffic, crowd
from penstock.cli.demo.origin import Origin, echo, http
from penstock.cli.demo.screen import Reckoning, Screen, commands, summary, verdict
from penstock.cli.exits import Exit
from penstock.cli.nodes import alive, is_alive
from penstock.cli.output import console
from penstock.config import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.node.supervisor import Supervisor

PORTS = {"tcp": 8001, "http": 8002, "socks5": 8003}
"""Where the proxies listen if nobody else does; else the kernel chooses."""

SETTLE_SECONDS = 5.0
"""From the last client's end until the node has counted it; its tick comes once a second."""

NAME = "demo"


async def play(seconds: float | None, workers: str | int | None, admin: str | None) -> int:
    """
    Run the demo and return its exit code.

    Args:
        seconds: How long; None until Ctrl-C.
        workers: As of `--workers`; None for the default.
        admin: As of `--admin`; None for the default.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)  # a second one ends us the hard way

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    async with AsyncExitStack() as stack:
        echo_origin = await stack.enter_async_context(Origin(echo))
        http_origin = await stack.enter_async_context(Origin(http))
        name = free_name()
        others = name if alive() else ""
        node = await stack.enter_async_context(_node(name, echo_origin, workers, admin))
        proxies = dict(node.addresses.listeners)
        tallies = {name: Tally(name) for name in proxies}
        page = Endpoint(http_origin.host, http_origin.port)
        hints = commands(proxies, page, others, node.addresses.admin)
        clients = crowd(tallies, proxies, Endpoint(echo_origin.host, echo_origin.port), page)
        async with Traffic(clients):
            await _show(node, Screen(proxies, hints, seconds), tallies, seconds, stop)
        await _settle(node, tallies)
    return _reckon(_stats(node), tallies)


@asynccontextmanager
async def _node(name: str, origin: Origin, workers: str | int | None, admin: str | None) -> "AsyncIterator[Supervisor]":
    """Give a node with all three proxies; it has stopped, and its counts are final, when the block ends."""
    from penstock.config.one_shot import one_shot  # noqa: PLC0415 - `demo --help` needs no pydantic
    from penstock.node.log import make_log  # noqa: PLC0415
    from penstock.node.supervisor import Supervisor  # noqa: PLC0415

    target = f"{origin.host}:{origin.port}"
    tables: list[dict[str, Any]] = [
        {"name": each, "protocol": each, "listen": f"127.0.0.1:{free_port(port)}"} for each, port in PORTS.items()
    ]
    tables[0]["targets"] = [target]
    plan = one_shot(tables, workers=workers, admin=admin, environ=None, flags={"--name": name})
    supervisor = Supervisor(plan, log=make_log("error", "console"))  # the screen is the log
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def free_name() -> str:
    """Return the demo's usual name, or one of its own if another demo runs."""
    return f"{NAME}-{os.getpid()}" if is_alive(str(runtime.socket_path(NAME))) else NAME


def free_port(wanted: int) -> int:
    """Return a port of 127.0.0.1 that can be bound, or 0 for any other if it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener will
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


def _stats(node: "Supervisor") -> dict[str, Any]:
    """Return the node's newest counts as its admin door would give them."""
    import msgspec  # noqa: PLC0415

    stats: dict[str, Any] = msgspec.to_builtins(node.snapshot().stats())
    return stats


async def _show(
    node: "Supervisor", screen: Screen, tallies: Mapping[str, Tally], seconds: float | None, stop: asyncio.Event
) -> None:
    """Show the live figures, once a second, until it is time to end."""
    started = time.monotonic()
    with _canvas(screen) as draw:
        while not stop.is_set():
            elapsed = time.monotonic() - started
            if seconds is not None and elapsed >= seconds:
                return
            stats = _stats(node)
            screen.add(stats)
            draw(stats, tallies, elapsed)
            await _wait(stop, 1.0 if seconds is None else min(1.0, max(0.01, seconds - elapsed)))


Draw = Callable[[dict[str, Any], Mapping[str, Tally], float], None]


@contextmanager
def _canvas(screen: Screen) -> "Iterator[Draw]":
    """Give a function that shows one reading: on the whole terminal, or as a line."""
    out = console()
    if not out.is_terminal:
        click.echo("\n".join(screen.introduction()))
        yield lambda stats, tallies, elapsed: click.echo(screen.line(stats, elapsed))
        return
    from rich.live import Live  # noqa: PLC0415

    with Live(console=out, screen=True, auto_refresh=False) as live:
        yield lambda stats, tallies, elapsed: live.update(
            screen.picture(stats, tallies, elapsed, out.width), refresh=True
        )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        pass


async def _settle(node: "Supervisor", tallies: Mapping[str, Tally]) -> None:
    """Wait until the node has seen our clients leave; visitors may stay until it stops."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        stats = _stats(node)
        left = {each["name"]: each["active"] for each in stats["listeners"]}
        if not any(left[name] for name in tallies):
            return
        await asyncio.sleep(0.1)


def _reckon(stats: Mapping[str, Any], tallies: Mapping[str, Tally]) -> int:
    counted = {each["name"]: each for each in stats["listeners"]}
    reckonings = [Reckoning(tally, counted[name]) for name, tally in tallies.items()]
    click.echo()
    console().print(summary(reckonings))
    click.echo(verdict(reckonings))
    fine = all(each.agrees and not each.tally.failures for each in reckonings)
    return Exit.OK if fine else Exit.FAILURE
