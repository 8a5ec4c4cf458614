"""
Bans of networks in shared memory: disjoint ranges of addresses, sorted, and when each ends.

A file: a header of `HEADER_WORDS` words of 8 bytes, then these columns, each padded to 8 bytes:
IPv4: first, last (4 bytes each), until (8 bytes), and for each first 16 bits of an address, and one behind them, how
many ranges begin below it (4 bytes each), so that a bisection has little left to do;
IPv6: rows of first high, last high, first low, last low (8 bytes each), which a look-up finds in one line of the
cache; until (8 bytes); blocks, of 1,024 ranges each: where it begins (8 bytes), its shift, and its first cell (4 bytes
each); and cells, equal parts of a block, about as many as it has ranges: how many ranges begin below it (4 bytes).
So one bisection finds the block, however networks crowd, a shift finds the cell, and little is left to bisect.
It never changes once it was written: another one takes its place, which costs a worker nothing but a mapping.
Source: docs/decisions/0014-bans.md.
"""

import mmap
import os
from bisect import bisect_right
from typing import NamedTuple

MAGIC = 0x504E_5354_4F43_4B52  # "PNSTOCKR"

HEADER_WORDS = 512
"""One page."""

H_MAGIC, H_IPV4, H_IPV6, H_BLOCKS, H_CELLS = range(5)
"""Words of the header: what it is, how many ranges of each family, blocks, and cells there are."""

HALVES = (1 << 16) + 1
"""First 16 bits of IPv4 addresses, and one behind them; none where there are no ranges."""

ROW = 4
"""Words of an IPv6 range's row."""

BLOCK = 1_024
"""IPv6 ranges of a block: a worker holds a hundred bytes of Python's for each block, and none for each range."""

CELL_BITS = 11
"""A block has at most 2,048 cells, and one behind its last: 4 to 8 bytes for each range."""

FOREVER = (1 << 64) - 1
"""In an until column: never."""

MAPPED = 0xFFFF
"""High 96 bits of an IPv4 address as IPv4-mapped."""

_LOW = (1 << 64) - 1


class Counts(NamedTuple):
    """
    What a header says that a table holds.

    Args:
        ipv4, ipv6: Ranges of each family.
        blocks, cells: Of the index of IPv6.
    """

    ipv4: int
    ipv6: int
    blocks: int
    cells: int


def layout(counts: Counts) -> tuple[tuple[str, int], ...]:
    """Return the columns of a table as they stand in its file: the width as `struct` writes it, and how many."""
    ipv4, ipv6, blocks, cells = counts
    return (
        *(("I", ipv4), ("I", ipv4), ("Q", ipv4), ("I", HALVES if ipv4 else 0)),
        *(("Q", ipv6 * ROW), ("Q", ipv6), ("Q", blocks), ("I", blocks), ("I", blocks), ("I", cells)),
    )


def size_of(counts: Counts) -> int:
    """Return the bytes of a table that holds so much."""
    return HEADER_WORDS * 8 + sum(_padded(count * _WIDTHS[kind]) for kind, count in layout(counts))


def _padded(size: int) -> int:
    return size + 7 & ~7


_WIDTHS = {"I": 4, "Q": 8}


class BanRanges:
    """
    One worker's view of a table.

    Args:
        fd: Descriptor of a table, which stays open with its owner.

    Raises:
        ValueError: If it is none.
    """

    __slots__ = (
        "_begins", "_below", "_blocks", "_cells", "_columns", "_first4", "_first6", "_last4", "_last6", "_low_first6",
        "_low_last6", "_map", "_until4", "_until6",
    )  # fmt: skip

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size < HEADER_WORDS * 8:
            raise ValueError("not a table of banned networks: too short")
        self._map = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        memory = memoryview(self._map)
        header = memory[: HEADER_WORDS * 8].cast("Q")
        counts = Counts(header[H_IPV4], header[H_IPV6], header[H_BLOCKS], header[H_CELLS])
        if header[H_MAGIC] != MAGIC or size != size_of(counts):
            raise ValueError("not a table of banned networks: another beginning or size")
        at = HEADER_WORDS * 8
        self._columns: list[memoryview] = []
        for kind, count in layout(counts):
            self._columns.append(memory[at : at + count * _WIDTHS[kind]].cast(kind))  # type: ignore[call-overload]
            at += _padded(count * _WIDTHS[kind])
        self._first4, self._last4, self._until4, self._below = self._columns[:4]
        rows, self._until6, begins, shifts, firsts, self._cells = self._columns[4:]
        parts = self._first6, self._last6, self._low_first6, self._low_last6 = [rows[part::ROW] for part in range(ROW)]
        self._columns += parts
        self._begins = begins.tolist()  # numbers of Python's, which a bisection compares twice as fast
        self._blocks = list(zip(self._begins, shifts, firsts, strict=True))

    def __len__(self) -> int:
        return len(self._first4) + len(self._first6)

    def until(self, address: int) -> int:
        """
        Return when the ban of an address ends, which may be past; 0 for none; unit ns since the epoch.

        Args:
            address: As a number, IPv4 as IPv4-mapped.
        """
        if address >> 32 == MAPPED:
            return self.until_ipv4(address & 0xFFFF_FFFF)
        return self.until_ipv6(address >> 64, address & _LOW)

    def until_ipv4(self, number: int) -> int:
        """Return the same of an IPv4 address as a number of 32 bits."""
        below, half = self._below, number >> 16
        if not below:
            return 0
        place = bisect_right(self._first4, number, below[half], below[half + 1]) - 1
        return self._until4[place] if place >= 0 and number <= self._last4[place] else 0

    def until_ipv6(self, high: int, low: int) -> int:
        """Return the same of another address as two numbers of 64 bits."""
        block = bisect_right(self._begins, high)
        if not block:
            return 0
        begin, shift, cell = self._blocks[block - 1]
        cell += high - begin >> shift
        cells, first, lasts = self._cells, self._first6, self._last6
        below = cells[cell]
        place = bisect_right(first, high, below, cells[cell + 1]) - 1
        if place < 0 or high > (last := lasts[place]):
            return 0
        if first[place] == high and self._low_first6[place] > low:  # several begin in the same 64 bits
            begin = bisect_right(first, high - 1, below, place) if high else 0
            place = bisect_right(self._low_first6, low, begin, place + 1) - 1
            if place < 0 or high > (last := lasts[place]):
                return 0
        return self._until6[place] if high < last or low <= self._low_last6[place] else 0

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        for column in self._columns:
            column.release()
