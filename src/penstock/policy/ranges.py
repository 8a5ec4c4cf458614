"""
Which of many rules hold at a number: ports, and addresses as numbers.

Rules are bits of an integer. Where the set of rules changes there is a boundary, between two of them it is constant,
so that one bisection answers for all rules at once.
"""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import ip_network

from penstock.base.addresses import pack_ip

Range = tuple[int, int]
"""First and last, both within."""

NOT_AN_ADDRESS = -1

_IPV4_FIRST = 0xFFFF << 32
_IPV4_LAST = _IPV4_FIRST | 0xFFFF_FFFF
"""IPv4 addresses as numbers: where IPv4-mapped ones stand among the IPv6 addresses."""


class RangeIndex:
    """
    Rules by number.

    Args:
        rules: Places of bits, each with the ranges where its rule holds; each place once.
        everywhere: Rules that hold everywhere, as bits.
    """

    __slots__ = ("_masks", "_starts")

    def __init__(self, rules: Iterable[tuple[int, Iterable[Range]]], everywhere: int = 0) -> None:
        changes: dict[int, int] = {NOT_AN_ADDRESS: everywhere}
        for place, ranges in rules:
            bit = 1 << place
            for first, last in merge(ranges):
                changes[first] = changes.get(first, 0) ^ bit
                changes[last + 1] = changes.get(last + 1, 0) ^ bit
        self._starts = sorted(changes)
        self._masks: list[int] = []
        mask = 0
        for start in self._starts:
            mask ^= changes[start]
            self._masks.append(mask)

    def find(self, number: int) -> int:
        """
        Return the rules that hold, as bits.

        Args:
            number: -1 or more; -1 for none, at which only those hold that hold everywhere.
        """
        return self._masks[bisect_right(self._starts, number) - 1]


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Return the same numbers in the fewest ranges, sorted; a range whose first is behind its last holds nothing."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if first > last:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def contains(ranges: Iterable[Range], others: Iterable[Range]) -> bool:
    """Return whether all numbers of `others` are in `ranges`."""
    merged = merge(ranges)
    return all(any(first <= low and high <= last for first, last in merged) for low, high in merge(others))


def address_number(host: str) -> int:
    """Return an address as a number, IPv4 as IPv4-mapped; NOT_AN_ADDRESS for a name, a Unix peer, and `::`."""
    return int.from_bytes(pack_ip(host)) or NOT_AN_ADDRESS


def network_ranges(network: str) -> list[Range]:
    """
    Return the addresses of a network as numbers.

    Args:
        network: Such as `10.0.0.0/8`, or an address. One of IPv6 does not hold IPv4 clients, unless it is written as
            IPv4-mapped.

    Raises:
        ValueError: If it is none.
    """
    parsed = ip_network(network, strict=False)
    first, last = int(parsed.network_address), int(parsed.broadcast_address)
    if parsed.version == 4:
        return [(_IPV4_FIRST + first, _IPV4_FIRST + last)]
    if first < _IPV4_FIRST and last >= _IPV4_LAST:
        return merge([(first, _IPV4_FIRST - 1), (_IPV4_LAST + 1, last)])
    return [(first, last)]


def prefix_length(network: str) -> int:
    """Return how many bits a network fixes, of 128: IPv4 networks fix 96 more than they say."""
    parsed = ip_network(network, strict=False)
    return parsed.prefixlen + (96 if parsed.version == 4 else 0)
