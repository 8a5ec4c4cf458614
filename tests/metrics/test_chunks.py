"""Samples as bytes: what one ring took, another one shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.metrics.chunks import Chunk, cut, fill
from penstock.metrics.rings import Ring
from penstock.metrics.saved import SavedError, parse, serialize

NAMES = ["a", "b", None]


def pushed(count, keys=3, depth=10, begin=100):
    """Return a ring after so many seconds, in which the second key did nothing."""
    ring = Ring(depth, keys, 2)
    for number in range(count):
        growth = np.full((keys, 2), number + 1)
        growth[1] = 0
        ring.push(growth, begin + number, 1.0)
    return ring


def shown(ring, key):
    """Return the graph of a key as lists."""
    history = ring.view().history(1_000, key)
    return history.at.tolist(), history.covered.tolist(), history.sums.tolist()


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=6))
def test_pieces_make_the_whole(pieces):
    """However often a ring is asked, what it gave fills another ring with what it shows itself."""
    ring, chunks, told = Ring(10, 3, 2), [], 0
    for piece in pieces:
        for _ in range(piece):
            ring.push(np.array([[ring.end, 1], [0, 0], [0, 0]]), 100 + ring.end, 1.0)
        chunk, told = cut(ring, told, NAMES), ring.end
        if chunk is not None:
            chunks.append(parse(serialize(chunk), Chunk))
    again = Ring(10, 3, 2)
    fill(again, chunks, {"a": 0, "b": 1})
    for key in (0, 1):
        assert shown(again, key) == shown(ring, key)


def test_only_what_did_something_is_in_it():
    """Keys without numbers and keys of nobody take no room."""
    chunk = cut(pushed(3), 0, NAMES)
    assert chunk.keys == ("a",)
    assert (len(chunk.at), len(chunk.covered), len(chunk.sums)) == (24, 24, 3 * 1 * 2 * 4)
    assert cut(pushed(3), 3, NAMES) is None


def test_what_has_left_the_ring_is_not_in_it():
    """Whoever asks too late gets what the ring still shows."""
    chunk = cut(pushed(500), 0, NAMES)
    assert np.frombuffer(chunk.at, np.int64).tolist() == list(range(590, 600))


def test_names_find_their_new_places():
    """Another plan has other places; names that it does not have go where it says, or nowhere."""
    chunk = cut(pushed(2), 0, ["a", "b", "c"])
    ring, with_rest = Ring(10, 2, 2), Ring(10, 2, 2)
    fill(ring, [chunk], {"c": 1})
    assert ring.samples[:2].tolist() == [[[0, 0], [1, 1]], [[0, 0], [2, 2]]]
    fill(with_rest, [chunk], {"c": 1}, rest=0)
    assert with_rest.samples[:2].tolist() == [[[1, 1], [1, 1]], [[2, 2], [2, 2]]]


def test_a_ring_with_samples_of_its_own_stays_as_it_is():
    """What comes late does not push in front of what is newer."""
    ring = pushed(2)
    fill(ring, [cut(pushed(5), 0, NAMES)], {"a": 0})
    assert ring.end == 2


def test_the_newest_samples_count():
    """A ring that is shorter than what was kept shows the end of it."""
    chunks = [cut(pushed(8, begin=100 + 8 * number), 0, NAMES) for number in range(3)]
    ring = Ring(10, 3, 2)
    fill(ring, chunks, {"a": 0})
    assert shown(ring, 0)[0] == list(range(114, 124))


@pytest.mark.parametrize(
    "change",
    [
        {"at": b"1"},
        {"at": b""},
        {"covered": bytes(16)},
        {"sums": b""},
        {"columns": 3},
        {"keys": ("a", "b")},
        {"covered": np.array([1.0, np.nan]).tobytes()},
        {"covered": np.array([1.0, np.inf]).tobytes()},
        {"sums": np.array([-1, 0, 0, 0], "<f4").tobytes()},
        {"sums": np.array([np.nan, 0, 0, 0], "<f4").tobytes()},
        {"at": np.array([1, 2**62]).tobytes()},
    ],
)
def test_what_no_ring_has_taken_is_one_error(change):
    """Missing, endless and negative numbers are refused, and nothing is filled."""
    ring, chunk = Ring(10, 3, 2), cut(pushed(2), 0, NAMES)
    with pytest.raises(SavedError, match="Chunk"):
        fill(ring, [chunk, replace(chunk, **change)], {"a": 0})
    assert ring.end == 0


@settings(deadline=None)
@given(st.data())
def test_changed_bytes_are_a_value_or_one_error(data):
    """Whatever a file has made of it."""
    raw = bytearray(serialize(cut(pushed(3), 0, NAMES)))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        fill(Ring(10, 3, 2), [parse(bytes(raw), Chunk)], {"a": 0})
    except SavedError:
        pass
