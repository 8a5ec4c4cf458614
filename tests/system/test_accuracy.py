"""Accuracy over time: a simulated day of ticks, and ten seconds of a real node beside a client that counts."""

import json
import os
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
from penstock.testing.peers import serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

DAY = 86_400


SOAK = pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes minutes: make soak")


@pytest.mark.parametrize("ticks", [DAY // 12, pytest.param(DAY, marks=SOAK)], ids=["two hours", "soak for a day"])
def test_no_drift_over_a_day_of_ticks(ticks):
    """
    86,400 ticks through ledger, fold, registry and trackers, with all that a bad day brings: no drift.

    Two hours of it have the same jumps, twelve times as close.

    Ticks jitter by 30 ms and one in a thousand is seconds late; the clock is set back and forward, and the machine
    sleeps. Every window of every flow is the truth of the time that it covers, totals are exact, and after the day the
    minutes of the last 24 hours are too.
    """
    run, random = Simulation(), np.random.default_rng(5)
    late = random.random(ticks) < 0.001
    lateness = np.where(late, random.uniform(1, 9, ticks), 0)
    spans = np.maximum(0.6, 1 + random.uniform(-0.03, 0.03, ticks) + lateness)
    at = ticks // 24
    jumps = {3 * at: -1_800.0, 6 * at: 3_600.0, 9 * at: 600.0, 9 * at + 500: -2.0}
    for tick, span in enumerate(spans.tolist()):
        run.tick(span, jumps.get(tick, 0.0))
        if tick % 997 == 0:
            for seconds in (1, 10, 60, 600, 3_600):
                run.check(seconds)
            run.check_totals()
    covered = run.check(ticks)
    assert covered == pytest.approx(ticks, abs=60 * (len(jumps) + 1))  # the clock cuts minutes short
    run.check_totals()
    _, history = run.registry.trackers.series().history("node", 3_600)
    assert history.covered.sum() == pytest.approx(3_600, rel=0.01)
    missed = int((history.covered == 0).sum())
    assert missed >= late[-3_000:].sum()
    run.close()


class Record:
    """How many bytes there were, and when; unit s since the epoch."""

    def __init__(self):
        self._times, self._totals = [0.0], [0]

    def add(self, count):
        """Note that so many more bytes were there by now."""
        self._totals.append(self._totals[-1] + count)
        self._times.append(time.time())

    def by(self, moment):
        """Return how many there were at a moment."""
        return self._totals[bisect_right(self._times, moment) - 1]

    def last(self):
        """Return when the last ones came."""
        return self._times[-1]


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
        self.sent = Record()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.sent.add(len(self._piece))  # before it is on its way: nobody has counted more by then
            self._sock.sendall(self._piece)
            due += self._every

    def leave(self):
        """Stop and close."""
        self._stop.set()
        self._thread.join(30)
        self._sock.close()


RIGHT = 4
"""Looks, each at another tick, at which all windows must be right, one of over eight seconds among them."""

MOST = 40
"""Ticks until then. A machine that stands still between a tick's reading and its time stamp makes the windows wrong
that begin or end there: such a look does not count, and more are taken."""

SLACK_SECONDS = 0.25
"""How far a tick and its time stamp may be apart, on a machine that does other things."""


def test_a_real_flow_is_read_as_it_was_sent():
    """
    Over ten seconds of 4 MB/s: what the client sent in a window is what the node says, within 1 % from ten seconds on.

    What is on its way when a window begins or ends may be in it or not: more than the client had sent by then cannot be
    counted, and less than the target had received neither. Both are a few milliseconds apart where the machine is
    quiet.
    """
    received = Record()

    def take(sock):
        while data := sock.recv(1 << 20):
            received.add(len(data))

    with serving(take) as target, running(table("main", "tcp", target.port)) as node:
        client, looks = Paced(node.address("main"), 16_000, 0.004), {}

        def look():
            found = json.loads(node.fetch("/api/v1/metrics"))
            fresh = found["taken_at"] not in looks
            looks[found["taken_at"]] = found["throughput"]
            return fresh

        right = 0
        while right < RIGHT and len(looks) < MOST:
            wait_for(look, "a tick")
            (*_, (taken_at, windows)) = looks.items()
            end = datetime.fromisoformat(taken_at).timestamp()
            wait_for(lambda end=end: received.last() > end + SLACK_SECONDS, "what came right after the tick")
            well = all(is_right(windows[name], end, client.sent, received) for name in WINDOWS)
            right += well and any(windows[name]["covered"] > 8 for name in WINDOWS)
        assert right == RIGHT, len(looks)
        client.leave()
        assert node.settled("main", 1)["bytes_in"] == client.sent.by(time.time())


def is_right(window, end, sent, received):
    """Return whether the rate of a window is that of what was sent and received in its time."""
    covered, rate = window["covered"], window["bytes_in"]
    low = [received.by(each - SLACK_SECONDS) for each in (end - covered, end)]
    high = [sent.by(each + SLACK_SECONDS) for each in (end - covered, end)]
    if not low[1] - high[0] <= rate * covered <= high[1] - low[0]:
        return False
    truth = sent.by(end) - sent.by(end - covered)
    on_its_way = sum(sent.by(each) - received.by(each) for each in (end - covered, end))
    return covered <= 8 or abs(rate * covered - truth) <= 0.01 * truth + on_its_way
