"""Deadlines: moved for nothing, never early, and judged by when a byte was last seen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.dataplane.deadlines import VISIT_NS, Deadlines
from penstock.dataplane.reactor import FOREVER, SLOT_BITS, Reactor
from penstock.testing.clock import ManualClock

SLOT_NS = 1 << SLOT_BITS


class Watched(Deadlines):
    """Notes when it expires."""

    def __init__(self, reactor, deadline):
        super().__init__(reactor, deadline)
        self.expired, self.visits, self.ended = [], 0, False

    @property
    def gone(self):
        """Whether the test said so."""
        return self.ended

    def visited(self):
        """Count."""
        self.visits += 1

    def expire(self):
        """Note when."""
        self.expired.append(self._reactor.now)


class Stage:
    """A reactor on a clock moved by hand."""

    def __init__(self):
        self.clock, self.crashes = ManualClock(), []
        self.reactor = Reactor(lambda *each: self.crashes.append(each), self.clock.monotonic_ns)
        self.start = self.reactor.now

    def pass_time(self, seconds, step=0.05):
        """Let time pass in steps."""
        until = self.clock.monotonic_ns() + round(seconds * NS)
        while self.clock.monotonic_ns() < until:
            self.clock.advance(min(step, (until - self.clock.monotonic_ns()) / NS))
            self.reactor.turn(0)

    def timers(self):
        """Return how many timers the wheel holds."""
        return sum(len(bucket) for bucket in self.reactor._slots.values()) + len(self.reactor.expected)


@pytest.fixture
def stage():
    """Where time is moved by hand."""
    found = Stage()
    yield found
    found.reactor.close()
    assert found.crashes == []


def test_deadline_expires_once_it_has_passed(stage):
    """A deadline is not early, and no more than a slot late, whether it comes before or after the first visit."""
    for seconds in (0.2, 0.99, 1.01, 5.0, 130.0):
        watched = Watched(stage.reactor, stage.reactor.now + round(seconds * NS))
        begin = stage.reactor.now
        stage.pass_time(seconds + 0.5)
        late = watched.expired[0] - begin - round(seconds * NS)
        assert 0 <= late <= SLOT_NS + 60_000_000
        watched.ended = True


@pytest.mark.parametrize("moves", [10, 10_000])
def test_moving_a_deadline_later_plans_no_timers(stage, moves):
    """However often a deadline is moved later, the wheel holds one timer of it."""
    watched = Watched(stage.reactor, stage.reactor.now + 10 * NS)
    for move in range(moves):
        watched.arm(stage.reactor.now + 10 * NS + move)
        watched.arm_idle(60 * NS + move)
    assert stage.timers() == 1


def test_requests_of_an_hour_leave_a_handful_of_timers(stage):
    """Phases that follow each other for an hour, as requests do, leave few timers behind at any time."""
    watched = Watched(stage.reactor, stage.reactor.now + 10 * NS)
    most = 0
    for _ in range(3_600):
        now = stage.reactor.now
        watched.seen = now
        watched.arm(now + 5 * NS)
        watched.arm_idle(14_400 * NS)
        watched.arm(now + 60 * NS)
        stage.pass_time(1.0, 1.0)
        most = max(most, stage.timers())
    assert most <= 1 + VISIT_NS // (5 * NS) + 1
    assert watched.expired == []


def test_idleness_is_judged_by_the_last_byte(stage):
    """Bytes that are seen move the end, without a timer; silence after them ends it on time."""
    watched = Watched(stage.reactor, FOREVER)
    watched.arm_idle(3 * NS)
    for _ in range(40):
        stage.pass_time(0.5)
        watched.seen = stage.reactor.now
    assert watched.expired == []
    silent = watched.seen
    stage.pass_time(3.3)
    assert silent + 3 * NS <= watched.expired[0] <= silent + 3 * NS + SLOT_NS + 60_000_000
    assert stage.timers() <= 3


def test_moving_a_deadline_earlier_is_heeded(stage):
    """A nearer deadline takes the place of a far one, and of idleness."""
    watched = Watched(stage.reactor, FOREVER)
    watched.arm_idle(14_400 * NS)
    stage.pass_time(2)
    watched.arm(stage.reactor.now + NS // 2)
    stage.pass_time(0.7)
    assert len(watched.expired) == 1


def test_who_does_nothing_about_it_is_told_again(stage):
    """A deadline that nobody moves is told again about once a second, not in every turn."""
    watched = Watched(stage.reactor, stage.reactor.now)
    stage.pass_time(5.05)
    assert 4 <= len(watched.expired) <= 6


def test_who_is_gone_is_left_alone(stage):
    """Who has ended is neither told nor kept: its timer leaves the wheel within a visit."""
    watched = Watched(stage.reactor, stage.reactor.now + 14_400 * NS)
    stage.pass_time(2)
    watched.ended = True
    visits = watched.visits
    stage.pass_time(VISIT_NS / NS + 1, 1.0)
    assert watched.expired == []
    assert watched.visits == visits
    assert stage.timers() == 0


def test_none_is_for_ever(stage):
    """A deadline that no clock reaches expires never, idle or not."""
    watched = Watched(stage.reactor, stage.reactor.now + FOREVER)
    watched.arm_idle(FOREVER)
    stage.pass_time(10_000, 30.0)
    assert watched.expired == []


@given(
    st.lists(st.tuples(st.sampled_from(["arm", "idle", "see"]), st.integers(1, 20), st.integers(0, 10)), max_size=25)
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_moves(moves):
    """Whatever is armed in whatever order: it expires if and only if what was armed last has passed."""
    stage = Stage()
    watched = Watched(stage.reactor, FOREVER)
    deadline, idle = FOREVER, 0
    for move, tenths, wait in moves:
        now = stage.reactor.now
        if move == "arm":
            deadline, idle = now + tenths * NS // 10, 0
            watched.arm(deadline)
        elif move == "idle":
            idle = tenths * NS // 10
            watched.arm_idle(idle)
        else:
            watched.seen = now
        stage.pass_time(wait / 10)
        due = watched.seen + idle if idle else deadline
        if watched.expired:
            assert watched.expired[0] >= due
            watched.expired.clear()
            watched.arm(FOREVER)
            deadline, idle = FOREVER, 0
        else:
            assert stage.reactor.now <= max(due, now) + 2 * SLOT_NS
    stage.reactor.close()
