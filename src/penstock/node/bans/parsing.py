"""The text of block lists: networks, one a line; every mistake is told with its line."""

from array import array
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

import numpy as np

from penstock.node.bans.bulk import LENGTHS6, Ipv4, Ipv6, cut, parse_bulk
from penstock.node.bans.ranges import IPV4, Numbers, Ranges
from penstock.policy.ranges import network_ranges

LINE_CHARACTERS = 60
"""Of a wrong line, in its message."""

CHUNK_BYTES = 1 << 20
"""Read at once: by columns if all of it is plain, else line by line."""

IpNetwork = IPv4Network | IPv6Network

Pairs = tuple[Numbers, Numbers]
"""First and last addresses of IPv6 networks, high and low halves of each."""

_NOBODY = np.zeros((0, 2), np.uint64)

_LOW = (1 << 64) - 1

_BEHIND = np.array([_LOW >> length for length in range(65)], np.uint64)
"""Of a half of an address: the bits behind so many."""

_LENGTHS4 = {"": 32, **{f"/{length}": length for length in range(1, 33)}}
_LENGTHS6 = {"": 128, **{f"/{bits}": length for bits, length in LENGTHS6.items()}}
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


def parse_list(raw: bytes) -> tuple[Ranges, list[tuple[int, str]]]:
    """
    Return the networks of a file, and mistakes as line and what is wrong.

    Args:
        raw: A network or an address a line; `#` and `;` begin comments. Bits behind a length are ignored, as everywhere
            where such lists are read.
    """
    raw = raw.replace(b"\r\n", b"\n")
    found: list[Ipv4] = []
    others: list[Pairs] = [(_NOBODY, _NOBODY)]
    mistakes: list[tuple[int, str]] = []
    begin, line = 0, 1
    while begin < len(raw):
        end = raw.find(b"\n", begin + CHUNK_BYTES) + 1 or len(raw)
        chunk, begin = raw[begin:end], end
        bulk = parse_bulk(chunk)
        fours, sixes = bulk if bulk is not None else _parse_lines(chunk.decode("utf-8", "replace"), line, mistakes)
        found += fours
        for six in sixes:
            _take(six, found, others)
        line += chunk.count(b"\n")
    none = np.zeros(0, np.uint32)
    return Ranges(
        np.concatenate([none, *(first for first, _ in found)]),
        np.concatenate([none, *(last for _, last in found)]),
        np.concatenate([first for first, _ in others]),
        np.concatenate([last for _, last in others]),
    ), mistakes


def _parse_lines(text: str, line: int, mistakes: list[tuple[int, str]]) -> tuple[list[Ipv4], list[Ipv6]]:
    """Return the networks of a text of any lines. Cost: 1.5 us a line, and 15 us for those that are written oddly."""
    four, six, odd = Written(bytearray(), array("Q")), Written(bytearray(), array("Q")), list[IpNetwork]()
    for number, whole in enumerate(text.split("\n"), line):
        words = cut(whole)
        address, slash, bits = words.partition("/")
        family, lengths, written = (AF_INET6, _LENGTHS6, six) if ":" in address else (AF_INET, _LENGTHS4, four)
        try:
            length = lengths[slash + bits]
            written.addresses.extend(inet_pton(family, address))
            written.lengths.append(length)
            continue
        except (KeyError, ValueError, OSError):  # blanks, netmasks, or nonsense: looked at with care
            pass
        try:
            odd += [_network(words)] if words else []
        except ValueError as error:
            mistakes.append((number, str(error)))
    for network in odd:
        written = six if network.version == 6 else four
        written.addresses.extend(network.network_address.packed)
        written.lengths.append(network.prefixlen)
    halves = np.frombuffer(six.addresses, ">u8").astype(np.uint64).reshape(-1, 2)
    return [_ipv4_of(four)], [Ipv6(halves, np.array(six.lengths, np.int64))]


def _ipv4_of(written: Written) -> Ipv4:
    """Return the first and the last address of IPv4 networks."""
    address = np.frombuffer(written.addresses, ">u4").astype(np.uint64)
    behind = np.uint64(0xFFFF_FFFF) >> np.array(written.lengths, np.uint64)
    return (address & ~behind).astype(np.uint32), (address | behind).astype(np.uint32)


def _take(six: Ipv6, found: list[Ipv4], others: list[Pairs]) -> None:
    """Add networks of IPv6 to the others; those near the IPv4-mapped addresses are looked at, and may be IPv4's."""
    address, lengths = six
    behind = np.stack((_BEHIND[np.minimum(lengths, 64)], _BEHIND[np.maximum(lengths - 64, 0)]), axis=1)
    first = address & ~behind
    near = first[:, 0] == 0
    others.append((first[~near], (address | behind)[~near]))
    if not near.any():
        return
    texts = [f"{IPv6Address(high << 64 | low)}" for high, low in first[near].tolist()]
    pairs = zip(texts, lengths[near].tolist(), strict=True)
    ranges = [each for text, bits in pairs for each in network_ranges(f"{text}/{bits}")]
    mapped = [(first - IPV4, last - IPV4) for first, last in ranges if first >> 32 == 0xFFFF]
    rest = [each for each in ranges if each[0] >> 32 != 0xFFFF]
    ends = np.array(mapped, np.uint32).reshape(-1, 2)
    found.append((ends[:, 0], ends[:, 1]))
    others.append((_pairs([first for first, _ in rest]), _pairs([last for _, last in rest])))


def _pairs(numbers: Sequence[int]) -> Numbers:
    """Return numbers of 128 bits by their high and low halves."""
    return np.array([(each >> 64, each & _LOW) for each in numbers], np.uint64).reshape(-1, 2)


def _network(words: str) -> IpNetwork:
    """Return the network of a line without comments; raises ValueError for what is none."""
    shown = repr(words if len(words) <= LINE_CHARACTERS else words[: LINE_CHARACTERS - 3] + "...")
    try:
        if "%" in words:
            raise ValueError
        network = ip_network(words, strict=False)
    except ValueError:
        raise ValueError(f"{shown}: no address and no network, as in 192.0.2.0/24 or 2001:db8::/32") from None
    if not network.prefixlen:
        raise ValueError(f"{shown}: would ban everybody")
    return network
