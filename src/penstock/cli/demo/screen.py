"""What the demo shows: a live screen on a terminal, a line a second elsewhere, and the reckoning at the end."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.base.addresses import Endpoint
from penstock.cli.demo.clients import Tally
from penstock.cli.output import add_row, table
from penstock.cli.status import scopes
from penstock.cli.units import duration, number, rate, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

HISTORY = 60
"""Seconds of the little charts."""

BARS = " ▁▂▃▄▅▆▇█"


def spark(values: deque[float], width: int) -> str:
    """Return the last values as a line of bars, the highest of them full; flush right."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    bars = "".join(BARS[min(8, int(value / top * 8 + 0.999))] if top else BARS[0] for value in shown)
    return bars.rjust(width)


def commands(
    proxies: Mapping[str, Endpoint], http_origin: Endpoint, node: str = "", admin: Endpoint | None = None
) -> list[str]:
    """
    Return what a visitor can type in another terminal.

    Args:
        proxies: Addresses by listener.
        http_origin: Where requests can go.
        node: Name of the demo's node, if others run beside it; else empty.
        admin: Address of metrics and API; None for none.
    """
    return [
        f"curl -x http://{proxies['http']} http://{http_origin}/",
        f"curl --socks5-hostname {proxies['socks5']} http://{http_origin}/",
        f"penstock connections --watch{f' --node {node}' if node else ''}",
        *([f"curl http://{admin}/metrics"] if admin else []),
    ]


class Screen:
    """
    The live view.

    Args:
        proxies: Addresses by listener.
        hints: What a visitor can type, as of `commands`.
        seconds: How long the demo runs; None until Ctrl-C.
    """

    def __init__(self, proxies: Mapping[str, Endpoint], hints: Sequence[str], seconds: float | None) -> None:
        self._proxies, self._commands, self._seconds = proxies, hints, seconds
        self._history: dict[str, deque[float]] = {name: deque(maxlen=HISTORY) for name in ("bytes_in", "bytes_out")}

    def add(self, stats: Mapping[str, Any]) -> None:
        """Take a new reading into the charts."""
        for name, values in self._history.items():
            values.append(stats["throughput"][name])

    def introduction(self) -> list[str]:
        """Return addresses and commands, as lines."""
        where = [f"  {name:7} {address}" for name, address in self._proxies.items()]
        return [
            "Penstock serves, with live traffic from its own clients:",
            *where,
            "In another terminal:",
            *(f"  {line}" for line in self._commands),
        ]

    def line(self, stats: Mapping[str, Any], elapsed: float) -> str:
        """Return one reading as a line, for where there is no terminal."""
        totals, now = stats["totals"], stats["throughput"]
        return (
            f"{duration(elapsed):>6}  open {totals['active']}  total {totals['connections']}  "
            f"requests {totals['requests']}  in {size(totals['bytes_in'])} ({rate(now['bytes_in'])})  "
            f"out {size(totals['bytes_out'])} ({rate(now['bytes_out'])})"
        )

    def picture(
        self, stats: Mapping[str, Any], tallies: Mapping[str, Tally], elapsed: float, width: int
    ) -> "RenderableType":
        """Return the whole screen."""
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        totals, now = stats["totals"], stats["throughput"]
        left = "Ctrl-C ends" if self._seconds is None else f"{duration(max(0.0, self._seconds - elapsed))} left"
        workers = stats["workers"]["alive"]
        chart = max(10, min(HISTORY, width - 30))
        failures = sum(tally.failures for tally in tallies.values())
        return Group(
            Text.assemble(("Penstock demo", "bold"), f"  up {duration(elapsed)}, {workers} workers, {left}"),
            Text(),
            *(
                Text.assemble(f"{word:4}{rate(now[name]):>12}  ", (spark(self._history[name], chart), "cyan"))
                for word, name in (("in", "bytes_in"), ("out", "bytes_out"))
            ),
            Text(),
            scopes("Listener", stats["listeners"], width),
            Text(),
            Text(
                f"{number(totals['active'])} open, {number(totals['connections'])} connections, "
                f"{number(totals['requests'])} requests, "
                f"{number(sum(tally.exchanges for tally in tallies.values()))} answers checked"
                f"{f', {number(failures)} connections failed' if failures else ''}"
            ),
            Text(),
            Text("In another terminal:", style="bold"),
            *(Text(f"  {line}") for line in self._commands),
        )


class Reckoning(NamedTuple):
    """
    One listener at the end: what our clients moved and what the proxy counted.

    Args:
        tally: Of the clients.
        counted: The listener in the node's stats.
    """

    tally: Tally
    counted: Mapping[str, Any]

    @property
    def others(self) -> tuple[int, int, int]:
        """Connections, bytes in and bytes out that the proxy counted and our clients did not make."""
        mine, counted = self.tally, self.counted
        return (
            counted["connections"] - mine.opened,
            counted["bytes_in"] - mine.sent,
            counted["bytes_out"] - mine.received,
        )

    @property
    def agrees(self) -> bool:
        """Return whether nothing is left over; where visitors came, whether nothing is missing."""
        if self.visited:
            return min(self.others) >= 0
        return not any(self.others)

    @property
    def visited(self) -> bool:
        """Return whether others than our clients connected."""
        return self.others[0] > 0


def verdict(reckonings: list[Reckoning]) -> str:
    """Return the demo's last line."""
    bad = [each.tally.name for each in reckonings if not each.agrees]
    failed = sum(each.tally.failures for each in reckonings)
    if bad:
        return f"The counts differ: {', '.join(bad)}."
    if failed:
        last = next(each.tally.last_failure for each in reckonings if each.tally.last_failure)
        return f"{number(failed)} connections of the clients failed, the last one with: {last}"
    visitors = sum(each.others[0] for each in reckonings if each.visited)
    if visitors:
        return f"Nothing is missing. {number(visitors)} connections were not the demo's own; their bytes stand apart."
    moved = sum(each.tally.sent + each.tally.received for each in reckonings)
    return f"Exact: the proxy counted each of the {number(moved)} bytes that the clients moved, and no other."


def summary(reckonings: list[Reckoning]) -> "Table":
    """Return the table that puts both counts side by side; what is left over is the visitors', if there were any."""
    visited = any(each.visited for each in reckonings)
    figures = ["Clients", "Proxy", *(["Visitors"] if visited else [])]
    result = table("Listener", "", *figures, "", right=figures)
    for each in reckonings:
        mine, counted = each.tally, each.counted
        name = mine.name
        clients = (mine.opened, mine.sent, mine.received)
        for what, key, ours, rest in zip(_WHAT, _KEYS, clients, each.others, strict=True):
            visitors = [number(rest) if each.visited else ""] if visited else []
            add_row(result, name, what, number(ours), number(counted[key]), *visitors, _judgement(rest, each.visited))
            name = ""
    return result


_WHAT = ("connections", "bytes in", "bytes out")
_KEYS = ("connections", "bytes_in", "bytes_out")


def _judgement(rest: int, visited: bool) -> str:
    if visited and rest >= 0:
        return ""
    return "DIFFERS" if rest else "equal"
