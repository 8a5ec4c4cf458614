"""The worker's side of the ledger: rows, their rest, their texts, and the note of what is being sent."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.outcomes import COMPLETE
from penstock.metrics import ledger
from penstock.metrics.fold import LedgerReader
from penstock.metrics.growth import BYTES_OUT
from penstock.metrics.ledger import CLIENT_TX, DOUBT_MASK, DOUBT_SHIFT, H_DOUBT, H_TICK, Ledger
from penstock.testing.pen import Pen

MOST = 1_048_576
COUNT = st.integers(0, 1 << 60)


@pytest.fixture
def pen():
    """A ledger of four rows."""
    pen = Pen(rows=4)
    yield pen
    pen.close()


def note(word: int, total: int) -> int:
    """Return what a worker notes before a send after which `word` will hold `total`."""
    return (word << DOUBT_SHIFT) + (total & DOUBT_MASK)


def test_a_ledger_takes_no_memory_for_rows_that_nobody_used():
    """A new ledger is a hole: its pages come with its rows."""
    fd = ledger.create(100_000)
    assert os.fstat(fd).st_size == ledger.size_of(100_000)
    assert os.fstat(fd).st_blocks == 0
    os.close(fd)


def test_rows_run_out_and_are_counted(pen):
    """Where no row is free, none is given and the header counts it."""
    assert all(pen.open() for _ in range(4))
    assert pen.open() == 0
    assert pen.ledger.words[ledger.H_OVERFLOWS] == 1


def test_rows_are_scarce_before_they_run_out():
    """With fewer than a quarter of the rows free they are scarce; those that rest are not free."""
    pen = Pen(rows=8)
    rows = [pen.open() for _ in range(6)]
    assert not pen.ledger.scarce
    rows.append(pen.open())
    assert pen.ledger.scarce
    for row in rows:
        pen.end(row, COMPLETE)
    assert pen.ledger.scarce
    pen.ledger.words[ledger.H_TICK] += 2
    pen.ledger.collect()
    assert not pen.ledger.scarce
    pen.close()


def test_an_ended_row_rests_for_two_ticks(pen):
    """A row is not given away before the tick has passed its end twice."""
    rows = [pen.open() for _ in range(4)]
    pen.end(rows[2])
    for _ in range(2):
        assert pen.open() == 0
        pen.ledger.words[H_TICK] += 1
    assert pen.open() == rows[2]


def test_a_row_begins_with_nothing_of_the_last_connection(pen):
    """Counters, outcome and text of an earlier connection are gone when a row is opened again."""
    row = pen.open()
    pen.move(row, 1, 2, 3, 4, 5)
    pen.describe(row, "example.com:80", "ann", "x")
    pen.end(row, COMPLETE)
    pen.ledger.words[H_TICK] += 2
    pen.ledger.collect()
    again = pen.open()
    assert again == row
    assert pen.ledger.words[row + ledger.CLIENT_RX : row + ledger.STARTED].tolist() == [0] * 7
    assert pen.ledger.words[row + ledger.OUTCOME] == 0


def test_long_texts_are_cut(pen):
    """What is written of a connection never runs into the next one's text."""
    one, two = pen.open(), pen.open()
    pen.describe(two, "second", "", "")
    pen.describe(one, "d" * 1_000, "u" * 1_000, "t" * 10_000)
    reader = LedgerReader(pen.fd, 1)
    assert reader.texts(1, 2).destination == "second"
    assert reader.texts(0, 1).destination == "d" * 263


@given(*[st.integers(0, 0xFFFF)] * 4)
def test_a_scope_is_three_numbers(listener, target, route, other):
    """Each id has its own bits: another target or route leaves the rest as it is."""
    word = ledger.pack_scope(listener, target, route)
    assert ledger.aim(word, other) == ledger.pack_scope(listener, other, route)
    assert ledger.take(word, other) == ledger.pack_scope(listener, 0, other)
    assert ledger.aim(word | ledger.APART, other) == ledger.aim(word, other) | ledger.APART
    assert ledger.take(word | ledger.APART, other) == ledger.take(word, other) | ledger.APART
    assert (word & 0xFFFF, word >> ledger.TARGET_SHIFT & 0xFFFF, word >> ledger.ROUTE_SHIFT) == (
        listener,
        target,
        route,
    )


@given(COUNT, st.integers(1, MOST))
def test_a_send_that_was_not_counted_is_in_doubt(counted, sent):
    """The note tells exactly how much a worker had sent and not counted, however large its counter has grown."""
    written = note(5, counted + sent)
    assert ledger.in_doubt(written, counted, MOST) == sent
    assert ledger.in_doubt(written, counted + sent, MOST) == 0


@given(st.integers(0, (1 << 64) - 1), COUNT)
def test_no_note_makes_up_more_than_one_send(written, counted):
    """Whatever is in the note, what it adds is between nothing and the longest send."""
    assert 0 <= ledger.in_doubt(written, counted, MOST) <= MOST


@pytest.mark.parametrize("counted", [False, True])
def test_the_last_send_of_a_dead_worker_is_counted(pen, counted):
    """Bytes that the kernel took in the moment of a worker's death are in the totals; a counted send is not doubled."""
    row = pen.open()
    reader = LedgerReader(pen.fd, 1)
    pen.move(row, 0, 700)
    pen.ledger.words[H_DOUBT] = note(row + CLIENT_TX, 1_000)
    if counted:
        pen.move(row, 0, 300)
    alive = reader.fold().listeners[BYTES_OUT].sum()
    dead = reader.fold(dead=True).listeners[BYTES_OUT].sum()
    assert alive + dead == 1_000


def test_a_note_of_anything_but_a_sent_counter_is_ignored(pen):
    """A note that names no counter of sent bytes, or a row that nobody has, adds nothing."""
    row = pen.open()
    reader = LedgerReader(pen.fd, 1)
    for word in (row, row + ledger.CLIENT_RX, row + 5 * ledger.ROW_WORDS + CLIENT_TX, 0):
        pen.ledger.words[H_DOUBT] = note(word, 50)
        assert reader.fold(dead=True).listeners[BYTES_OUT:].sum() == 0


def test_housekeeping_clears_the_note(pen):
    """Once a second the note goes, so that a row which is opened again finds none of an earlier connection."""
    pen.ledger.words[H_DOUBT] = note(pen.open() + CLIENT_TX, 50)
    pen.ledger.collect()
    assert pen.ledger.words[H_DOUBT] == 0


def test_a_closed_ledger_lets_go_of_its_memory():
    """After `close` the words can no longer be reached."""
    fd = ledger.create(1)
    closed = Ledger(fd, 1, os.getpid())
    closed.close()
    with pytest.raises(ValueError, match="released"):
        _ = closed.words[0]
    os.close(fd)
