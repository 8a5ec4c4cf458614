"""The ring of ended connections."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase
from penstock.config.plan import ListenerPlan, RoutePlan, TargetPlan
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import (
    CLIENT_RX,
    DIALED,
    ENDED,
    H_HIGH,
    HEADER_WORDS,
    OUTCOME,
    PHASE,
    PORT,
    REST,
    ROW_WORDS,
    STARTED,
    STATE,
    TEXT,
    TEXT_BYTES,
)
from penstock.metrics.live import number_of
from penstock.metrics.records import ID, MOST, NAMES, NUMBER, Names, Records
from penstock.metrics.scopes import Scopes
from penstock.metrics.wording import LOST
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, WEB
from penstock.testing.steps import steps

WALL = 1_700_000_000 * NS
NOW = 500 * NS
SCOPES = Scopes((WEB, EGRESS))


class Scene:
    """Workers' ledgers, and the records of what ended in them."""

    def __init__(self, capacity, workers=1, rows=64):
        self.pens = [Pen(rows=rows) for _ in range(workers)]
        self.readers = [LedgerReader(pen.fd, generation) for generation, pen in enumerate(self.pens, start=1)]
        self.records = Records(capacity)
        self.scopes = SCOPES

    def end(self, worker=0, moved=0, listener=1, client=("192.0.2.7", 40_000), outcome=COMPLETE, texts=(), at=NOW):
        """Open, move and end a connection that lasted a second."""
        pen = self.pens[worker]
        row = pen.open(listener, client, now_ns=at - NS)
        pen.move(row, moved)
        if texts:
            pen.describe(row, *texts)
        pen.end(row, outcome, now_ns=at)

    def tick(self, dead=False):
        """Read all ledgers, and let the workers have their rows back."""
        for reader, pen in zip(self.readers, self.pens, strict=True):
            growth = reader.fold(dead=dead, texts=self.records.wanted)
            self.records.add(reader.generation, growth, self.scopes, NOW)
            pen.ledger.collect()
        self.records.seal(NOW, WALL)
        return self.records.view(WALL)

    def close(self):
        """Let go of the ledgers."""
        for pen in self.pens:
            pen.close()


@pytest.fixture
def scene():
    """Return a function that makes a scene."""
    scenes = []

    def make(*args, **kwargs):
        scenes.append(Scene(*args, **kwargs))
        return scenes[-1]

    yield make
    for each in scenes:
        each.close()


def moved(view):
    """Return what each record moved, oldest first."""
    return view.read()[:, CLIENT_RX].tolist()


def test_a_record_tells_all(scene):
    """Counters, outcome, client and dial stand as the worker left them; id, number, names and wall time replace the
    rest."""
    one = scene(10)
    pen = one.pens[0]
    row = pen.open(2, ("2001:db8::9", 50_000), now_ns=NOW - 5 * NS)
    pen.move(row, 1, 2, 3, 4, 5)
    pen.ledger.words[row + DIALED] = 77
    pen.describe(row, "example.org:443", "ada", "why")
    pen.end(row, Outcome(EndedBy.TARGET, Phase.DIAL), now_ns=NOW - NS)
    view = one.tick()
    (record,) = view.read()
    assert record[CLIENT_RX:PHASE].tolist() == [1, 2, 3, 4, 5]
    assert (record[ID], record[NUMBER], record[DIALED], record[PORT]) == (number_of(1, 1), 1, 77, 50_000)
    assert (record[STARTED], record[ENDED]) == (WALL - 5 * NS, WALL - NS)
    assert record[OUTCOME] == Outcome(EndedBy.TARGET, Phase.DIAL).pack()
    assert view.names[int(record[NAMES])] == Names("egress", "out", "")
    texts, there = view.texts(view.read())
    assert (texts, there.tolist()) == ([b"example.org:443\0ada\0why"], [True])


def test_open_connections_are_no_records(scene):
    """What is open is not here yet, and comes once when it ends."""
    one = scene(10)
    row = one.pens[0].open()
    assert moved(one.tick()) == []
    one.pens[0].move(row, 9)
    one.pens[0].end(row)
    assert moved(one.tick()) == [9]
    assert moved(one.tick()) == [9]


def test_those_of_a_dead_worker_are_records(scene):
    """What was open when its worker died ended as internal, when that was seen; what it had ended before stays so."""
    one = scene(10)
    pen = one.pens[0]
    pen.describe(pen.open(now_ns=NOW - 3 * NS), "a.example:1", "ada")
    one.end(moved=5, at=NOW - NS)
    view = one.tick(dead=True)
    before, lost = view.read()
    assert (before[CLIENT_RX], before[OUTCOME]) == (5, COMPLETE.pack())
    assert (lost[OUTCOME], lost[STARTED], lost[ENDED]) == (LOST.pack(), WALL - 3 * NS, WALL)
    assert view.texts(view.read())[0] == [b"", b"a.example:1\0ada\0"]


def test_order_is_that_of_the_ends(scene):
    """Within a tick, records of all workers stand in the order in which their connections ended."""
    one = scene(10, workers=2)
    for at in (5, 1, 4):
        one.end(worker=at % 2, moved=at, at=NOW - 10 + at)
    one.end(worker=0, moved=2, at=NOW - 8)
    assert moved(one.tick()) == [1, 2, 4, 5]


def test_a_view_does_not_move(scene):
    """A view shows what was there when it was made, less what was written over since."""
    one = scene(3)
    for number in (1, 2, 3):
        one.end(moved=number)
    view = one.tick()
    one.end(moved=4)
    one.end(moved=5)
    assert moved(one.tick()) == [3, 4, 5]
    assert moved(view) == [3]
    for number in range(3):
        one.end(moved=number)
    one.tick()
    assert moved(view) == []


def test_what_is_being_written_over_is_left_out(scene):
    """A record whose place has begun to be written is not shown, and its texts are not believed."""
    one = scene(3)
    for number in (1, 2, 3):
        one.end(moved=number, texts=(f"{number}.example:1",))
    view = one.tick()
    words = view.read()
    view.ring.begun[0] += 2
    assert moved(view) == [3]
    assert view.texts(words)[1].tolist() == [False, False, True]


def test_more_than_fit_in_one_tick(scene):
    """Of a tick with more endings than places the last ones stay; the numbers of the others are used up."""
    one = scene(4, workers=2)
    for number in range(20):
        one.end(worker=number % 2, moved=number, at=NOW - 100 + number)
    view = one.tick()
    assert moved(view) == [16, 17, 18, 19]
    assert view.read()[:, NUMBER].tolist() == [17, 18, 19, 20]


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 9),
    ticks=st.lists(st.lists(st.tuples(st.integers(0, 1), st.text(max_size=9)), max_size=14), max_size=8),
)
def test_the_ring_is_a_deque(capacity, ticks):
    """Whatever ends when and in whichever worker, the ring holds what a deque of that length would."""
    one, oracle, count = Scene(capacity, workers=2), deque(maxlen=capacity), 0
    try:
        for endings in ticks:
            for worker, text in endings:
                count += 1
                one.end(worker, moved=count, texts=("", text, ""), at=NOW + count)
                oracle.append((count, count, b"\0" + text.encode()[:64] + b"\0"))
            view = one.tick()
            words = view.read()
            texts, there = view.texts(words)
            assert there.all()
            assert list(zip(words[:, NUMBER].tolist(), moved(view), texts, strict=True)) == list(oracle)
    finally:
        one.close()


def test_none_are_kept(scene):
    """With a capacity of 0 nothing is wanted, kept or shown, and it takes no memory."""
    one = scene(0)
    one.end()
    view = one.tick()
    assert (one.records.wanted, one.records.nbytes, view.end, len(view.read())) == (False, 0, 0, 0)


def test_collecting_may_be_switched_off(scene):
    """While nothing is wanted nothing is added, and what is kept stays."""
    one = scene(5)
    one.end(moved=1)
    one.tick()
    one.records.wanted = False
    one.end(moved=2)
    one.tick()
    one.records.wanted = True
    one.end(moved=3)
    assert moved(one.tick()) == [1, 3]


def test_capacity_is_bounded():
    """Whatever is asked for, no more than the bound is kept: 51 MB."""
    assert Records(10**9).nbytes == MOST * (ROW_WORDS * 8 + TEXT_BYTES) == 51_200_000


def test_names_outlive_the_plan(scene):
    """A record keeps the names of its day when the same ids stand for others later."""
    one = scene(9)
    one.end(listener=1)
    one.tick()
    other = ListenerPlan(
        id=1, name="new", protocol="tcp", host="::", port=1, route=RoutePlan(id=1, name="default", targets=())
    )
    one.scopes = Scopes((other,))
    one.end(listener=1)
    view = one.tick()
    assert [view.names[int(n)].listener for n in view.read()[:, NAMES]] == ["web", "new"]


def test_names_that_nothing_has_are_forgotten(scene):
    """However many plans come and go, no more names are held than records need; those that are held read true."""
    one = scene(3)
    for number in range(40):
        target = TargetPlan(id=1, host=f"h{number}", port=1)
        plan = ListenerPlan(
            id=1,
            name=f"l{number}",
            protocol="tcp",
            host="::",
            port=1,
            route=RoutePlan(id=1, name="default", targets=(target,)),
        )
        one.scopes = Scopes((plan,))
        one.end(moved=number)
        view = one.tick()
        words = view.read()
        assert [view.names[int(row[NAMES])].listener for row in words] == [f"l{int(row[CLIENT_RX])}" for row in words]
        assert len(view.names) <= 2 * 3 + 1


def test_nonsense_in_a_ledger_makes_no_nonsense(scene):
    """Whatever a dying worker left in a row, its record holds numbers that can be shown."""
    one = scene(3)
    row = one.pens[0].open()
    one.pens[0].end(row)
    for column in (CLIENT_RX, STARTED, ENDED, DIALED, PORT, TEXT):
        one.pens[0].ledger.words[row + column] = 2**64 - 1
    (record,) = one.tick().read()
    assert record[CLIENT_RX] == record[DIALED] == 2**63 - 1
    assert record[STARTED] == record[ENDED] == WALL + 60 * NS
    assert (record[PORT], record[TEXT]) == (0xFFFF, TEXT_BYTES)


def test_a_clock_before_the_epoch(scene):
    """Wall time is never below zero, wherever an operator set the clock."""
    one = scene(3)
    one.end()
    one.records.add(1, one.readers[0].fold(texts=True), SCOPES, NOW)
    one.records.seal(NOW, NS // 2)
    assert one.records.view(0).read()[0, [STARTED, ENDED]].tolist() == [0, NS // 2]


def ended(count):
    """Return the steps that records take in which so many connections end, texts and all."""
    pen, records = Pen(rows=count), Records(10_000)
    rows = np.frombuffer(pen.ledger._map, np.uint64, count * ROW_WORDS, HEADER_WORDS * 8).reshape(-1, ROW_WORDS)
    rows[:, OUTCOME], rows[:, TEXT] = COMPLETE.pack(), 60
    pen.ledger.words[H_HIGH] = count
    reader = LedgerReader(pen.fd, 1)
    for look in range(3):
        rows[:, STATE] = np.arange(1 + look * count, 1 + (look + 1) * count) << 2 | REST
        rows[:, ENDED] = NOW + np.random.default_rng(look).permutation(count)
        growth = reader.fold()
        growth = growth._replace(texts=reader.text_block(growth.rows, np.flatnonzero(~growth.rows.open)))
        taken = steps(lambda growth=growth: records.add(1, growth, SCOPES, NOW)) + steps(
            lambda: records.seal(NOW, WALL)
        )
    assert records.view(0).end == 3 * count
    del rows
    pen.close()
    return taken


def test_eight_thousand_endings_take_no_step_for_each():
    """8,000 connections that end in one second are copied in as many steps of Python as 80, but for a second piece."""
    assert ended(8_000) <= ended(80) + 100
