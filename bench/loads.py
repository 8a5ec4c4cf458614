"""Loads that run for a while and tell how much work was done: wrk, iperf3 and our own short proxied connections."""

import json
import subprocess
import sys
from dataclasses import dataclass, field

from bench import iperf, wrk
from bench.proxies import LOOPBACK
from bench.scenarios import Effort, Flood, Handshakes, Idle, Inside, Iperf, Light, Load, Paced, Shaped, Wrk
from bench.servers import ROOT

TIMEOUT_S = 90.0
"""The longest that one load may take; the longest by design is a bulk load on a busy machine."""


@dataclass(frozen=True)
class Done:
    """
    What a load did.

    Args:
        units: Work done: connections, requests or gigabytes.
        seconds: Length of the load; unit s.
        errors: What went wrong, in words; empty if nothing did.
        latency: Metric key to latency; unit us.
        cuts: Connections that the proxy ended after an answer without having announced it.
    """

    units: float
    seconds: float
    errors: str
    latency: dict[str, float] = field(default_factory=dict)
    cuts: int = 0


def run(load: Load, effort: Effort, proxy: int, origin: int) -> Done:
    """
    Run one load to its end.

    Args:
        load: What to send.
        effort: How long and how much.
        proxy: The port that is connected to.
        origin: The port that is asked for.

    Returns:
        What it did; a load that fails or hangs has no units and says so in `errors`.

    Raises:
        ValueError: If the load is none that runs by itself.
    """
    try:
        match load:
            case Wrk():
                return _wrk(load, effort, proxy, origin)
            case Iperf():
                return _iperf(load, effort, proxy)
            case Handshakes():
                return _handshakes(load, effort, proxy, origin)
            case Idle() | Light() | Inside() | Flood() | Shaped() | Paced():
                raise ValueError("no load that runs by itself: see what `rounds.rounds_of` names for it")
    except subprocess.TimeoutExpired:
        return Done(0, 0.0, f"not done after {TIMEOUT_S:.0f} s")


def _wrk(load: Wrk, effort: Effort, proxy: int, origin: int) -> Done:
    asked = wrk.command(load, effort.seconds, f"{LOOPBACK}:{proxy}", f"{LOOPBACK}:{origin}")
    report = wrk.parse(_output(asked))
    latency = {f"p{share}": value for share, value in report.latency.items()}
    units = report.requests * load.gigabytes if load.gigabytes else report.requests
    return Done(units, report.seconds, report.errors, latency, report.cuts)


def _iperf(load: Iperf, effort: Effort, proxy: int) -> Done:
    report = iperf.parse(_output(iperf.command(load, effort, LOOPBACK, proxy)))
    return Done(report.gigabytes, report.seconds, report.errors)


def _handshakes(load: Handshakes, effort: Effort, proxy: int, origin: int) -> Done:
    asked = [sys.executable, "-m", "bench.handshake", load.protocol, f"{LOOPBACK}:{proxy}", f"{LOOPBACK}:{origin}"]
    bounds = ["--count", effort.handshakes, "--seconds", effort.seconds, "--concurrency", load.concurrency]
    text = _output([*asked, *map(str, bounds)])
    try:
        report = json.loads(text)
    except ValueError:
        return Done(0, 0.0, f"no report: {text.strip()[-200:]!r}")
    errors = f"failed {report['failed']}" if report["failed"] else ""
    return Done(report["done"], report["seconds"], errors if report["done"] else errors or "no connections")


def _output(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT, check=False)
    return done.stdout if done.stdout.strip() else done.stderr
