"""
Bytes of a month: which month it is, and what each has had of it.

A month is named by the day on which it began, by the node's clock. What was used of a month stays with it: a clock that
is set on and back again finds what it left, so nothing is had twice and nothing is lost.
"""

from datetime import datetime, timedelta, tzinfo

MONTHS = 3
"""Months that are remembered of each: this one, and as many as a clock that is wrong may go to."""

LONGEST_MONTH = timedelta(days=31)


def month_of(second: int, reset_day: int, zone: tzinfo | None = None) -> str:
    """
    Return the day on which the present month began, such as `2026-11-01`.

    Args:
        second: Wall time; unit s since the epoch.
        reset_day: 1 to 28.
        zone: Whose days they are; None for the machine's own.
    """
    today = datetime.fromtimestamp(second, zone)
    began = today.replace(day=reset_day)
    if today.day < reset_day:
        began = (today.replace(day=1) - timedelta(days=1)).replace(day=reset_day)
    return began.strftime("%Y-%m-%d")


def next_month(month: str) -> str:
    """Return the day on which the month after one begins."""
    began = datetime.strptime(month, "%Y-%m-%d")
    return (began.replace(day=1) + LONGEST_MONTH).replace(day=began.day).strftime("%Y-%m-%d")


class Used:
    """
    What one route or user has had.

    Args:
        months: Bytes by month, of an earlier run.

    Attributes:
        months: The same, as of now.
    """

    __slots__ = ("months",)

    def __init__(self, months: dict[str, int] | None = None) -> None:
        self.months = dict(months or {})

    def add(self, month: str, count: int) -> int:
        """Count more bytes of a month, and return all of it."""
        used = self.months[month] = self.months.get(month, 0) + count
        if len(self.months) > MONTHS:
            del self.months[min(each for each in self.months if each != month)]
        return used
