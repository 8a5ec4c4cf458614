"""Accuracy over time: a simulated day of ticks, and twelve seconds of a real node beside a client that counts."""

import json
import socket
import threading
import time
from bisect import bisect_right
from datetime import datetime

import numpy as np
import pytest

from penstock.metrics.tracker import WINDOWS
from penstock.testing.flows import Simulation
from penstock.testing.nodes import running, table
from penstock.testing.peers import serving, swallow
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

DAY = 86_400


def test_no_drift_over_a_day_of_ticks():
    """
    86,400 ticks through ledger, fold, registry and trackers, with all that a bad day brings: no drift.

    Ticks jitter by 30 ms and one in a thousand is seconds late; the clock is set back and forward, and the machine
    sleeps. Every window of every flow is the truth of the time that it covers, totals are exact, and after the day the
    minutes of the last 24 hours are too.
    """
    run, random = Simulation(), np.random.default_rng(5)
    late = random.random(DAY) < 0.001
    spans = np.maximum(0.6, 1 + random.uniform(-0.03, 0.03, DAY) + np.where(late, random.uniform(1, 9, DAY), 0))
    jumps = {20_000: -1_800.0, 40_000: 3_600.0, 60_000: 600.0, 60_500: -2.0}
    for tick, span in enumerate(spans.tolist()):
        run.tick(span, jumps.get(tick, 0.0))
        if tick % 997 == 0:
            for seconds in (1, 10, 60, 600, 3_600):
                run.check(seconds)
            run.check_totals()
    covered = run.check(DAY)
    assert covered == pytest.approx(DAY, abs=60 * (len(jumps) + 1))  # the clock cuts minutes short
    run.check_totals()
    _, history = run.registry.trackers.series().history("node", 3_600)
    assert history.covered.sum() == pytest.approx(3_600, rel=0.01)
    missed = int((history.covered == 0).sum())
    assert missed >= late[-3_000:].sum()
    run.close()


class Paced:
    """
    A client that sends a little every few milliseconds, evenly, and notes when.

    Args:
        address: Of the listener.
        piece: What it sends at a time; unit bytes.
        every: Unit s.
    """

    def __init__(self, address, piece, every):
        self._sock = socket.create_connection(address, 30)
        self._piece, self._every, self._stop = b"x" * piece, every, threading.Event()
        self.times, self.sent = [time.time()], [0]
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._sock.sendall(self._piece)
            self.sent.append(self.sent[-1] + len(self._piece))
            self.times.append(time.time())
            due += self._every

    def by(self, moment):
        """Return what it had sent at a moment; unit s since the epoch."""
        return self.sent[max(0, bisect_right(self.times, moment) - 1)]

    def leave(self):
        """Stop and close."""
        self._stop.set()
        self._thread.join(30)
        self._sock.close()


TICKS = 13
"""How often the node is looked at, once a tick."""

SLACK_SECONDS = 0.05
"""How far a tick and its time stamp, or a send and its reading, may be apart on a machine that does other things."""


def test_a_real_flow_is_read_as_it_was_sent():
    """
    Twelve seconds of 4 MB/s: what the client sent in a window is what the node says, within 1 % from ten seconds on.

    The last second is compared with what was sent in it and up to 50 ms around it.
    """
    with serving(swallow) as target, running(table("main", "tcp", target.port)) as node:
        client = Paced(node.address("main"), 16_000, 0.004)
        looks = {}

        def look():
            found = json.loads(node.fetch("/api/v1/metrics"))
            fresh = found["taken_at"] not in looks
            looks[found["taken_at"]] = found["throughput"]
            return fresh

        for _ in range(TICKS):
            wait_for(look, "a tick")
        client.leave()
        judged = 0
        for taken_at, windows in looks.items():
            end = datetime.fromisoformat(taken_at).timestamp()
            for name, window in windows.items():
                if name not in WINDOWS:
                    continue
                moved, begin = window["bytes_in"] * window["covered"], end - window["covered"]
                least = client.by(end - SLACK_SECONDS) - client.by(begin + SLACK_SECONDS)
                most = client.by(end + SLACK_SECONDS) - client.by(begin - SLACK_SECONDS)
                assert least <= moved <= most, (name, taken_at)
                if window["covered"] > 8:
                    assert moved == pytest.approx(client.by(end) - client.by(begin), rel=0.01)
                    judged += 1
        assert judged >= 8
        assert node.settled("main", 1)["bytes_in"] == client.sent[-1]
