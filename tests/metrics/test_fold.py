"""Reading a ledger: exact whatever the worker does meanwhile."""

import os
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.metrics import ledger
from penstock.metrics.fold import TROUBLES, LedgerReader
from penstock.metrics.growth import ASKED, BYTES_IN, BYTES_OUT, CLOSED, COLUMNS, OPENED
from penstock.metrics.ledger import (
    H_FAILED_LOGINS,
    H_HIGH,
    H_LOGINS,
    H_MAGIC,
    H_PAUSES,
    H_TICK,
    HEADER_WORDS,
    OPEN,
    ROW_WORDS,
    STATE,
    TEXT,
)
from penstock.metrics.wording import LOST, Texts
from penstock.testing.pen import Pen
from penstock.testing.steps import steps

REFUSED = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS)


@pytest.fixture
def pen():
    """A worker's ledger."""
    pen = Pen(rows=8)
    yield pen
    pen.close()


@pytest.fixture
def reader(pen):
    """Its reader."""
    return LedgerReader(pen.fd, generation=1)


def column(table, scope, which):
    """Return one number of a table; 0 for a scope that it does not reach."""
    return int(table[which, scope]) if scope < table.shape[1] else 0


def test_growth_since_the_last_fold(pen, reader):
    """Each fold returns what was added since the one before, and nothing twice."""
    row = pen.open(listener=2)
    pen.move(row, 100, 200, 300, 400, 1)
    first = reader.fold()
    pen.move(row, 11)
    second, third = reader.fold(), reader.fold()
    assert first.listeners[:, 2].tolist() == [1, 0, 100, 200, 300, 400, 1]
    assert second.listeners[:, 2].tolist() == [0, 0, 11, 0, 0, 0, 0]
    assert not third.listeners.any()


def test_a_connection_between_two_folds_is_not_missed(pen, reader):
    """What opened and ended since the last fold is counted with all its bytes."""
    row = pen.open(listener=1)
    pen.move(row, 5, 6)
    pen.end(row)
    growth = reader.fold()
    assert growth.listeners[:, 1].tolist() == [1, 1, 5, 6, 0, 0, 0]
    assert growth.outcomes == {COMPLETE: 1}


def test_logins_are_counted_once(pen, reader):
    """Each fold returns the logins since the one before, right and wrong; a word that falls adds nothing."""
    pen.ledger.words[H_LOGINS] += 3
    pen.ledger.words[H_FAILED_LOGINS] += 1
    assert [reader.fold().logins, reader.fold().logins] == [(3, 1), (0, 0)]
    pen.ledger.words[H_LOGINS] -= 1
    assert reader.fold(dead=True).logins == (0, 0)


def test_an_ended_row_is_read_once(pen, reader):
    """Invariant 2: a row that rests is not counted again, and not looked at."""
    row = pen.open()
    pen.end(row)
    assert reader.fold().outcomes == {COMPLETE: 1}
    pen.ledger.words[row + BYTES_IN] += 1_000
    growth = reader.fold()
    assert not growth.listeners.any()
    assert growth.outcomes == {}
    assert len(growth.rows.position) == 0


def test_a_row_is_used_again_after_two_ticks(pen, reader):
    """Invariants 3 and 5: the worker gets a row back when two folds have passed its end, and counts begin at zero."""
    row = pen.open()
    pen.move(row, 1_000)
    pen.end(row)
    reader.fold()
    pen.ledger.collect()
    assert pen.open() != row
    reader.fold()
    pen.ledger.collect()
    assert pen.open(listener=4) == row
    pen.move(row, 10)
    assert reader.fold().listeners[:, 4].tolist() == [1, 0, 10, 0, 0, 0, 0]


def test_a_row_that_is_just_being_opened_waits(pen, reader):
    """Invariant 6: between free and open a row counts for nobody; then for its connection, whole."""
    row = pen.open()
    pen.move(row, 7)
    state = pen.ledger.words[row + STATE]
    pen.ledger.words[row + STATE] = state & ~3
    assert not reader.fold().listeners.any()
    pen.ledger.words[row + STATE] = state
    assert reader.fold().listeners[:, 1].tolist() == [1, 0, 7, 0, 0, 0, 0]


def test_growth_is_never_negative(pen, reader):
    """Invariant 4: a counter that fell or is no number of bytes at all adds nothing, now or when it comes back."""
    row = pen.open()
    pen.move(row, 1_000)
    reader.fold()
    for nonsense in (10, 2**64 - 1, 2**63, 1_000):
        pen.ledger.words[row + BYTES_IN - 1] = nonsense
        assert not reader.fold().listeners.any()
    pen.ledger.words[row + BYTES_IN - 1] = 1_001
    assert reader.fold().listeners[BYTES_IN, 1] == 1


def test_a_look_shows_open_rows_and_changes_nothing(pen, reader):
    """Whoever looks sees what is open, with its numbers, and the next fold finds the same as without the look."""
    first, second = pen.open(), pen.open()
    pen.move(first, 10, 20)
    pen.end(second)
    pen.ledger.words[pen.open()] = 3 << 2  # being opened
    look = reader.look()
    assert (look.position.tolist(), look.serial.tolist(), look.open.tolist()) == ([0], [1], [True])
    assert look.words[0, 1:3].tolist() == [10, 20]
    assert reader.fold().listeners[:4, 1].tolist() == [2, 1, 10, 20]
    assert reader.glance(0, 1) == (10, 20)
    assert reader.glance(0, 2) is reader.glance(1, 2) is reader.glance(7, 1) is None


def test_a_look_leaves_out_a_row_that_changes_hands(pen, reader, monkeypatch):
    """A row whose number changes while it is copied is of two connections, and not shown."""
    pen.move(pen.open(), 10)
    honest = np.flatnonzero

    def meanwhile(condition):
        found = honest(condition)
        pen.ledger.words[HEADER_WORDS + STATE] = 2 << 2 | OPEN
        return found

    monkeypatch.setattr(np, "flatnonzero", meanwhile)
    assert len(reader.look().position) == 0


def test_a_dead_worker_is_read_one_last_time(pen, reader):
    """Invariant 7: what was open ends as internal/relay, what had ended keeps its word, a second reading adds none."""
    left, done = pen.open(), pen.open()
    reader.fold()
    pen.move(left, 50)
    pen.end(done)
    growth = reader.fold(dead=True)
    assert growth.listeners[:, 1].tolist() == [0, 2, 50, 0, 0, 0, 0]
    assert growth.outcomes == {COMPLETE: 1, LOST: 1}
    assert not growth.rows.open.any()
    again = reader.fold(dead=True)
    assert not again.listeners.any()
    assert again.outcomes == {}


def test_a_target_counts_all_bytes_of_its_connections(pen, reader):
    """Invariant 8: bytes from before the dial belong to the target as well, and only the target that was reached."""
    row = pen.open(listener=1)
    pen.move(row, 10)
    reader.fold()
    pen.aim(row, 1, 5, Phase.DIAL)
    assert not reader.fold().targets.any()
    pen.aim(row, 1, 6)
    pen.move(row, 1, 2)
    growth = reader.fold()
    assert growth.targets[:, 6].tolist() == [1, 0, 11, 2, 0, 0, 0]
    assert not growth.targets[:, :6].any()
    pen.end(row)
    assert reader.fold().targets[:, 6].tolist() == [0, 1, 0, 0, 0, 0, 0]


def test_a_target_that_changes_is_left(pen, reader):
    """A connection that goes on to another target is active there only, and its new bytes count there only."""
    row = pen.open(listener=1)
    pen.aim(row, 1, 9)
    pen.move(row, 10)
    reader.fold()
    pen.aim(row, 1, 2)
    pen.move(row, 3)
    growth = reader.fold()
    assert growth.targets[:, 9].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert growth.targets[:, 2].tolist() == [1, 0, 3, 0, 0, 0, 0]


def test_large_counters_stay_exact(pen, reader):
    """Sums are integers: thousands of terabytes and one byte are not rounded."""
    rows = [pen.open() for _ in range(8)]
    for row in rows:
        pen.move(row, 10**9 + 1, 2**55 + 1)
    growth = reader.fold()
    assert growth.listeners[BYTES_IN, 1] == 8 * (10**9 + 1)
    assert growth.listeners[BYTES_OUT, 1] == 8 * (2**55 + 1)


def test_troubles_are_told_and_bounded():
    """Connections that went wrong are described, a hundred a fold; the rest is counted, and good ends are not told."""
    pen = Pen(rows=300)
    reader = LedgerReader(pen.fd, 1)
    for number in range(150):
        row = pen.open(listener=2, client=("2001:db8::1", number), now_ns=1_000)
        pen.describe(row, "example.org:25", "ada", f"refused {number}")
        pen.end(row, REFUSED, now_ns=5_000)
        pen.end(pen.open(), COMPLETE)
    growth = reader.fold()
    assert (len(growth.troubles), growth.troubled.counts.tolist()) == (TROUBLES, [TROUBLES + 50])
    trouble = growth.troubles[7]
    assert trouble.outcome == REFUSED
    assert (trouble.listener, trouble.client, trouble.age_ns) == (2, "[2001:db8::1]:7", 4_000)
    assert trouble.texts == Texts("example.org:25", "ada", "refused 7")
    assert growth.outcomes == {REFUSED: 150, COMPLETE: 150}
    pen.close()


def test_nonsense_in_the_ledger_raises_nothing(pen, reader):
    """A ledger full of noise is folded: growth stays in its bounds and nothing is raised."""
    pen.ledger.words[H_HIGH] = 2**40
    for index in range(HEADER_WORDS, len(pen.ledger.words)):
        pen.ledger.words[index] = (index * 0x9E37_79B9_7F4A_7C15) % 2**64
    growth = reader.fold()
    assert (growth.listeners >= 0).all()
    assert (reader.fold(dead=True).targets >= 0).all()


def test_a_ledger_that_has_not_begun_is_empty():
    """Before the worker has written its header there is nothing to read."""
    fd = ledger.create(4)
    reader = LedgerReader(fd, 1)
    os.close(fd)
    assert (reader.rows, reader.pid) == (4, 0)
    assert not reader.fold().listeners.any()


def test_the_reader_writes_the_tick_and_nothing_else(pen, reader):
    """A fold changes one word; the rows cannot be written through the reader at all."""
    row = pen.open()
    pen.move(row, 3)
    before = pen.ledger.words.tolist()
    reader.fold()
    after = pen.ledger.words.tolist()
    assert [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [H_TICK]
    assert after[H_TICK] == before[H_TICK] + 1
    with pytest.raises(ValueError, match="read-only"):
        reader._rows[0, 0] = 1


def test_pauses_and_overflows_grow(pen, reader):
    """Pauses and connections that found no row are told once."""
    pen.ledger.words[H_PAUSES] += 2
    for _ in range(10):
        pen.open()
    growth = reader.fold()
    assert (growth.pauses, growth.overflows) == (2, 2)
    growth = reader.fold()
    assert (growth.pauses, growth.overflows) == (0, 0)


def test_clients_without_a_row_are_told_by_reason(pen, reader):
    """Clients that were refused while rows were scarce are told once, by reason."""
    for reason in (Reason.BAN, Reason.IP_LIMIT, Reason.IP_LIMIT, Reason.OTHER):
        pen.ledger.turn_away(Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason).pack())
    assert reader.fold().turned_away == {Reason.BAN: 1, Reason.IP_LIMIT: 2, Reason.OTHER: 1}
    assert reader.fold().turned_away == {}


# Texts ----------------------------------------------------------------------------------------------------------------


def test_texts_of_an_open_row(pen, reader):
    """Destination, user and detail are read as they were written."""
    row = pen.open()
    pen.describe(row, "bücher.example:443", "ada", "")
    rows = reader.fold().rows
    assert reader.texts(int(rows.position[0]), int(rows.serial[0])) == Texts("bücher.example:443", "ada", "")


def test_texts_of_another_connection_are_not_shown(pen, reader):
    """A row that has passed to another connection since keeps its words to itself."""
    row = pen.open()
    pen.describe(row, "old.example:1", "old")
    rows = reader.fold().rows
    pen.end(row)
    assert reader.texts(0, int(rows.serial[0])).user == "old"
    for _ in range(2):
        reader.fold()
    pen.ledger.collect()
    assert pen.open() == row
    pen.describe(row, "new.example:1", "new")
    assert reader.texts(0, int(rows.serial[0])) == Texts()


def test_texts_that_change_hands_while_they_are_copied(pen, reader):
    """The state is looked at after the copy: a row that changes hands in between shows nothing."""
    row = pen.open()
    pen.describe(row, "old.example:1", "old")
    reader.fold()

    class Meanwhile:
        """Memory that another connection takes over while it is copied."""

        def __getitem__(self, place):
            pen.ledger.words[row + STATE] += 1 << 2
            return b"new.example:1\0new\0"

    reader._map = Meanwhile()
    assert reader.texts(0, 1) == Texts()


def test_text_length_beyond_its_area_is_cut(pen, reader):
    """A length that no worker writes reads no further than the row's own area."""
    first, second = pen.open(), pen.open()
    pen.describe(first, "a" * 255)
    pen.describe(second, "SECRET")
    pen.ledger.words[first + TEXT] = 2**40
    assert "SECRET" not in "".join(reader.texts(0, 1))


def test_texts_of_ended_rows_are_copied_together(pen, reader):
    """The texts of what ended come with the fold, in the order of the rows: with none, with some, with the longest."""
    rows = [pen.open() for _ in range(4)]
    pen.describe(rows[0], "a.example:1", "ada")
    pen.describe(rows[1], "open.example:1")
    pen.describe(rows[3], "x" * 255, "y" * 64, "z" * 99)
    for row in (rows[0], rows[2], rows[3]):
        pen.end(row)
    lengths, areas = reader.fold(texts=True).texts
    told = [areas[i, :length].tobytes() for i, length in enumerate(lengths)]
    assert told == [b"a.example:1\0ada\0", b"", b"\0".join((b"x" * 255, b"y" * 64, b"z" * 63))]


def test_texts_are_copied_only_for_who_wants_them(pen, reader):
    """A fold that nobody asked for texts copies none, and one without endings has none."""
    row = pen.open()
    pen.describe(row, "a.example:1")
    assert len(reader.fold(texts=True).texts.lengths) == 0
    pen.end(row)
    assert len(reader.fold().texts.lengths) == 0


def test_texts_of_a_dead_workers_rows(pen, reader):
    """With the last fold come the texts of connections that died with their worker."""
    pen.describe(pen.open(), "a.example:1", "ada")
    lengths, areas = reader.fold(dead=True, texts=True).texts
    assert areas[0, : lengths[0]].tobytes() == b"a.example:1\0ada\0"


def test_a_block_leaves_out_texts_of_another_connection(pen, reader):
    """A row that has passed on since the fold keeps its words to itself; a length too long reads no neighbour."""
    first, second = pen.open(), pen.open()
    pen.describe(first, "old.example:1")
    pen.describe(second, "SECRET")
    pen.ledger.words[first + TEXT] = 0xFFFF
    rows = reader.fold().rows
    assert b"SECRET" not in reader.text_block(rows, np.array([0])).areas.tobytes()
    pen.ledger.words[second + STATE] += 1 << 2
    assert reader.text_block(rows, np.array([0, 1])).lengths.tolist() == [384, 0]


# Any order of events --------------------------------------------------------------------------------------------------


def test_a_connection_that_waits_for_its_route(pen, reader):
    """Invariant 10: what it moves before it has a route counts for none (0); it counts once, for its first."""
    row = pen.open(listener=2, route=0)
    pen.move(row, 10)
    waiting = reader.fold()
    pen.take(row, 5)
    pen.move(row, 7)
    there = reader.fold()
    pen.take(row, 3)
    pen.move(row, 0, 1)
    pen.end(row)
    moved = reader.fold()
    assert waiting.routes[:, 0].tolist() == [0, 0, 10, 0, 0, 0, 0]
    assert there.routes[:, 5].tolist() == [1, 0, 7, 0, 0, 0, 0]
    assert moved.routes[:, 3].tolist() == [0, 1, 0, 1, 0, 0, 0]
    assert not moved.routes[OPENED].any()
    assert [growth.pairs.ids()[growth.pairs.active.argmax()] for growth in (waiting, there)] == [(2, 0), (2, 5)]
    assert not moved.pairs.active.any()


def test_a_connection_that_took_no_route(pen, reader):
    """Invariant 10: one that ends before it had a route counts for none."""
    pen.move(pen.open(listener=2, route=0), 10)
    pen.end(pen.open(listener=2, route=0))
    growth = reader.fold(dead=True)
    assert growth.routes[:, 0].tolist() == [2, 2, 10, 0, 0, 0, 0]
    assert growth.pairs.ids() == [(2, 0)]


class Interleaved:
    """Rows of a reader, between whose reading of states and of counters something happens."""

    def __init__(self, rows, meanwhile):
        self.rows, self.meanwhile = rows, meanwhile

    def __getitem__(self, place):
        return self.rows[place]

    def take(self, position, axis):
        """Let the worker go on, then copy."""
        self.meanwhile()
        return self.rows.take(position, axis=axis)


class Truth:
    """What one connection did, in plain Python."""

    def __init__(self, listener, route):
        self.listener, self.route, self.target = listener, route, 0
        self.told, self.routed = [0] * 5, False
        self.settled = self.ended = False
        self.moved = [0] * 5
        self.outcome = None


class Folding(RuleBasedStateMachine):
    """A worker that does anything in any order, dies and is replaced; a reader that folds now and then."""

    connections = Bundle("connections")

    @initialize()
    def begin(self):
        """Start the first worker."""
        self.truths, self.listeners, self.targets = [], np.zeros((COLUMNS, 8), int), np.zeros((COLUMNS, 8), int)
        self.pairs, self.expected, self.routes = Counter(), Counter(), np.zeros((COLUMNS, 4), int)
        self.outcomes, self.generation, self.pen = Counter(), 0, None
        self.restart()

    def restart(self):
        """Start a worker."""
        self.generation += 1
        self.pen = Pen(rows=6)
        self.reader = LedgerReader(self.pen.fd, self.generation)

    def mine(self, connection):
        """Return whether a connection is open in the worker of now."""
        generation, _, truth = connection
        return generation == self.generation and not truth.ended

    @rule(target=connections, listener=st.integers(1, 7), route=st.integers(0, 3))
    def open(self, listener, route):
        """A client comes."""
        row = self.pen.open(listener, route=route)
        if not row:
            return multiple()
        truth = Truth(listener, route)
        self.truths.append(truth)
        return (self.generation, row, truth)

    @rule(connection=connections, which=st.integers(0, 4), amount=st.sampled_from([1, 1_448, 10**9, 10**12 + 7]))
    def move(self, connection, which, amount):
        """Bytes move."""
        if self.mine(connection):
            _, row, truth = connection
            self.pen.move(row, *[0] * which, amount)
            truth.moved[which] += amount

    @rule(connection=connections, route=st.integers(1, 3))
    def take(self, connection, route):
        """A route is chosen, or another one for the next request."""
        if self.mine(connection):
            self.pen.take(connection[1], route)
            connection[2].route = route

    @rule(connection=connections, number=st.integers(1, 7), reached=st.booleans())
    def dial(self, connection, number, reached):
        """A target is named, and reached or not."""
        _, row, truth = connection
        if self.mine(connection) and not truth.settled:
            self.pen.aim(row, truth.listener, number, Phase.RELAY if reached else Phase.DIAL)
            truth.target, truth.settled = number, reached

    @rule(connection=consumes(connections), outcome=st.sampled_from([COMPLETE, REFUSED]))
    def end(self, connection, outcome):
        """A connection ends."""
        if self.mine(connection):
            self.pen.end(connection[1], outcome)
            self.finish(connection[2], outcome)

    def finish(self, truth, outcome):
        """Note the end."""
        truth.ended = truth.settled = True
        truth.outcome = outcome

    @rule()
    def collect(self):
        """The worker takes rows back."""
        self.pen.ledger.collect()

    @rule()
    def tick(self):
        """The supervisor reads; then both know the same."""
        self.fold()
        self.agree()

    @rule(data=st.data(), connection=connections)
    def tick_while_working(self, data, connection):
        """The worker goes on between the reading of states and of counters; after one more fold all is told."""

        def meanwhile():
            for _ in range(3):
                action = data.draw(st.sampled_from(["move", "end", "open", "collect"]))
                if action == "open":
                    self.open(1, 0)
                elif action == "collect":
                    self.collect()
                elif self.mine(connection):
                    self.move(connection, 0, 1_000) if action == "move" else self.end(connection, COMPLETE)

        rows = self.reader._rows
        self.reader._rows = Interleaved(rows, meanwhile)
        self.fold()
        self.reader._rows = rows
        self.tick()

    @rule()
    def die(self):
        """The worker dies and another takes its place."""
        for truth in self.truths:
            if not truth.ended:
                self.finish(truth, LOST)
        self.pen.ledger.close()
        self.fold(dead=True)
        os.close(self.pen.fd)
        self.agree()
        self.restart()

    def fold(self, dead=False):
        """Fold and add up."""
        growth = self.reader.fold(dead=dead)
        assert (growth.listeners >= 0).all()
        assert (growth.targets >= 0).all()
        self.listeners[:, : growth.listeners.shape[1]] += growth.listeners
        self.targets[:, : growth.targets.shape[1]] += growth.targets
        assert growth.routes.sum(axis=1)[CLOSED:].tolist() == growth.listeners.sum(axis=1)[CLOSED:].tolist()
        add(self.routes, growth.routes)
        for pair, numbers in zip(growth.pairs.ids(), growth.pairs.table.T.tolist(), strict=True):
            for which, number in enumerate(numbers):
                self.pairs[pair, which] += number
        self.active = dict(zip(growth.pairs.ids(), growth.pairs.active.tolist(), strict=True))
        self.outcomes.update(growth.outcomes)
        self.opened = int(growth.rows.open.sum())

    def agree(self):
        """Compare every total with the truth."""
        listeners, targets = np.zeros((COLUMNS, 8), int), np.zeros((COLUMNS, 8), int)
        for truth in self.truths:
            numbers = [1, truth.ended, *truth.moved]
            listeners[:, truth.listener] += numbers
            if truth.target and truth.settled:
                targets[:, truth.target] += numbers
        assert self.listeners.tolist() == listeners.tolist()
        assert self.targets.tolist() == targets.tolist()
        assert self.outcomes == Counter(truth.outcome for truth in self.truths if truth.ended)
        assert self.opened == sum(not truth.ended for truth in self.truths)
        self.agree_on_routes()

    def agree_on_routes(self):
        """Compare every pair of listener and route: what moved since the last reading is the present route's."""
        active, routes = Counter(), np.zeros((COLUMNS, 4), int)
        for truth in self.truths:
            pair = truth.listener, truth.route
            for which, (now, before) in enumerate(zip(truth.moved, truth.told, strict=True), BYTES_IN):
                self.expected[pair, which] += now - before
            if not truth.routed and (truth.route or truth.ended):
                truth.routed = True
                self.expected[pair, OPENED] += 1
            truth.told = list(truth.moved)
            active[pair] += not truth.ended
        seen = Counter({key: number for key, number in self.pairs.items() if key[1] != CLOSED})
        assert +seen == +self.expected
        assert {pair: count for pair, count in self.active.items() if count} == +active
        for ((_, route), which), number in self.pairs.items():
            routes[which, route] += number
        assert self.routes.tolist() == routes.tolist()

    @invariant()
    def nothing_too_much(self):
        """No total is ever ahead of the truth."""
        if self.pen:
            assert self.listeners[OPENED].sum() <= len(self.truths)
            assert self.listeners[CLOSED].sum() <= sum(truth.ended for truth in self.truths)
            assert self.listeners[BYTES_IN].sum() <= sum(truth.moved[0] for truth in self.truths)

    def teardown(self):
        """Let go of the ledger."""
        if getattr(self, "pen", None):
            self.pen.close()


TestFolding = Folding.TestCase
TestFolding.__doc__ = "Whatever the order of events, totals equal a plain model at every tick and never go back."
TestFolding.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# A real worker --------------------------------------------------------------------------------------------------------

BUSY = """
import os, sys
from penstock.base.outcomes import COMPLETE
from penstock.metrics.ledger import Ledger, pack_scope
fd, rows, count = map(int, sys.argv[1:])
book = Ledger(fd, rows, os.getpid())
words, done = book.words, 0
while done < count:
    row = book.open(done, pack_scope(1 + done % 3), bytes(16), done % 65536)
    if not row:
        continue  # until the reader's tick gives one back
    for chunk in range(3):
        words[row + 1] += done
        words[row + 2] += 1
    words[row + 5] += 1
    book.end(row, done, COMPLETE.pack())
    done += 1
"""


def test_a_real_process_is_read_exactly_while_it_writes():
    """Another process opens, counts and ends 60,000 connections on few rows under constant folds: nothing is lost."""
    rows, count = 256, 60_000
    fd = ledger.create(rows)
    reader = LedgerReader(fd, 1)
    totals = np.zeros((COLUMNS, 4), int)
    with subprocess.Popen([sys.executable, "-c", BUSY, str(fd), str(rows), str(count)], pass_fds=[fd]) as worker:
        deadline = time.monotonic() + 60
        while worker.poll() is None and time.monotonic() < deadline:
            add(totals, reader.fold().listeners)
        worker.kill()
    assert worker.returncode == 0
    add(totals, reader.fold(dead=True).listeners)
    os.close(fd)
    assert totals[[OPENED, CLOSED, ASKED]].sum(axis=1).tolist() == [count] * 3
    assert totals[BYTES_OUT].sum() == 3 * count
    assert totals[BYTES_IN].sum() == 3 * sum(range(count))


def add(totals, growth):
    """Add growth to totals."""
    assert (growth >= 0).all()
    totals[:, : growth.shape[1]] += growth


def crowded(count):
    """Return the steps of a fold in which so many open rows have grown, and the bytes that it tells."""
    pen = Pen(rows=count)
    rows = np.frombuffer(pen.ledger._map, np.uint64, count * ROW_WORDS, HEADER_WORDS * 8).reshape(-1, ROW_WORDS)
    rows[:, STATE] = np.arange(1, count + 1) << 2 | OPEN
    rows[:, 11] = np.arange(count) % 100
    pen.ledger.words[H_HIGH] = count
    reader = LedgerReader(pen.fd, 1)
    reader.fold()
    rows[:, 1:6] += np.uint64(1_448)
    found = []
    taken = steps(lambda: found.append(reader.fold()))
    moved = int(found[0].listeners[BYTES_IN].sum())
    del rows
    pen.close()
    return taken, moved


def test_fifty_thousand_rows_are_folded_without_a_step_for_each():
    """50,000 open rows that all grew are folded in as many steps of Python as 500: a second's tick hardly notices."""
    (few, _), (many, moved) = crowded(500), crowded(50_000)
    assert moved == 50_000 * 1_448
    assert many == few


def test_a_foreign_file_is_no_ledger(pen, reader):
    """Without the magic number nothing is read."""
    pen.open()
    pen.ledger.words[H_MAGIC] = 0
    assert not reader.fold().listeners.any()
