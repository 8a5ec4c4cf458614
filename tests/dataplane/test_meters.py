"""Buckets of bandwidth: one flow's own, and one that flows and workers share."""

import os

import pytest

from penstock.base.clock import NS
from penstock.config.limit_plan import BandwidthPlan
from penstock.dataplane.limit_table import ROUTE, LimitTable, create
from penstock.dataplane.meters import DOWN, UP, Meter, SharedMeter
from penstock.dataplane.reactor import SLOT_BITS
from penstock.policy.bandwidth import LEAST_BYTES

MIB = 1 << 20
PLAN = BandwidthPlan(rate=MIB, burst=MIB)
NOW = 1_000 * NS


@pytest.fixture
def tables():
    """The views of two workers on one table."""
    fd = create(2, 16)
    views = [LimitTable(fd, seat) for seat in (0, 1)]
    yield views
    for view in views:
        view.close()
    os.close(fd)


def shared(table, name="app"):
    """Return a worker's meter of a route."""
    key = table.key(ROUTE, name)
    return SharedMeter(table, lambda now: table.slot(key, ROUTE, 0, now), PLAN)


def test_each_direction_has_its_own():
    """What goes up leaves as much room for what comes down."""
    meter = Meter(PLAN, NOW)
    meter.pay(UP, MIB, NOW + NS)
    assert meter.room(UP, NOW + NS) == 0
    assert meter.room(DOWN, NOW + NS) == MIB


def test_it_says_when_there_is_room():
    """At the time that it says there is room for what was asked, or for its burst, and not a millisecond before."""
    meter = Meter(PLAN, NOW)
    meter.pay(DOWN, 3 * MIB, NOW)
    for count in (1, LEAST_BYTES, MIB):
        at = meter.ready_at(DOWN, count, NOW)
        assert meter.room(DOWN, at) >= count > meter.room(DOWN, at - NS // 1_000)
    assert meter.room(DOWN, meter.ready_at(DOWN, 9 * MIB, NOW)) == MIB


def test_workers_pay_into_one_bucket(tables):
    """What one worker takes is gone for the other, and over a minute both have the rate of one."""
    ours, theirs = map(shared, tables)
    moved, now = 0, NOW
    ours.room(UP, now)  # takes the slot, which begins with a twentieth of a second
    for _ in range(600):
        now += NS // 10
        for meter in (ours, theirs):
            free = meter.room(UP, now)
            meter.pay(UP, free, now)
            moved += free
    assert abs(moved / (60 * MIB) - 1) < 0.002


def test_both_at_once_are_paid_later(tables):
    """Two workers that see the same room and both take it owe what was too much: nothing is had twice."""
    ours, theirs = map(shared, tables)
    ours.room(DOWN, NOW)
    free = [meter.room(DOWN, NOW + NS) for meter in (ours, theirs)]
    for meter, count in zip((ours, theirs), free, strict=True):
        meter.pay(DOWN, count, NOW + NS)
    owed = sum(free) - MIB
    assert ours.room(DOWN, NOW + NS + owed * NS // MIB) <= 1


def test_flows_that_wait_divide_what_there_is(tables):
    """Of eight flows that wait in a worker, none gets more than its part in one turn of the wheel."""
    meter = shared(tables[0])
    meter.room(UP, NOW)
    meter.waiting[UP] = 8
    now = (NOW >> SLOT_BITS) + 20 << SLOT_BITS
    portions = []
    for _ in range(8):
        portions.append(meter.room(UP, now))
        meter.pay(UP, portions[-1], now)
    assert len(set(portions)) == 1
    assert LEAST_BYTES < portions[0] <= MIB // 8


def test_a_crowd_is_woken_when_there_is_something_for_it(tables):
    """Who waits with others is told when there is a piece for each, but before the bucket is full."""
    meter = shared(tables[0])
    meter.pay(UP, MIB, NOW)
    alone = meter.ready_at(UP, LEAST_BYTES, NOW)
    meter.waiting[UP] = 8
    few = meter.ready_at(UP, LEAST_BYTES, NOW)
    meter.waiting[UP] = 100_000
    many = meter.ready_at(UP, LEAST_BYTES, NOW)
    assert meter.room(UP, few) >= 8 * LEAST_BYTES // 16  # the other worker may take a half, each of eight its part
    assert few - alone == pytest.approx(7 * LEAST_BYTES * NS // MIB, abs=10)
    assert few < many <= alone + NS // 2  # half of the burst


def test_a_slot_that_another_key_takes_begins_anew(tables):
    """Who comes into a slot that was another one's finds neither its debts nor its burst."""
    table = tables[0]
    meter = shared(table, "old")
    meter.pay(UP, 50 * MIB, NOW)
    later = NOW + 3_600 * NS
    rooms = {shared(table, str(number)).room(UP, later) for number in range(200)}
    assert rooms == {MIB // 40}  # a half: there may be another worker


def test_a_full_table_meters_nothing(tables):
    """Where the table has no room, nobody waits for what cannot be counted."""
    meter = SharedMeter(tables[0], lambda now: 0, PLAN)
    meter.pay(UP, 9 * MIB, NOW)
    assert meter.room(UP, NOW) == MIB
    assert meter.ready_at(UP, 1, NOW) <= NOW + 1_000
