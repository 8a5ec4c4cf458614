"""Whom nobody may ban: loopback, the node itself, its gateway, its targets, whoever operates it."""

from collections.abc import Iterable
from typing import NamedTuple

from penstock.policy.ban import Network
from penstock.policy.ranges import Range, RangeIndex, network_ranges


class Guarded(NamedTuple):
    """
    Addresses that are protected.

    Args:
        network: An address or a network.
        why: Why, as in `loopback` or `the default gateway`.
    """

    network: str
    why: str


LOOPBACK = (Guarded("127.0.0.0/8", "loopback"), Guarded("::1", "loopback"))


class Protection:
    """
    Protected addresses.

    Args:
        guarded: All of them; what is no address is left out: a listener may have a path, a target a name.

    Attributes:
        guarded: All of them, with their addresses as numbers.
        ranges: These numbers alone.
    """

    def __init__(self, guarded: Iterable[Guarded]) -> None:
        self.guarded: list[tuple[Range, Guarded]] = []
        for each in guarded:
            try:
                self.guarded += [(found, each) for found in network_ranges(each.network)]
            except ValueError:
                continue
        self.ranges: list[Range] = [found for found, _ in self.guarded]
        self._index = RangeIndex([(0, self.ranges)])

    def refuses(self, network: Network) -> str:
        """Return why a network cannot be banned, as `127.0.0.0/8 is loopback`; empty if it can."""
        if network.single and not self._index.find(network.ranges[0][0]):
            return ""  # as nearly always, and 20,000 are asked about at a start
        for (low, high), each in self.guarded:
            if network.overlaps(low, high):
                return f"{each.network} is {each.why}"
        return ""
