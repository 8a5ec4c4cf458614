"""Disjoint ranges into a table that workers map (dataplane/ban_ranges.py): edges, their values, and an index."""

import os
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.dataplane.ban_ranges import (
    BLOCK,
    CELL_BITS,
    CELL_BITS4,
    FOREVER,
    HEADER_WORDS,
    WINDOWS4,
    Counts,
    serialize,
)
from penstock.node.bans.ranges import Columns, Numbers

Values = NDArray[np.uint32]

Column = TypeVar("Column", Numbers, Values)

_LOW = np.uint64((1 << 64) - 1)
_LAST4 = np.uint64((1 << 32) - 1)


class Edges(NamedTuple):
    """
    Where what holds changes.

    Args:
        at: Sorted; the first is 0.
        values: What holds from each on.
    """

    at: Numbers
    values: Values


class Pieces(NamedTuple):
    """
    Sorted, disjoint ranges, and what holds in each.

    Args:
        first, last: Both within.
        values: Not 0.
    """

    first: Numbers
    last: Numbers
    values: Values


class Inner(NamedTuple):
    """
    Edges within the same first 64 bits, of many such, one behind the other.

    Args:
        edges: Of each from 0 on.
        begins: Where those of each begin.
    """

    edges: Edges
    begins: NDArray[np.int64]


class Index(NamedTuple):
    """
    Where edges lie.

    Args:
        cells: What holds in each, or, behind the times, where its edges begin.
        counts: How many edges are to be looked at in each.
    """

    cells: Values
    counts: NDArray[np.int64]


class Blocks(NamedTuple):
    """
    Parts of the numbers, each with cells of its own.

    Args:
        begins, shifts, cells: Of each: its first number, its shift, its first cell.
        size: How many cells there are.
    """

    begins: Numbers
    shifts: Numbers
    cells: Numbers
    size: int


def edges_of(pieces: Pieces, end: np.uint64) -> Edges:
    """Return the edges of ranges; `end` is the last number that there is."""
    first, last, values = pieces
    behind = last + np.uint64(1)
    begins = np.ones((len(first), 2), np.bool_)
    begins[:-1, 1] = behind[:-1] != first[1:]
    begins[-1:, 1] = last[-1:] != end
    kept = begins.ravel()
    at = np.stack((first, behind), axis=1).ravel()[kept]
    held = np.stack((values, np.zeros_like(values)), axis=1).ravel()[kept]
    return Edges(np.concatenate((np.zeros(1, np.uint64), at)), np.concatenate((np.zeros(1, np.uint32), held)))


def index_of(edges: Edges, blocks: Blocks, times: int) -> Index:
    """Return the index of edges in the cells of blocks, of which the first begins at 0, behind so many times."""
    at, values = edges
    block = np.searchsorted(blocks.begins, at, side="right") - 1 if len(blocks.begins) > 1 else np.zeros(1, np.int64)
    behind, shift = at - blocks.begins[block], blocks.shifts[block]
    cell = (blocks.cells[block] + (behind >> shift)).astype(np.int64)
    # a cell holds one value if at most its first number is an edge
    within = (behind & (np.uint64(1) << shift) - np.uint64(1) != 0) | (values >= times)
    counts = np.bincount(cell, minlength=blocks.size)
    behind_last = np.cumsum(counts)
    told = np.zeros(blocks.size, np.bool_)
    told[cell[within]] = True
    cells = np.where(told, (times + behind_last - counts).astype(np.uint32), values[behind_last - 1])
    return Index(cells, np.where(told, counts, 0))


def blocks_of(at: Numbers) -> Blocks:
    """Return blocks of about as many edges each."""
    begins = np.unique(np.append(at[::BLOCK], at[-1]))  # nothing changes behind the last block's first number
    reach = np.append(begins[1:] - begins[:-1] - np.uint64(1), _LOW - begins[-1])
    shifts = np.array([max(0, each.bit_length() - CELL_BITS) for each in reach.tolist()], np.uint64)
    shifts[-1] = 63
    counts = (reach >> shifts) + np.uint64(1)
    ends = np.cumsum(counts)
    return Blocks(begins, shifts, ends - counts, int(ends[-1]))


def block_of(edges: int) -> Blocks:
    """Return the one block of IPv4: one to two cells for each edge, up to a bound."""
    bits = min(edges.bit_length(), CELL_BITS4)
    zero = np.zeros(1, np.uint64)
    return Blocks(zero, np.array([32 - bits], np.uint64), zero, 1 << bits)


def halves(columns: tuple[Numbers, Numbers, Numbers, Numbers], values: Values, times: int) -> tuple[Pieces, Inner]:
    """
    Return ranges of 128 bits as ranges of their first 64 bits, and what lies within the same 64 bits.

    Args:
        columns: First high, first low, last high, last low; sorted, disjoint.
        values: What holds in each.
        times: How many values are times.

    Returns:
        Ranges; those of 64 bits that hold in part have, behind the times, the number of an inside as their value.
    """
    plain = (columns[1] == 0) & (columns[3] == _LOW)
    cut, many = _cut([each[~plain] for each in columns], values[~plain], times)
    counts = np.ones(len(plain), np.int64)
    counts[~plain] = many
    of_plain = np.repeat(plain, counts)
    pieces = Pieces(
        _woven(of_plain, columns[0][plain], cut.pieces.first),
        _woven(of_plain, columns[2][plain], cut.pieces.last),
        _woven(of_plain, values[plain], cut.pieces.values),
    )
    return pieces, cut.inner


def _woven(choice: NDArray[np.bool_], some: Column, others: Column) -> Column:
    """Return some and others in the order that is chosen for them."""
    found = np.empty_like(some, shape=len(choice))
    found[choice], found[~choice] = some, others
    return found


class Cut(NamedTuple):
    """
    Ranges that begin or end within 64 bits, as `halves` returns all.

    Args:
        pieces, inner: See there.
    """

    pieces: Pieces
    inner: Inner


def _cut(columns: list[Numbers], values: Values, times: int) -> tuple[Cut, NDArray[np.int64]]:
    """Return ranges that begin or end within 64 bits, and how many pieces each has become."""
    first, low_first, last, low_last = columns
    cut, cut_last = low_first != 0, low_last != _LOW
    # a range is a part of 64 bits, then whole ones, then a part of 64 bits: none, some or all of these
    whole = last - first >= cut.astype(np.uint64) + cut_last
    alone = (first == last) & ~whole
    table = np.stack((cut & ~alone | alone, whole, cut_last & ~alone), axis=1)
    there = table.ravel()
    part = np.tile(np.array([True, False, True]), len(first))[there]
    firsts = np.stack((first, first + cut, last), axis=1).ravel()[there]
    lasts = np.stack((first, last - cut_last, last), axis=1).ravel()[there]
    held = np.repeat(values, 3)[there]
    low_firsts = np.stack((low_first, low_first, np.zeros_like(first)), axis=1).ravel()[there][part]
    low_lasts = np.stack((np.where(alone, low_last, _LOW), low_last, low_last), axis=1).ravel()[there][part]
    inner, new = _inner(firsts[part], Pieces(low_firsts, low_lasts, held[part]))
    kept = np.ones(len(part), np.bool_)
    kept[part] = new
    held[part] = (times + np.cumsum(new) - 1).astype(np.uint32)
    table[table] = kept
    return Cut(Pieces(firsts[kept], lasts[kept], held[kept]), inner), table.sum(axis=1)


def _inner(high: Numbers, pieces: Pieces) -> tuple[Inner, NDArray[np.bool_]]:
    """Return edges within 64 bits, and at which of the pieces others begin."""
    first, last, values = pieces
    new = np.ones(len(high), np.bool_)
    new[1:] = high[1:] != high[:-1]
    behind = last + np.uint64(1)
    ends = last != _LOW
    ends[:-1] &= new[1:] | (behind[:-1] != first[1:])
    kept = np.stack((new, np.ones_like(new), ends), axis=1).ravel()
    nothing = np.zeros_like(values)
    at = np.stack((np.zeros_like(first), first, behind), axis=1).ravel()[kept]
    held = np.stack((nothing, values, nothing), axis=1).ravel()[kept]
    origin = np.stack((new, np.zeros_like(new), np.zeros_like(new)), axis=1).ravel()[kept]
    return Inner(Edges(at, held), np.flatnonzero(origin)), new


def times_of(*untils: Numbers) -> tuple[Numbers, list[Values]]:
    """Return the different ends of bans behind a 0, and for each column the places of its ends."""
    whole = np.concatenate(untils)
    if (whole == FOREVER).all():  # of a million networks; sorting them would take longer than all else
        return np.array([0, FOREVER], np.uint64), [np.ones(len(each), np.uint32) for each in untils]
    ends, places = np.unique(whole, return_inverse=True)
    found = np.split((places + 1).astype(np.uint32), np.cumsum([len(each) for each in untils])[:-1])
    return np.concatenate((np.zeros(1, np.uint64), ends)), list(found)


def write(columns: Columns, name: str = "penstock-banned-networks") -> int:
    """Return the descriptor of a table with these columns; -1 if there is nothing in them."""
    first, last, until = columns.ipv4
    if not len(first) and not len(columns.ipv6[0]):
        return -1
    times, (values4, values6) = times_of(until, columns.ipv6[4])
    four = edges_of(Pieces(first.astype(np.uint64), last.astype(np.uint64), values4), _LAST4)
    index4 = index_of(four, block_of(len(four.at)), len(times))
    windows4 = windows_of(index4)
    pieces, inner = halves(columns.ipv6[:4], values6, len(times))
    six = edges_of(pieces, _LOW)
    blocks = blocks_of(six.at)
    index6 = index_of(six, blocks, len(times))
    windows6 = np.maximum.reduceat(index6.counts, blocks.cells.astype(np.int64))
    four, six = padded(four, len(times), windows4.max(), _LAST4), padded(six, len(times), windows6.max(), _LOW)
    bounds = np.append(inner.begins, len(inner.edges.at))
    counts = Counts(
        times=len(times),
        edges4=len(four.at),
        cells4=len(index4.cells),
        edges6=len(six.at),
        cells6=len(index6.cells),
        blocks=len(blocks.begins),
        insides=len(inner.begins),
        inner_edges=len(inner.edges.at),
    )
    ipv4: list[Values | Numbers] = [four.at.astype(np.uint32), four.values, index4.cells, windows4.astype(np.uint32)]
    ipv6: list[Values | Numbers] = [six.at, six.values, index6.cells, blocks.begins]
    ipv6 += [each.astype(np.uint32) for each in (blocks.shifts, blocks.cells, windows6, bounds)]
    return _file(name, counts, [*ipv4, *ipv6, inner.edges.at, inner.edges.values, times])


def windows_of(index: Index) -> NDArray[np.int64]:
    """Return the windows of IPv4: of each network of 12 bits the most edges that are to be looked at in a cell."""
    counts = index.counts
    if len(counts) < WINDOWS4:
        return np.repeat(counts, WINDOWS4 // len(counts))
    return np.asarray(counts.reshape(WINDOWS4, -1).max(axis=1))


def padded(edges: Edges, before: int, behind: int, end: np.uint64) -> Edges:
    """Return edges behind so many others, and before as many of the last number that change nothing."""
    nothing = np.zeros(before, np.uint64)
    at = np.concatenate((nothing, edges.at, np.full(behind, end, np.uint64)))
    values = np.concatenate((nothing.astype(np.uint32), edges.values, np.full(behind, edges.values[-1], np.uint32)))
    return Edges(at, values)


def _file(name: str, counts: Counts, columns: Iterable[Values | Numbers]) -> int:
    header = np.zeros(HEADER_WORDS, np.uint64)
    words = serialize(counts)
    header[: len(words)] = words
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(header.data)
        for column in columns:
            file.write(np.ascontiguousarray(column).data)
            file.write(b"\0" * (-column.nbytes % 8))
    return fd
