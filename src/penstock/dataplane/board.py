"""
The board: shared memory in which the supervisor tells all workers how targets are. One word a target, one writer.

A file of 8-byte words: a header of `HEADER_WORDS`, then a word for each id that a target can have. A word that nobody
has written, 0, is a target that is well and has its configured weight. The supervisor writes what changed and then
counts GENERATION up; a worker compares that word at each pick, and reads those of a route's targets when it changed.
Pages that no target's id lies in take no memory. Behind the words is room for one note, of ACME challenges under way
(dataplane/challenges.py). Source: docs/decisions/0011-board.md.
"""

import mmap
import os

from penstock.base.bounds import TARGETS

HEADER_WORDS = 512
"""One page."""

NOTE = (HEADER_WORDS + TARGETS + 1) * 8
"""Where the note begins; unit bytes."""

NOTE_BYTES = 1_048_576
"""Longest note, with its length before it: a certificate of 100 names has as many challenges, of 1 KiB each."""

SIZE = NOTE + NOTE_BYTES

GENERATION = 0
"""Word of the header that counts changes."""

DOWN, EJECTED, DRAINED, OUT_OF_SERVICE = 1, 2, 4, 8
"""Why a target gets no new connections: its checks failed, its dials failed, an operator lets it run dry or keeps it
out. Bits of its word; all may hold at once."""

UNWELL = DOWN | EJECTED
ORDERED = DRAINED | OUT_OF_SERVICE
OUT = UNWELL | ORDERED

WEIGHT_SHIFT = 8
"""Above the bits: the weight that the target has now, unit 1 / FINE (policy/balance.py); 0 for the configured one."""


def create(name: str = "penstock-board") -> int:
    """Return the descriptor of a new board on which all targets are well."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE)
    return fd


class Board:
    """
    One holder's view of it.

    Args:
        fd: Descriptor of a board, which stays open with its owner; -1 for a board of one's own.

    Attributes:
        words: All of it. The data plane reads words itself: a call would cost more than the read.
        note: Bytes of the note.
    """

    __slots__ = ("_map", "note", "words")

    def __init__(self, fd: int = -1) -> None:
        self._map = mmap.mmap(fd, SIZE)
        self.words = memoryview(self._map).cast("Q")
        self.note = memoryview(self._map)[NOTE:]

    def write(self, target: int, bits: int, weight: int = 0) -> None:
        """
        Say how a target is; workers see it after `publish`. For the supervisor alone.

        Args:
            target: Its id.
            bits: Of DOWN, EJECTED, DRAINED and OUT_OF_SERVICE.
            weight: Unit 1 / FINE; 0 for the configured one.
        """
        self.words[HEADER_WORDS + target] = bits | weight << WEIGHT_SHIFT

    def publish(self) -> None:
        """Let workers look again."""
        self.words[GENERATION] += 1

    def is_out(self, target: int) -> bool:
        """Return whether a target gets no new connections."""
        return bool(self.words[HEADER_WORDS + target] & OUT)

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        self.words.release()
        self.note.release()
        self._map.close()
