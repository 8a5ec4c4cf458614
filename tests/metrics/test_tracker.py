"""Full trackers: windows within a hair of the truth, driven through a real ledger."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.config.plan import ListenerPlan, MetricsPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.metrics.clients import KIND
from penstock.metrics.growth import BYTES_IN, COLUMNS
from penstock.metrics.keyed import Keyed
from penstock.metrics.ledger import CLIENT_RX
from penstock.metrics.rollups import SavedMinute
from penstock.metrics.saved import SavedError, parse, serialize
from penstock.metrics.scopes import Scopes
from penstock.metrics.tracker import MINUTE, NODE, WAITING, WINDOWS, Trackers
from penstock.testing.pen import Pen
from penstock.testing.standin import PLAN, StandIn
from penstock.testing.steps import steps

DAY = 86_400


@pytest.fixture
def node():
    """A node whose second listener, `egress`, takes the route `out`."""
    node = StandIn()
    yield node
    node.close()


def table(**listeners):
    """Return a table of growth of bytes_in; keys are `l` and the id."""
    growth = np.zeros((COLUMNS, 3), np.int64)
    for name, amount in listeners.items():
        growth[BYTES_IN, int(name[1:])] = amount
    return growth


NOTHING = np.zeros((COLUMNS, 1), np.int64)

FLOWS = {
    "constant": lambda second: 1_000_000,
    "bursty": lambda second: 50_000_000 if second % 10 == 0 else 0,
    "on-off": lambda second: 3_000_000 if second // 15 % 2 else 0,
    "slow": lambda second: 1,
    "sine": lambda second: int(1_000_000 * (1 + math.sin(second / 7))),
}


@pytest.mark.parametrize("flow", FLOWS)
def test_every_window_is_within_one_percent(node, flow):
    """Constant, bursty, on-off, slow and waving flows: all windows are the truth of the same seconds, totals exact."""
    row, shape, history = node.pen.open(listener=1), FLOWS[flow], []
    for second in range(200):
        history.append(shape(second))
        node.pen.move(row, history[-1], 2 * history[-1])
        snapshot = node.tick()
        for seconds in (*WINDOWS.values(), 7, 33, 120):
            truth = sum(history[-seconds:]) / min(seconds, len(history))
            rates = snapshot.series.rates("listener:web", seconds)
            assert rates.bytes_in == pytest.approx(truth, rel=1e-6)
            assert rates.bytes_out == pytest.approx(2 * truth, rel=1e-6)
        assert snapshot.totals.bytes_in == sum(history)


@pytest.mark.parametrize("late", [0.05, 0.9, 4.0])
def test_ticks_that_come_late_keep_windows_within_one_percent(node, late):
    """A steady flow reads the same whatever the ticks do."""
    row, random, moved, passed = node.pen.open(listener=1), np.random.default_rng(3), 0, 0.0
    for _ in range(100):
        span = 1 + random.uniform(0, late)
        passed += span
        amount = round(1_000_000 * passed) - moved
        node.pen.move(row, amount)
        moved += amount
        snapshot = node.tick(span)
        for seconds in WINDOWS.values():
            assert snapshot.series.rates(NODE, seconds).bytes_in == pytest.approx(1_000_000, rel=1e-5)
    assert snapshot.totals.bytes_in == moved


def test_bytes_show_while_the_connection_is_open_and_once(node):
    """The first chunk counts once, in its second, long before the end; the end adds nothing."""
    row = node.pen.open(listener=1)
    node.pen.move(row, 500)
    assert node.tick().series.rates(NODE, 1).bytes_in == 500
    assert node.tick().series.rates(NODE, 1).bytes_in == 0
    node.pen.end(row)
    snapshot = node.tick()
    assert snapshot.series.rates(NODE, 1).bytes_in == 0
    assert snapshot.series.rates(NODE, 60).bytes_in == pytest.approx(500 / 3)
    assert snapshot.totals.bytes_in == 500


def test_rates_do_not_rise_with_the_age_of_a_connection(node):
    """A connection of an hour at a steady pace reads as one of a minute."""
    row = node.pen.open(listener=1)
    for _ in range(3_600):
        node.pen.move(row, 1_000)
        node.tick()
    assert {node.snapshot().series.rates(NODE, seconds).bytes_in for seconds in (1, 10, 60, 3_600)} == {1_000}


@pytest.mark.parametrize("jump", [1_800, -3_600, -2, 40])
def test_setting_the_clock_changes_no_rate(node, jump):
    """Whoever sets the clock of the machine finds the same rates and totals after it, and a graph in order."""
    row = node.pen.open(listener=1)
    for second in range(120):
        if second == 60:
            node.clock._wall += jump * NS
        node.pen.move(row, 5_000)
        series = node.tick().series
        assert {series.rates(NODE, seconds).bytes_in for seconds in (1, 10, 60)} == {5_000}
    _, history = series.history(NODE, 3_600)
    assert (np.diff(history.at) == 1).all()
    assert set(history.rates()[history.covered > 0, 0].tolist()) == {5_000}
    assert (history.covered == 0).sum() == max(0, jump)
    assert node.snapshot().totals.bytes_in == 120 * 5_000


def test_ticks_between_the_seconds_belong_to_the_next(node):
    """A tick out of turn, as at an order to drain, makes no sample of a moment: its growth is in the next one."""
    node.tick()
    row = node.pen.open(listener=1)
    node.pen.move(row, 100)
    assert node.tick(0.01).series.rates(NODE, 1).bytes_in == 0
    assert node.tick(0.99).series.rates(NODE, 1).bytes_in == 100
    assert node.snapshot().series.rates(NODE, 1).connections == 1


def test_every_name_has_a_tracker(node):
    """The node, listeners, routes and targets each see their own."""
    web, egress, other = node.pen.open(listener=1), node.pen.open(listener=2), node.pen.open(listener=2, route=1)
    node.pen.aim(web, 1, 2)
    node.pen.move(web, 10, 0, 0, 0, 3)
    node.pen.move(egress, 200)
    node.pen.move(other, 4_000)
    series = node.tick().series
    seen = {key: series.rates(key, 1).bytes_in for key in series.slots}
    assert seen == {
        "node": 4_210,
        "listener:web": 10,
        "listener:egress": 4_200,
        "route:default": 4_010,
        "route:out": 200,
        "target:192.0.2.10:80": 0,
        "target:[2001:db8::2]:80": 10,
    }
    assert (series.rates(NODE, 1).requests, series.rates(NODE, 1).connections) == (3, 3)
    with pytest.raises(KeyError):
        series.rates("listener:nobody", 1)


def test_a_snapshot_keeps_its_windows(node):
    """What an older snapshot answers does not change with later ticks."""
    row = node.pen.open(listener=1)
    node.pen.move(row, 10)
    old = node.tick()
    node.pen.move(row, 1_000)
    node.tick()
    assert old.series.rates(NODE, 10).bytes_in == 10
    assert len(old.series.history(NODE, 300)[1].at) == 1


def test_no_drift_over_a_day():
    """After a simulated day minutes and totals agree, and each minute sits on its wall minute."""
    trackers, start, total = Trackers(Scopes(PLAN.worker.listeners), MetricsPlan()), 1_700_000_040, 0  # a whole minute
    for second in range(1, DAY + 121):
        amount = second % 97
        total += amount
        trackers.push(table(l1=amount), NOTHING, NOTHING, start + second, 1.0)
    step, history = trackers.series().history(NODE, DAY)
    assert (step, len(history.at)) == (MINUTE, 1_440)
    assert set(history.covered.tolist()) == {60.0}
    assert (history.at % 60 == 0).all()
    assert history.at[-1] == start + DAY + MINUTE  # the minute that is not over has no sample yet
    expected = sum(second % 97 for second in range(61, DAY + 61))
    assert history.sums[:, 0].sum() == expected
    assert trackers.series().rates(NODE, DAY).bytes_in == pytest.approx(expected / DAY, rel=1e-9)


def test_no_drift_over_a_day_of_a_ledger(node):
    """A day of ticks that come up to ten seconds late: minutes cover the day, and add up to what the ledger counted."""
    row, random, moved, sums = node.pen.open(listener=1), np.random.default_rng(9), 0, []
    for span in random.uniform(1, 19, 8_700):
        amount = int(random.integers(0, 5_000_000))
        moved += amount
        sums.append((span, amount))
        node.pen.move(row, amount)
        snapshot = node.tick(span)
        assert snapshot.totals.bytes_in == moved
    _, history = snapshot.series.history(NODE, DAY)
    passed = np.cumsum([span for span, _ in reversed(sums)])
    bytes_so_far = np.cumsum([amount for _, amount in reversed(sums)])
    assert history.covered.sum() == pytest.approx(DAY, rel=0.001)
    assert snapshot.series.rates(NODE, DAY).bytes_in == pytest.approx(
        bytes_so_far[np.searchsorted(passed, DAY)] / DAY, rel=0.001
    )


def test_a_minute_that_is_cut_short_by_the_clock_has_a_true_rate():
    """Setting the clock ends the minute early; it says how much of it is covered."""
    trackers = Trackers(Scopes(PLAN.worker.listeners), MetricsPlan())
    for at in [*range(601, 631), *range(4_201, 4_262)]:
        trackers.push(table(l1=8), NOTHING, NOTHING, at, 1.0)
    _, history = trackers.series().history(NODE, DAY)
    assert history.covered[[0, -1]].tolist() == [30, 60]
    assert history.rates()[[0, -1], 0].tolist() == [8, 8]
    assert history.covered.sum() == 90


def test_trackers_are_bounded():
    """Names beyond the limit have no tracker, and it is said how many; the node always has one."""
    trackers = Trackers(Scopes(PLAN.worker.listeners), MetricsPlan(trackers=3))
    trackers.push(table(l1=5, l2=6), NOTHING, NOTHING, 1, 1.0)
    assert list(trackers.series().slots) == ["node", "listener:web", "listener:egress"]
    assert trackers.left_out == 4
    assert trackers.series().rates(NODE, 1).bytes_in == 11


def test_retention_is_obeyed():
    """Rings have the samples that the plan says; a window beyond the seconds is answered by the minutes."""
    trackers = Trackers(Scopes(PLAN.worker.listeners), MetricsPlan(seconds=60, minutes=120))
    for second in range(1, 10_861):
        trackers.push(table(l1=second % 2), NOTHING, NOTHING, second, 1.0)
    series = trackers.series()
    assert series.longest == 7_200
    step, history = series.history(NODE, 60)
    assert (step, len(history.at)) == (1, 60)
    step, history = series.history(NODE, 7_200)
    assert (step, len(history.at), history.sums[:, 0].sum()) == (MINUTE, 120, 3_600)
    assert series.rates(NODE, 61).covered == 60
    assert trackers.nbytes < Trackers(Scopes(PLAN.worker.listeners), MetricsPlan()).nbytes / 10


def test_what_is_off_covers_nothing_and_loses_nothing():
    """Switched off, windows and graphs are empty and the sums go on; switched on again, both begin where they are."""
    trackers = Trackers(Scopes(PLAN.worker.listeners), MetricsPlan())
    for at in (100, 101):
        trackers.push(table(l1=5), NOTHING, NOTHING, at, 1.0)
    held = trackers.series()
    trackers.switch(False)
    trackers.push(table(l1=7), NOTHING, NOTHING, 102, 1.0)
    for seconds in (1, 60, 4_000):
        assert trackers.series().rates(NODE, seconds).covered == 0
        assert len(trackers.series().history(NODE, seconds)[1].at) == 0
    assert trackers.sums()["bytes_in"] == 17
    trackers.switch(True)
    trackers.push(table(l1=9), NOTHING, NOTHING, 103, 1.0)
    rates = trackers.series().rates(NODE, 60)
    assert (rates.bytes_in, rates.covered) == (9, 1)
    assert trackers.series().history(NODE, 60)[1].at.tolist() == [103]
    assert trackers.sums()["bytes_in"] == 26
    assert held.rates(NODE, 60).bytes_in == 5  # an older picture stays what it was


def sixty():
    """Return a plan of 60 names: the node, a listener and its route, and 57 targets."""
    targets = tuple(TargetPlan(id=i, host=f"192.0.2.{i}", port=80) for i in range(1, 58))
    return (
        ListenerPlan(
            id=1, name="web", protocol="tcp", host="::", port=1, route=RoutePlan(id=1, name="default", targets=targets)
        ),
    )


def test_sixty_full_and_a_thousand_short_trackers_take_ten_megabytes():
    """An hour of seconds and a day of minutes of 60 names, and five minutes of 1,000 clients, are under 10 MB."""
    trackers = Trackers(Scopes(sixty()), MetricsPlan())
    assert len(trackers.series().slots) == 60
    assert trackers.nbytes + Keyed(KIND, 1_000).nbytes < 10_000_000


def test_a_read_takes_no_step_for_a_sample(node):
    """Any window and graph of a key is read in as many steps of Python, long or short, an hour behind it."""
    for second in range(4_000):
        node.sampler.registry.trackers.push(table(l1=second), NOTHING, NOTHING, 1_000 + second, 1.0)
    series = node.tick().series
    assert steps(lambda: series.rates(NODE, 3_600)) == steps(lambda: series.rates(NODE, 2))
    assert steps(lambda: series.history(NODE, 3_600)) == steps(lambda: series.history(NODE, 2))


def ticked(count):
    """Return the steps of a tick in which so many connections of as many clients all move, and the node's bytes_in."""
    plan = NodePlan(name="n", workers=1, admin=("::1", 0), socket_path="/x", worker=WorkerPlan(listeners=sixty()))
    node, pen = StandIn(plan=plan), Pen(rows=count)
    node.sampler.attach(2, pen.fd)
    rows = [pen.open(1, (f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 1)) for i in range(count)]
    for _ in range(3):
        for row in rows:
            pen.ledger.words[row + CLIENT_RX] += 100
        taken = steps(node.tick)
    moved = node.snapshot().totals.bytes_in
    pen.close()
    node.close()
    return taken, moved


def test_fifty_thousand_rows_tick_without_a_step_for_each():
    """A tick with 50,000 connections of 50,000 clients, all moving, takes no more steps of Python than with 5,000."""
    (few, _), (many, moved) = ticked(5_000), ticked(50_000)
    assert moved == 3 * 50_000 * 100
    assert many <= few + 100


def played(trackers, start, seconds, amount=1_000):
    """Push seconds in which listener 1 moved so much each."""
    for second in range(1, seconds + 1):
        trackers.push(table(l1=amount), NOTHING, NOTHING, start + second, 1.0)


def fresh():
    """Return trackers whose minutes are taken."""
    trackers = Trackers(Scopes(PLAN.worker.listeners), MetricsPlan())
    trackers.keeps = True
    return trackers


def test_series_continue_and_the_downtime_is_a_gap():
    """What one run took piece by piece the next one shows: seconds, minutes and totals, with a hole where none ran."""
    start, first = 1_700_000_040, fresh()
    chunks, minutes = [], []
    for part in range(19):
        played(first, start + 10 * part, 10)
        chunk, sealed = first.take()
        chunks.append(chunk)
        minutes += sealed
    open_minute = parse(serialize(first.export()), SavedMinute)
    second = fresh()
    second.load(chunks, minutes)
    second.restore(open_minute)
    played(second, start + 190 + 300, 70)
    step, history = second.series().history("listener:web", 3_600)
    assert step == 1
    assert history.at[0] == start + 1
    assert len(history.at) == 560
    assert history.covered.sum() == 260
    assert history.sums[:, 0].sum() == 260_000
    assert (history.covered[190:490] == 0).all()
    _, history = second.series().history("listener:web", 86_400)
    assert history.at.tolist() == [start + 60 * minute for minute in range(1, 10)]
    assert history.sums[:, 0].tolist() == [60_000, 60_000, 60_000, 10_000, 0, 0, 0, 0, 50_000]
    assert history.covered.tolist() == [60, 60, 60, 10, 0, 0, 0, 0, 50]
    _, sealed = second.take()
    assert [(each.at - start, each.covered, each.rows[0].bytes_in) for each in sealed] == [
        (240, 10_000, 10_000), (540, 50_000, 50_000),
    ]  # fmt: skip


def test_minutes_are_taken_once_and_exact():
    """Each sealed minute is given out once, with the names that did something, in whole numbers."""
    trackers = fresh()
    played(trackers, 1_700_000_040, 121, amount=2**40 + 1)
    _, (one, two) = trackers.take()
    assert [(each.at, each.covered) for each in (one, two)] == [(1_700_000_100, 60_000), (1_700_000_160, 60_000)]
    assert {each.name: each.bytes_in for each in one.rows} == {
        "node": 60 * (2**40 + 1),
        "listener:web": 60 * (2**40 + 1),
    }
    assert trackers.take() == (None, ())


def test_minutes_that_nobody_takes_are_bounded():
    """Without a store none wait; with one that is out of reach, so many."""
    trackers = fresh()
    played(trackers, 1_700_000_040, 60 * (WAITING + 20))
    assert len(trackers.take()[1]) == WAITING
    trackers.keeps = False
    played(trackers, 1_800_000_000, 600)
    assert trackers.take()[1] == ()


def test_a_minute_that_is_none_is_refused():
    """Whatever a file says, it is one error."""
    minute = fresh().export()
    changes = [{"covered": -1.0}, {"covered": math.nan}, {"minute": 2**40}, {"growth": {"node": (1, 2)}}]
    for change in changes:
        with pytest.raises(SavedError, match="no minute"):
            fresh().restore(replace(minute, **change))


def test_an_older_minute_does_not_stand_behind_newer_ones():
    """What is restored late is kept, and leaves the graph of what came since in order."""
    trackers = fresh()
    played(trackers, 1_700_000_040, 121)
    trackers.restore(SavedMinute(minute=5, covered=60.0, growth={"node": (1, 1, 1, 1)}))
    _, history = trackers.series().history(NODE, 86_400)
    assert history.at.tolist() == [1_700_000_100, 1_700_000_160]
    assert trackers.take()[1][-1].at == 360
