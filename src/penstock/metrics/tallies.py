"""
Tallies: how many requests ended with which status, and how long they took, in the last part of the ledger.

A listener and a route together have a slot of `SLOT_WORDS`: a counter for each status code, an exponential histogram of
durations, and their sum. A slot costs memory only where something is counted. Whoever finds no slot left counts in the
first one, which is nobody's.

Each word only grows and has one writer, as in a row; CHANGED and SUM are written last, so whoever reads one of them and
then the others sees all that it stands for.
Source: docs/decisions/0003-ledger.md.
"""

from math import ceil, log2

PAIR = 0xFFFF_0000_FFFF
"""Bits of a SCOPE word that name listener and route."""

SLOTS = 256
"""Slots of a worker; 6 MB if every page of every one is touched. A node with more pairs has others in the first."""

SLOT_WORDS = 3_072

NO_CODE, KEY, SUM, CHANGED = range(4)
"""Words of a slot that no status code needs, which has three digits: requests without one; listener and route as in
SCOPE, 0 in the first slot; all durations together, unit ns; how often something without a duration was counted."""

CODES = 1_000
"""Status codes have the words of their own numbers. RFC 9110 section 15 knows those up to 599; targets say others."""

BUCKETS = 1_024
"""Where the histogram begins."""

SCALE = 5
"""Buckets for each doubling: 2 ** SCALE, as in `histogram.SCALE`. Number i counts what is above 2 ** ((i - 1) / 32) and
up to 2 ** (i / 32); unit ns."""

BUCKET_COUNT = (63 << SCALE) + 1
"""For all that 63 bits hold."""

assert BUCKETS + BUCKET_COUNT <= SLOT_WORDS  # noqa: S101 - a layout that is wrong must not load

_PER_DOUBLING = float(1 << SCALE)


class Tallies:
    """
    The worker's side.

    Args:
        words: The tallies; `SLOTS * SLOT_WORDS` words, zeroed.
        header: Words of the ledger's header.
        used: The header's word that says how many slots are in use.
    """

    __slots__ = ("_header", "_slots", "_used", "words")

    def __init__(self, words: memoryview, header: memoryview, used: int) -> None:
        self.words, self._header, self._used = words, header, used
        self._slots: dict[int, int] = {}
        header[used] = 1  # the first one is nobody's

    def add(self, scope: int, code: int, took: int = 0) -> None:
        """
        Count a request that is over.

        Args:
            scope: SCOPE word of its connection.
            code: Status code that the client got; NO_CODE for none.
            took: How long it took; unit ns; 0 if nobody knows.
        """
        words = self.words
        slot = self._slots.get(scope & PAIR)
        if slot is None:
            slot = self._open(scope & PAIR)
        words[slot + code] += 1
        if took > 0:
            words[slot + BUCKETS + ceil(log2(took) * _PER_DOUBLING)] += 1
            words[slot + SUM] += took
        else:
            words[slot + CHANGED] += 1

    def _open(self, pair: int) -> int:
        used = self._header[self._used]
        if used >= SLOTS:
            return 0
        slot = self._slots[pair] = used * SLOT_WORDS
        self.words[slot + KEY] = pair
        self._header[self._used] = used + 1  # last: who sees the slot sees whose it is
        return slot

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
