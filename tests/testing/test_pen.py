"""The hand that writes a ledger."""

import pytest

from penstock.base.outcomes import COMPLETE, Phase
from penstock.metrics.ledger import OPEN, OUTCOME, PHASE, REST, SCOPE, STATE, pack_scope
from penstock.testing.pen import Pen


@pytest.fixture
def pen():
    """A pen with two rows."""
    pen = Pen(rows=2)
    yield pen
    pen.close()


def test_a_pen_writes_what_a_worker_would(pen):
    """A row that is opened, moved, aimed and ended by hand holds the words that a worker leaves."""
    row = pen.open(listener=3, phase=Phase.DIAL)
    words = pen.ledger.words
    assert words[row + STATE] & 3 == OPEN
    pen.move(row, 1, 2, 3, 4, 5)
    pen.move(row, 10)
    pen.aim(row, 3, 9)
    pen.take(row, 4)
    pen.answer(row, 404, 5)
    assert [words[row + i] for i in range(1, 6)] == [11, 2, 3, 4, 6]
    assert (words[row + SCOPE], words[row + PHASE]) == (pack_scope(3, 9, 4), Phase.RELAY)
    pen.end(row)
    assert words[row + STATE] & 3 == REST
    assert words[row + OUTCOME] == COMPLETE.pack()


def test_a_full_pen_says_so(pen):
    """Without a free row `open` returns 0."""
    assert pen.open()
    assert pen.open()
    assert pen.open() == 0
