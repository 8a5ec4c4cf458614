"""
Records as bytes, a page at a time, for whoever keeps them: packed and parsed again, whatever became of the bytes.

A page holds the records of one stretch of `PAGE` numbers: its header, its names, the words of its records, their texts.
Stretches never move, so the newest page is written again until it is full, and all others once. Numbers are in the
byte order of the machine, as in the ledger; a page of another order has another magic number, and is refused.
Source: docs/decisions/0009-records.md.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from struct import Struct
from typing import Annotated, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.base.errors import PenstockError
from penstock.metrics.filters import LATEST_NS
from penstock.metrics.growth import TextBlock, Words
from penstock.metrics.ledger import CLIENT_RX, DIALED, ENDED, PHASE, PORT, ROW_WORDS, STARTED, TEXT, TEXT_BYTES
from penstock.metrics.records import ID, NAMES, NUMBER, Names, Records, RecordsView

PAGE = 128
"""Numbers in a page: about 20 KB, so that writing the newest one again with every flush costs little. 10,000 records
are 79 pages, the most that a node keeps 782; the store lets 1,024 wait for a disk."""

LAST_NUMBER = 2**52
"""The highest number that is believed: at 5,000 endings a second it is reached in 28,000 years."""

_MAGIC = 0x504E_5354_5245_4331  # "PNSTREC1"; another layout has another last digit
_HEAD = Struct("=QIIII")  # magic, records, bytes of names, bytes of texts, checksum of what follows
_ROW = ROW_WORDS * 8

_Name = Annotated[str, msgspec.Meta(max_length=1_024)]
"""Names of listeners and routes have no bound of their own; nobody writes longer ones."""


class PageError(PenstockError):
    """Bytes are no page that was ever written; the message says what is wrong with them."""


class Packed(NamedTuple):
    """
    A page.

    Args:
        first: The lowest number that belongs into it.
        records: How many numbers it has used so far, those included whose records are gone.
        body: What `serialize` returned.
    """

    first: int
    records: int
    body: bytes


class Unpacked(NamedTuple):
    """
    Records as they were read, by rising number.

    Args:
        words: Shape (n, ROW_WORDS); NAMES holds positions in `names`.
        texts: Of each.
        names: Names that they had.
    """

    words: Words
    texts: TextBlock
    names: Sequence[Names]


def pack(view: RecordsView, after: int) -> list[Packed]:
    """
    Return the pages in which a record has a higher number than this, the oldest first.

    Args:
        view: What to pack.
        after: The last number that is kept already.

    Cost: 1 us a record.
    """
    if after >= view.end:
        return []
    words = view.read(_first_of(after + 1) - 1)
    texts, there = view.texts(words)
    words, texts = words[there], texts[len(words) - int(there.sum()) :]  # only the oldest may be gone
    names = [view.names[number] for number in words[:, NAMES].tolist()]
    firsts = (words[:, NUMBER].view(np.int64) - 1) // PAGE * PAGE + 1
    cuts = [0, *(np.flatnonzero(np.diff(firsts)) + 1).tolist(), len(words)] if len(words) else []
    return [
        Packed(
            int(firsts[low]),
            int(words[high - 1, NUMBER]) - int(firsts[low]) + 1,
            serialize(words[low:high], texts[low:high], names[low:high]),
        )
        for low, high in pairwise(cuts)
    ]


def serialize(words: Words, texts: Sequence[bytes], names: Sequence[Names]) -> bytes:
    """
    Return records as bytes.

    Args:
        words: Of records of one page; shape (n, ROW_WORDS).
        texts: Of each.
        names: Of each.
    """
    known = {each: place for place, each in enumerate(dict.fromkeys(names))}
    words = words.copy()
    words[:, NAMES] = [known[each] for each in names]
    words[:, TEXT] = [len(text) for text in texts]
    named, told = msgspec.msgpack.encode(list(known)), b"".join(texts)
    body = b"".join((named, words.tobytes(), told))
    return _HEAD.pack(_MAGIC, len(words), len(named), len(told), crc32(body)) + body


def parse(raw: bytes) -> Unpacked:
    """
    Return the records of a page.

    Args:
        raw: Any bytes.

    Raises:
        PageError: If they are not what `serialize` returned, or hold what no record can.
    """
    if len(raw) < _HEAD.size:
        raise PageError("shorter than a header")
    magic, count, named, told, checksum = _HEAD.unpack_from(raw)
    if magic != _MAGIC:
        raise PageError("not a page of this version and machine")
    if not 1 <= count <= PAGE or len(raw) != _HEAD.size + named + count * _ROW + told:
        raise PageError("lengths that do not fit")
    if checksum != crc32(memoryview(raw)[_HEAD.size :]):
        raise PageError("a wrong checksum")
    start = _HEAD.size + named
    words = np.frombuffer(raw, np.uint64, count * ROW_WORDS, start).reshape(count, ROW_WORDS).copy()
    names = _names(raw[_HEAD.size : start], count)
    _check(words, len(names), told)
    return Unpacked(words, _texts(words, raw[len(raw) - told :]), names)


def _names(raw: bytes, most: int) -> list[Names]:
    try:
        names = msgspec.msgpack.decode(raw, type=list[tuple[_Name, _Name, _Name]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PageError(f"names that cannot be read: {error}") from error
    if len(names) > most:
        raise PageError("more names than records")
    return [Names(*each) for each in names]


def _check(words: Words, names: int, told: int) -> None:
    """Raise PageError for words that no record has."""
    bounds = (
        (words[:, CLIENT_RX:PHASE], 2**63 - 1),
        (words[:, DIALED], 2**63 - 1),
        (words[:, STARTED : ENDED + 1], LATEST_NS),
        (words[:, ID], 2**53 - 1),
        (words[:, PORT], 0xFFFF),
        (words[:, TEXT], TEXT_BYTES),
        (words[:, NUMBER], LAST_NUMBER),
    )
    numbers = words[:, NUMBER]
    if any(int(part.max()) > most for part, most in bounds) or (names and int(words[:, NAMES].max()) >= names):
        raise PageError("a number out of its bounds")
    if not names or int(words[:, TEXT].sum()) != told:
        raise PageError("names or texts that are missing")
    if (
        int(numbers[0]) < 1
        or (numbers[1:] <= numbers[:-1]).any()
        or int(numbers[-1]) - _first_of(int(numbers[0])) >= PAGE
    ):
        raise PageError("numbers that are not of one page")


def _texts(words: Words, told: bytes) -> TextBlock:
    lengths = words[:, TEXT].astype(np.intp)
    areas: NDArray[np.uint8] = np.zeros((len(words), int(lengths.max())), np.uint8)
    areas[np.arange(areas.shape[1]) < lengths[:, None]] = np.frombuffer(told, np.uint8)
    return TextBlock(lengths, areas)


def _first_of(number: int) -> int:
    """Return the lowest number of the page that a number belongs into."""
    return (number - 1) // PAGE * PAGE + 1


class Archive:
    """
    What of the records is kept elsewhere, and what is still to be.

    Args:
        records: Those of this run.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._kept = 0

    @property
    def pages(self) -> int:
        """Return how many pages can hold something that there is room for."""
        capacity = self._records.capacity
        return capacity // PAGE + 2 if capacity else 0

    def forget(self) -> None:
        """What was kept is lost: the next export is of everything."""
        self._kept = 0

    def export(self) -> tuple[list[Packed], int]:
        """Return the pages that are new or have grown since the last call, and the oldest number still wanted."""
        view = self._records.view(0)
        pages, self._kept = pack(view, self._kept), view.end
        return pages, max(0, view.end - view.ring.capacity + 1) if view.ring.capacity else 0

    def restore(self, pages: Iterable[tuple[int, int, bytes]]) -> list[str]:
        """
        Put what an earlier run kept before the records of this one, and return what is wrong with pages left out.

        Args:
            pages: First number, count and body of each, in any order.
        """
        found, faults, last = [], [], 0
        for first, count, body in sorted(pages, key=lambda page: page[0]):
            used = first + min(count, PAGE) - 1
            last = max(last, used if used <= LAST_NUMBER else 0)  # numbers of pages that are refused are not used again
            try:
                page = parse(body)
                if _first_of(int(page.words[0, NUMBER])) != first:
                    raise PageError("numbers of another page")
            except PageError as error:
                faults.append(f"records from {first} on: {error}")
            else:
                found.append(page)
                last = max(last, int(page.words[-1, NUMBER]))
        if last:
            self._records.carry(found, last)
            self._kept = last
        return faults
