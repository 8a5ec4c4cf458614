"""
Bans of networks in shared memory: where along the addresses what holds changes, and an index of it.

What holds from an edge on is a value: below the number of times that the table has it is one of them, when the ban
ends, of which the first is 0: nothing holds. Most look-ups end at a cell, which is an equal part of the addresses: if
one value holds in all of it, it stands there, else where its edges begin, and they are bisected: no more than the
window of its part of the addresses, in which no cell has more. IPv6 addresses are looked at by their first 64 bits, in
blocks of `BLOCK` edges, each with cells of its own, which a bisection finds, however networks crowd; a value that is
no time is, behind the times, which of the insides it is: edges within these 64 bits.

A file: a header of `HEADER_WORDS` words of 8 bytes, then these columns, each padded to 8 bytes:
IPv4: edges, values, cells, windows (4 bytes each);
IPv6: edges (8 bytes), values, cells (4 bytes each); of each block where it begins (8 bytes), its shift, its first cell
and its window (4 bytes each); of each inside where it begins, and where the last one ends (4 bytes each), their edges
(8 bytes) and values (4 bytes); times (8 bytes).
Before the edges stand as many others as there are times, so that where edges begin is no time's number; behind them as
many as the largest window, so that a bisection ends within them.
It never changes once it was written: another one takes its place, which costs a worker nothing but a mapping.
Source: docs/decisions/0014-bans.md.
"""

import mmap
import os
from bisect import bisect_right
from typing import NamedTuple

MAGIC = 0x504E_5354_4241_4E53  # "PNSTBANS"

HEADER_WORDS = 512
"""One page."""

BLOCK = 4_096
"""IPv6 edges of a block: a worker holds a hundred bytes of Python's for each block, and none for each range."""

CELL_BITS = 12
"""A block of IPv6 has at most 4,096 cells: 2 to 4 bytes for each edge."""

CELL_BITS4 = 22
"""IPv4 has at most as many cells as there are networks of this length, which are 16 MiB."""

WINDOW_SHIFT4 = 20
"""IPv4 has a window for each network of 12 bits."""

WINDOWS4 = 1 << 32 - WINDOW_SHIFT4

FOREVER = (1 << 64) - 1
"""In the times: never."""

MAPPED = 0xFFFF
"""High 96 bits of an IPv4 address as IPv4-mapped."""

_LOW = (1 << 64) - 1


class Counts(NamedTuple):
    """
    What a header says that a table holds.

    Args:
        times: Different ends of bans, and the first, 0.
        edges4, cells4: Of IPv4.
        edges6, cells6, blocks: Of the first 64 bits of IPv6.
        insides, inner_edges: Of 64 bits in which there are edges, and those.
    """

    times: int
    edges4: int
    cells4: int
    edges6: int
    cells6: int
    blocks: int
    insides: int
    inner_edges: int


def serialize(counts: Counts) -> list[int]:
    """Return the words of a header, without those behind the last that says anything."""
    return [MAGIC, *counts]


def parse(words: memoryview) -> Counts:
    """Return what a header says; raises ValueError if it is none."""
    magic, *rest = words[: 1 + len(Counts._fields)].tolist()
    if magic != MAGIC:
        raise ValueError("not a table of banned networks: another beginning")
    return Counts(*rest)


def layout(counts: Counts) -> tuple[tuple[str, int], ...]:
    """Return the columns of a table as they stand in its file: the width as `struct` writes it, and how many."""
    times, edges4, cells4, edges6, cells6, blocks, insides, inner_edges = counts
    return (
        *(("I", edges4), ("I", edges4), ("I", cells4), ("I", WINDOWS4)),
        *(("Q", edges6), ("I", edges6), ("I", cells6)),
        *(("Q", blocks), ("I", blocks), ("I", blocks), ("I", blocks)),
        *(("I", insides + 1), ("Q", inner_edges), ("I", inner_edges), ("Q", times)),
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
        "_begins", "_blocks", "_bounds", "_cells4", "_cells6", "_columns", "_edges4", "_edges6", "_first",
        "_inner_edges", "_inner_values", "_map", "_shift4", "_times", "_values4", "_values6", "_windows4",
    )  # fmt: skip

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size < HEADER_WORDS * 8:
            raise ValueError("not a table of banned networks: too short")
        self._map = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        memory = memoryview(self._map)
        counts = parse(memory[: HEADER_WORDS * 8].cast("Q"))
        if size != size_of(counts):
            raise ValueError("not a table of banned networks: another size")
        at = HEADER_WORDS * 8
        self._columns: list[memoryview] = []
        for kind, count in layout(counts):
            self._columns.append(memory[at : at + count * _WIDTHS[kind]].cast(kind))  # type: ignore[call-overload]
            at += _padded(count * _WIDTHS[kind])
        self._edges4, self._values4, self._cells4, windows = self._columns[:4]
        self._edges6, self._values6, self._cells6, begins, *blocks = self._columns[4:11]
        self._bounds, self._inner_edges, self._inner_values, times = self._columns[11:]
        self._shift4 = 33 - counts.cells4.bit_length()
        # numbers of Python's, which are had and compared twice as fast
        self._windows4: list[int] = windows.tolist()
        self._begins: list[int] = begins.tolist()
        self._times: list[int] = times.tolist()
        self._first = counts.times
        # of a block: what is taken from a number before its shift, so that what is left is its cell
        self._blocks = [
            (begin - (cell << shift), shift, window)
            for begin, shift, cell, window in zip(self._begins, *blocks, strict=True)
        ]

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
        value: int = self._cells4[number >> self._shift4]
        if value >= self._first:
            end = value + self._windows4[number >> WINDOW_SHIFT4]
            value = self._values4[bisect_right(self._edges4, number, value, end) - 1]
        return self._times[value]

    def until_ipv6(self, high: int, low: int) -> int:
        """Return the same of another address as two numbers of 64 bits."""
        origin, shift, window = self._blocks[bisect_right(self._begins, high) - 1]
        value: int = self._cells6[high - origin >> shift]
        if value >= self._first:
            value = self._values6[bisect_right(self._edges6, high, value, value + window) - 1]
            if value >= self._first:
                inside, bounds = value - self._first, self._bounds
                place = bisect_right(self._inner_edges, low, bounds[inside], bounds[inside + 1])
                value = self._inner_values[place - 1]
        return self._times[value]

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        for column in self._columns:
            column.release()
