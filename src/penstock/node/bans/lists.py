"""Block lists: files of networks, one a line, read into arrays; every mistake is told with its line."""

import os
from array import array
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.errors import ConfigurationError
from penstock.config.files import why
from penstock.node.bans.ranges import IPV4, Ranges
from penstock.policy.ranges import Range, network_ranges

FILE_BYTES = 256 << 20
"""Largest file; ten million lines, each as long as an IPv6 network may be, are 430 MB."""

MISTAKES = 20
"""Mistakes told of one file; who makes more has named the wrong file."""

LINE_CHARACTERS = 60
"""Of a wrong line, in its message."""

CHUNK_BYTES = 1 << 20
"""Read at once: what has comments is read line by line, and the rest by columns."""

_SHAPES = (b".../\n", b"...\n")
"""What stands between the numbers of a line: of a network, of an address."""

Ipv4 = NDArray[np.uint32]

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


def parse_list(raw: bytes) -> tuple[Ranges, list[tuple[int, str]]]:
    """
    Return the networks of a file, and mistakes as line and what is wrong.

    Args:
        raw: A network or an address a line; `#` and `;` begin comments. Bits behind a length are ignored, as everywhere
            where such lists are read.
    """
    raw = raw.replace(b"\r\n", b"\n")
    found: list[tuple[Ipv4, Ipv4]] = []
    others: list[tuple[int, int]] = []
    mistakes: list[tuple[int, str]] = []
    begin, line = 0, 1
    while begin < len(raw):
        end = raw.find(b"\n", begin + CHUNK_BYTES) + 1 or len(raw)
        chunk, begin = raw[begin:end], end
        plain = parse_plain(chunk)
        if plain is not None:
            found.append(plain)
        else:
            found.append(_parse_lines(chunk.decode("utf-8", "replace"), line, others, mistakes))
        line += chunk.count(b"\n")
    six = [each for each in others if each[0] >> 32 != 0xFFFF]
    none = np.zeros(0, np.uint32)
    return Ranges(
        np.concatenate([none, *(first for first, _ in found)]),
        np.concatenate([none, *(last for _, last in found)]),
        np.array([(first >> 64, first & _LOW) for first, _ in six], np.uint64).reshape(-1, 2),
        np.array([(last >> 64, last & _LOW) for _, last in six], np.uint64).reshape(-1, 2),
    ), mistakes


def parse_plain(chunk: bytes) -> tuple[Ipv4, Ipv4] | None:
    """
    Return the first and the last address of each line, if all lines are IPv4 networks, or all IPv4 addresses; None if
    not. Cost: 0.1 us a line.
    """
    if not chunk.endswith(b"\n"):
        chunk += b"\n"
    raw = np.frombuffer(chunk, np.uint8)
    at = np.flatnonzero((raw < ord("0")) | (raw > ord("9")))
    words = next((len(each) for each in _SHAPES if _is_shaped(raw[at], each)), 0)
    starts = np.concatenate((np.zeros(1, at.dtype), at[:-1] + 1))
    lengths = at - starts
    if not words or lengths.min() < 1 or lengths.max() > 3 or ((lengths > 1) & (raw[starts] == ord("0"))).any():
        return None
    digits = raw.astype(np.int64) - ord("0")
    numbers = digits[at - 1] + np.where(lengths > 1, digits[at - 2], 0) * 10
    numbers = (numbers + np.where(lengths > 2, digits[at - 3], 0) * 100).reshape(-1, words)
    bits = numbers[:, 4] if words == len(_SHAPES[0]) else np.full(len(numbers), 32)
    if numbers[:, :4].max() > 255 or bits.max() > 32 or bits.min() < 1:
        return None
    behind = (1 << 32 - bits) - 1
    address = numbers[:, 0] << 24 | numbers[:, 1] << 16 | numbers[:, 2] << 8 | numbers[:, 3]
    return (address & ~behind).astype(np.uint32), (address | behind).astype(np.uint32)


def _is_shaped(separators: NDArray[np.uint8], shape: bytes) -> bool:
    """Return whether what stands between numbers is the same on each line."""
    if len(separators) % len(shape):
        return False
    return bool((separators.reshape(-1, len(shape)) == np.frombuffer(shape, np.uint8)).all())


def _parse_lines(
    text: str, line: int, others: list[tuple[int, int]], mistakes: list[tuple[int, str]]
) -> tuple[Ipv4, Ipv4]:
    """Return the IPv4 networks of a text of any lines; what else there is goes into the lists."""
    first4, last4 = array("I"), array("I")
    for number, words in enumerate(text.split("\n"), line):
        try:
            found = _networks(words)
        except ValueError as error:
            mistakes.append((number, str(error)))
            continue
        for first, last in found:
            if first >> 32 == 0xFFFF:
                first4.append(first - IPV4)
                last4.append(last - IPV4)
            else:
                others.append((first, last))
    return np.array(first4, np.uint32), np.array(last4, np.uint32)


def _networks(line: str) -> list[Range]:
    """Return the ranges of a line: none for a comment; raises ValueError for what is no network."""
    words = line.partition("#")[0].partition(";")[0].strip()
    if not words:
        return []
    shown = repr(words if len(words) <= LINE_CHARACTERS else words[: LINE_CHARACTERS - 3] + "...")
    try:
        if "%" in words:
            raise ValueError
        network = ip_network(words, strict=False)
    except ValueError:
        raise ValueError(f"{shown}: no address and no network, as in 192.0.2.0/24 or 2001:db8::/32") from None
    if not network.prefixlen:
        raise ValueError(f"{shown}: would ban everybody")
    return network_ranges(str(network))
