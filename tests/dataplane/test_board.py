"""The board says in every process what the supervisor wrote."""

import os

import pytest

from penstock.base.bounds import TARGETS
from penstock.dataplane import board
from penstock.dataplane.board import DOWN, DRAINED, EJECTED, GENERATION, HEADER_WORDS, OUT_OF_SERVICE, Board


@pytest.fixture
def fd():
    """The descriptor of a new board."""
    found = board.create()
    yield found
    os.close(found)


def test_all_holders_see_what_is_written(fd):
    """A word that one holder writes is read by another one, whole; the generation counts what was published."""
    ours, theirs = Board(fd), Board(fd)
    ours.write(7, DOWN | DRAINED, 250)
    assert theirs.words[HEADER_WORDS + 7] == DOWN | DRAINED | 250 << 8
    assert theirs.words[GENERATION] == 0
    ours.publish()
    ours.publish()
    assert theirs.words[GENERATION] == 2
    ours.close()
    theirs.close()


@pytest.mark.parametrize("bits", [DOWN, EJECTED, DRAINED, OUT_OF_SERVICE])
def test_any_reason_keeps_a_target_out(bits):
    """A target is out for each of the reasons, and for none when nothing is written."""
    mine = Board()
    assert not mine.is_out(3)
    mine.write(3, bits, 100)
    assert mine.is_out(3)
    mine.write(3, 0, 100)
    assert not mine.is_out(3)
    mine.close()


def test_every_target_has_a_word(fd):
    """The highest id has its place, and a board that says nothing of it takes no memory for it."""
    mine = Board(fd)
    assert os.fstat(fd).st_blocks == 0
    mine.write(TARGETS, DOWN)
    assert mine.is_out(TARGETS)
    assert os.fstat(fd).st_blocks * 512 <= 4_096
    mine.close()
