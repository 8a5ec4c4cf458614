"""What the supervisor's own work costs, measured inside one process: a tick, a read, a scrape."""

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np

from penstock.base.clock import NS
from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.metrics.exporters.compat import served
from penstock.metrics.exporters.prometheus import Format, render
from penstock.metrics.growth import COLUMNS
from penstock.metrics.ledger import CLIENT_RX, CLIENT_TX
from penstock.metrics.snapshot import Snapshot, Usage
from penstock.metrics.view import Metrics
from penstock.testing.pen import Pen
from penstock.testing.standin import StandIn

TARGETS = 300
"""Targets of the node: their series alone are above 5,000."""

CLIENTS = 50_000
"""Addresses that rows come from, unless there are fewer rows: as many as places for a thousand are fought for."""

TICKS = 20
"""Ticks that are measured, and again as many before them."""

USAGE = Usage(cpu_seconds=1.0, resident_bytes=1, virtual_bytes=1, open_fds=1, max_fds=1, started_at=1.0)


def node_of(pen: Pen) -> StandIn:
    """Return a node whose one worker writes this ledger."""
    targets = tuple(TargetPlan(id=i, host=f"10.9.{i >> 8}.{i & 255}", port=80) for i in range(1, TARGETS + 1))
    web = ListenerPlan(
        id=1, name="web", protocol="tcp", host="::", port=1, route=RoutePlan(id=1, name="r", targets=targets)
    )
    worker = WorkerPlan(listeners=(web,))
    node = StandIn(plan=NodePlan(name="n", workers=1, admin=None, socket_path="/x", worker=worker))
    node.sampler.attach(2, pen.fd)
    return node


def filled(pen: Pen, rows: int) -> list[int]:
    """Open so many rows, relayed to all targets in turn and from as many addresses as there are, and return them."""
    found = []
    for number in range(rows):
        client = number % CLIENTS
        row = pen.open(1, (f"10.{client >> 16}.{client >> 8 & 255}.{client & 255}", 40_000))
        pen.aim(row, 1, number % TARGETS + 1)
        found.append(row)
    return found


def remember(node: StandIn) -> None:
    """Give every tracker an hour behind it."""
    nothing, now = np.zeros((COLUMNS, 2), np.int64), node.clock.wall_ns() // NS
    for at in range(now - 3_600, now):
        node.sampler.registry.trackers.push(nothing, nothing, nothing, at, 1.0)


def ticks_ms(node: StandIn, pen: Pen, rows: list[int]) -> list[float]:
    """Return what each tick took while every row moves; unit ms of CPU time."""
    words, took = pen.ledger.words, []
    for number in range(2 * TICKS):
        for row in rows:
            words[row + CLIENT_RX] += 100
            words[row + CLIENT_TX] += 1_000
        spent = cpu_ms(node.tick)
        if number >= TICKS:
            took.append(spent)
    return took


def reads_ms(snapshot: Snapshot) -> dict[str, float]:
    """Return what each read of the metrics takes at its best; unit ms of CPU time."""
    metrics = Metrics(snapshot)
    reads: dict[str, Callable[[], object]] = {
        "connections": lambda: metrics.connections,
        "throughput": lambda: metrics.throughput,
        "requests": lambda: metrics.requests,
        "totals": lambda: metrics.totals,
        "percentiles": lambda: metrics.percentiles,
        "blocked": lambda: metrics.blocked,
        "window": lambda: metrics.window(60),
        "window of an hour": lambda: metrics.window(3_600),
        "history": lambda: metrics.history(300),
        "history of an hour": lambda: metrics.history(3_600),
        "window of a client": lambda: metrics.window(60, "client:other"),
    }
    return {name: min(cpu_ms(read) for _ in range(20)) for name, read in reads.items()}


def scrape_ms(snapshot: Snapshot) -> tuple[int, float]:
    """Return how many series a scrape has, and what it takes at its best; unit ms of CPU time."""
    scrape = lambda: render(served(snapshot, USAGE, compat_names=True), Format.OPENMETRICS)  # noqa: E731
    series = sum(not line.startswith(b"#") for line in scrape().splitlines())
    return series, min(cpu_ms(scrape) for _ in range(5))


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the CPU time that this process spends on a piece of work; unit ms."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


def main(argv: list[str]) -> None:
    """Measure, and print `{"tick", "worst", "read", "slowest", "scrape", "series"}`."""
    parser = argparse.ArgumentParser(prog="bench.inside", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    asked = parser.parse_args(argv)
    pen = Pen(rows=asked.rows)
    node = node_of(pen)
    remember(node)
    took = sorted(ticks_ms(node, pen, filled(pen, asked.rows)))
    reads = reads_ms(node.snapshot())
    slowest = max(reads, key=lambda name: reads[name])
    series, scrape = scrape_ms(node.snapshot())
    print(
        json.dumps(
            {
                "tick": took[len(took) // 2],
                "worst": took[-1],
                "read": reads[slowest],
                "slowest": slowest,
                "scrape": scrape,
                "series": series,
                "reads": reads,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
