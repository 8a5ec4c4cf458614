"""The supervisor's side of the limit table."""

import os

import pytest

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS
from penstock.config.limit_plan import BandwidthPlan, LimitPlan, LimitsPlan, RatePlan
from penstock.config.plan import RoutePlan, WorkerPlan
from penstock.dataplane.limit_table import H_LAYOUT, IP, NODE, ROUTE, USER, LimitTable, Seats
from penstock.node.limits import TOP, Limits
from penstock.testing.workbench import listener

KEY = b"k" * 16


@pytest.fixture
def limits():
    """Of two workers."""
    made = Limits(2)
    yield made
    made.close()


def test_a_dead_workers_connections_are_given_back(limits):
    """What one worker had open is gone, what the other one has stays, and so does what both let in."""
    dead, alive = LimitTable(limits.fd, 0), LimitTable(limits.fd, 1)
    slots = [dead.slot(bytes((number,)) * 16, IP, NS, NS) for number in range(1, 200)]
    for slot in (NODE, *slots):
        assert all(table.enter(slot, 10) for table in (dead, alive))
    assert all(dead.count(slot, 10, NS, NS) for slot in slots)
    limits.forget(0)
    assert {alive.open_in(slot) for slot in (NODE, *slots)} == {1}
    assert {alive.used(slot, NS, NS) for slot in slots} == {1}
    dead.close()
    alive.close()


def test_looking_at_the_table_takes_no_memory(limits):
    """What is shown, and what a dead worker had, is found without a page for each slot that nobody uses."""
    worker = LimitTable(limits.fd, 0)
    slot = worker.slot(pack_ip("192.0.2.7"), IP, NS, NS)
    worker.enter(slot, 5)
    before = os.fstat(limits.fd).st_blocks
    plan = WorkerPlan(listeners=(), limits=LimitsPlan(connections_per_ip=5))
    assert [each.open for each in limits.view(plan, NS).limits if each.name == "192.0.2.7"] == [1]
    limits.forget(0)
    assert worker.open_in(slot) == 0
    assert os.fstat(limits.fd).st_blocks <= before + 8, "more than a page"
    worker.close()


def test_a_node_in_one_process_has_one_seat():
    """With no worker processes there is one worker, which has a column."""
    limits = Limits(0)
    table = LimitTable(limits.fd, 0)
    assert table.enter(NODE, 1)
    limits.forget(0)
    assert table.open_in(NODE) == 0
    table.close()
    limits.close()


# Upgrades -------------------------------------------------------------------------------------------------------------


def handed(old, generations, workers=2):
    """Return the limits of a process that succeeds another one, whose workers have these generations."""
    return Limits(workers, os.dup(old.fd), old.saved(zip(generations, range(workers), strict=False)))


def worker(limits, number):
    """Return the view of a worker of a process."""
    seats = limits.seats
    view = LimitTable(limits.fd, seats.column + number)
    view.sum_up(seats.first, seats.columns)
    return view


def test_a_successor_counts_on(limits):
    """Places and rates of the old process count for the new one, and the other way, until each place is given back."""
    old = worker(limits, 0)
    slot = old.slot(KEY, IP, 60 * NS, NS)
    assert all(old.enter(place, 3) and old.count(slot, 5, 60 * NS, NS) for place in (slot, NODE) for _ in range(2))
    new = handed(limits, [1, 2])
    one, two, old_too = worker(new, 0), worker(new, 1), worker(limits, 1)
    assert not new.anew
    assert one.slot(KEY, IP, 60 * NS, NS) == slot
    assert [one.enter(slot, 3), two.enter(slot, 3), old_too.enter(slot, 3)] == [True, False, False]
    assert [one.count(slot, 5, 60 * NS, NS), two.count(slot, 5, 60 * NS, NS), old_too.count(slot, 5, 60 * NS, NS)] == [
        True, False, False,
    ]  # fmt: skip
    new.follow([1, 2])
    assert new.view(WorkerPlan(listeners=(), connections=9), NS).limits[0].open == 2
    old.leave(slot)
    assert two.enter(slot, 3)
    new.left(1)
    assert [two.enter(slot, 3), two.enter(slot, 3)] == [True, False]
    assert new.table.open_in(NODE) == 0
    for view in (one, two, old, old_too):
        view.close()
    new.close()


def test_a_successor_is_alone_again(limits):
    """Two windows after the old workers have gone the new ones sum their own columns, and no rate was forgotten."""
    plan = WorkerPlan(listeners=(), limits=LimitsPlan(rate_per_ip=RatePlan(count=5, window=NS)))
    new = handed(limits, [1, 2])
    new.follow([1, 2])
    assert not new.settle(plan, NS)
    assert new.seats.columns == 0
    for generation in (1, 2):
        new.left(generation)
    assert [new.settle(plan, now) for now in (NS, 2 * NS, 3 * NS)] == [False, False, True]
    assert new.seats == Seats(new.fd, 2, 2, 2)
    new.close()


def test_a_successor_that_failed_leaves_no_places(limits):
    """What workers of a process that gave up had open is gone from the table at the next look."""
    old = worker(limits, 0)
    slot = old.slot(KEY, IP, NS, NS)
    failed = handed(limits, [1, 2])
    lost = worker(failed, 0)
    assert all(lost.enter(place, 9) for place in (slot, NODE))
    assert limits.table.open_in(slot) == limits.table.open_in(NODE) == 1
    limits.settle(WorkerPlan(listeners=()), NS)
    old.sum_up()
    assert old.open_in(slot) == old.open_in(NODE) == 0
    for view in (old, lost):
        view.close()
    failed.close()


def test_a_table_of_another_layout_is_left_alone(limits):
    """Where the old table cannot be counted in, or has no room, counts begin anew, and it is said why."""
    saved = limits.saved([(1, 0), (2, 1)])
    assert Limits(5, os.dup(limits.fd), saved).anew == "its table has no 5 columns left: other processes drain"
    os.pwrite(limits.fd, bytes(8), H_LAYOUT * 8)
    other = Limits(2, os.dup(limits.fd), saved)
    assert other.anew == "the old process has another kind of table"
    assert other.seats.columns == 2
    assert other.table.enter(NODE, 1)
    assert Limits(2, os.memfd_create("nothing"), saved).anew


# What is shown --------------------------------------------------------------------------------------------------------

FIVE = LimitPlan(connections=5, rate=RatePlan(count=9, window=NS))


def test_all_limits_are_shown_with_what_is_used(limits):
    """Node, listeners, routes, users and the addresses that use most of theirs, over all workers, by their names."""
    route = RoutePlan(id=1, name="app", limits=FIVE)
    main = listener("main", users={"ada": "pw", "bob": "pw"}, route=route, limits=LimitPlan(connections=7))
    per_ip = LimitsPlan(connections_per_ip=10, per_user=LimitPlan(connections=3), users={"bob": LimitPlan()})
    tables = [LimitTable(limits.fd, seat) for seat in (0, 1)]
    for table in tables:
        assert table.enter(NODE, 9)
        slot = table.slot(table.key(ROUTE, "app"), ROUTE, NS, NS)
        assert table.enter(slot, 5)
        assert table.count(slot, 9, NS, NS)
        assert table.enter(table.slot(pack_ip("192.0.2.7"), IP, 0, NS), 10)
    found = limits.view(WorkerPlan(listeners=(main,), connections=9, limits=per_ip), NS)
    shown = [(each.scope, each.name, each.open, each.connections, each.used, each.rate) for each in found.limits]
    assert shown == [
        ("node", "", 2, 9, 0, None),
        ("listener", "main", 0, 7, 0, None),
        ("route", "app", 2, 5, 2, "9/1s"),
        ("user", "*", 0, 3, 0, None),
        ("user", "ada", 0, 3, 0, None),
        ("ip", "*", 0, 10, 0, None),
        ("ip", "192.0.2.7", 2, 10, 0, None),
    ]
    assert (found.addresses, found.untracked) == (1, 0)
    for table in tables:
        table.close()


def test_the_busiest_addresses_come_first_and_not_all_of_them(limits):
    """Of many addresses those with the greatest share of a limit are shown, be it connections or rate."""
    table = LimitTable(limits.fd, 1)
    rate = RatePlan(count=100, window=NS)
    for number in range(1, 60):
        slot = table.slot(pack_ip(f"192.0.2.{number}"), IP, NS, NS)
        for _ in range(number):
            table.count(slot, 100, NS, NS)
    table.enter(slot := table.slot(pack_ip("192.0.2.1"), IP, NS, NS), 1)
    plan = WorkerPlan(listeners=(), limits=LimitsPlan(connections_per_ip=1, rate_per_ip=rate))
    shown = [each for each in limits.view(plan, NS).limits if each.scope == "ip"][1:]
    assert [each.name for each in shown[:3]] == ["192.0.2.1", "192.0.2.59", "192.0.2.58"]
    assert [each.used for each in shown[:3]] == [1, 59, 58]
    assert len(shown) == TOP
    later = [each.used for each in limits.view(plan, 2 * NS + NS // 2).limits[2:]]
    assert later[:2] == [0, 29]
    table.close()


def test_users_of_files_are_shown_by_what_they_use(limits):
    """Of users that the plan does not name those with the most in use stand there, and a bounded number of them."""
    table = LimitTable(limits.fd, 0)
    for number in range(5):
        for _ in range(number):
            assert table.enter(table.slot(table.key(USER, f"user{number}"), USER, 0, NS), 9)
    plan = WorkerPlan(listeners=(), limits=LimitsPlan(per_user=LimitPlan(connections=4), users={"user2": FIVE}))
    names = [*(f"user{number}" for number in range(5)), *map(str, range(9_000))]
    shown = [each for each in limits.view(plan, NS, names).limits if each.scope == "user"]
    assert [(each.name, each.open, each.full, each.fullest) for each in shown[:6]] == [
        ("*", 0, 0.0, ""),
        ("user2", 2, 0.4, "connections"),
        ("user4", 4, 1.0, "connections"),
        ("user3", 3, 0.75, "connections"),
        ("user1", 1, 0.25, "connections"),
        ("0", 0, 0.0, ""),
    ]
    assert len(shown) == TOP + 2
    table.close()


def test_bandwidths_are_shown_by_what_is_used_of_them(limits):
    """Of each direction the part of the burst is told that is used, which comes back, for addresses and for others."""
    table, bandwidth = LimitTable(limits.fd, 0), BandwidthPlan(rate=1_000_000, burst=500_000)
    app = RoutePlan(id=1, name="app", limits=LimitPlan(bandwidth=bandwidth))
    now, reach = 9 * NS, NS // 2
    for slot in (table.slot(pack_ip("192.0.2.1"), IP, 0, now), table.slot(table.key(ROUTE, "app"), ROUTE, 0, now)):
        table.pay(slot, 0, 9_000_000, 1_000_000, reach, NS)
        table.pay(slot, 1, 300_000, 1_000_000, reach, now)
    plan = WorkerPlan(listeners=(listener("main", route=app),), limits=LimitsPlan(bandwidth_per_ip=bandwidth))
    for later, used in ((0, (1.0, 1.0)), (9 * NS + NS // 5, (0.5, 0.0)), (20 * NS, (0.0, 0.0))):
        found = [each for each in limits.view(plan, now + later).limits if each.name in ("app", "192.0.2.1")]
        assert {(each.bandwidth_used_in, each.bandwidth_used_out) for each in found} == {used}
        assert {(each.full, each.fullest) for each in found} == {(used[0], "bandwidth" if used[0] else "")}
        assert len(found) == (2 if used[0] else 1)
    table.close()


def test_rates_with_a_burst_are_shown_by_what_is_left(limits):
    """Of a rate with a burst that is used which was drawn and has not come back, for addresses and for others."""
    table, rate = LimitTable(limits.fd, 1), RatePlan(count=60, window=60 * NS, burst=5)
    app = RoutePlan(id=1, name="app", limits=LimitPlan(rate=rate))
    for slot in (table.slot(pack_ip("192.0.2.1"), IP, 0, NS), table.slot(table.key(ROUTE, "app"), ROUTE, 0, NS)):
        assert sum(table.draw(slot, rate.cost, rate.reach, NS) for _ in range(4)) == 4
    plan = WorkerPlan(listeners=(listener("main", route=app),), limits=LimitsPlan(rate_per_ip=rate))
    for later, used in ((0, 4), (1, 3), (9, 0)):
        found = {each.scope: (each.rate, each.used) for each in limits.view(plan, NS + later * NS).limits}
        assert found["ip"] == found["route"] == ("60/1m burst 5", used)
    table.close()


def test_a_node_without_limits_of_addresses_shows_none(limits):
    """Where addresses have no limit, none of them is shown."""
    assert [each.scope for each in limits.view(WorkerPlan(listeners=()), NS).limits] == ["node"]
