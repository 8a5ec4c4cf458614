"""Times of the week."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.mistakes import Wrong
from penstock.config.week import DAY, WEEK, Days, Hours, minutes


@pytest.mark.parametrize(
    ("text", "days"), [("mon", (0, 0)), ("Mon-Fri", (0, 4)), ("saturday - monday", (5, 0)), ("sun", (6, 6))]
)
def test_days(text, days):
    """One day or from one to another, in any case, short or whole."""
    assert Days().parse(text) == days


@pytest.mark.parametrize("value", ["", "m", "mon-", "mon-tue-wed", "montag", "8", None, 1, "mon-blue", "mondaymonday"])
def test_what_is_no_day(value):
    """Anything else is said to be none, with an example."""
    with pytest.raises(Wrong) as caught:
        Days().parse(value)
    assert caught.value.write == '"mon-fri"'


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("08:00-18:00", (480, 1_080)), ("8:00 - 18:30", (480, 1_110)), ("22:00-06:00", (1_320, 360)),
        ("00:00-24:00", (0, DAY)),
    ],
)  # fmt: skip
def test_hours(text, hours):
    """From one minute until before another, over midnight too."""
    assert Hours().parse(text) == hours


@pytest.mark.parametrize(
    "value", ["", "8-18", "24:00-06:00", "08:60-09:00", "08:00-24:01", "08:00-08:00", None, 8, "-"]
)
def test_what_are_no_hours(value):
    """Anything else is said to be none, with something to write."""
    with pytest.raises(Wrong) as caught:
        Hours().parse(value)
    assert caught.value.write


def holds(ranges, minute):
    """Return whether a minute is in one of the ranges."""
    return any(first <= minute <= last for first, last in ranges)


def naive(days, hours, minute):
    """Go through the days and the minutes that their hours begin and last."""
    for first, last in days or [(0, 6)]:
        day = first
        while True:
            for begin, end in hours or [(0, DAY)]:
                lasts = (end - begin) % DAY or DAY
                if (minute - day * DAY - begin) % WEEK < lasts:
                    return True
            if day == last:
                break
            day = (day + 1) % 7
    return False


DAYS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=2)
HOURS = st.lists(
    st.tuples(st.integers(0, DAY - 1), st.integers(0, DAY)).filter(lambda pair: pair[0] != pair[1]), max_size=2
)


@given(DAYS, HOURS, st.integers(0, WEEK - 1))
def test_minutes_are_those_of_the_days_and_hours(days, hours, minute):
    """Any days and hours, over midnight and over the end of the week; none of either is always."""
    ranges = minutes(days, hours)
    if not days and not hours:
        assert ranges == ()
    else:
        assert holds(ranges, minute) == naive(days, hours, minute)
        assert all(0 <= first <= last < WEEK for first, last in ranges)
