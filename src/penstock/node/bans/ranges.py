"""
Networks into disjoint, sorted ranges, which a table (node/bans/writing.py) is made of.

Where networks lie within each other an address is banned as long as the longest of them says.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.dataplane.ban_ranges import FOREVER
from penstock.policy.ranges import Range

Numbers = NDArray[np.uint64]

IPV4 = 0xFFFF << 32
"""The first IPv4 address as a number."""

_LOW = (1 << 64) - 1

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
    first6, last6 = _without6(*_union6(ranges.first6, ranges.last6), ipv6)
    forever, forever6 = (np.full(len(each), FOREVER, np.uint64) for each in (first, first6))
    return Columns(
        (first.astype(np.uint32), last.astype(np.uint32), forever),
        (first6[:, 0], first6[:, 1], last6[:, 0], last6[:, 1], forever6),
    )


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
        begin, end = np.searchsorted(last, low), np.searchsorted(first, high, side="right")
        if begin >= end:
            continue
        left = [(first[begin], low - 1)] if first[begin] < low else []
        right = [(high + 1, last[end - 1])] if last[end - 1] > high else []
        rest = np.array(left + right, np.int64).reshape(-1, 2)
        first = np.concatenate((first[:begin], rest[:, 0], first[end:]))
        last = np.concatenate((last[:begin], rest[:, 1], last[end:]))
    return first, last


def _union6(first: Numbers, last: Numbers) -> tuple[Numbers, Numbers]:
    """As `_union`, of numbers of 128 bits in two halves."""
    order = _order6(first)
    first, last = first[order], last[order]
    reach = _reach6(last)
    low = reach[:, 1] + np.uint64(1)
    high = reach[:, 0] + (low == 0)
    over = (low == 0) & (high == 0)  # nothing is behind the last number of all
    begins = np.ones(len(first), np.bool_)
    begins[1:] = (first[1:, 0] > high[:-1]) | ((first[1:, 0] == high[:-1]) & (first[1:, 1] > low[:-1]))
    begins[1:] &= ~over[:-1]
    return first[begins], reach[np.roll(begins, -1)]


def _order6(points: Numbers) -> NDArray[np.int64]:
    """Return the order of numbers of 128 bits; low halves are looked at only where high ones are the same."""
    order = np.argsort(points[:, 0])
    high = points[order, 0]
    same = np.zeros(len(points) + 1, np.bool_)
    same[1:-1] = high[1:] == high[:-1]
    rows = np.flatnonzero(same[1:] | same[:-1])
    among = order[rows]
    order[rows] = among[np.lexsort((points[among, 1], points[among, 0]))]
    return order


def _reach6(last: Numbers) -> Numbers:
    """Return of each place the largest number of 128 bits up to it."""
    high = np.maximum.accumulate(last[:, 0])
    low = np.where(last[:, 0] == high, last[:, 1], np.uint64(0))
    new = np.ones(len(high), np.bool_)
    new[1:] = high[1:] != high[:-1]
    run = np.cumsum(new) - 1
    full = (low[new] == _LOW)[run]  # nearly all runs: nothing in 64 bits is behind the end of a network of 64 or fewer
    low[full] = _LOW
    rows = np.flatnonzero(~full)
    if len(rows):
        # ranks make one number of the run and the low half, so that no run reaches into the next
        lows, rank = np.unique(low[rows], return_inverse=True)
        low[rows] = lows[np.maximum.accumulate(run[rows] * len(lows) + rank) % len(lows)]
    return np.stack((high, low), axis=1)


def _without6(first: Numbers, last: Numbers, spared: Iterable[Range]) -> tuple[Numbers, Numbers]:
    """As `_without`, of numbers of 128 bits in two halves."""
    for low, high in spared:
        begin, end = _place6(last, low, "left"), _place6(first, high, "right")
        if begin >= end:
            continue
        left = [(*first[begin].tolist(), *_halves(low - 1))] if _number(first[begin]) < low else []
        right = [(*_halves(high + 1), *last[end - 1].tolist())] if _number(last[end - 1]) > high else []
        rest = np.array(left + right, np.uint64).reshape(-1, 4)
        first = np.concatenate((first[:begin], rest[:, :2], first[end:]))
        last = np.concatenate((last[:begin], rest[:, 2:], last[end:]))
    return first, last


def _place6(points: Numbers, number: int, side: Literal["left", "right"]) -> int:
    """Return how many of sorted numbers are below one of 128 bits, or, at the right side, not above it."""
    high, low = (np.uint64(half) for half in _halves(number))
    begin, end = (int(np.searchsorted(points[:, 0], high, each)) for each in ("left", "right"))
    return begin + int(np.searchsorted(points[begin:end, 1], low, side))


def _halves(number: int) -> tuple[int, int]:
    return number >> 64, number & _LOW


def _number(halves: Numbers) -> int:
    high, low = halves.tolist()
    return int(high) << 64 | int(low)


def together(several: Sequence[Ranges]) -> Ranges:
    """Return the ranges of several lists as one."""
    none = np.zeros((0, 2), np.uint64)
    return Ranges(
        np.concatenate([np.zeros(0, np.uint32), *(each.first4 for each in several)]),
        np.concatenate([np.zeros(0, np.uint32), *(each.last4 for each in several)]),
        np.concatenate([none, *(each.first6 for each in several)]),
        np.concatenate([none, *(each.last6 for each in several)]),
    )
