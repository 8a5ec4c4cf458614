"""What a worker knows of bans: a table of single clients, and two tables of networks."""

import os
import time
from collections.abc import Callable, Sequence
from struct import Struct

from penstock.dataplane.ban_ranges import MAPPED, BanRanges
from penstock.dataplane.ban_table import H_LIVE, USED, BanTable

BY_HAND, LISTED = 0, 1
"""Tables of networks: those that operators banned, which change often and are few, and those of block lists."""

NONE = (-1, -1, -1)
"""Descriptors of a node that bans nobody: the table of clients, and the tables of networks."""


def serialize(fds: tuple[int, int, int]) -> str:
    """Return descriptors for a command line: `4,5,`, nothing for a table that there is none of."""
    return ",".join("" if fd < 0 else str(fd) for fd in fds)


def parse(text: str) -> tuple[int, int, int]:
    """Return the descriptors of a text that `serialize` made; raises ValueError for any other."""
    first, second, third = (int(word) if word else -1 for word in text.split(","))
    return first, second, third


KNOWN = 4_096
"""Clients whose networks a worker remembers, since most of them come again; a table of networks never changes."""

_HALVES = Struct(">QQ")


class Bans:
    """
    Who is banned.

    Args:
        fds: Descriptors, which stay open with their owner; -1 for a table that there is none of.
        wall_ns: Gives the time since the epoch; unit ns.
    """

    __slots__ = ("_asked", "_known", "_networks", "_table", "_until", "_until_ipv6", "_wall_ns", "_words")

    def __init__(self, fds: Sequence[int] = NONE, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._table = BanTable(fds[0]) if fds[0] >= 0 else None
        self._words: Sequence[int] = (0, 0) if self._table is None else self._table.words
        self._until: Callable[[int, int], int] = _never if self._table is None else self._table.until
        self._until_ipv6: Callable[[int, int], int] = _never if self._table is None else self._table.until_ipv6
        self._networks = [BanRanges(fd) if fd >= 0 else None for fd in fds[1:]]
        self._asked = [each for each in self._networks if each is not None]
        self._known: dict[bytes, int] = {}
        self._wall_ns = wall_ns

    def __bool__(self) -> bool:
        """Return whether anybody could be banned at all."""
        return self._table is not None

    def holds(self, packed: bytes) -> bool:
        """
        Return whether a client is banned now.

        Args:
            packed: 16 bytes of `pack_ip`; 16 zeros, a Unix peer, never are.
        """
        live, asked = self._words[H_LIVE], self._asked
        if not live and not asked:
            return False
        high, low = _HALVES.unpack(packed)
        ipv4 = not high and low >> 32 == MAPPED
        if not high and not low:
            return False
        if live:
            until = self._until(low, USED) if ipv4 else self._until_ipv6(high, low)
            if until and until > self._wall_ns():
                return True
        known = self._known
        until = known.get(packed, -1)
        if until < 0:
            until = 0
            for networks in asked:
                found = networks.until_ipv4(low & 0xFFFF_FFFF) if ipv4 else networks.until_ipv6(high, low)
                if found > until:  # noqa: PLR1730 - a call of max costs as much as the rest
                    until = found
            if len(known) >= KNOWN:
                known.clear()
            known[packed] = until
        return until > self._wall_ns() if until else False

    def take(self, place: int, fd: int) -> None:
        """
        Look into another table of networks from now on.

        Args:
            place: BY_HAND or LISTED.
            fd: Descriptor, which stays open with its owner; -1 for none.

        Raises:
            ValueError, OSError: If it is no such table; all stays as it was.
        """
        new = BanRanges(fd) if fd >= 0 else None
        old, self._networks[place] = self._networks[place], new
        self._asked = [each for each in self._networks if each is not None]
        self._known = {}
        if old is not None:
            old.close()

    def close(self) -> None:
        """Let go of the memory."""
        self._words, self._until, self._until_ipv6, self._asked = (0, 0), _never, _never, []
        self._known = {}
        if self._table is not None:
            self._table.close()
        for networks in self._networks:
            if networks is not None:
                networks.close()


def _never(_first: int, _second: int) -> int:
    return 0


def take_packet(bans: Bans, place: int, fds: Sequence[int]) -> str:
    """
    Do what an order with a new table of networks says, and close its descriptors.

    Args:
        bans: Whose.
        place: Which table.
        fds: What came with the order: one, or none for no table.

    Returns:
        Why all stays as it was; empty if it does not.
    """
    try:
        if place not in (BY_HAND, LISTED) or len(fds) > 1:
            return f"place {place} with {len(fds)} descriptors"
        bans.take(place, fds[0] if fds else -1)
    except (OSError, ValueError) as error:
        return str(error)
    finally:
        for fd in fds:
            os.close(fd)
    return ""
