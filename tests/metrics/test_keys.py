"""Pictures of keyed trackers: what a place shows, before and after it has passed to another key."""

import numpy as np
import pytest

from penstock.metrics.clients import KIND
from penstock.metrics.keys import FIRST, NOBODY, OTHER, TOTALS, Picture, sums
from penstock.metrics.rings import Ring
from penstock.metrics.texts import USERS


def picture(kind=USERS, keys=("ann", None), since=(0, 0), samples=()):
    """Return a picture of these keys; samples are bytes in by place, oldest first."""
    ring = Ring(60, FIRST + len(keys), 2)
    for second, sample in enumerate(samples):
        ring.push(np.array([[amount, 0] for amount in sample]), 100 + second, 1.0)
    totals = np.zeros((TOTALS, FIRST + len(keys)), np.int64)
    active = totals[0].copy()
    return Picture(kind, (None, None, *keys), np.array([0, 0, *since]), active, totals, totals[:, 0], 0, ring.view())


def test_names_and_places():
    """A key has a place and a place its name; `other` always has one, `-` once it has counted something."""
    found = picture()
    assert (found.find("ann"), found.name(FIRST)) == (FIRST, "ann")
    assert (found.find("other"), found.name(OTHER), found.name(NOBODY)) == (OTHER, "other", "-")
    assert [found.find(name) for name in ("-", "bob", "")] == [None, None, None]
    assert found.known() == [FIRST]
    found.totals[0, NOBODY] = 1
    assert (found.find("-"), found.known()) == (NOBODY, [NOBODY, FIRST])
    assert picture(KIND, (bytes(15) + b"\1", None)).find("::1") == FIRST


def test_samples_before_a_key_came_are_in_other():
    """A place shows what its key did, and `other` also what the earlier keys of all places did."""
    found = picture(keys=("ann", "bob"), since=(0, 2), samples=[(1, 0, 10, 100), (2, 0, 20, 200), (3, 0, 30, 300)])
    assert [found.window(60, place).sums[0] for place in range(4)] == [1 + 100 + 2 + 200 + 3, 0, 60, 300]
    assert found.window(1, OTHER).sums[0] == 3
    assert found.history(3, 60).sums[:, 0].tolist() == [0, 0, 300]
    assert found.history(OTHER, 60).sums[:, 0].tolist() == [101, 202, 3]
    assert (found.rates(60)[:, 0] * 3).tolist() == [306, 0, 60, 300]


def test_a_window_divides_by_covered_time():
    """A rate is bytes of the window over the window's time, never all bytes over it, nor over a connection's age."""
    found = picture(samples=[(0, 0, 1_000, 0)] * 50)
    for seconds in (1, 10, 50):
        assert found.window(seconds, FIRST).rates()[0] == 1_000
    assert found.rates(10)[FIRST, 0] == 1_000


def test_nothing_was_sampled_yet():
    """Without a sample every window is zero and every graph empty."""
    found = picture()
    assert found.window(10, OTHER).rates().tolist() == [0, 0]
    assert found.rates(10).tolist() == [[0, 0]] * 4
    assert len(found.history(OTHER, 10).at) == 0


@pytest.mark.parametrize("pushes", [3, 60, 200])
def test_sums_are_those_of_single_windows(pushes):
    """All places at once are what each of them is alone, however often places changed hands."""
    random = np.random.default_rng(pushes)
    samples = random.integers(0, 1_000, (pushes, 6)).tolist()
    since = random.integers(0, pushes + 1, 4).tolist()
    found = picture(keys=("a", "b", "c", "d"), since=since, samples=samples)
    numbers, _ = found.view.newest(30)
    alone = [found.window(30, place).sums.tolist() for place in range(6)]
    assert sums(found.view.ring, found.since, numbers).tolist() == alone
