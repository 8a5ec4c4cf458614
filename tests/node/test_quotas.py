"""The accounts of quotas: whose bytes are whose, months, orders to workers, and what the store keeps."""

from types import SimpleNamespace

import numpy as np
import pytest

from penstock.base.clock import NS
from penstock.config.limit_plan import LimitPlan, LimitsPlan, QuotaPlan
from penstock.config.plan import RoutePlan, WorkerPlan
from penstock.dataplane.limit_table import ROUTE, USER
from penstock.metrics.growth import BYTES_IN, BYTES_OUT, COLUMNS
from penstock.metrics.keyed import Told
from penstock.metrics.quotas import QuotaFigures, QuotasView
from penstock.node.quotas import KIND, Quotas, QuotaView
from penstock.store.tables import Entry
from penstock.testing.clock import ManualClock
from penstock.testing.workbench import listener

from .conftest import KeptLog

NOVEMBER = 1_795_262_400 * NS
"""2026-11-21 12:00 UTC; no zone is in another month then."""

MONTH = 31 * 86_400


def plan(route=0, user=0, **named):
    """Return a plan with a quota of a route, of every user, and of some by name."""
    own = LimitPlan(quota=QuotaPlan(size=route)) if route else None
    users = {name: LimitPlan(quota=QuotaPlan(size=size)) for name, size in named.items()}
    each = LimitPlan(quota=QuotaPlan(size=user)) if user else LimitPlan()
    main = listener("main", route=RoutePlan(id=2, name="app", limits=own))
    return WorkerPlan(listeners=(main,), limits=LimitsPlan(per_user=each, users=users))


@pytest.fixture
def clock():
    """In November."""
    return ManualClock(wall_ns=NOVEMBER)


@pytest.fixture
def kept():
    """What was logged."""
    return KeptLog()


@pytest.fixture
def make(clock, kept):
    """Make quotas of a plan."""
    return lambda wanted: Quotas(wanted, clock, kept.log)


def fold(rows, fresh=(), told=None, route=(0, 0)):
    """
    Return a fold: bytes in and out that moved by row, rows that are new, users by row.

    Args:
        rows: By position, (in, out) now and (in, out) since the connection began.
    """
    position = np.array(sorted(rows), np.intp)
    routes = np.zeros((COLUMNS, 3), np.int64)
    routes[BYTES_IN, 2], routes[BYTES_OUT, 2] = route
    moved, now = (np.array([rows[each][which] for each in sorted(rows)]).reshape(-1, 2) for which in (0, 1))
    growth = SimpleNamespace(rows=SimpleNamespace(position=position), routes=routes, now=now)
    index = {each: place for place, each in enumerate(sorted(rows))}
    part = SimpleNamespace(
        growth=growth, fresh=np.array([index[each] for each in fresh], np.intp), volume=moved.sum(axis=1)
    )
    told = told or {}
    keys = sorted(set(told.values()))
    places = np.array([index[each] for each in told], np.intp)
    each = np.array([keys.index(user) for user in told.values()], np.intp)
    return part, Told(places, keys, each, None, lambda asked: [])


def used(quotas, kind, name):
    """Return the bytes of this month."""
    return quotas.view(kind, name).used


def test_a_route_has_what_its_connections_moved(make):
    """Both directions of each fold are added up."""
    quotas = make(plan(route=1_000))
    for _ in range(3):
        quotas.add(1, *fold({}, route=(100, 20)))
    assert quotas.view(ROUTE, "app") == QuotaView(1_000, 360, "2026-11-01", "2026-12-01")
    assert quotas.view(ROUTE, "other") is None


def test_users_have_what_they_moved_to_the_byte(make):
    """What moved before a user was named counts for it, another user of the row begins where the first one ends."""
    quotas = make(plan(user=10_000))
    quotas.add(1, *fold({5: ((10, 1), (10, 1)), 9: ((7, 0), (7, 0))}, fresh=(5, 9)))
    quotas.add(1, *fold({5: ((20, 2), (30, 3)), 9: ((1, 1), (8, 1))}, told={5: "ada"}))
    assert used(quotas, USER, "ada") == 33
    quotas.add(1, *fold({5: ((5, 5), (35, 8)), 9: ((0, 0), (8, 1))}, told={9: "bob"}))
    assert (used(quotas, USER, "ada"), used(quotas, USER, "bob")) == (43, 9)
    quotas.add(1, *fold({5: ((100, 0), (135, 8))}, told={5: "bob"}))
    assert (used(quotas, USER, "ada"), used(quotas, USER, "bob")) == (43, 109)
    quotas.add(1, *fold({5: ((1, 1), (1, 1))}, fresh=(5,)))
    assert (used(quotas, USER, "ada"), used(quotas, USER, "bob")) == (43, 109)


def test_who_is_told_once_more_is_not_counted_twice(make):
    """Names that are repeated, and rows that somebody else has read before, add what moved and no more."""
    quotas = make(plan(user=10_000))
    quotas.add(1, *fold({0: ((3, 3), (500, 500))}, told={0: "ada"}))  # of a connection that another process has counted
    quotas.add(1, *fold({0: ((1, 1), (501, 501))}, told={0: "ada"}))
    assert used(quotas, USER, "ada") == 8
    quotas.forget(1)
    quotas.add(1, *fold({0: ((1, 1), (502, 502))}))
    assert used(quotas, USER, "ada") == 8


def test_only_who_has_a_quota_is_counted(make):
    """A user that is named has its own quota or none, and others that of all."""
    quotas = make(plan(ada=100))
    quotas.add(1, *fold({0: ((9, 9), (9, 9)), 1: ((9, 9), (9, 9))}, fresh=(0, 1), told={0: "ada", 1: "bob"}))
    assert used(quotas, USER, "ada") == 18
    assert quotas.view(USER, "bob") is None
    assert quotas.users() == ["ada"]
    assert not make(plan())


def test_workers_are_told_whose_quota_is_used_up_until_the_month_is_over(make, clock, kept):
    """Within the tick workers and the log hear of it; the next month takes it back, and so does a larger quota."""
    told = []
    quotas = make(plan(route=100))
    quotas.add(1, *fold({}, route=(99, 0)))
    quotas.tick(lambda *each: told.append(each))
    quotas.add(1, *fold({}, route=(1, 0)))
    quotas.tick(lambda *each: told.append(each))
    clock.advance(MONTH)
    quotas.tick(lambda *each: told.append(each))
    assert told == [((), 0), (((ROUTE, "app"),), 1), ((), 2)]
    assert [each["event"] for each in kept.events()] == ["quota used up", "quota open again"]
    event = kept.events("quota used up")[0]
    assert (event["route"], event["quota"], event["resets"]) == ("app", "100B", "2026-12-01")
    quotas.add(1, *fold({}, route=(500, 0)))
    quotas.tick(lambda *each: None)
    assert quotas.spent == ((ROUTE, "app"),)
    quotas.replan(plan(route=501))
    quotas.tick(lambda *each: None)
    assert quotas.spent == ()


def test_a_clock_that_goes_over_the_day_and_back_changes_nothing(make, clock):
    """What was used in November is used in November, whatever the clock has said in between."""
    quotas = make(plan(route=100))
    quotas.add(1, *fold({}, route=(100, 0)))
    for _ in range(5):
        quotas.tick(lambda *each: None)
        assert quotas.spent
        clock.advance(MONTH)
        quotas.tick(lambda *each: None)
        assert not quotas.spent
        clock.advance(-MONTH)
    assert used(quotas, ROUTE, "app") == 100


def test_what_is_published_is_of_routes_and_of_users_that_are_asked_for(make):
    """All routes with a quota and those users who have one, with what they had this month, and how many are spent."""
    quotas = make(plan(route=100, bob=5))
    fold_in(quotas, {1: ((3, 4), (3, 4))}, [1], {1: "bob"}, (60, 50))
    quotas.tick(lambda *_: None)
    view = quotas.figures(["ann", "bob"])
    assert view == QuotasView((QuotaFigures("app", 100, 110),), (QuotaFigures("bob", 5, 7),), 1, 1)
    assert make(plan()).figures(["ann"]) == QuotasView()


def fold_in(quotas, *what):
    """Count a fold."""
    quotas.add(1, *fold(*what))


def test_what_was_used_survives(make):
    """What is taken once is taken; a next run goes on from it, and what is no entry is left out with a line."""
    quotas = make(plan(route=100, user=100))
    quotas.add(1, *fold({0: ((9, 9), (9, 9))}, fresh=(0,), told={0: "ada"}, route=(60, 0)))
    taken = quotas.take()
    assert quotas.take() == {}
    assert quotas.take(everything=True) == taken
    kept = [Entry(key, body, 0) for (_, key), body in taken.items()]
    assert sorted(each.key for each in kept) == ["route app", "user ada"]
    bad = [Entry("route app", "[]", 0), Entry("what app", "{}", 0), Entry("user x", '{"now": 5}', 0)]
    again = make(plan(route=100, user=100))
    assert len(again.restore({KIND: [*bad, *kept]})) == 3
    again.add(1, *fold({}, route=(40, 0)))
    again.tick(lambda *each: None)
    assert again.spent == ((ROUTE, "app"),)
    assert used(again, USER, "ada") == 18
