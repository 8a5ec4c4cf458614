"""Flows of known shape through a real ledger, fold, registry and trackers, in simulated time, beside their truth."""

import math
from bisect import bisect_left
from collections.abc import Callable

from penstock.base.clock import NS
from penstock.config.plan import ListenerPlan, MetricsPlan, NodePlan, RoutePlan, WorkerPlan
from penstock.metrics.fold import LedgerReader
from penstock.metrics.registry import Registry
from penstock.testing.pen import Pen

NEAR = 1e-6
"""How near a rate comes to the truth, as a share of it; samples are 32-bit floats."""

MEGABYTE = 1_000_000

FLOWS: dict[str, Callable[[float], float]] = {
    "constant": lambda t: MEGABYTE * t,
    "bursty": lambda t: 50 * MEGABYTE * math.ceil(t / 10),
    "on-off": lambda t: 3 * MEGABYTE * (15 * (t // 30) + max(0, t % 30 - 15)),
    "slow": lambda t: t,
    "waving": lambda t: MEGABYTE * (t - 7 * (math.cos(t / 7) - 1)),
}
"""Bytes that a client has sent after so many seconds, rounded down; slow is a byte a second."""


def plan_of(names: tuple[str, ...]) -> NodePlan:
    """Return a node with a listener and a route of each name, and little besides."""
    listeners = tuple(
        ListenerPlan(
            id=n, name=name, protocol="tcp", host="127.0.0.1", port=n, route=RoutePlan(id=n, name=f"to-{name}")
        )
        for n, name in enumerate(names, 1)
    )
    return NodePlan(
        name="n", workers=1, admin=None, socket_path="", worker=WorkerPlan(listeners=listeners),
        metrics=MetricsPlan(clients=4, users=0, destinations=0, percentiles=False, connection_records=0),
    )  # fmt: skip


class Simulation:
    """
    One connection of each flow, which all run until they are stopped, and ticks that come when they are told to.

    The truth of a window is what clients had sent when it ended, less what they had sent when its first sample began,
    over the time between.

    Args:
        wall: What the clock of the machine says at the start; unit s since the epoch.

    Attributes:
        registry: A real one.
        now: Time since the start; unit s.
        at: When each tick was, the start first; unit s.
        sent: What each flow had sent by then; unit bytes.
        flowing: Whether the flows go on.
    """

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.registry = Registry(plan_of(tuple(FLOWS)), 0)
        self.now, self.at, self.flowing = 0.0, [0.0], True
        self.sent: dict[str, list[int]] = {name: [0] for name in FLOWS}
        self._wall, self._pen = wall, Pen()
        self._reader = LedgerReader(self._pen.fd, 1)
        self._rows = {name: self._pen.open(n) for n, name in enumerate(FLOWS, 1)}

    def tick(self, span: float = 1.0, jump: float = 0.0) -> None:
        """Let time pass, set the clock by so much more, and tick; unit s."""
        self.now += span
        self._wall += span + jump
        self.at.append(self.now)
        for name, row in self._rows.items():
            before = self.sent[name][-1]
            total = int(FLOWS[name](self.now)) if self.flowing else before
            self._pen.move(row, total - before, 3 * (total - before))
            self.sent[name].append(total)
        self.registry.add(self._reader.fold(), 1)
        self.registry.tick(round(self.now * NS), round(self._wall * NS))

    def check(self, seconds: float) -> float:
        """
        Compare a window of every flow, by listener and by route, with the truth; returns how much time it covers.

        A window of more than an hour is made of minutes, and ends with the last one that is over.
        """
        trackers = self.registry.trackers
        series, covered = trackers.series(), 0.0
        end = self.now - (trackers._covered if seconds > self.registry.plan.metrics.seconds else 0.0)
        last = bisect_left(self.at, end - NEAR)
        for name, sent in self.sent.items():
            for key in (f"listener:{name}", f"route:to-{name}"):
                rates = series.rates(key, seconds)
                covered = rates.covered
                first = bisect_left(self.at, end - covered - NEAR)
                assert abs(self.at[last] - self.at[first] - covered) < NEAR, (key, seconds)
                truth = (sent[last] - sent[first]) / covered
                assert math.isclose(rates.bytes_in, truth, rel_tol=NEAR, abs_tol=NEAR), (key, seconds)
                assert math.isclose(rates.bytes_out, 3 * truth, rel_tol=NEAR, abs_tol=NEAR), (key, seconds)
        return covered

    def check_totals(self) -> None:
        """Check that totals are what was sent, to the byte, and that all ways to add them up agree."""
        totals = {name: self.registry.listeners.of(n).bytes_in for n, name in enumerate(self.sent, 1)}
        assert totals == {name: sent[-1] for name, sent in self.sent.items()}
        assert not [line for line in self.registry.audited if line.residual]

    def close(self) -> None:
        """Let go of the ledger."""
        self._pen.close()
