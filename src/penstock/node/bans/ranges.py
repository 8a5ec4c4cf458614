"""
Networks into disjoint, sorted ranges, which a table (node/bans/writing.py) is made of.

Where networks lie within each other an address is banned as long as the longest of them says.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.dataplane.ban_ranges import FOREVER
from penstock.policy.ranges import Range

Numbers = NDArray[np.uint64]

IPV4 = 0xFFFF << 32
"""The first IPv4 address as a number."""

_LOW = (1 << 64) - 1
_LAST = (1 << 128) - 1

_BORDERS = IPV4, IPV4 + (1 << 32)
"""Where IPv4 begins and where it is over: no span reaches over these."""


class Span(NamedTuple):
    """
    A range that is banned until a time.

    Args:
        first, last: Addresses as numbers, IPv4 as IPv4-mapped; both within, both of one family.
        until: When it ends; unit ns since the epoch, FOREVER for never.
    """

    first: int
    last: int
    until: int


class Columns(NamedTuple):
    """
    A table's columns.

    Args:
        ipv4: first, last, until.
        ipv6: first high, first low, last high, last low, until.
    """

    ipv4: tuple[NDArray[np.uint32], NDArray[np.uint32], Numbers]
    ipv6: tuple[Numbers, Numbers, Numbers, Numbers, Numbers]


class Ranges(NamedTuple):
    """
    Ranges of many networks, as they were read: they may overlap.

    Args:
        first4, last4: IPv4 addresses as numbers of 32 bits.
        first6, last6: Other addresses, high and low 64 bits of each; shape (n, 2).
    """

    first4: NDArray[np.uint32]
    last4: NDArray[np.uint32]
    first6: Numbers
    last6: Numbers


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """
    Return the same bans without overlaps, sorted.

    Cost: a microsecond or two for each boundary; meant for the thousands that people ban.
    """
    spans = [each for each in spans if each.first <= each.last]
    edges = sorted({each.first for each in spans} | {each.last + 1 for each in spans})
    waiting = sorted(spans, reverse=True)
    active: list[Span] = []
    found: list[Span] = []
    for first, after in pairwise(edges):
        while waiting and waiting[-1].first <= first:
            active.append(waiting.pop())
        active = [each for each in active if each.last >= first]
        if not active:
            continue
        until = max(each.until for each in active)
        if found and found[-1].last + 1 == first and found[-1].until == until and first not in _BORDERS:
            found[-1] = found[-1]._replace(last=after - 1)
        else:
            found.append(Span(first, after - 1, until))
    return found


def columns_of(spans: Sequence[Span]) -> Columns:
    """Return the columns of disjoint, sorted spans."""
    ipv4 = [each for each in spans if each.first >> 32 == 0xFFFF]
    ipv6 = [each for each in spans if each.first >> 32 != 0xFFFF]
    return Columns(
        (
            np.array([each.first - IPV4 for each in ipv4], np.uint32),
            np.array([each.last - IPV4 for each in ipv4], np.uint32),
            np.array([each.until for each in ipv4], np.uint64),
        ),
        (
            np.array([each.first >> 64 for each in ipv6], np.uint64),
            np.array([each.first & _LOW for each in ipv6], np.uint64),
            np.array([each.last >> 64 for each in ipv6], np.uint64),
            np.array([each.last & _LOW for each in ipv6], np.uint64),
            np.array([each.until for each in ipv6], np.uint64),
        ),
    )


def merged(ranges: Ranges, spared: Sequence[Range] = ()) -> Columns:
    """
    Return the columns of ranges that are banned for good.

    Args:
        ranges: As they were read.
        spared: Addresses that are not banned, whoever lists them.

    Cost: half a second for a million of ranges.
    """
    ipv4 = [(first - IPV4, last - IPV4) for first, last in spared if first >> 32 == 0xFFFF]
    ipv6 = [(first, last) for first, last in spared if first >> 32 != 0xFFFF]
    first, last = _union(ranges.first4.astype(np.int64), ranges.last4.astype(np.int64))
    first, last = _without(first, last, ipv4)
    forever = np.full(len(first), FOREVER, np.uint64)
    return Columns((first.astype(np.uint32), last.astype(np.uint32), forever), _union6(ranges, ipv6))


def _union(first: NDArray[np.int64], last: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same numbers in the fewest ranges, sorted."""
    order = np.argsort(first, kind="stable")
    first, reach = first[order], np.maximum.accumulate(last[order])
    begins = np.ones(len(first), np.bool_)
    begins[1:] = first[1:] > reach[:-1] + 1
    ends = np.roll(begins, -1)
    return first[begins], reach[ends]


def _without(
    first: NDArray[np.int64], last: NDArray[np.int64], spared: Iterable[Range]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sorted, disjoint ranges without some numbers."""
    for low, high in spared:
        hit = (first <= high) & (last >= low)
        if not hit.any():
            continue
        left, right = hit & (first < low), hit & (last > high)
        firsts = np.concatenate((first[~hit], first[left], np.full(right.sum(), high + 1, np.int64)))
        lasts = np.concatenate((last[~hit], np.full(left.sum(), low - 1, np.int64), last[right]))
        order = np.argsort(firsts)
        first, last = firsts[order], lasts[order]
    return first, last


def _union6(ranges: Ranges, spared: Sequence[Range]) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    """As `_union` and `_without` for numbers of 128 bits: each boundary is told by its rank among all of them."""
    first, last = ranges.first6, ranges.last6
    cuts = np.array([[low >> 64, low & _LOW] for low, _ in spared], np.uint64).reshape(-1, 2)
    behind = [min(high + 1, _LAST) for _, high in spared]
    highs = np.array([[each >> 64, each & _LOW] for each in behind], np.uint64).reshape(-1, 2)
    points = np.concatenate((first, _next(last), cuts, highs))
    order = np.lexsort((points[:, 1], points[:, 0]))
    ordered = points[order]
    new = np.ones(len(points), np.bool_)
    other = ordered[1:] != ordered[:-1]
    new[1:] = other[:, 0] | other[:, 1]
    rank = np.empty(len(points), np.int64)
    rank[order] = np.cumsum(new) - 1
    edges = ordered[new]
    n, m = len(first), len(cuts)
    begin, end = _union(rank[:n], rank[n : 2 * n] - 1)
    holes = zip(rank[2 * n : 2 * n + m].tolist(), (rank[2 * n + m :] - 1).tolist(), strict=True)
    begin, end = _without(begin, end, holes)
    firsts, lasts = edges[begin], _previous(edges[end + 1])
    return firsts[:, 0], firsts[:, 1], lasts[:, 0], lasts[:, 1], np.full(len(firsts), FOREVER, np.uint64)


def _next(points: Numbers) -> Numbers:
    """Return points of 128 bits, each one further; the last address of all has none behind it, and is cut off."""
    low = points[:, 1] + np.uint64(1)
    high = points[:, 0] + (low == 0)
    over = (low == 0) & (high == 0)
    return np.stack((np.where(over, np.uint64(_LOW), high), np.where(over, np.uint64(_LOW), low)), axis=1)


def _previous(points: Numbers) -> Numbers:
    return np.stack((points[:, 0] - (points[:, 1] == 0), points[:, 1] - np.uint64(1)), axis=1)


def together(several: Sequence[Ranges]) -> Ranges:
    """Return the ranges of several lists as one."""
    none = np.zeros((0, 2), np.uint64)
    return Ranges(
        np.concatenate([np.zeros(0, np.uint32), *(each.first4 for each in several)]),
        np.concatenate([np.zeros(0, np.uint32), *(each.last4 for each in several)]),
        np.concatenate([none, *(each.first6 for each in several)]),
        np.concatenate([none, *(each.last6 for each in several)]),
    )
