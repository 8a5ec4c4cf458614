"""Months of quotas: which it is, what was used of it, and clocks that are set."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.quota import MONTHS, Used, month_of, next_month


def at(*date):
    """Return the second of a date in UTC."""
    return int(datetime(*date, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("date", "day", "month"),
    [
        ((2026, 11, 21), 1, "2026-11-01"),
        ((2026, 11, 21), 21, "2026-11-21"),
        ((2026, 11, 20, 23, 59, 59), 21, "2026-10-21"),
        ((2026, 1, 1), 28, "2025-12-28"),
        ((2024, 3, 1), 28, "2024-02-28"),
        ((2026, 3, 31), 28, "2026-03-28"),
    ],
)
def test_a_month_begins_on_its_day(date, day, month):
    """A month is named by the day on which it began, also across the end of a year."""
    assert month_of(at(*date), day, UTC) == month


def test_days_are_those_of_the_zone():
    """A month begins with midnight where the node is."""
    assert month_of(at(2026, 10, 31, 23), 1, UTC) == "2026-10-01"
    assert month_of(at(2026, 10, 31, 23), 1, timezone(timedelta(hours=2))) == "2026-11-01"


@given(st.integers(0, 4_000_000_000), st.integers(1, 28))
def test_months_follow_each_other(second, day):
    """The month after a month begins 28 to 31 days later, on the same day, and no second is in none or in two."""
    month = month_of(second, day, UTC)
    following = next_month(month)
    begin, end = (int(datetime.fromisoformat(f"{each}T00:00:00+00:00").timestamp()) for each in (month, following))
    assert begin <= second < end
    assert 28 <= (end - begin) // 86_400 <= 31
    assert month_of(end, day, UTC) == following
    assert month_of(end - 1, day, UTC) == month


@given(st.lists(st.tuples(st.sampled_from(["2026-10-01", "2026-11-01"]), st.integers(0, 1_000)), max_size=50))
def test_a_clock_that_is_set_back_and_forth_loses_and_doubles_nothing(steps):
    """However often the clock goes over the day on which a month begins, each month has what was moved in it."""
    used = Used()
    for month, count in steps:
        used.add(month, count)
    for month in {month for month, _ in steps}:
        assert used.months[month] == sum(count for each, count in steps if each == month)


def test_only_the_newest_months_are_kept():
    """A hundred months take no more room than three, and the one that is counted is always among them."""
    used = Used()
    month = "2026-01-01"
    for _ in range(100):
        used.add(month, 5)
        month = next_month(month)
    assert len(used.months) == MONTHS
    assert used.add("2020-01-01", 7) == 7
    assert used.add("2020-01-01", 7) == 14
    assert len(used.months) == MONTHS
