"""
A load that waits for nobody: new connections that begin when they are due, through several proxies in turn.

They are due at random times of a given rate, as those of many independent clients are (exponential gaps), and at the
same times for each proxy. Each fetches one small answer; its latency is counted from when it was due, so that whoever
is late because of an earlier one is seen to be late. The proxies' turns are short, and every other time in the opposite
order: what disturbs the machine disturbs all of them alike. Percentiles are medians of the turns': a machine that
stands still for some milliseconds hits a turn or two, and is all that a percentile of all turns together would tell.

No turn lies at the beginning of a wall second: there Penstock's supervisors tick, which are as many as there are nodes
in all chains together, and share one core with everybody's workers here.
"""

import argparse
import json
import math
import random
import select
import sys
import time
from collections.abc import Sequence
from statistics import median

from bench.handshake import REQUEST, STUCK_S, Crowd, Step, address

TURN_S = 0.3

BEGINNINGS = (0.3, 0.65)
"""When turns begin in a wall second, as `collection.BEHIND_S`: the tick is over by then; unit s."""

REACH_S = 0.02
"""How far beyond its beginning a turn may still begin; unit s."""

END = b"..."
"""What the origin's answer ends with."""


def answered(data: bytes, eof: bool) -> bool | None:
    """Judge the answer: it is whole with its last bytes, whenever the connection ends."""
    return True if data.endswith(END) else False if eof else None


def gaps(rate: float, seconds: float, seed: str) -> list[float]:
    """
    Draw the gaps between connections.

    Args:
        rate: Of the connections; unit 1/s.
        seconds: How long their turn is; unit s.
        seed: The same draws the same.
    """
    chance, found = random.Random(seed), list[float]()
    while (gap := chance.expovariate(rate)) <= seconds:
        found.append(gap)
        seconds -= gap
    return found


class Arrivals(Crowd):
    """
    Connections through one proxy.

    Args:
        proxy: Where they connect.

    Attributes:
        took: Of each that was answered, from when it was due, turn by turn; unit s.
    """

    def __init__(self, proxy: tuple[str, int]) -> None:
        super().__init__(proxy, (Step(REQUEST, answered),), count=0, seconds=0.0)
        self.took: list[list[float]] = []

    def turn(self, gaps: Sequence[float]) -> None:
        """Begin one connection after each gap, unit s, and wait until all are answered."""
        due = time.monotonic()
        self.took.append([])
        for gap in gaps:
            due += gap
            while (early := due - time.monotonic()) > 0:
                self._wait(early)
            talk = self.begin()
            if talk is not None:
                talk.due = due
        while self.live:
            if not self._wait(STUCK_S):
                self.failed += len(self.live)
                self.live.clear()

    def _wait(self, seconds: float) -> bool:
        """Wait for events, to the microsecond, which epoll alone does not; return whether there were any."""
        if not select.select([self.epoll], [], [], seconds)[0]:
            return False
        for fd, _ in self.epoll.poll(0):
            talk = self.live[fd]
            self.on_readable(talk)
            if fd not in self.live and talk.well:
                self.took[-1].append(time.monotonic() - talk.due)
        return True

    def report(self) -> dict[str, float]:
        """Return how many were `done` and `failed`, and the latencies `p50` and `p99`, medians of the turns'; in us."""
        turns = [sorted(took) for took in self.took if took] or [[math.inf]]
        p50, p99 = (median(took[len(took) * part // 100] for took in turns) * 1e6 for part in (50, 99))
        return {"done": self.done, "failed": self.failed, "p50": p50, "p99": p99}


def until_turn(now: float) -> float:
    """Return how long it is until the next turn may begin; `now` is wall time, unit s."""
    within = now % 1.0
    waits = [begin - within for begin in BEGINNINGS if begin + REACH_S > within]
    return max(0.0, waits[0]) if waits else 1.0 + BEGINNINGS[0] - within


def run(proxies: Sequence[tuple[str, int]], rate: float, seconds: float, seed: str) -> list[Arrivals]:
    """
    Give each proxy turn after turn.

    Args:
        proxies: Where they listen.
        rate: Of connections, for each proxy in its turn; unit 1/s.
        seconds: Of turns, for each proxy; unit s.
        seed: The same begins connections at the same times.

    Returns:
        What came of it, for each proxy.
    """
    found = [Arrivals(proxy) for proxy in proxies]
    for number in range(max(1, round(seconds / TURN_S))):
        due = gaps(rate, TURN_S, f"{seed}.{number}")
        for each in found[:: -1 if number % 2 else 1]:
            time.sleep(until_turn(time.time()))
            each.turn(due)
    return found


def main(argv: list[str]) -> None:
    """Run one load and print a list of `{"done", "failed", "p50", "p99"}`, one for each proxy."""
    parser = argparse.ArgumentParser(prog="bench.pace", description=__doc__)
    parser.add_argument("proxies", type=address, nargs="+")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", default="")
    asked = parser.parse_args(argv)
    found = run(asked.proxies, asked.rate, asked.seconds, asked.seed)
    print(json.dumps([each.report() for each in found]))


if __name__ == "__main__":
    main(sys.argv[1:])
