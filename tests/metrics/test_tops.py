"""The busiest keys by name, and the rest."""

import numpy as np

from penstock.metrics.keys import FIRST, NOBODY, OTHER, TOTALS, Picture
from penstock.metrics.rings import Ring
from penstock.metrics.texts import DESTINATIONS
from penstock.metrics.tops import NAMED, TOP, ConnectionCount, TopDestination, fastest, most_open


def picture(count, nobody=0):
    """Return so many keys; key n has n open connections, 10n in all, and moves n bytes in and out each second."""
    numbers = np.arange(FIRST + count) - FIRST + 1
    numbers[[OTHER, NOBODY]] = 3, nobody
    totals = np.outer([10, 1, 1, 2], numbers)
    ring = Ring(60, FIRST + count, 2)
    ring.push(np.stack([numbers, numbers], axis=1), 1, 1.0)
    keys = (None, None, *(f"k{n}" for n in range(1, count + 1)))
    assert totals.shape[0] == TOTALS
    return Picture(DESTINATIONS, keys, np.zeros_like(numbers), numbers, totals, totals[:, 0], 0, ring.view())


def test_the_first_ones_are_named():
    """A hundred are named, those with most open connections first; ten are told in full."""
    found = most_open(picture(300))
    assert len(found.counts) == NAMED + 1
    assert list(found.counts)[:2] == ["k300", "k299"]
    assert found.counts["k300"] == ConnectionCount(300, 3_000)
    tops = found.named(TopDestination)
    assert len(tops) == TOP
    assert (tops[0].destination, tops[0].active, tops[0].total) == ("k300", 300, 3_000)
    assert (tops[0].bytes_in, tops[0].bytes_out, tops[0].requests) == (300, 300, 600)


def test_named_ones_and_the_rest_are_all():
    """What is not named is in `other`: the sum is the same however many are named."""
    for count in (0, 5, 300):
        found = picture(count, nobody=7)
        counts, rates = most_open(found).counts, fastest(found, 10)
        assert sum(each.active for each in counts.values()) == found.active.sum()
        assert sum(each.total for each in counts.values()) == found.totals[0].sum()
        assert sum(each.bytes_in for each in rates.values()) == found.active.sum()
        assert counts["-"].active == 7 if count == 5 else True


def test_nobody_is_named_only_if_there_was_one():
    """`-` is among the names once a connection named no key."""
    assert "-" not in most_open(picture(2)).counts
    assert "-" not in fastest(picture(2), 10)
    assert "-" in fastest(picture(2, nobody=1), 10)


def test_a_kind_that_is_off_has_no_names():
    """Nothing is said of a kind that is not collected, not even `other`."""
    assert most_open(None).counts == {}
    assert most_open(None).named(TopDestination) == []
    assert fastest(None, 10) == {}
