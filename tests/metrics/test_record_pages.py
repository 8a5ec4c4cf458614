"""Records as bytes, a page at a time."""

from zlib import crc32

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase
from penstock.metrics import record_pages
from penstock.metrics.filters import LATEST_NS, Filter
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import CLIENT_RX, DIALED, ENDED, PORT, ROW_WORDS, TEXT
from penstock.metrics.record_pages import LAST_NUMBER, PAGE, Archive, Packed, PageError, pack, parse, serialize
from penstock.metrics.records import ID, NAMES, NUMBER, Names, Records, RecordsView, make_ring
from penstock.metrics.scopes import Scopes
from penstock.metrics.searching import search
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, WEB
from penstock.testing.steps import steps

WALL = 1_700_000_000 * NS
SCOPES = Scopes((WEB, EGRESS))
NAMED = (Names("web", "default", ""), Names("egress", "out", "t:1"), Names("ü" * 100, "-", ""))
HEAD = record_pages._HEAD


class Run:
    """One run of a node: its records and what it hands to the store."""

    def __init__(self, capacity=300):
        self.records = Records(capacity)
        self.archive = Archive(self.records)
        self.pen = Pen(rows=2_000)
        self.reader = LedgerReader(self.pen.fd, 1)
        self.moved = 0

    def end(self, count=1):
        """End so many connections in one tick, and seal it; what they move counts up."""
        for _ in range(count):
            self.moved += 1
            row = self.pen.open(1 + self.moved % 2, ("192.0.2.7", self.moved % 60_000), now_ns=self.moved)
            self.pen.move(row, self.moved)
            self.pen.describe(row, f"h{self.moved}.example:1", "ada" * (self.moved % 3))
            self.pen.end(row, Outcome(EndedBy.CLIENT, Phase.RELAY), now_ns=self.moved + 5)
        self.records.add(1, self.reader.fold(texts=True), SCOPES, NS)
        self.records.seal(NS, WALL)
        self.pen.ledger.collect()

    def shown(self):
        """Return all records as they are published."""
        return search(self.records.view(0), Filter(), limit=10_000).connections

    def close(self):
        """Let go of the ledger."""
        self.pen.close()


@pytest.fixture
def begin():
    """Return a function that begins a run."""
    runs = []

    def go(capacity=300):
        runs.append(Run(capacity))
        return runs[-1]

    yield go
    for run in runs:
        run.close()


class Disk(dict):
    """What a store does with pages: the newest of each first number counts, those that nobody wants go."""

    def write(self, exported):
        """Write what an archive exported."""
        pages, oldest = exported
        self.update({page.first: page for page in pages})
        for first in [first for first, page in self.items() if first + page.records <= oldest]:
            del self[first]
        return len(pages)


def test_a_restart_changes_nothing(begin):
    """What one run wrote the next one shows, to the last field, in order; its own records go on behind."""
    disk, run = Disk(), begin()
    run.end(200)
    disk.write(run.archive.export())
    before, again = run.shown(), begin()
    assert again.archive.restore(disk.values()) == []
    assert again.shown() == before
    again.end(2)
    assert [each.number for each in again.shown()[:3]] == [202, 201, 200]
    disk.write(again.archive.export())
    third = begin()
    assert third.archive.restore(disk.values()) == []
    assert third.shown() == again.shown()


def test_only_what_is_new_is_written(begin):
    """A flush writes the page that has grown and those that have begun; one without endings writes nothing."""
    disk, run = Disk(), begin()
    assert disk.write(run.archive.export()) == 0
    run.end(PAGE - 1)
    assert disk.write(run.archive.export()) == 1
    run.end(1)
    assert disk.write(run.archive.export()) == 1
    assert disk.write(run.archive.export()) == 0
    run.end(1)
    assert disk.write(run.archive.export()) == 1
    assert [(page.first, page.records) for page in disk.values()] == [(1, PAGE), (PAGE + 1, 1)]


def test_pages_that_nobody_wants_go(begin):
    """What the ring has written over leaves the disk too, but for the page that holds the oldest one still there."""
    disk, run = Disk(), begin(capacity=PAGE)
    for _ in range(7):
        run.end(PAGE // 2)
        disk.write(run.archive.export())
    assert sorted(disk) == [2 * PAGE + 1, 3 * PAGE + 1]
    again = begin(capacity=PAGE)
    again.archive.restore(disk.values())
    assert again.shown() == run.shown()


def test_a_late_store_keeps_both(begin):
    """A store that is reached only after connections have ended: older records come first, ours get higher numbers."""
    disk, run = Disk(), begin()
    run.end(3)
    disk.write(run.archive.export())
    late = begin()
    late.end(2)
    view = late.records.view(0)
    assert late.archive.restore(disk.values()) == []
    assert [(each.number, each.bytes_in) for each in late.shown()] == [(5, 2), (4, 1), (3, 3), (2, 2), (1, 1)]
    assert view.read()[:, NUMBER].tolist() == [1, 2]
    assert disk.write(late.archive.export()) == 1
    assert [each.number for each in late.shown()] == [5, 4, 3, 2, 1]


def test_smaller_and_larger_memories(begin):
    """A node that keeps fewer now keeps the newest; one that keeps more begins with what there is; 0 keeps none."""
    disk, run = Disk(), begin(capacity=400)
    run.end(350)
    disk.write(run.archive.export())
    for capacity, kept in ((5, 5), (130, 130), (1_000, 350), (0, 0)):
        other = begin(capacity)
        assert other.archive.restore(disk.values()) == []
        assert [each.number for each in other.shown()] == list(range(350, 350 - kept, -1))
        other.archive.export()


def test_a_page_that_is_lost_is_left_out(begin):
    """A page that cannot be read is told and left out; all others are shown, with their numbers, and pages go on."""
    disk, run = Disk(), begin(capacity=1_000)
    run.end(3 * PAGE + 5)
    disk.write(run.archive.export())
    disk[PAGE + 1] = Packed(PAGE + 1, PAGE, b"nonsense")
    disk[2 * PAGE + 1] = Packed(2 * PAGE + 1, PAGE, disk[1].body)
    again = begin(capacity=1_000)
    faults = again.archive.restore(disk.values())
    assert [fault.partition(":")[0] for fault in faults] == [f"records from {n * PAGE + 1} on" for n in (1, 2)]
    again.end(1)
    left = [*range(1, PAGE + 1), *range(3 * PAGE + 1, 3 * PAGE + 7)]
    assert [each.number for each in again.shown()] == left[::-1]
    first = search(again.records.view(0), Filter(), limit=7)
    assert first.next == PAGE
    assert disk.write(again.archive.export()) == 1


def test_numbers_are_not_used_twice(begin):
    """Where no page can be read, numbers go on behind those that were lost, so that no two records have one."""
    again = begin()
    again.end(1)
    faults = again.archive.restore([(1, PAGE, b"x"), (PAGE + 1, 7, b""), (2**62, 1, b"")])
    assert len(faults) == 3
    again.end(1)
    assert [each.number for each in again.shown()] == [PAGE + 9, PAGE + 8]
    pages, _ = again.archive.export()
    assert [(page.first, page.records) for page in pages] == [(PAGE + 1, 9)]


def test_what_was_lost_is_written_again(begin):
    """When the disk has lost what it was given, the next export is of everything that is still there."""
    disk, run = Disk(), begin()
    run.end(200)
    disk.write(run.archive.export())
    disk.clear()
    run.archive.forget()
    run.end(1)
    disk.write(run.archive.export())
    again = begin()
    again.archive.restore(disk.values())
    assert again.shown() == run.shown()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.lists(st.tuples(st.integers(0, 180), st.booleans()), max_size=6))
def test_any_run_of_restarts(capacity, steps):
    """Whatever ends between flushes and restarts, after each flush another run would show the same."""
    disk, run, runs = Disk(), Run(capacity), []
    runs.append(run)
    try:
        for count, restarts in steps:
            run.end(count)
            disk.write(run.archive.export())
            other = Run(capacity)
            runs.append(other)
            assert other.archive.restore(disk.values()) == []
            assert other.shown() == run.shown()
            if restarts:
                other.moved = run.moved
                run = other
    finally:
        for each in runs:
            each.close()


# Bytes ----------------------------------------------------------------------------------------------------------------


def records(count, first=1):
    """Return words, texts and names of some records."""
    words = np.zeros((count, ROW_WORDS), np.uint64)
    words[:, NUMBER] = np.arange(first, first + count)
    words[:, CLIENT_RX] = np.arange(count)
    texts = [bytes([65 + i % 26]) * (i % 5) for i in range(count)]
    return words, texts, [NAMED[i % 3] for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, PAGE])
def test_what_is_serialized_is_parsed(count):
    """Words, texts and names of any number of records come back as they were."""
    words, texts, names = records(count)
    found = parse(serialize(words, texts, names))
    assert [found.names[int(n)] for n in found.words[:, NAMES]] == names
    assert [
        area[:length].tobytes() for area, length in zip(found.texts.areas, found.texts.lengths, strict=True)
    ] == texts
    assert found.words[:, CLIENT_RX].tolist() == list(range(count))
    assert found.words[:, TEXT].tolist() == [len(text) for text in texts]
    words[0, CLIENT_RX] = 99
    assert found.words[0, CLIENT_RX] == 0


def test_nothing_is_packed_of_nothing():
    """A view without records has no pages, whatever was kept."""
    for capacity in (0, 5):
        assert pack(RecordsView(make_ring(capacity), 0, {}), 0) == []


@given(st.binary(max_size=600))
def test_any_bytes_are_refused(raw):
    """Bytes that were never written raise PageError and nothing else."""
    with pytest.raises(PageError):
        parse(raw)


@settings(max_examples=300)
@given(st.integers(0, 3 * 128 + 300), st.integers(0, 255), st.integers(-40, 40))
def test_damaged_pages_are_refused(place, value, cut):
    """A changed byte, a missing tail or a longer one is found."""
    sound = serialize(*records(3))
    raw = bytearray(sound)
    raw[place % len(raw)] = value
    raw = bytes(raw[:cut]) if cut < 0 else bytes(raw) + bytes(cut)
    if raw == sound:
        parse(raw)
        return
    with pytest.raises(PageError):
        parse(raw)


def forged(words, names, told=b"", named=None):
    """Return a page of such words and names with lengths and checksum that fit."""
    named = msgspec.msgpack.encode(list(names)) if named is None else named
    body = named + words.tobytes() + told
    return HEAD.pack(record_pages._MAGIC, len(words), len(named), len(told), crc32(body)) + body


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (CLIENT_RX, 2**63),
        (DIALED, 2**64 - 1),
        (ENDED, LATEST_NS + 1),
        (ID, 2**53),
        (PORT, 2**16),
        (TEXT, 1),
        (TEXT, 385),
        (NAMES, 3),
        (NUMBER, 0),
        (NUMBER, PAGE + 1),
        (NUMBER, 7),
        (NUMBER, LAST_NUMBER + 1),
        (NUMBER, 2**64 - 1),
    ],
)
def test_what_no_record_holds_is_refused(column, value):
    """Numbers out of bounds are refused though every length and checksum fits."""
    words = records(9)[0]
    parse(forged(words, NAMED))
    words[4, column] = value
    with pytest.raises(PageError):
        parse(forged(words, NAMED))


@pytest.mark.parametrize(
    "named",
    [b"", b"\x80", b"\x93\x01\x02\x03", b"\xc1", b"\x90", msgspec.msgpack.encode([["a", "b"]]), b"\x91" * 5_000,
     msgspec.msgpack.encode([["a", "b", "c"]] * 10), msgspec.msgpack.encode([["a", "b", "c" * 2_000]]),
     b"\x91\x93\xa1\xff\xa0\xa0"],
)  # fmt: skip
def test_names_that_are_none_are_refused(named):
    """Names of any other shape, too many of them or too long ones are refused."""
    with pytest.raises(PageError):
        parse(forged(records(9)[0], (), named=named))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), min_size=16, max_size=16), min_size=1, max_size=4),
    st.binary(max_size=9),
)
def test_any_words_are_records_or_refused(rows, told):
    """Whatever words a forged page holds, it is refused, or its records can be kept, searched, shown and written."""
    raw = forged(np.array(rows, np.uint64), NAMED[:1], told)
    try:
        first = int(parse(raw).words[0, NUMBER])
    except PageError:
        return
    records = Records(5)
    archive = Archive(records)
    archive.restore([(first, len(rows), raw)])
    for each in search(records.view(0), Filter(), limit=9).connections:
        assert msgspec.json.encode(each)
    archive.export()


def test_ten_thousand_are_packed_in_few_steps():
    """A flush of all that a node keeps takes fewer than ten steps of Python for each record."""
    ring = make_ring(10_000)
    ring.words[:, NUMBER], ring.words[:, TEXT] = np.arange(1, 10_001), 40
    ring.begun[0] = 10_000
    view = RecordsView(ring, 10_000, {0: NAMED[0]})
    pages = []
    taken = steps(lambda: pages.extend(pack(view, 0)))
    assert len(pages) == 79
    assert taken < 10 * 10_000
