"""Challenges under way: told to all workers, and known to nobody who does not ask for them."""

import os
from pathlib import Path

import pytest

from penstock.dataplane.board import NOTE_BYTES, SIZE, Board, create
from penstock.dataplane.challenges import NOTHING, Challenges, Pending, post
from penstock.testing.certificates import Authority


@pytest.fixture
def boards():
    """The supervisor's view of a board, and a worker's."""
    fd = create()
    ours, theirs = Board(fd), Board(fd)
    yield ours, theirs
    for each in (ours, theirs):
        each.close()
    os.close(fd)


def test_workers_know_what_is_posted(boards):
    """A token has its answer and a name its certificate, until something else is posted."""
    ours, theirs = boards
    known = Challenges(theirs)
    assert (known.key_authorization("t"), known.has_certificate("a.example.com")) == ("", False)
    post(ours, Pending(tokens={"t": "t.thumb"}, certificates={"a.example.com": "PEM"}))
    assert (known.key_authorization("t"), known.has_certificate("a.example.com")) == ("t.thumb", True)
    assert (known.key_authorization("u"), known.has_certificate("b.example.com")) == ("", False)
    post(ours, NOTHING)
    assert (known.key_authorization("t"), known.has_certificate("a.example.com")) == ("", False)


def test_a_certificate_makes_a_context(boards, tmp_path):
    """It is loaded from memory; what is no certificate makes none, as does a name that nobody proves."""
    ours, theirs = boards
    pair = Authority(tmp_path).issue("a.example.com")
    pem = Path(pair.cert).read_text() + Path(pair.key).read_text()
    post(ours, Pending(certificates={"a.example.com": pem, "b.example.com": "nonsense"}))
    known = Challenges(theirs)
    made = known.context("a.example.com")
    assert made is not None
    assert known.context("a.example.com") is made
    assert known.context("b.example.com") is None
    assert known.context("c.example.com") is None


@pytest.mark.parametrize("length", [1, 5, NOTE_BYTES, (1 << 32) - 1])
def test_half_a_note_is_none(boards, length):
    """Whatever stands there while it is written, or by mistake, is no challenge, and hurts nobody."""
    ours, theirs = boards
    post(ours, Pending(tokens={"t": "t.thumb"}))
    ours.note[:4] = length.to_bytes(4, "little")
    assert Challenges(theirs).key_authorization("t") == ""


def test_too_much_is_refused(boards):
    """More than a note holds is not posted, and what was there stays."""
    ours, theirs = boards
    post(ours, Pending(tokens={"t": "t.thumb"}))
    with pytest.raises(ValueError, match="longer than a note"):
        post(ours, Pending(tokens={"t": "x" * NOTE_BYTES}))
    assert Challenges(theirs).key_authorization("t") == "t.thumb"


def test_a_note_takes_memory_only_when_it_is_written():
    """The board is as long as it may become, and sparse."""
    fd = create()
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks) == (SIZE, 0)
    os.close(fd)


def test_nothing_secret_is_printed():
    """Neither tokens nor keys."""
    assert repr(Pending(tokens={"t": "secret"}, certificates={"n": "secret"})) == "Pending(1 tokens, 1 certificates)"
