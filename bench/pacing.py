"""
Rounds of a paced load: all proxies in short turns, at a part of the rate of new connections that Penstock can serve.

Where others use the machine, too, a half would be too much: at half its speed it is full, and its queue is all that is
seen.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from bench import loads
from bench.figures import Sample
from bench.proxies import LOOPBACK, Place
from bench.running import Run, a_proxy, an_origin
from bench.scenarios import PENSTOCK, Handshakes, Paced, Scenario
from bench.servers import ROOT, ServerError
from bench.urgency import urgent

FULL = Handshakes("direct", 4)
"""What fills a proxy, to see how many it can serve."""


def paced_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Start all proxies, fill each for a second, and then load them in turns, again and again.

    Args:
        scenario: One whose load is `Paced`.
        run: How.

    Yields:
        One sample for each proxy and round, in order: `p50` and `p99` (unit us), and `rate` (unit connections/s).

    Raises:
        ServerError: If the origin or a proxy does not come up, or Penstock serves nobody.
    """
    load = scenario.load
    assert isinstance(load, Paced)
    with ExitStack() as stack:
        origin = stack.enter_context(an_origin(scenario, run))
        there = {name: stack.enter_context(a_proxy(name, scenario, run, origin))[0] for name in scenario.proxies}
        rate = load.share * capacity(there, run)
        stack.enter_context(urgent())
        for number in range(1, run.effort.rounds + 1):
            reports = paced(load, list(there.values()), rate, run, number)
            for name, report in zip(there, reports, strict=True):
                yield sample_of(Sample(scenario.name, name, number, {}), report, rate)


def capacity(there: dict[str, Place], run: Run) -> float:
    """Warm each proxy up, Penstock last, and return what that serves when it is full; unit connections/s."""
    warm, found = replace(run.effort, seconds=1.0, handshakes=100_000), {}
    for name, place in reversed(there.items()):
        done = loads.run(FULL, warm, place.port, place.target)
        found[name] = done.units / max(done.seconds, 1e-9)
    if not found.get(PENSTOCK):
        raise ServerError(f"{PENSTOCK} serves nobody")
    return found[PENSTOCK]


def paced(load: Paced, there: list[Place], rate: float, run: Run, number: int) -> list[dict[str, float]]:
    """Run one round's turns, and return what each proxy's clients have seen; nothing where they say nothing."""
    argv = [sys.executable, "-m", "bench.pace", *(f"{LOOPBACK}:{place.port}" for place in there)]
    sizes = ["--rate", rate, "--seconds", load.times * run.effort.seconds, "--seed", number]
    done = subprocess.run(
        [*argv, *map(str, sizes)], capture_output=True, text=True, timeout=loads.TIMEOUT_S, cwd=ROOT, check=False
    )
    try:
        found: list[dict[str, float]] = json.loads(done.stdout)
    except ValueError:
        return [{} for _ in there]
    return found


def sample_of(blank: Sample, report: dict[str, float], rate: float) -> Sample:
    """
    Make a sample of a report.

    Args:
        blank: The sample to fill in.
        report: What the clients have seen.
        rate: At which they came; unit connections/s.
    """
    if not report.get("done"):
        return replace(blank, errors="no connections")
    values = {"p50": report["p50"], "p99": report["p99"], "rate": rate}
    return replace(blank, values=values, errors=f"failed {report['failed']}" if report["failed"] else "")
