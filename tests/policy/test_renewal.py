"""When a certificate is renewed, and how long a failure is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.renewal import DAY, HOUR, LONGEST_PAUSE, LONGEST_WISH, due_at, pause

CHANCES = st.floats(0, 1, exclude_max=True)


def test_a_long_life_is_renewed_thirty_days_before_its_end():
    """90 days and a year: both at 30 days."""
    assert due_at(0, 90 * DAY) == 60 * DAY
    assert due_at(1_000, 1_000 + 365 * DAY) == 1_000 + 335 * DAY


def test_a_short_life_is_renewed_at_a_third():
    """Of six days, two are left; what is over before it begins is due at its end."""
    assert due_at(0, 6 * DAY) == 4 * DAY
    assert due_at(10, 5) == 5


def test_five_tries_at_most_fall_into_an_hour():
    """However chance falls: Let's Encrypt lets five fail an hour for one name."""
    for chance in (0.0, 0.5, 0.999):
        moments, now = [], 0.0
        for failures in range(1, 20):
            moments.append(now)
            now += pause(failures, 0.0, chance)
        assert all(sum(begin <= each < begin + HOUR for each in moments) <= 5 for begin in moments)


@given(st.integers(1, 10_000), st.floats(0, 1e12), CHANCES)
def test_a_pause_is_bounded(failures, wish, chance):
    """By half a day of ours, or a week of the server's; and it is never nothing."""
    assert 120 <= pause(failures, wish, chance) <= max(LONGEST_PAUSE, LONGEST_WISH)


@given(st.integers(1, 100), CHANCES)
def test_a_wish_is_granted(failures, chance):
    """A server that names a time is not asked sooner."""
    assert pause(failures, 2.0 * DAY, chance) == 2.0 * DAY
    assert pause(failures, 0.0, 0.0) <= LONGEST_PAUSE
