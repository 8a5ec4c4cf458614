"""Rounds: every proxy of a scenario under the same load, one after the other, again and again."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from bench import loads, proc
from bench.collection import collection_rounds
from bench.figures import Sample
from bench.flooding import flood_rounds
from bench.machine import idle_connections
from bench.pacing import paced_rounds
from bench.proxies import LOOPBACK
from bench.running import CONNECTIONS, SETTLE_S, Run, a_proxy, an_origin, complaints
from bench.scenarios import DIRECT, OFF, PENSTOCK, Flood, Idle, Inside, Iperf, Load, Paced, Scenario, Shaped, Wrk
from bench.servers import ROOT, ServerError
from bench.shaped import shaped_rounds

REST_S = 2.5
"""After the connections of the memory scenario stand: two ticks of a sampler, and buffers that are given back late."""


@dataclass(frozen=True)
class Standing:
    """
    A proxy that is up.

    Args:
        name: Its name.
        port: Where it listens.
        pid: Its first process; 0 for `direct`, which has none.
    """

    name: str
    port: int
    pid: int


def run_scenario(scenario: Scenario, run: Run) -> list[Sample]:
    """
    Run all rounds of one scenario.

    Args:
        scenario: What to run, with the proxies that are to take part.
        run: How.

    Returns:
        All samples, those with errors too.
    """
    samples = []
    for sample in rounds_of(scenario)(scenario, run):
        run.tell(sample)
        samples.append(sample)
    return samples


def rounds_of(scenario: Scenario) -> Callable[[Scenario, Run], Iterator[Sample]]:
    """Return what runs the rounds of a scenario."""
    if isinstance(scenario.load, Inside):
        return inside_rounds
    if isinstance(scenario.load, Flood):
        return flood_rounds
    if isinstance(scenario.load, Shaped):
        return shaped_rounds
    if isinstance(scenario.load, Paced):
        return paced_rounds
    if OFF in scenario.proxies:
        return collection_rounds
    return memory_rounds if isinstance(scenario.load, Idle) else load_rounds


def inside_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Measure the supervisor's own work.

    Args:
        scenario: One whose load is `Inside`.
        run: How.

    Yields:
        One sample for each round.
    """
    assert isinstance(scenario.load, Inside)
    pinned = ["taskset", "-c", str(run.cores.proxy)] if run.cores.proxy is not None else []
    argv = [*pinned, sys.executable, "-m", scenario.load.program, "--rows", str(scenario.load.rows)]
    for number in range(1, run.effort.rounds + 1):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=loads.TIMEOUT_S, cwd=ROOT, check=False)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            yield Sample(scenario.name, PENSTOCK, number, {}, f"no report: {done.stderr.strip()[-200:]!r}")
            continue
        values = {metric.key: report[metric.key] for metric in scenario.metrics}
        yield Sample(scenario.name, PENSTOCK, number, values)


def load_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Start everybody once, warm each up, then load them in turn.

    Args:
        scenario: One whose load does work.
        run: How.

    Yields:
        One sample for each proxy and round, in order.

    Raises:
        ServerError: If the origin does not come up.
    """
    with ExitStack() as stack:
        origin = stack.enter_context(an_origin(scenario, run))
        there = line_up(stack, scenario, origin, run)
        warm = replace(run.effort, seconds=1.0, gigabytes=1, handshakes=500)
        for one in there:
            loads.run(scenario.load, warm, one.port, origin)
        for number in range(1, run.effort.rounds + 1):
            for one in there:
                yield loaded(Sample(scenario.name, one.name, number, {}), one, scenario.load, run, origin)


def line_up(stack: ExitStack, scenario: Scenario, origin: int, run: Run) -> list[Standing]:
    """Start all proxies of a scenario; one that does not start is left out and told of."""
    there = []
    for name in scenario.proxies:
        try:
            there.append(Standing(name, origin, 0) if name == DIRECT else start(stack, name, scenario, origin, run))
        except ServerError as failure:
            run.skipped(f"{name} in {scenario.name}: did not start: {failure}")
    return there


def start(stack: ExitStack, name: str, scenario: Scenario, origin: int, run: Run) -> Standing:
    """Start one proxy for as long as the stack lasts."""
    connections = run.effort.idle if isinstance(scenario.load, Idle) else CONNECTIONS
    place, pid = stack.enter_context(a_proxy(name, scenario, run, origin, connections))
    return Standing(name, place.port, pid)


def loaded(blank: Sample, proxy: Standing, load: Load, run: Run, origin: int) -> Sample:
    """
    Measure one proxy under one load.

    Args:
        blank: The sample to fill in.
        proxy: The one to load.
        load: What to send.
        run: How.
        origin: The origin's port.

    Returns:
        The sample with `cpu` (unit us per unit of work, for iperf3 ms per GB), `rate` (units/s), and latencies if the
        load tells them.
    """
    before = clocks(proxy.pid, run.cores.proxy)
    done = loads.run(load, run.effort, proxy.port, origin)
    time.sleep(SETTLE_S)
    length, busy, used = (
        after - earlier for after, earlier in zip(clocks(proxy.pid, run.cores.proxy), before, strict=True)
    )
    if not done.units:
        return replace(blank, errors=done.errors or "no work done")
    values = {"rate": done.units / max(done.seconds, 1e-9), **done.latency}
    if proxy.pid:
        values["cpu"] = used * (1e3 if counts_gigabytes(load) else 1e6) / done.units
    return replace(blank, values=values, errors=complaints(done, proxy.name), others=max(0.0, busy - used) / length)


def counts_gigabytes(load: Load) -> bool:
    """Return whether the work of a load is bytes."""
    return isinstance(load, Iperf) or (isinstance(load, Wrk) and load.gigabytes > 0)


def clocks(pid: int, core: int | None) -> tuple[float, float, float]:
    """Read the wall, the core and the proxy: monotonic time, busy time, CPU time; unit s; 0 where there is nothing."""
    busy = proc.core_busy_s(core) if core is not None else 0.0
    return time.monotonic(), busy, proc.cpu_s(pid) if pid else 0.0


def memory_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Start one proxy at a time afresh, and let connections rest in it.

    Args:
        scenario: The memory scenario.
        run: How.

    Yields:
        One sample for each proxy and round, in order.
    """
    effort = replace(run.effort, idle=idle_connections(run.effort.idle))
    run = replace(run, effort=effort)
    for number in range(1, effort.idle_rounds + 1):
        for name in scenario.proxies:
            blank = Sample(scenario.name, name, number, {})
            try:
                yield rested(blank, scenario, run)
            except ServerError as failure:
                yield replace(blank, errors=f"did not start: {failure}")


def rested(blank: Sample, scenario: Scenario, run: Run) -> Sample:
    """
    Measure what resting connections cost one proxy.

    Args:
        blank: The sample to fill in; it names the proxy.
        scenario: The memory scenario.
        run: How.

    Returns:
        The sample with `bytes` (growth per connection), `before` (unit 1e6 bytes) and `held` (connections).

    Raises:
        ServerError: If the proxy or the origin does not come up.
    """
    wanted = run.effort.idle
    with ExitStack() as stack:
        origin = stack.enter_context(an_origin(scenario, run, wanted))
        proxy = start(stack, blank.proxy, scenario, origin, run)
        time.sleep(REST_S)
        before = proc.pss_bytes(proxy.pid)
        held, after = _rest(proxy, wanted)
    errors = "" if held == wanted else f"{held} of {wanted} connections stood"
    return replace(
        blank, values={"bytes": (after - before) / max(held, 1), "before": before / 1e6, "held": held}, errors=errors
    )


def _rest(proxy: Standing, wanted: int) -> tuple[int, int]:
    argv = [sys.executable, "-m", "bench.idle", "clients", f"{LOOPBACK}:{proxy.port}", "--count", str(wanted)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as clients:
        try:
            assert clients.stdout is not None
            held = int((clients.stdout.readline().split() or ["0"])[0])
            time.sleep(REST_S)
            return held, proc.pss_bytes(proxy.pid)
        finally:
            clients.kill()
