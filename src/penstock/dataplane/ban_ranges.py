"""
Bans of networks in shared memory: disjoint ranges of addresses, sorted, and when each ends.

A file: a header of `HEADER_WORDS` words of 8 bytes, then these columns, each padded to 8 bytes:
IPv4: first, last (4 bytes each), until (8 bytes), and for each first 16 bits of an address, and one behind them, how
many ranges begin below it (4 bytes each), so that a bisection has little left to do;
IPv6: first high, first low, last high, last low, until (8 bytes each), and the same for each first 16 bits.
It never changes once it was written: another one takes its place, which costs a worker nothing but a mapping.
A look-up bisects, about a microsecond for a million of ranges. Source: docs/decisions/0014-bans.md.
"""

import mmap
import os
from bisect import bisect_right

MAGIC = 0x504E_5354_4F43_4B52  # "PNSTOCKR"

HEADER_WORDS = 512
"""One page."""

H_MAGIC, H_IPV4, H_IPV6 = range(3)
"""Words of the header: what it is, how many ranges of each family there are."""

COLUMNS4, COLUMNS6 = "IIQ", "QQQQQ"
"""Of each family: the width of each column, as `struct` writes it."""

HALVES = (1 << 16) + 1
"""First 16 bits of addresses, and one behind them; a family has none where it has no ranges."""

FOREVER = (1 << 64) - 1
"""In an until column: never."""

MAPPED = 0xFFFF
"""High 96 bits of an IPv4 address as IPv4-mapped."""

_LOW = (1 << 64) - 1


def size_of(ipv4: int, ipv6: int) -> int:
    """Return the bytes of a table with so many ranges."""
    halves = _padded(HALVES * 4) * (bool(ipv4) + bool(ipv6))
    columns = sum(_padded(ipv4 * _WIDTHS[each]) for each in COLUMNS4) + ipv6 * 8 * len(COLUMNS6)
    return HEADER_WORDS * 8 + halves + columns


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
        "_below", "_below6", "_columns", "_first4", "_first6", "_last4", "_last6", "_low_first6", "_low_last6", "_map",
        "_until4", "_until6",
    )  # fmt: skip

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size < HEADER_WORDS * 8:
            raise ValueError("not a table of banned networks: too short")
        self._map = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        memory = memoryview(self._map)
        header = memory[: HEADER_WORDS * 8].cast("Q")
        if header[H_MAGIC] != MAGIC or size != size_of(header[H_IPV4], header[H_IPV6]):
            raise ValueError("not a table of banned networks: another beginning or size")
        ipv4, ipv6, at = header[H_IPV4], header[H_IPV6], HEADER_WORDS * 8
        self._columns: list[memoryview] = []
        for kind, count in (
            *((each, ipv4) for each in COLUMNS4),
            ("I", HALVES if ipv4 else 0),
            *((each, ipv6) for each in COLUMNS6),
            ("I", HALVES if ipv6 else 0),
        ):
            self._columns.append(memory[at : at + count * _WIDTHS[kind]].cast(kind))  # type: ignore[call-overload]
            at += _padded(count * _WIDTHS[kind])
        self._first4, self._last4, self._until4, self._below = self._columns[:4]
        self._first6, self._low_first6, self._last6, self._low_last6, self._until6, self._below6 = self._columns[4:]

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
        below, begin = self._below6, high >> 48
        if not below:
            return 0
        first, lasts = self._first6, self._last6
        place = bisect_right(first, high, below[begin], below[begin + 1]) - 1
        if place < 0 or high > lasts[place]:
            return 0
        if first[place] == high and self._low_first6[place] > low:  # several begin in the same 64 bits
            begin = bisect_right(first, high - 1, 0, place) if high else 0
            place = bisect_right(self._low_first6, low, begin, place + 1) - 1
            if place < 0 or high > lasts[place]:
                return 0
        return self._until6[place] if high < lasts[place] or low <= self._low_last6[place] else 0

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        for column in self._columns:
            column.release()
