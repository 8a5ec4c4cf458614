"""wrk: its command line and what its report says."""

import re
from dataclasses import dataclass
from pathlib import Path

from bench.scenarios import SERVED, Wrk

ABSOLUTE = Path(__file__).with_name("absolute.lua")
VARIED = Path(__file__).with_name("varied.lua")
US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}

_DONE = re.compile(r"^\s*(\d+) requests in ([\d.]+)(us|ms|s|m),", re.MULTILINE)
_LATENCY = re.compile(r"^\s*(50|75|90|99)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_SOCKET = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_STATUS = re.compile(r"Non-2xx or 3xx responses: (\d+)")


@dataclass(frozen=True)
class Report:
    """
    What wrk saw.

    Args:
        requests: Answers received.
        seconds: Length of the load; unit s.
        latency: Percentile to latency; unit us.
        errors: What went wrong, in words, cuts apart; empty if nothing did.
        cuts: Connections that ended where wrk meant to go on (its read errors).
    """

    requests: int
    seconds: float
    latency: dict[int, float]
    errors: str
    cuts: int


def command(load: Wrk, seconds: float, proxy: str, origin: str) -> list[str]:
    """
    Build the command line of one load.

    Args:
        load: Connections and form of the requests.
        seconds: Length of the load; unit s; wrk takes whole ones, so it is rounded up to at least 1.
        proxy: `host:port` that is connected to.
        origin: `host:port` that is asked for.

    Returns:
        The arguments, one thread.
    """
    close = ["-H", "Connection: close"] if load.close else []
    script = ["-s", str(VARIED if load.varied else ABSOLUTE)] if load.absolute else []
    extra = ["--", f"http://{origin}/", origin] if load.absolute else []
    length = f"{max(1, round(seconds))}s"
    if load.secure:
        proxy = f"{SERVED}:{proxy.rpartition(':')[2]}"
    url = f"{'https' if load.secure else 'http'}://{proxy}{load.path}"
    fixed = ["wrk", "-t1", f"-c{load.connections}", "-d", length, "--timeout", "5s", "--latency"]
    return [*fixed, *close, *script, url, *extra]


def parse(text: str) -> Report:
    """
    Read wrk's report.

    Args:
        text: Its standard output.

    Returns:
        The report; a text that is none has no requests and says so in `errors`.
    """
    done = _DONE.search(text)
    if done is None:
        return Report(0, 0.0, {}, f"no report from wrk: {text.strip()[:200]!r}", 0)
    latency = {int(share): float(value) * US[unit] for share, value, unit in _LATENCY.findall(text)}
    seconds = float(done[2]) * US[done[3]] / 1e6
    sockets = _SOCKET.search(text)
    return Report(int(done[1]), seconds, latency, _errors(text, int(done[1])), int(sockets[2]) if sockets else 0)


def _errors(text: str, requests: int) -> str:
    found = []
    if sockets := _SOCKET.search(text):
        counts = {"connect": sockets[1], "write": sockets[3], "timeout": sockets[4]}
        found += [f"{name} {count}" for name, count in counts.items() if count != "0"]
    if status := _STATUS.search(text):
        found.append(f"status {status[1]}")
    if not requests:
        found.append("no answers")
    return ", ".join(found)
