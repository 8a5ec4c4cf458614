"""
The keys of a match, each asked once for many rules: which of them does it let through?

A key holds its rules as bits of an integer, by value. However many rules there are, an answer costs one look-up.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from penstock.config.plan import DestinationPlan
from penstock.policy.facts import RouteFacts
from penstock.policy.hosts import ANY, HostIndex, fold
from penstock.policy.ranges import Range, RangeIndex, address_number, network_ranges

ALL_PORTS: tuple[Range, ...] = ((0, 65_535),)


class Key(Protocol):
    """One key for many rules."""

    def find(self, facts: RouteFacts) -> int:
        """Return the rules that the key lets through, as bits."""


def _without(values: Sequence[Iterable[object]]) -> int:
    """Return the rules that have no values, as bits."""
    mask = 0
    for place, some in enumerate(values):
        if not some:
            mask |= 1 << place
    return mask


def _by_value(values: Sequence[Iterable[object]]) -> tuple[dict[object, int], int]:
    """Return the rules of each value and those of any other value; a rule without values lets all through."""
    rest = _without(values)
    masks: dict[object, int] = {}
    for place, some in enumerate(values):
        for value in some:
            masks[value] = masks.get(value, rest) | 1 << place
    return masks, rest


class Values:
    """
    A key that is one of some values.

    Args:
        values: Of each rule; none for any.
        fact: What is compared with them.
    """

    __slots__ = ("_fact", "_masks", "_rest")

    def __init__(self, values: Sequence[Iterable[object]], fact: Callable[[RouteFacts], object]) -> None:
        self._masks, self._rest = _by_value(values)
        self._fact = fact

    def find(self, facts: RouteFacts) -> int:
        """Return the rules that the key lets through, as bits."""
        return self._masks.get(self._fact(facts), self._rest)


class Ports:
    """
    The port that was asked for.

    Args:
        ports: Ranges of each rule; none for any.
    """

    __slots__ = ("_index",)

    def __init__(self, ports: Sequence[Iterable[Range]]) -> None:
        self._index = RangeIndex(enumerate(ports), _without(ports))

    def find(self, facts: RouteFacts) -> int:
        """Return the rules that the key lets through, as bits."""
        return self._index.find(facts.port)


class Clients:
    """
    The client's address.

    Args:
        networks: Of each rule; none for any.
    """

    __slots__ = ("_index",)

    def __init__(self, networks: Sequence[Iterable[str]]) -> None:
        ranges = ([each for network in some for each in network_ranges(network)] for some in networks)
        self._index = RangeIndex(enumerate(ranges), _without(networks))

    def find(self, facts: RouteFacts) -> int:
        """Return the rules that the key lets through, as bits."""
        return self._index.find(address_number(facts.client))


class Destinations:
    """
    Where the client of a forward proxy wants to go: a host by name or network, and a port.

    Args:
        destinations: Of each rule; none for any.
    """

    __slots__ = ("_names", "_networks", "_ports", "_rest")

    def __init__(self, destinations: Sequence[Iterable[DestinationPlan]]) -> None:
        self._rest = _without(destinations)
        hosts: dict[str, dict[int, list[Range]]] = {}
        for place, some in enumerate(destinations):
            for each in some:
                hosts.setdefault(each.host, {}).setdefault(place, []).extend(each.ports or ALL_PORTS)
        self._ports = [RangeIndex(rules.items()) for rules in hosts.values()]
        networks = {host: found for host in hosts if (found := network_of(host)) is not None}
        self._names = HostIndex({host: place for place, host in enumerate(hosts) if host not in networks})
        self._networks = RangeIndex((place, networks[host]) for place, host in enumerate(hosts) if host in networks)

    def find(self, facts: RouteFacts) -> int:
        """Return the rules that the key lets through, as bits."""
        host, port = fold(facts.destination), facts.destination_port
        mask = self._rest
        if host:
            for place in self._names.find(host):
                mask |= self._ports[place].find(port)
            for place in bits(self._networks.find(address_number(host))):
                mask |= self._ports[place].find(port)
        return mask


def bits(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def network_of(host: str) -> list[Range] | None:
    """Return the addresses of a destination's host as numbers, or None if it is a name or a pattern of names."""
    if host.startswith(ANY):
        return None
    try:
        return network_ranges(host)
    except ValueError:
        return None
