"""Whether an address is in one of some networks."""

from collections.abc import Iterable

from penstock.policy.ranges import NOT_AN_ADDRESS, Range, RangeIndex, address_number, network_ranges

KNOWN = 16_384
"""Addresses whose answer is remembered, as many as the limit table remembers places of."""


class Networks:
    """
    Some networks.

    Args:
        networks: Such as `10.0.0.0/8`, or addresses; IPv4 is the same as IPv4-mapped.

    Raises:
        ValueError: If one is none.
    """

    __slots__ = ("_index", "_known")

    def __init__(self, networks: Iterable[str]) -> None:
        ranges: list[Range] = [each for network in networks for each in network_ranges(network)]
        self._index = RangeIndex([(0, ranges)])
        self._known: dict[bytes, bool] = {}

    def holds(self, ip: bytes) -> bool:
        """Return whether an address is in one of them, given as 16 bytes of `pack_ip`."""
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            known = self._known[ip] = bool(self._index.find(int.from_bytes(ip) or NOT_AN_ADDRESS))
        return known

    def __contains__(self, host: str) -> bool:
        return bool(self._index.find(address_number(host)))
