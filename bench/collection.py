"""
What collection costs, and what limits do: one Penstock under the same load, with each switched on and off in turn.

It is one and the same process: two of them differ by a few percent in whatever memory they got, which is more than what
is looked for. Each measurement begins behind a tick, so that equal times hold equally many ticks.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus

from bench import loads, proc
from bench.figures import Sample
from bench.loads import Done
from bench.machine import idle_connections
from bench.proxies import LOOPBACK, Place, guarded
from bench.running import CONNECTIONS, SETTLE_S, Run, a_proxy, an_origin, complaints
from bench.scenarios import ENTRANCE, OFF, PENSTOCK, Iperf, Light, Load, Scenario
from bench.servers import ROOT, ServerError

BEHIND_S = 0.3
"""How long after a wall second a measurement begins: the tick that comes with it is over."""

ELSEWHERE = "192.0.2.255"
"""A client that is banned."""

SWITCH_S = 15.0
"""The longest wait for the node to obey."""


def collection_rounds(scenario: Scenario, run: Run) -> Iterator[Sample]:
    """
    Start Penstock once, and load it again and again, with its collection on and off.

    Args:
        scenario: One whose proxies are Penstock, and Penstock with its collection off.
        run: How.

    Yields:
        One sample for each state and round; every other round begins with the other state.

    Raises:
        ServerError: If the origin or the proxy does not come up.
    """
    light = isinstance(scenario.load, Light)
    wanted = idle_connections(run.effort.idle) if light else CONNECTIONS
    with ExitStack() as stack:
        origin = stack.enter_context(an_origin(scenario, run, wanted))
        place, pid = stack.enter_context(a_proxy(PENSTOCK, scenario, run, origin, wanted))
        crowd = stack.enter_context(standing(place.port, wanted)) if light else None
        warm = replace(run.effort, seconds=1.0, gigabytes=1)
        worked(scenario.load, replace(run, effort=warm), place, crowd)
        for number in range(1, run.effort.rounds + 1):
            for name in scenario.proxies if number % 2 else reversed(scenario.proxies):
                if scenario.kind == ENTRANCE:
                    guard(place, name != OFF)
                else:
                    switch(place.admin, name != OFF)
                yield measured(Sample(scenario.name, name, number, {}), scenario.load, run, place, pid, crowd)


def measured(
    blank: Sample, load: Load, run: Run, place: Place, pid: int, crowd: "subprocess.Popen[str] | None"
) -> Sample:
    """
    Measure one load.

    Args:
        blank: The sample to fill in.
        load: What to send.
        run: How.
        place: Where the proxy is.
        pid: Its supervisor.
        crowd: The clients of a light load.

    Returns:
        The sample with `cpu` as in `rounds.loaded`, `share` (of the supervisor in the proxy's CPU time; unit %),
        `supervisor` (its CPU time; unit ms/s), `core` (of the proxy; unit % of a core), and `rate`.
    """
    time.sleep((BEHIND_S - time.time()) % 1.0)
    began, all_before, own_before = time.monotonic(), proc.cpu_s(pid), time.clock_gettime(proc.process_clock(pid))
    done = worked(load, run, place, crowd)
    time.sleep(SETTLE_S)
    own = time.clock_gettime(proc.process_clock(pid)) - own_before
    used, length = proc.cpu_s(pid) - all_before, time.monotonic() - began
    if not done.units:
        return replace(blank, errors=done.errors or "no work done")
    values = {
        "cpu": used * (1e3 if isinstance(load, Iperf) else 1e6) / done.units,
        "share": 100 * own / used,
        "supervisor": 1e3 * own / length,
        "core": 100 * used / length,
        "rate": done.units / max(done.seconds, 1e-9),
    }
    return replace(blank, values=values, errors=complaints(done, PENSTOCK))


def worked(load: Load, run: Run, place: Place, crowd: "subprocess.Popen[str] | None") -> Done:
    """Run one load to its end; a light one by the clients that stand."""
    if crowd is None or not isinstance(load, Light):
        return loads.run(load, run.effort, place.port, place.target)
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    crowd.stdin.write(f"{load.rate} {run.effort.seconds}\n")
    crowd.stdin.flush()
    report = json.loads(crowd.stdout.readline() or "{}")
    failed = report.get("failed", 1)
    return Done(report.get("done", 0), report.get("seconds", 0.0), f"failed {failed}" if failed else "")


@contextmanager
def standing(port: int, count: int) -> Iterator["subprocess.Popen[str]"]:
    """
    Hold connections open.

    Args:
        port: Of the proxy.
        count: How many.

    Yields:
        The clients: they take `rate seconds` on a line, and answer with a line of JSON.

    Raises:
        ServerError: If not all of them stand.
    """
    argv = [sys.executable, "-m", "bench.idle", "clients", f"{LOOPBACK}:{port}", "--count", str(count)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as clients:
        try:
            assert clients.stdout is not None
            if (held := clients.stdout.readline().strip()) != str(count):
                raise ServerError(f"{held or 'none'} of {count} connections stood")
            yield clients
        finally:
            clients.kill()


def switch(admin: int, on: bool) -> None:
    """Switch the whole collection of the node behind an admin port."""
    url, body = f"http://{LOOPBACK}:{admin}/api/v1/metrics/collection", json.dumps({"all": on}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="PUT")
    with urllib.request.urlopen(asked, timeout=SWITCH_S) as answer:
        found = json.load(answer)
    if found["series"] is not on:
        raise ServerError(f"the collection is not {'on' if on else 'off'}: {found}")


def guard(place: Place, on: bool) -> None:
    """Reload the node of a place with what it was started with and a ban, or without bans, limits and access rules."""
    file = place.directory / "penstock.toml"
    kept = place.directory / "guarded.toml"
    if not kept.exists():
        kept.write_text(file.read_text())
    off = '[limits]\nconnections_per_ip = "off"\nrate_per_ip = "off"'
    file.write_text(kept.read_text() if on else kept.read_text().replace(guarded(), off))
    asked = urllib.request.Request(f"http://{LOOPBACK}:{place.admin}/api/v1/reload", b"", method="POST")
    deadline = time.monotonic() + SWITCH_S
    while True:
        try:
            urllib.request.urlopen(asked, timeout=SWITCH_S).close()
        except urllib.error.HTTPError as error:
            if (
                error.code != HTTPStatus.CONFLICT or time.monotonic() > deadline
            ):  # it serves, and says so a moment later
                raise
            time.sleep(BEHIND_S)
        else:
            break
    ban(place.admin, on)


def ban(admin: int, on: bool) -> None:
    """Ban one client, or lift that, of whom no load knows: where nobody is banned a look-up in the table is none."""
    url, body = f"http://{LOOPBACK}:{admin}/api/v1/bans", json.dumps({"address": ELSEWHERE}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    if not on:
        asked = urllib.request.Request(f"{url}/{ELSEWHERE}", method="DELETE")
    try:
        urllib.request.urlopen(asked, timeout=SWITCH_S).close()
    except urllib.error.HTTPError as error:
        if on or error.code != HTTPStatus.NOT_FOUND:  # nobody had banned it yet
            raise
