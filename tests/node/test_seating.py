"""Columns of the limit table, as they go from process to process."""

import pytest

from penstock.base.clock import NS
from penstock.config.limit_plan import LimitPlan, LimitsPlan, RatePlan
from penstock.config.plan import RoutePlan, WorkerPlan
from penstock.dataplane.limit_table import Seats
from penstock.node.seating import SavedSeats, Seating, longest_window
from penstock.testing.workbench import listener

PLAN = WorkerPlan(listeners=(), limits=LimitsPlan(rate_per_ip=RatePlan(count=1, window=60 * NS)))


def test_in_calm_a_process_sums_its_own_columns():
    """The first process has the first columns, sums these alone, and all others are idle."""
    seating = Seating(2, 6)
    assert (seating.seats(7), seating.idle) == (Seats(7, 0, 0, 2), [2, 3, 4, 5])
    seating.widen()
    assert seating.seats(7) == Seats(7, 0, 0, 0)


def test_three_processes_fit_and_a_fourth_does_not():
    """Each successor takes columns that nobody has; while two others drain there is no room, then there is again."""
    second = Seating(2, 6, SavedSeats(0, 2, {1: 0, 2: 1}))
    assert (second.first, second.seats(7), second.idle) == (2, Seats(7, 2, 0, 0), [4, 5])
    third = Seating(2, 6, SavedSeats(2, 2, {1: 0, 2: 1, 3: 2, 4: 3}))
    assert (third.first, third.idle) == (4, [])
    assert Seating(2, 6, SavedSeats(4, 2, dict(zip(range(1, 7), range(6), strict=True)))).first == -1
    assert Seating(2, 6, SavedSeats(4, 2, {3: 2, 4: 3, 5: 4, 6: 5})).first == 0
    assert Seating(5, 6, SavedSeats(0, 2, {})).first == -1
    assert Seating(1, 6, SavedSeats(0, 2, {1: -1})).first == -1, "columns of somebody are not known"


def test_who_is_gone_leaves_empty_columns():
    """A worker's column is empty when it has gone; with the last one every column is that nobody has."""
    seating = Seating(2, 6, SavedSeats(0, 2, {1: 0, 2: 1}))
    seating.follow({1: 0, 2: 1, 9: -1})  # one that was not known when its process handed over
    assert [seating.left(1), seating.left(1), seating.left(9)] == [[0], [], []]
    assert seating.left(2) == [0, 1, 4, 5]


def test_calm_returns_when_no_rate_remembers_others():
    """Two windows of the longest rate after the last old worker has gone each worker sums its own process's columns."""
    seating = Seating(2, 6, SavedSeats(0, 2, {1: 0}))
    assert not seating.settle(PLAN, NS)
    seating.left(1)
    assert [seating.settle(PLAN, now * NS) for now in (5, 124, 125, 126)] == [False, False, True, False]
    assert seating.seats(7) == Seats(7, 2, 2, 2)
    seating.widen()  # an upgrade that failed
    assert [seating.settle(PLAN, now * NS) for now in (500, 619, 620)] == [False, False, True]


@pytest.mark.parametrize("place", ["listener", "route", "user", "named", "none"])
def test_the_longest_window_is_found_wherever_it_is(place):
    """Rates of listeners, routes, users and addresses are all looked at."""
    share = LimitPlan(rate=RatePlan(count=1, window=9 * NS))
    door = listener(
        "main",
        limits=share if place == "listener" else LimitPlan(),
        route=RoutePlan(id=1, name="app", limits=share if place == "route" else None),
    )
    limits = LimitsPlan(
        per_user=share if place == "user" else LimitPlan(), users={"ada": share} if place == "named" else {}
    )
    assert longest_window(WorkerPlan(listeners=(door,), limits=limits)) == (0 if place == "none" else 9 * NS)
