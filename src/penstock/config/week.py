"""Times of the week as operators write them, `mon-fri` and `08:00-18:00`, and as minutes from Monday's midnight."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from penstock.config.kinds import Kind, is_text
from penstock.config.mistakes import Wrong

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = 24 * 60
WEEK = len(DAYS) * DAY

_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})\s?-\s?([0-9]{1,2}):([0-9]{2})", re.ASCII)


class Days(Kind):
    """A day of the week, or days from one to another, such as `fri-mon`."""

    def parse(self, value: Any) -> tuple[int, int]:
        """Return the first and the last day; Monday is 0."""
        words = re.split(r"\s?-\s?", value.lower()) if is_text(value) else []
        days = [place for word in words for place, day in enumerate(DAYS) if word in (day, day[:3])]
        if not 1 <= len(words) <= 2 or len(days) != len(words):
            raise Wrong("days are mon, tue, wed, thu, fri, sat, sun, or from one to another", '"mon-fri"')
        return days[0], days[-1]

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^[A-Za-z]{3,9}( ?- ?[A-Za-z]{3,9})?$"}


class Hours(Kind):
    """A time of day from one minute until before another; over midnight if the second is not the later one."""

    def parse(self, value: Any) -> tuple[int, int]:
        """Return the minute of the day that it begins with, and the one that it ends before."""
        found = _HOURS.fullmatch(value) if is_text(value) else None
        if found is None:
            raise Wrong("hours are from one time to another", '"08:00-18:00"')
        first, last = (60 * int(found[place]) + int(found[place + 1]) for place in (1, 3))
        if first >= DAY or last > DAY or int(found[2]) > 59 or int(found[4]) > 59:
            raise Wrong("a time is from 00:00 to 24:00", '"08:00-18:00"')
        if first == last:
            raise Wrong("it ends when it begins", '"00:00-24:00"')
        return first, last

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$"}


def minutes(days: Sequence[tuple[int, int]], hours: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """
    Return minutes of the week as (first, last); none for always.

    Args:
        days: As `Days` reads them; none for each.
        hours: As `Hours` reads them; none for all. Hours over midnight belong to the day on which they begin.
    """
    if not days and not hours:
        return ()
    found = []
    for day in sorted({day for first, last in days or ((0, 6),) for day in _from_to(first, last)}):
        for first, last in hours or ((0, DAY),):
            begin = day * DAY + first
            found += _around(begin, begin + (last - first) % DAY - 1 if last != DAY else (day + 1) * DAY - 1)
    return tuple(found)


def _from_to(first: int, last: int) -> Iterable[int]:
    return (day % len(DAYS) for day in range(first, first + (last - first) % len(DAYS) + 1))


def _around(first: int, last: int) -> list[tuple[int, int]]:
    """Return a range that may reach into the next week as one or two of this week."""
    return [(first, last)] if last < WEEK else [(first, WEEK - 1), (0, last - WEEK)]
