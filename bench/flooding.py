"""Rounds of the flood: a client asks in calm, then while thousands of addresses connect as fast as they can."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import loads, proc
from bench.figures import Sample
from bench.proxies import LOOPBACK, Place
from bench.running import Run, a_proxy, an_origin
from bench.scenarios import PENSTOCK, Flood, Scenario
from bench.servers import ROOT

REST_S = 2.0
"""Behind a flood: what it held is closed, and the supervisor has counted it."""

BEGIN_S = 2.0
"""Of a flood, before the clients ask: whoever floods is first let in, as every stranger is, and served."""

FLOODED = 8_192
"""Connections that a proxy has to hold: those of the flood, of which a few thousand may wait, and the clients'."""

LOOK_S = 0.25
"""How often memory is read during a flood."""


def flood_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Start each proxy once, and flood them in turn, again and again, each time from addresses that it has not seen.

    Args:
        scenario: One whose load is `Flood`.
        run: How.

    Yields:
        One sample for each proxy and round. The flood before the first is not measured: it touches what memory tables
        have.

    Raises:
        ServerError: If the origin or a proxy does not come up.
    """
    load = scenario.load
    assert isinstance(load, Flood)
    with ExitStack() as stack:
        origin = stack.enter_context(an_origin(scenario, run, ready=True))
        there = {name: stack.enter_context(a_proxy(name, scenario, run, origin, FLOODED)) for name in scenario.proxies}
        for number in range(run.effort.rounds + 1):
            for name, (place, pid) in there.items():
                sample = flooded(Sample(scenario.name, name, number, {}), load, run, place, pid)
                if number:
                    yield sample


def flooded(blank: Sample, load: Flood, run: Run, place: Place, pid: int) -> Sample:
    """
    Measure one calm and one flood.

    Args:
        blank: The sample to fill in.
        load: What to send.
        run: How.
        place: Where the proxy is.
        pid: Its first process.

    Returns:
        The sample with `p50`, `p99` and `calm` (the calm's p99) of requests on lasting connections, `fresh` and
        `fresh_calm` (p99) of those with connections of their own (unit us), and `worse`, how many times `calm` `p99`
        is; `rate` (connections of the flooder; 1/s), `lines` (logged in the worst second), `before` and `growth` (of
        PSS; unit 1e6 bytes).
    """
    seconds = load.times * run.effort.seconds
    calm = [report(each) for each in clients(load, place, seconds)]
    words = place.directory / "words"
    told, before = words.stat().st_size, proc.pss_bytes(pid)
    sizes = ["--first", str(blank.round * load.addresses), "--count", str(load.addresses)]
    flooder = started("flood", place, BEGIN_S + seconds, *sizes)
    time.sleep(BEGIN_S)
    asking, most = clients(load, place, seconds), before
    while flooder.poll() is None:
        time.sleep(LOOK_S)
        most = max(most, proc.pss_bytes(pid))
    storm, made = [report(each) for each in asking], report(flooder)
    time.sleep(REST_S)
    most = max(most, proc.pss_bytes(pid))
    if not all((*calm, *storm, made)):
        return replace(blank, errors="a side of the flood said nothing")
    values = {
        "worse": storm[0]["p99"] / calm[0]["p99"],
        "p50": storm[0]["p50"],
        "p99": storm[0]["p99"],
        "calm": calm[0]["p99"],
        "fresh": storm[1]["p99"],
        "fresh_calm": calm[1]["p99"],
        "rate": made["made"] / made["seconds"],
        "lines": worst_second(words, told) if blank.proxy == PENSTOCK else 0.0,
        "before": before / 1e6,
        "growth": (most - before) / 1e6,
    }
    failed = sum(each["failed"] for each in (*calm, *storm))
    return replace(blank, values=values, errors=f"failed {failed:.0f}" if failed else "")


def clients(load: Flood, place: Place, seconds: float) -> list["subprocess.Popen[str]"]:
    """Start the clients that may, one on lasting connections and one on new ones, and wait until they stand."""
    pairs = (("kept", load.requests), ("fresh", load.connections))
    found = [started(role, place, seconds, "--rate", str(rate)) for role, rate in pairs]
    for each in found:
        assert each.stdout is not None
        each.stdout.readline()
    return found


def started(role: str, place: Place, seconds: float, *more: str) -> "subprocess.Popen[str]":
    """Start one side of the flood."""
    argv = [sys.executable, "-m", "bench.flood", role, f"{LOOPBACK}:{place.port}", "--seconds", str(seconds), *more]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def report(side: "subprocess.Popen[str]") -> dict[str, float]:
    """Return what one side says at its end; nothing if it says nothing."""
    text = side.communicate(timeout=loads.TIMEOUT_S)[0]
    found: dict[str, float] = json.loads(text) if text.strip() else {}
    return found


def worst_second(words: Path, begin: int) -> int:
    """Return the lines of the second in which a JSON log got most of them, from a byte of it on."""
    lines = words.read_bytes()[begin:].decode().splitlines()
    seconds = Counter(json.loads(line)["timestamp"][:19] for line in lines)
    return max(seconds.values(), default=0)
