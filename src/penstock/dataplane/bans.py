"""What a worker knows of bans: a table of single clients, and two tables of networks."""

import os
import time
from collections.abc import Callable, Sequence
from struct import Struct

from penstock.dataplane.ban_ranges import FOREVER, BanRanges
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


_HALVES = Struct(">QQ").unpack

_IPV4 = 0xFFFF << 32
_LAST = (1 << 32) - 1


class Bans:
    """
    Who is banned.

    Args:
        fds: Descriptors, which stay open with their owner; -1 for a table that there is none of.
        wall_ns: Gives the time since the epoch; unit ns.

    Attributes:
        crowd: How many bans of single clients there are of each remainder (dataplane/ban_table.py).
    """

    __slots__ = (
        "_asked",
        "_networks",
        "_remainders",
        "_table",
        "_until",
        "_until_ipv6",
        "_wall_ns",
        "_words",
        "crowd",
    )

    def __init__(self, fds: Sequence[int] = NONE, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._table = BanTable(fds[0]) if fds[0] >= 0 else None
        self._look_into(self._table)
        self._networks = [BanRanges(fd) if fd >= 0 else None for fd in fds[1:]]
        self._asked = [each for each in self._networks if each is not None]
        self._wall_ns = wall_ns

    def _look_into(self, table: BanTable | None) -> None:
        self._words: Sequence[int] = (0, 0) if table is None else table.words
        self.crowd: Sequence[int] = b"\0" if table is None else table.crowd
        self._remainders = len(self.crowd)
        self._until: Callable[[int, int], int] = _never if table is None else table.until
        self._until_ipv6: Callable[[int, int], int] = _never if table is None else table.until_ipv6

    def __bool__(self) -> bool:
        """Return whether anybody could be banned at all."""
        return self._table is not None or bool(self._asked)

    def holds(self, packed: bytes) -> bool:
        """
        Return whether a client is banned now.

        Args:
            packed: 16 bytes of `pack_ip`; 16 zeros, a Unix peer, never are.
        """
        asked = self._asked
        if not asked and not self._words[H_LIVE]:
            return False
        high, low = _HALVES(packed)
        if high:
            return self._holds_ipv6(high, low)
        number = low ^ _IPV4
        if number > _LAST:
            return low != 0 and self._holds_ipv6(high, low)
        if self.crowd[number % self._remainders]:
            until = self._until(low, USED)
            if until and until > self._wall_ns():
                return True
        for networks in asked:
            until = networks.until_ipv4(number)
            if until and (until == FOREVER or until > self._wall_ns()):
                return True
        return False

    def _holds_ipv6(self, high: int, low: int) -> bool:
        if self.crowd[high % self._remainders]:
            until = self._until_ipv6(high, low)
            if until and until > self._wall_ns():
                return True
        for networks in self._asked:
            until = networks.until_ipv6(high, low)
            if until and (until == FOREVER or until > self._wall_ns()):
                return True
        return False

    def remainder(self, packed: bytes) -> int:
        """Return a client's place in the crowd."""
        high, low = _HALVES(packed)
        number: int = low ^ _IPV4
        return number % self._remainders if not high and number <= _LAST else high % self._remainders

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
        if old is not None:
            old.close()

    def close(self) -> None:
        """Let go of the memory."""
        self._asked = []
        self._look_into(None)
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
