"""Rounds of shaping: one stream through each of some listeners, each with a bandwidth of its own, for five seconds."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from bench import loads
from bench.figures import Sample
from bench.proxies import beside
from bench.running import Run, a_proxy, an_origin
from bench.scenarios import PENSTOCK, Scenario, Shaped
from bench.servers import ROOT

SECONDS = 5.0
"""How long a bandwidth is measured."""


def shaped_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Start Penstock once, and measure one listener after the other, again and again.

    Args:
        scenario: One whose load is `Shaped`.
        run: How.

    Yields:
        One sample for each round: for each rate how far from it was what moved (unit %), or that where there is none
        (unit 1e6 bytes/s).

    Raises:
        ServerError: If the origin or the proxy does not come up.
    """
    load = scenario.load
    assert isinstance(load, Shaped)
    with ExitStack() as stack:
        origin = stack.enter_context(an_origin(scenario, run))
        place, _ = stack.enter_context(a_proxy(PENSTOCK, scenario, run, origin))
        for number in range(1, run.effort.rounds + 1):
            sample = Sample(scenario.name, PENSTOCK, number, {})
            for at, (key, rate) in enumerate(load.rates):
                sample = measured(sample, key, rate, f"{beside(at)}:{place.port}")
            yield sample


def measured(sample: Sample, key: str, rate: int, where: str) -> Sample:
    """
    Measure one stream from target to client.

    Args:
        sample: What was measured before it.
        key: Of the value.
        rate: What the listener is shaped to; unit bytes/s, 0 for nothing.
        where: The listener.

    Returns:
        The sample with one more value.
    """
    argv = [sys.executable, "-m", "bench.pump", "client", where, "--seconds", str(SECONDS)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=loads.TIMEOUT_S, check=False, cwd=ROOT)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return replace(sample, errors=f"no report: {done.stderr.strip()[-200:]!r}")
    if report["seconds"] < SECONDS:
        return replace(sample, errors=f"the stream ended after {report['seconds']:.1f} s")
    moved = report["bytes"] / report["seconds"]
    return replace(sample, values=sample.values | {key: abs(moved / rate - 1) * 100 if rate else moved / 1e6})
