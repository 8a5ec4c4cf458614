"""Block lists: files of networks, one a line, read into arrays; every mistake is told with its line."""

import os
from array import array
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.errors import ConfigurationError
from penstock.config.files import why
from penstock.node.bans.ranges import IPV4, Numbers, Ranges
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

Pairs = tuple[Numbers, Numbers]
"""First and last addresses of IPv6 networks, high and low halves of each."""

_NOBODY = np.zeros((0, 2), np.uint64)

_LOW = (1 << 64) - 1

_BEHIND = np.array([_LOW >> length for length in range(65)], np.uint64)
"""Of a half of an address: the bits behind so many."""

_LENGTHS4 = {"": 32, **{f"/{length}": length for length in range(1, 33)}}
_LENGTHS6 = {"": 128, **{f"/{length}": length for length in range(1, 129)}}
"""What stands behind an address, and how many bits it fixes."""


class Written(NamedTuple):
    """
    Networks of one family as they stand in a list.

    Args:
        addresses: Packed, one behind the other.
        lengths: How many bits of each hold.
    """

    addresses: bytearray
    lengths: "array[int]"


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
    others: list[Pairs] = [(_NOBODY, _NOBODY)]
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
    none = np.zeros(0, np.uint32)
    return Ranges(
        np.concatenate([none, *(first for first, _ in found)]),
        np.concatenate([none, *(last for _, last in found)]),
        np.concatenate([first for first, _ in others]),
        np.concatenate([last for _, last in others]),
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


def _parse_lines(text: str, line: int, others: list[Pairs], mistakes: list[tuple[int, str]]) -> tuple[Ipv4, Ipv4]:
    """Return the IPv4 networks of a text of any lines; what else there is goes into the lists. Cost: 1 us a line."""
    four, six, odd = Written(bytearray(), array("Q")), Written(bytearray(), array("Q")), list[Range]()
    for number, words in enumerate(text.split("\n"), line):
        address, slash, bits = words.partition("/")
        family, lengths, written = (AF_INET6, _LENGTHS6, six) if ":" in address else (AF_INET, _LENGTHS4, four)
        try:
            length = lengths[slash + bits]
            written.addresses.extend(inet_pton(family, address))
            written.lengths.append(length)
            continue
        except (KeyError, ValueError, OSError):  # comments, blanks, or nonsense: looked at with care
            pass
        try:
            odd += _networks(words)
        except ValueError as error:
            mistakes.append((number, str(error)))
    odd += _ranges_of(six, others)
    first4, last4 = _ipv4_of(four)
    mapped = [(first - IPV4, last - IPV4) for first, last in odd if first >> 32 == 0xFFFF]
    rest = [each for each in odd if each[0] >> 32 != 0xFFFF]
    others.append((_pairs([first for first, _ in rest]), _pairs([last for _, last in rest])))
    ends = np.array(mapped, np.uint32).reshape(-1, 2)
    return np.concatenate((first4, ends[:, 0])), np.concatenate((last4, ends[:, 1]))


def _ipv4_of(written: Written) -> tuple[Ipv4, Ipv4]:
    """Return the first and the last address of IPv4 networks."""
    address = np.frombuffer(written.addresses, ">u4").astype(np.uint64)
    behind = np.uint64(0xFFFF_FFFF) >> np.array(written.lengths, np.uint64)
    return (address & ~behind).astype(np.uint32), (address | behind).astype(np.uint32)


def _ranges_of(written: Written, others: list[Pairs]) -> list[Range]:
    """Add IPv6 networks; return those near the IPv4-mapped addresses, which need a second look."""
    address = np.frombuffer(written.addresses, ">u8").astype(np.uint64).reshape(-1, 2)
    lengths = np.array(written.lengths, np.int64)
    behind = np.stack((_BEHIND[np.minimum(lengths, 64)], _BEHIND[np.maximum(lengths - 64, 0)]), axis=1)
    first = address & ~behind
    near = first[:, 0] == 0
    others.append((first[~near], (address | behind)[~near]))
    pairs = zip(first[near].tolist(), lengths[near].tolist(), strict=True)
    return [each for (high, low), bits in pairs for each in network_ranges(f"{IPv6Address(high << 64 | low)}/{bits}")]


def _pairs(numbers: Sequence[int]) -> Numbers:
    """Return numbers of 128 bits by their high and low halves."""
    return np.array([(each >> 64, each & _LOW) for each in numbers], np.uint64).reshape(-1, 2)


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
