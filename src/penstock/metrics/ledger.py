"""
The ledger: shared memory of fixed rows that one worker writes and the supervisor reads once a second.

A file of 8-byte words: a header of `HEADER_WORDS`, then `rows` rows of `ROW_WORDS`, then `rows` texts of `TEXT_BYTES`,
then the tallies of requests (metrics/tallies.py).
Each word has one writer and is stored aligned and whole, so nobody locks and nobody sees half a number.

A row is free, then open, then ended. An ended row rests until the supervisor's tick has passed it twice, so that a
whole reading of the ledger begins after its end: every row is read with its final numbers before it is used again.
Source: docs/decisions/0003-ledger.md.
"""

import mmap
import os
from collections import deque
from functools import lru_cache
from struct import Struct

from penstock.metrics.tallies import SLOT_WORDS, SLOTS, Tallies

MAGIC = 0x504E_5354_4F43_4B32  # "PNSTOCK2"

HEADER_WORDS = 512
"""One page, so that rows begin on a page of their own."""

ROW_WORDS = 16
"""Two cache lines: counters and state in the first, what is written once in the second."""

TEXT_BYTES = 384
"""Destination (at most 255 bytes of name and a port), user and detail, separated by zeros, cut at the end."""

TEXT_LENGTH = 0xFFFF
"""In a TEXT word: the length of the text. The bits above it count how often the text was written: a new one of the same
length is seen too. A length of 0 in a word that is not 0 is that of a text that is just being written."""

TEXTS = 512
"""Texts without a detail that are remembered: many clients go to the same places. At most 0.5 MB."""

TALLY_BYTES = SLOTS * SLOT_WORDS * 8
"""All tallies together."""

# Words of the header. The supervisor writes TICK, the worker all others.
H_MAGIC, H_ROWS, H_HIGH, H_TICK, H_PID, H_PAUSES, H_ACCEPTED, H_OVERFLOWS = range(8)
H_DOUBT, H_TALLIES, H_LOGINS, H_FAILED_LOGINS, H_PROXY_HEADERS = range(8, 13)
H_TURNED_AWAY = 16
"""Clients that were refused while rows were scarce, and requests that were refused on connections that went on: all of
them, then a word for each reason's number."""

# Words of a row.
STATE, CLIENT_RX, CLIENT_TX, TARGET_RX, TARGET_TX, REQUESTS, PHASE, TEXT = range(8)
STARTED, ENDED, OUTCOME, SCOPE, IP_HIGH, IP_LOW, PORT, DIALED = range(8, 16)

WRONG_LOGINS_SHIFT = 16
"""In a PORT word: where the count of the connection's wrong logins begins."""

FREE, OPEN, REST = range(3)
"""The low two bits of STATE; the other bits are the connection's serial number."""

_ROW = Struct("=Q56xQ16xQ16sQ8x")  # STATE, STARTED, SCOPE, the address and PORT; all others are zeros
_TWO_WORDS = Struct("=QQ")
assert _ROW.size == ROW_WORDS * 8  # noqa: S101 - a layout that is wrong must not load


DOUBT_SHIFT = 42
DOUBT_MASK = (1 << DOUBT_SHIFT) - 1
"""
Before a send the worker notes in H_DOUBT which word will count it (the high bits) and what it will then hold (the low
bits, modulo 4 TiB). A worker that is killed between the kernel's taking the bytes and the counting of them leaves a
note that its word does not match; the kernel finishes a send that it has begun, so the bytes were moved, and count.
"""


def in_doubt(note: int, counted: int, most: int) -> int:
    """
    Return the bytes that a dead worker had sent and not counted.

    Args:
        note: Its H_DOUBT; 0 for none.
        counted: The word that the note is of.
        most: Bytes of the longest send.
    """
    missing = ((note & DOUBT_MASK) - counted) & DOUBT_MASK if note else 0
    return missing if missing <= most else 0


def size_of(rows: int) -> int:
    """Return the bytes of a ledger with so many rows. Pages that no row has used take no memory."""
    return HEADER_WORDS * 8 + rows * (ROW_WORDS * 8 + TEXT_BYTES) + TALLY_BYTES


def rows_of(size: int) -> int:
    """Return how many rows a ledger of so many bytes has."""
    return (size - HEADER_WORDS * 8 - TALLY_BYTES) // (ROW_WORDS * 8 + TEXT_BYTES)


def create(rows: int, name: str = "penstock-ledger") -> int:
    """Return the descriptor of a new, zeroed ledger in anonymous memory; it lives until its last holder closes it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, size_of(rows))
    return fd


class Ledger:
    """
    The worker's side.

    Args:
        fd: Descriptor of a file of `size_of(rows)` bytes; stays open with its owner.
        rows: How many rows it has.
        pid: Process that writes it.

    Attributes:
        words: All words of header and rows. The data plane adds bytes at `base + CLIENT_RX` and its neighbours itself:
            a call would cost more than the addition.
        tallies: Where requests are counted once they are over.
    """

    __slots__ = ("_free", "_map", "_resting", "_texts", "high", "open_rows", "rows", "serial", "tallies", "words")

    def __init__(self, fd: int, rows: int, pid: int) -> None:
        self._map = mmap.mmap(fd, size_of(rows))
        self.rows = rows
        self.words = memoryview(self._map)[: (HEADER_WORDS + rows * ROW_WORDS) * 8].cast("Q")
        self._texts = (HEADER_WORDS + rows * ROW_WORDS) * 8
        self._free: list[int] = []
        self._resting: deque[tuple[int, int]] = deque()
        self.high = self.open_rows = self.serial = 0
        words = self.words
        self.tallies = Tallies(memoryview(self._map)[-TALLY_BYTES:].cast("Q"), words, H_TALLIES)
        words[H_ROWS], words[H_PID], words[H_MAGIC] = rows, pid, MAGIC

    def open(self, now_ns: int, scope: int, ip: bytes, port: int) -> int:
        """
        Open a row.

        Args:
            now_ns: Monotonic time; unit ns.
            scope: What `pack_scope` returned.
            ip: 16 bytes of `pack_ip`.
            port: Of the client.

        Returns:
            Index of the row's first word in `words`, or 0 if no row is free.
        """
        free = self._free
        if free:
            base = free.pop()
        elif self.high < self.rows:
            base = HEADER_WORDS + self.high * ROW_WORDS
            self.high += 1
            self.words[H_HIGH] = self.high
        else:
            base = self._wake()
            if not base:
                return 0
        self.serial = serial = self.serial + 1
        self.open_rows += 1
        state = serial << 2
        _ROW.pack_into(self._map, base << 3, state | FREE, now_ns, scope, ip, port)
        self.words[base] = state | OPEN  # last: who sees an open row sees all of it
        return base

    def readdress(self, base: int, ip: bytes, port: int) -> None:
        """Note who the client really is (16 bytes of `pack_ip`): its socket's peer was a proxy, and spoke for it."""
        words = self.words
        words[base + IP_HIGH], words[base + IP_LOW] = _TWO_WORDS.unpack(ip)
        words[base + PORT] = port
        words[base + SCOPE] |= APART

    def end(self, base: int, now_ns: int, outcome: int) -> None:
        """
        End a row; it rests until the supervisor has read it.

        Args:
            base: What `open` returned.
            now_ns: Monotonic time; unit ns.
            outcome: What `Outcome.pack` returned.
        """
        words = self.words
        _TWO_WORDS.pack_into(self._map, base + ENDED << 3, now_ns, outcome)
        words[base] = words[base] & ~3 | REST  # last: who sees an ended row sees its final numbers
        self.open_rows -= 1
        self._resting.append((words[H_TICK], base))

    @property
    def scarce(self) -> bool:
        """Whether fewer than a quarter of the rows are free: those are for clients that are served."""
        return self.open_rows + len(self._resting) > self.rows * 3 >> 2

    def turn_away(self, outcome: int) -> None:
        """Count a client that is refused and has no row; `outcome` is what `Outcome.pack` returned."""
        words = self.words
        words[H_TURNED_AWAY + (outcome >> 16)] += 1
        words[H_TURNED_AWAY] += 1

    def collect(self) -> None:
        """Take back the rows that the tick has passed twice. Called once a second by the worker."""
        self.words[H_DOUBT] = 0  # nothing is being sent now; a row that is opened again has no old note
        resting, free = self._resting, self._free
        passed = self.words[H_TICK] - 2
        while resting and resting[0][0] <= passed:
            free.append(resting.popleft()[1])

    def _wake(self) -> int:
        self.collect()
        if self._free:
            return self._free.pop()
        self.words[H_OVERFLOWS] += 1
        return 0

    def describe(self, base: int, destination: str, user: str, detail: str) -> None:
        """Write who the client is and where it wants to go; what is too long is cut. An empty text leaves none."""
        text = _known_text(destination, user) if not detail else _text(destination, user, detail)
        start = self._texts + (base - HEADER_WORDS) // ROW_WORDS * TEXT_BYTES
        words, version = self.words, (self.words[base + TEXT] | TEXT_LENGTH) + 1
        words[base + TEXT] = version  # no length: who reads now shall not take what is half written
        self._map[start : start + len(text)] = text
        words[base + TEXT] = version | len(text)

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        self.words.release()
        self.tallies.close()
        self._map.close()


def _text(destination: str, user: str, detail: str = "") -> bytes:
    return b"\0".join((destination.encode()[:263], user.encode()[:64], detail.encode()))[:TEXT_BYTES]


_known_text = lru_cache(TEXTS)(_text)

TARGET_SHIFT, ROUTE_SHIFT = 16, 32
"""Where the ids of target and route begin in a SCOPE word; the listener's has the low 16 bits, as each of them has."""

APART = 1 << 63
"""In SCOPE: the row does not count what the client's TCP socket carries, byte by byte: datagrams, TLS, a header."""

_NO_ROUTE = APART | 0xFFFF

NO_TARGET = ~(0xFFFF << TARGET_SHIFT)
"""A SCOPE word with this mask has no target. Who aims calls nobody, as one store is all there is to do."""


def pack_scope(listener: int, target: int = 0, route: int = 0) -> int:
    """Return a SCOPE word of these ids; 0 for none. A connection may take its route and its target later."""
    return listener | target << TARGET_SHIFT | route << ROUTE_SHIFT


def take(scope: int, route: int) -> int:
    """Return a SCOPE word with another route, and no target yet."""
    return scope & _NO_ROUTE | route << ROUTE_SHIFT


def aim(scope: int, target: int) -> int:
    """Return a SCOPE word with another target."""
    return scope & NO_TARGET | target << TARGET_SHIFT
