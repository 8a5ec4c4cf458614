"""Rows beside the kernel's counts: what lies between two readings is right, what does not is wrong by its distance."""

from time import thread_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import APART, SCOPE
from penstock.metrics.testimony import Streams, confront, distance, pair, publish, read
from penstock.testing.pen import Pen

PORTS = np.array([0, 8_001, 0], np.uint64)
"""Listener 1 listens on a port, listener 2 on a Unix socket."""


class Scene:
    """A worker's ledger and its reader."""

    def __init__(self):
        self.pen = Pen()
        self.reader = LedgerReader(self.pen.fd, 3)

    def open(self, port, *moved, ip="192.0.2.7", listener=1):
        """Open a connection that has moved so much."""
        row = self.pen.open(listener, (ip, port))
        self.pen.move(row, *moved)
        return row

    def read(self):
        """Return what is open."""
        return read([self.reader], PORTS)


@pytest.fixture
def scene():
    """One worker."""
    scene = Scene()
    yield scene
    scene.pen.close()


def kernel(reading, *moved):
    """Return what a kernel says that tells of the same streams, in another order, and that has counted so much."""
    numbers = np.array(moved, np.int64).reshape(-1, 2)
    return Streams(reading.streams.keys[::-1], numbers[::-1, 0], numbers[::-1, 1])


def test_streams_at_rest_must_be_told_to_the_byte(scene):
    """Both directions of each connection are compared with its own socket; the numbers are the rows'."""
    scene.open(1, 100, 20)
    scene.open(2, 5, 7)
    reading = scene.read()
    found = confront(reading, kernel(reading, (100, 20), (5, 7)), scene.read())
    view = publish(found, reading.ids[found.ours], np.zeros(2, bool), "now")
    assert (view.open, view.witnessed, view.closed, view.suspects) == (2, 2, 0, ())
    assert [(line.quantity, line.total, line.sum, line.residual) for line in view.lines] == [
        ("bytes_in", 105, 105, 0),
        ("bytes_out", 27, 27, 0),
    ]


def test_residuals_of_two_connections_do_not_cancel(scene):
    """One that counts three too many and one that counts two too few are five wrong, and both are named."""
    scene.open(1, 103)
    scene.open(2, 48)
    reading = scene.read()
    found = confront(reading, kernel(reading, (100, 0), (50, 0)), reading)
    view = publish(found, reading.ids[found.ours], np.zeros(2, bool), "now")
    (line, other) = view.lines
    assert (line.total, line.sum, line.residual, other.residual) == (151, 150, 5, 0)
    assert view.suspects == ((3 << 32) + 1, (3 << 32) + 2)


def test_what_moves_may_lie_anywhere_between_the_readings(scene):
    """While bytes move the kernel may say any number from the first reading to the second, and none beyond."""
    row = scene.open(1, 100)
    before = scene.read()
    scene.pen.move(row, 50)
    after = scene.read()
    for seen, away in ((99, -1), (100, 0), (125, 0), (150, 0), (151, 1)):
        assert confront(before, kernel(before, (seen, 0)), after).rx.tolist() == [away]


def test_what_cannot_be_compared_is_counted_apart(scene):
    """Unix sockets, datagrams, closed sockets and connections that came or went meanwhile are no residual."""
    words = scene.pen.ledger.words
    scene.open(1, 10)
    scene.open(0, 20, ip="-", listener=2)
    words[scene.open(2, 30) + SCOPE] |= APART
    scene.open(3, 40)
    gone = scene.open(4, 50)
    before = scene.read()
    scene.pen.end(gone)
    scene.open(5, 60)
    after = scene.read()
    seen = Streams(before.streams.keys[:1], np.array([10]), np.array([0]))
    found = confront(before, seen, after)
    view = publish(found, before.ids[found.ours], np.zeros(1, bool), "now")
    assert (view.open, view.witnessed, view.unix, view.apart, view.closed) == (4, 1, 1, 1, 1)
    assert [line.residual for line in view.lines] == [0, 0]


def test_a_row_that_was_given_to_another_connection_is_not_compared(scene):
    """The same row with a new number is a new connection, whatever its counters say."""
    row = scene.open(1, 10)
    before = scene.read()
    scene.pen.end(row)
    for _ in range(3):
        scene.reader.fold()
    scene.pen.ledger.collect()
    assert scene.open(1, 4) == row
    found = confront(before, kernel(before, (99, 0)), scene.read())
    assert (len(found.ids), len(found.ours)) == (0, 0)


def test_sockets_of_nobody_are_left_alone(scene):
    """The kernel may tell of sockets that wait in a backlog, and of none at all."""
    nobody = Streams(np.array([[0, 5, 6]], np.uint64), np.array([1]), np.array([1]))
    assert len(confront(scene.read(), nobody, scene.read()).ours) == 0
    scene.open(1)
    none = Streams(np.zeros((0, 3), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert len(confront(scene.read(), none, scene.read()).ours) == 0


def test_workers_are_read_together():
    """Connections of several workers have their own ids, whatever their rows are."""
    scenes = [Scene(), Scene()]
    for number, scene in enumerate(scenes):
        scene.reader.generation = number + 1
        scene.open(number + 1, 10 + number)
    reading = read([scene.reader for scene in scenes], PORTS)
    assert reading.ids.tolist() == [(1 << 32) + 1, (2 << 32) + 1]
    assert (reading.readers.tolist(), reading.streams.rx.tolist()) == ([0, 1], [10, 11])
    assert len(read([], PORTS).ids) == 0
    for scene in scenes:
        scene.pen.close()


def test_a_listener_that_nobody_knows_has_no_port(scene):
    """A row with a damaged SCOPE breaks nothing."""
    scene.open(1, listener=9_999)
    assert scene.read().streams.keys[0, 2] == 1 << 16


KEYS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), max_size=12)


@settings(max_examples=300)
@given(ours=KEYS, theirs=KEYS)
def test_pairs_are_those_that_stand_once_on_both_sides(ours, theirs):
    """A key pairs if and only if it stands once in each list."""
    left, right = pair(*(np.array(keys, np.uint64).reshape(-1, 3) for keys in (ours, theirs)))
    expected = {key for key in ours if ours.count(key) == 1 and theirs.count(key) == 1}
    assert [ours[i] for i in left] == [theirs[i] for i in right]
    assert sorted(ours[i] for i in left) == sorted(expected)


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(-(2**62), 2**62))
def test_the_distance_is_that_to_the_nearest_reading(low, more, seen):
    """Between the readings it is 0, else it leads from the nearer one to what was seen."""
    before, after, found = (np.array([number]) for number in (low, min(low + more, 2**62), seen))
    away = int(distance(before, found, after)[0])
    assert int(before[0]) <= seen - away <= int(after[0])
    assert (away == 0) == (before[0] <= seen <= after[0])


def test_fifty_thousand_connections_are_confronted_in_a_blink():
    """Reading and pairing take less than a quarter of a second, in a thread, once a minute."""

    pen = Pen(rows=50_000)
    reader = LedgerReader(pen.fd, 1)
    for number in range(50_000):
        pen.open(1, (f"10.{number >> 8 & 255}.{number & 255}.1", number))
    began = thread_time()
    before = read([reader], PORTS)
    found = confront(before, before.streams, read([reader], PORTS))
    assert thread_time() - began < 0.25
    assert len(found.ours) == 50_000
    pen.close()
