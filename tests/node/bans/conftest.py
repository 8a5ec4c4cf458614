"""What tests of bans share: a desk with nothing around it, and its log."""

import io
import json

import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.config.ban_plan import BanPlan, DetectorPlan
from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.node.bans.desk import Desk
from penstock.node.log import make_log
from penstock.testing.clock import ManualClock

ROUTE = RoutePlan(
    id=1,
    name="app",
    targets=(TargetPlan(id=1, host="203.0.113.1", port=80), TargetPlan(id=2, host="app.example", port=80)),
)
WEB = ListenerPlan(
    id=1, name="web", protocol="tcp", host="203.0.113.9", port=80, route=ROUTE, trusted_proxies=("203.0.113.64/26",)
)
BANS = BanPlan(
    detect="on",
    protect=("203.0.113.32/28",),
    longest=1_000 * NS,
    detectors=(
        ("failed_logins", DetectorPlan(threshold=3, window=100 * NS, duration=60 * NS)),
        ("port_walks", DetectorPlan(threshold=3, window=100 * NS, duration=60 * NS)),
        ("refused_destinations", DetectorPlan()),
    ),
)
PLAN = NodePlan(
    name="n",
    workers=1,
    admin=None,
    socket_path="",
    worker=WorkerPlan(listeners=(WEB, replace(WEB, id=2, name="b"), replace(WEB, id=3, name="c"))),
    bans=BANS,
)  # fmt: skip


class Kept:
    """
    A desk, its clock and its log.

    Args:
        plan: What it is told of bans.
        around: What is to be protected around the machine.
    """

    def __init__(self, plan=BANS, around=()):
        self.clock, self.stream, self.handed, self.kept = ManualClock(), io.StringIO(), [], 0
        self.plan = replace(PLAN, bans=plan)
        self.desk = Desk(self.plan, self.clock, make_log("debug", "json", self.stream), look=lambda: list(around))
        self.desk.hand = lambda place, fds: self.handed.append((place, fds))
        self.desk.keep = self.keep

    def keep(self):
        """Count how often something is to be kept."""
        self.kept += 1

    def tick(self, seconds=1.0):
        """Let time pass, and do what is due."""
        self.clock.advance(seconds)
        return self.desk.tick()

    def events(self, name):
        """Return the events of this name."""
        return [each for each in map(json.loads, self.stream.getvalue().splitlines()) if each["event"] == name]


@pytest.fixture
def make_desk():
    """Return what makes desks, which are closed."""
    made = []

    def make(*args, **kwargs):
        made.append(Kept(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.desk.close()


@pytest.fixture
def kept(make_desk):
    """A desk."""
    return make_desk()
