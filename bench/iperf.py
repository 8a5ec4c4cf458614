"""iperf3: its command line and what its report says."""

import json
from dataclasses import dataclass

from bench.scenarios import Effort, Iperf


@dataclass(frozen=True)
class Report:
    """
    What iperf3 saw.

    Args:
        gigabytes: Bytes that arrived; unit 1e9 bytes.
        seconds: Length of the load; unit s.
        errors: What went wrong, in words; empty if nothing did.
    """

    gigabytes: float
    seconds: float
    errors: str


def command(load: Iperf, effort: Effort, host: str, port: int) -> list[str]:
    """
    Build the command line of one load.

    Args:
        load: The direction.
        effort: Bytes to move, or how long.
        host: Where to connect.
        port: Where to connect.

    Returns:
        The arguments: one stream, a JSON report.
    """
    reverse = ["-R"] if load.reverse else []
    until = ["-t", str(max(1, round(effort.seconds)))] if load.timed else ["-n", str(effort.gigabytes * 10**9)]
    return ["iperf3", "-J", "-c", host, "-p", str(port), *until, *reverse]


def parse(text: str) -> Report:
    """
    Read iperf3's JSON report.

    Args:
        text: Its standard output.

    Returns:
        The report; a text that is none moved nothing and says so in `errors`.
    """
    try:
        report = json.loads(text)
        received = report["end"]["sum_received"]
        return Report(received["bytes"] / 1e9, float(received["seconds"]), str(report.get("error", "")))
    except (ValueError, KeyError, TypeError):
        return Report(0.0, 0.0, _complaint(text))


def _complaint(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"no report from iperf3: {text.strip()[:200]!r}"
