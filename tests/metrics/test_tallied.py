"""Reading tallies: exact, whatever the worker does meanwhile."""

import numpy as np
import pytest

from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import H_TALLIES, pack_scope
from penstock.metrics.tallied import TallyReader
from penstock.metrics.tallies import KEY, SLOT_WORDS, SLOTS, SUM
from penstock.testing.pen import Pen

US = 1_000


@pytest.fixture
def pen():
    """A worker's ledger."""
    pen = Pen(rows=4)
    yield pen
    pen.close()


def took_of(histogram):
    """Return how many there are of each, in order, of a histogram of a few numbers."""
    return [(place, count) for place, count in enumerate(histogram.tolist()) if count]


def test_growth_since_the_last_reading(pen):
    """Each reading returns what was added since the one before, of the slots that changed, and nothing twice."""
    reader = LedgerReader(pen.fd, 1)
    pen.ledger.tallies.add(pack_scope(1, 2, 1), 200, 5 * US)
    pen.ledger.tallies.add(pack_scope(2, 0, 2), 407)
    first = reader.fold().tallied
    pen.ledger.tallies.add(pack_scope(1, 0, 1), 200, 7 * US)
    second, third = reader.fold().tallied, reader.fold().tallied
    assert first.pairs == [(1, 1), (2, 2)]
    assert [took_of(codes) for codes in first.codes] == [[(200, 1)], [(407, 1)]]
    assert (first.sums.tolist(), first.buckets.sum(axis=1).tolist()) == ([5 * US, 0], [1, 0])
    assert (second.pairs, took_of(second.codes[0]), second.sums.tolist()) == ([(1, 1)], [(200, 1)], [7 * US])
    assert third.pairs == []


def test_a_dead_worker_is_read_whole(pen):
    """A worker that was killed between two words of one request leaves what it had counted, and it is read once."""
    reader = LedgerReader(pen.fd, 1)
    pen.ledger.tallies.add(pack_scope(1, 0, 1), 200, 5 * US)
    reader.fold()
    pen.ledger.tallies.words[SLOT_WORDS + 200] += 1  # and then it died, before it had counted the duration
    assert reader.fold().tallied.pairs == []
    last = reader.fold(dead=True).tallied
    assert [took_of(codes) for codes in last.codes if codes.any()] == [[(200, 1)]]
    assert not last.buckets.any()
    assert not reader.fold(dead=True).tallied.codes.any()


def test_growth_is_never_negative(pen):
    """A word that fell, or holds what is no count at all, adds nothing, now or when it comes back."""
    reader, words = LedgerReader(pen.fd, 1), pen.ledger.tallies.words
    pen.ledger.tallies.add(pack_scope(1, 0, 1), 200, 1_000)
    reader.fold()
    for nonsense in (0, 2**64 - 1, 2**63, 1_000):
        words[SLOT_WORDS + SUM] = nonsense
        assert not reader.fold().tallied.sums.any()
    pen.ledger.words[H_TALLIES] = 2**64 - 1
    words[SLOT_WORDS + SUM] = 1_001
    tallied = reader.fold(dead=True).tallied
    assert (len(tallied.pairs), tallied.sums.sum()) == (SLOTS, 1)


def test_an_idle_slot_is_not_read():
    """Where neither sum nor changes have grown, a slot is not looked at: a tick costs what happened in it."""
    words = np.zeros(SLOTS * SLOT_WORDS, np.uint64)
    reader = TallyReader(words)
    words.reshape(SLOTS, SLOT_WORDS)[:, KEY] = np.arange(SLOTS)
    words.reshape(SLOTS, SLOT_WORDS)[7, [200, SUM]] = 1, 10
    assert reader.fold(SLOTS).pairs == [(7, 0)]
    assert reader.fold(SLOTS).pairs == []
