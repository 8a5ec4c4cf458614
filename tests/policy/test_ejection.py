"""Ejections grow and are forgotten."""

from penstock.policy.ejection import Ejection


def lengths(ejection, gaps, first=10):
    """Return how long each ejection lasts that begins so long after the end of the one before."""
    found = []
    for gap in gaps:
        now = ejection.until + gap
        found.append(ejection.eject(now, first) - now)
    return found


def test_each_is_twice_as_long_up_to_thirtyfold():
    """A target that fails as soon as it is back is left out for 1, 2, 4, 8, 16, 30, 30 times the first one."""
    assert lengths(Ejection(), [0] * 7) == [10, 20, 40, 80, 160, 300, 300]


def test_a_target_that_stays_well_begins_anew():
    """One that was back for as long as it was out is out for the first length again; a moment less, and it doubles."""
    assert lengths(Ejection(), [0, 0, 20, 10]) == [10, 20, 10, 10]
    assert lengths(Ejection(), [0, 0, 19, 39]) == [10, 20, 40, 80]


def test_one_can_be_lifted():
    """A lifted ejection ends at once, and the next one is longer all the same; one that is over stays as it was."""
    ejection = Ejection()
    ejection.eject(100, 10)
    ejection.lift(103)
    assert ejection.until == 103
    ejection.lift(200)
    assert ejection.until == 103
    assert ejection.eject(105, 10) == 125
