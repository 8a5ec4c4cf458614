"""Series of the busiest keys: never back, never a jump, a bounded number, and all of them together the node's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.keys import FIRST, TOTALS
from penstock.metrics.labels import CHANGES, LABELS, REMEMBERED, REVIEW, Labels
from penstock.metrics.texts import USERS


class Scene:
    """Labels, and places whose keys are named by hand."""

    def __init__(self, limit: int, places: int) -> None:
        self.labels, self.keys = Labels(USERS, limit), [None] * (FIRST + places)
        self.moved = np.zeros((FIRST + places, 2))

    def tick(self, **amounts):
        """Let keys move bytes in; one without a place counts for `other`. Return the bytes of every series."""
        grown = np.zeros((TOTALS, len(self.keys)), np.int64)
        for name, amount in amounts.items():
            place = self.keys.index(name) if name in self.keys else 0
            grown[:, place] += [1, amount, 2 * amount, 0]
            self.moved[place] += amount
        self.labels.push(self.keys, grown, (grown[0] > 0).astype(np.int64), lambda: self.moved)
        return self.bytes_in()

    def bytes_in(self):
        """Return the bytes in of every series."""
        return {series.name: series.bytes_in for series in self.labels.series()}


@pytest.fixture
def scene():
    """Two labels, three places; ann and bob have one each."""
    scene = Scene(limit=2, places=3)
    scene.keys[FIRST : FIRST + 2] = ["ann", "bob"]
    return scene


def test_other_is_there_from_the_first_scrape(scene):
    """Before anything moved there is `other`, at zero."""
    assert [tuple(series) for series in scene.labels.series()] == [("other", 0, 0, 0, 0)]


def test_each_key_has_a_series(scene):
    """Connections, bytes both ways and what is open, by key."""
    scene.tick(ann=10, bob=20, eve=30)
    assert [tuple(series) for series in scene.labels.series()] == [
        ("bob", 1, 20, 40, 1), ("ann", 1, 10, 20, 1), ("other", 1, 30, 60, 1)
    ]  # fmt: skip
    assert scene.tick() == {"bob": 20, "ann": 10, "other": 30}
    assert all(series.active == 0 for series in scene.labels.series())


def test_a_key_that_leaves_and_comes_again_goes_on(scene):
    """While a key has no place its series stands still and what it moves is other's; nothing jumps or goes back."""
    scene.tick(ann=10, bob=20)
    scene.keys[FIRST] = "eve"
    assert scene.tick(ann=1, eve=5) == {"ann": 10, "bob": 20, "other": 6}
    scene.keys[FIRST] = "ann"
    assert scene.tick(ann=2) == {"ann": 12, "bob": 20, "other": 6}


def test_labels_pass_to_who_moves_much_more(scene):
    """At a review a key that moved twice as much takes a label; who lost it goes on from where it was if it returns."""
    scene.tick(ann=10, bob=500)
    scene.keys[FIRST + 2] = "eve"
    for _ in range(REVIEW - 2):
        scene.tick(eve=1)
    before = scene.bytes_in()
    assert before == {"ann": 10, "bob": 500, "other": REVIEW - 2}
    assert scene.tick(eve=7, ann=1) == {"eve": 7, "bob": 500, "other": REVIEW - 2 + 1}
    for _ in range(REVIEW - 1):
        scene.tick(ann=100)
    assert scene.tick(ann=3)["ann"] == 13
    assert "eve" not in scene.bytes_in()


def test_a_little_more_is_not_enough(scene):
    """Who moved less than twice as much waits: a graph is worth more than the exact order."""
    scene.tick(ann=100, bob=500)
    scene.keys[FIRST + 2] = "eve"
    for _ in range(3 * REVIEW):
        scene.tick(eve=1)
    assert set(scene.bytes_in()) == {"ann", "bob", "other"}


def test_the_number_of_series_is_bounded():
    """However many keys come, a hundred have labels, a tenth of them pass on in a review, and a thousand are known."""
    scene = Scene(LABELS, 400)
    for wave in range(30):
        scene.keys[FIRST:] = [f"k{wave}.{n}" for n in range(400)]
        scene.moved[:] = 0
        before = set(scene.bytes_in())
        for _ in range(REVIEW):
            scene.tick(**{f"k{wave}.{n}": 5 for n in range(0, 400, 40)})
        now = set(scene.bytes_in())
        assert len(now) <= LABELS + 1
        if wave > 12:
            assert len(before - now) == CHANGES
    assert len(scene.labels._retired) <= REMEMBERED
    assert len(scene.labels._slots) == LABELS


names = st.sampled_from(["ann", "bob", "eve", "dan", "joe"])


@given(st.lists(st.tuples(st.dictionaries(names, st.integers(0, 99), max_size=3), st.permutations([0, 1, 2]), names)))
def test_no_series_goes_back(ticks):
    """Whoever comes and goes: every series only grows, and those served and those retired are all that moved."""
    scene, seen, total = Scene(limit=2, places=3), {}, 0
    for number, (amounts, order, comer) in enumerate(ticks):
        if comer not in scene.keys:
            scene.keys[FIRST + order[0]] = comer
        scene.labels._ticks = REVIEW * (number + 1) - 1  # every tick is a review
        now = scene.tick(**amounts)
        total += sum(amounts.values())
        assert all(now[name] >= seen.get(name, 0) for name in now)
        seen |= now
        assert sum(seen.values()) == total
        assert len(now) <= 3


def test_what_is_switched_off_has_nothing_open(scene):
    """Totals stay, and nothing is open."""
    scene.tick(ann=10)
    scene.labels.rest()
    assert scene.labels.series()[0] == ("ann", 1, 10, 20, 0)
