"""Block lists: files of networks, and what is wrong with them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penstock.base.errors import ConfigurationError
from penstock.config.files import why
from penstock.node.bans.parsing import parse_list
from penstock.node.bans.ranges import IPV4, Ranges

FILE_BYTES = 256 << 20
"""Largest file; ten million lines, each as long as an IPv6 network may be, are 430 MB."""

MISTAKES = 20
"""Mistakes told of one file; who makes more has named the wrong file."""

_LOW = (1 << 64) - 1


class BlockList(NamedTuple):
    """
    One file.

    Args:
        path: Where it lies.
        reason: Why its networks are banned.
        ranges: Its networks.
    """

    path: str
    reason: str
    ranges: Ranges

    def __len__(self) -> int:
        return len(self.ranges.first4) + len(self.ranges.first6)

    def holds(self, address: int) -> bool:
        """Return whether an address, as a number, is in one of its networks. Cost: a ms for a million networks."""
        if address >> 32 == 0xFFFF:
            number = np.uint32(address - IPV4)
            return bool(((self.ranges.first4 <= number) & (number <= self.ranges.last4)).any())
        high, low = np.uint64(address >> 64), np.uint64(address & _LOW)
        first, last = self.ranges.first6, self.ranges.last6
        begun = (first[:, 0] < high) | ((first[:, 0] == high) & (first[:, 1] <= low))
        over = (last[:, 0] < high) | ((last[:, 0] == high) & (last[:, 1] < low))
        return bool((begun & ~over).any())


def read_lists(lists: Sequence[tuple[str, str]]) -> tuple[BlockList, ...]:
    """
    Return block lists. Blocks: about a second for a million networks.

    Args:
        lists: Paths, and why their networks are banned.

    Raises:
        ConfigurationError: With a line for each mistake.
    """
    found, mistakes = [], []
    for path, reason in lists:
        try:
            raw = _read(path)
        except OSError as error:
            mistakes.append(f"blocklist: {path}: {why(error)}")
            continue
        ranges, wrong = parse_list(raw)
        mistakes += [f"{path}:{number}: {what}" for number, what in wrong[:MISTAKES]]
        if len(wrong) > MISTAKES:
            mistakes.append(f"{path}: and {len(wrong) - MISTAKES} more of them")
        found.append(BlockList(path, reason, ranges))
    if mistakes:
        raise ConfigurationError(mistakes)
    return tuple(found)


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        if os.fstat(file.fileno()).st_size > FILE_BYTES:
            raise OSError(0, f"larger than {FILE_BYTES >> 20} MiB")
        return file.read(FILE_BYTES)


def stamps(lists: Sequence[tuple[str, str]]) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """Return what changes when a file does; nothing is read."""
    return tuple((path, reason, _stamp(path)) for path, reason in lists)


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
