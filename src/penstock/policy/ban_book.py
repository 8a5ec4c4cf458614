"""All bans of a node: which there are, which end when, which hold for an address."""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from penstock.policy.ban import Ban, Network, parse_network


class Held(NamedTuple):
    """
    A ban and its network.

    Args:
        ban: The ban.
        network: What it holds for.
    """

    ban: Ban
    network: Network


class BanBook:
    """
    Bans by network: each network has one at most.

    Args:
        capacity: How many at most.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: dict[str, Held] = {}
        self._ends: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, network: str) -> Held | None:
        """Return the ban of exactly this network."""
        return self._held.get(network)

    def put(self, ban: Ban, network: Network | None = None) -> Held | None:
        """
        Add a ban, in place of one of the same network.

        Args:
            ban: The ban.
            network: Its network, if somebody has parsed it.

        Returns:
            What is held now; None if there is no room.

        Raises:
            ValueError: If its network is none.
        """
        if ban.network not in self._held and len(self._held) >= self._capacity:
            return None
        held = self._held[ban.network] = Held(ban, network or parse_network(ban.network))
        if ban.end is not None:
            heappush(self._ends, (ban.end, ban.network))
            self._tidy()
        return held

    def remove(self, network: str) -> Held | None:
        """Take a ban out, and return it; None if there is none."""
        return self._held.pop(network, None)

    def expire(self, now: int) -> list[Held]:
        """Take out what is over, and return it; unit of the time ns since the epoch."""
        over = []
        while self._ends and self._ends[0][0] <= now:
            end, network = heappop(self._ends)
            held = self._held.get(network)
            if held is not None and held.ban.end == end:
                over.append(self._held.pop(network))
        return over

    def holding(self, address: int) -> list[Held]:
        """Return all bans that hold for an address, as a number. Cost: O(bans)."""
        return [each for each in self._held.values() if each.network.holds(address)]

    def waiting(self) -> list[Held]:
        """Return the bans that somebody must confirm."""
        return [each for each in self._held.values() if each.ban.confirm_by is not None]

    def page(self, wanted: Iterable[Held], after: str, limit: int) -> tuple[list[Ban], str | None]:
        """
        Return a page of bans by the text of their networks, and where the next page begins; None on the last one.

        Args:
            wanted: Which bans.
            after: Only those behind this text; empty for the first page.
            limit: How many at most; 1 or more.
        """
        found = sorted((each.ban for each in wanted if each.ban.network > after), key=lambda ban: ban.network)
        return found[:limit], found[limit - 1].network if len(found) > limit else None

    def _tidy(self) -> None:
        """Forget ends of bans that are no more, once they are as many as those that are."""
        if len(self._ends) > 2 * len(self._held) + 64:
            self._ends = [(held.ban.end, name) for name, held in self._held.items() if held.ban.end is not None]
            heapify(self._ends)
