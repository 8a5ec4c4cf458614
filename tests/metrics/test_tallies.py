"""The worker's side of the tallies: requests by status and by duration, in words that only grow."""

import os

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.metrics import histogram, ledger, tallies
from penstock.metrics.histogram import Exponential
from penstock.metrics.ledger import H_TALLIES, pack_scope
from penstock.metrics.tallies import BUCKET_COUNT, BUCKETS, CHANGED, KEY, NO_CODE, SLOT_WORDS, SLOTS, SUM, Tallies

DURATIONS = st.integers(1, 2**63 - 1) | st.integers(0, 62).flatmap(
    lambda power: st.integers(max(1, 2**power - 1), 2**power + 1)
)


@pytest.fixture
def table():
    """Tallies, and the header that says how many slots are in use."""
    header = memoryview(bytearray(80)).cast("Q")
    found = Tallies(memoryview(bytearray(SLOTS * SLOT_WORDS * 8)).cast("Q"), header, H_TALLIES)
    yield found, header
    found.close()


def test_a_request_is_counted_where_its_listener_and_route_are(table):
    """Status, duration and sum stand in the slot of listener and route; the target makes no difference."""
    found, header = table
    found.add(pack_scope(3, 9, 5), 200, 1_000_000)
    found.add(pack_scope(3, 0, 5), 502)
    found.add(pack_scope(3, 0, 6), NO_CODE)
    assert header[H_TALLIES] == 3
    words, slot = found.words, SLOT_WORDS
    assert (words[slot + KEY], words[slot + 200], words[slot + 502], words[slot + CHANGED]) == (
        pack_scope(3, 0, 5), 1, 1, 1,
    )  # fmt: skip
    assert (words[slot + SUM], sum(words[slot + BUCKETS : slot + SLOT_WORDS])) == (1_000_000, 1)
    assert (words[2 * slot + KEY], words[2 * slot + NO_CODE]) == (pack_scope(3, 0, 6), 1)
    assert not any(words[:slot])


@given(DURATIONS)
@example(2**63 - 1)
def test_a_duration_is_in_the_bucket_of_the_histogram(took):
    """Worker and supervisor put any duration of 63 bits into the same bucket of the same scale."""
    expected = Exponential()
    expected.add(np.array([took], np.int64))
    assert (histogram.SCALE, len(expected.counts)) == (tallies.SCALE, BUCKET_COUNT)
    words = memoryview(bytearray(2 * SLOT_WORDS * 8)).cast("Q")
    Tallies(words, memoryview(bytearray(80)).cast("Q"), H_TALLIES).add(pack_scope(1), 200, took)
    assert list(words[SLOT_WORDS + BUCKETS :][:BUCKET_COUNT]) == expected.counts.tolist()


def test_who_finds_no_slot_counts_for_nobody(table):
    """Beyond the last slot requests are counted in the first one; those that have a slot keep it."""
    found, header = table
    for route in range(SLOTS + 10):
        found.add(pack_scope(1, 0, route), 200, 5)
    assert header[H_TALLIES] == SLOTS
    assert (found.words[KEY], found.words[200], found.words[SUM]) == (0, 11, 55)
    found.add(pack_scope(1, 0, 7), 404)
    found.add(pack_scope(1, 0, SLOTS + 7), 404)
    assert (found.words[404], found.words[8 * SLOT_WORDS + 404]) == (1, 1)


def test_statuses_do_not_share_words(table):
    """Every status of three digits has a word of its own, apart from key, sum and histogram."""
    found, _ = table
    for code in range(100, 1_000):
        found.add(pack_scope(1), code)
    slot = found.words[SLOT_WORDS : 2 * SLOT_WORDS]
    assert slot[100:1_000].tolist() == [1] * 900
    assert slot[CHANGED] == 900
    assert not any(slot[BUCKETS:])


def test_slots_that_nobody_uses_take_no_memory():
    """A ledger of four rows and one request holds a few pages, of the six megabytes that its tallies could fill."""
    fd = ledger.create(4)
    book = ledger.Ledger(fd, 4, os.getpid())
    book.tallies.add(pack_scope(1, 0, 1), 200, 1_000_000)
    assert os.fstat(fd).st_size > SLOTS * SLOT_WORDS * 8
    assert os.fstat(fd).st_blocks * 512 <= 32_768
    book.close()
    os.close(fd)
