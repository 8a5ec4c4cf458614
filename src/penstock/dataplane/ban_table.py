"""
Bans of single clients in shared memory: an open-addressing hash that the supervisor writes and every worker reads.

A file of 8-byte words: a header of `HEADER_WORDS`, then slots of `SLOT_WORDS`: the address in two words, and a mark:
when the ban ends, and two bits. A mark of 0 has never been used, and a look-up ends there; one whose time is over holds
nothing, and a look-up goes on behind it, so bans end by themselves. The mark is written last, so whoever sees it sees
its address. Clients choose their addresses, so the place of one follows from a secret factor (multiply-shift hashing,
Dietzfelbinger et al. 1997). Behind the slots stands the crowd: how many bans there are of each remainder, a byte each,
which nearly all clients need not look behind; there is no secret in it, since a clash costs a look-up and nothing else.
Source: docs/decisions/0014-bans.md.
"""

import mmap
import os
import secrets

BANS = 65_536
"""Single clients that are banned at once; the kernel's own ipset holds as many unless told otherwise (maxelem)."""

SLOT_BITS = 17
"""Twice as many slots as bans, so that a look-up meets two or three of them."""

SLOTS = 1 << SLOT_BITS

HEADER_WORDS = 512
"""One page."""

SLOT_WORDS = 3
ADDRESS_HIGH, ADDRESS_LOW, MARK = range(SLOT_WORDS)

MAGIC = 0x504E_5354_4F43_4B42  # "PNSTOCKB"

H_MAGIC, H_LIVE, H_FACTOR_HIGH, H_FACTOR_LOW, H_EXACT = range(5)
"""Words of the header: what it is, how many bans there are, the secret factor, how many of single IPv6 addresses."""

CROWD = (1 << 19) - 1
"""Bytes of the crowd: a prime, so that all bits of an address tell; an eighth of them is used when all bans are."""

FULL = 255
"""In the crowd: as many bans as a byte can say, or more; it stays so."""

_CROWD_AT = (HEADER_WORDS + SLOTS * SLOT_WORDS) * 8

SIZE = _CROWD_AT + CROWD + 1

USED, WIDE = 1, 2
"""Bits of a mark: the slot was used; the ban holds for all addresses that share the first 64 bits."""

KIND = USED | WIDE

TIME = (1 << 63) - 4
"""Bits of a mark that say when the ban ends, unit ns since the epoch; all of them set: never."""

PROBES = 512
"""Slots that one look-up meets at most; with half of all slots in use, runs of 100 are rare."""

_SHIFT = 128 - SLOT_BITS
_WIDE_SHIFT = 64 - SLOT_BITS
_PLACES = SLOTS - 1
_FIRST_MARK = HEADER_WORDS + MARK


def create(name: str = "penstock-bans") -> int:
    """Return the descriptor of a new table that holds nothing."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE)
    with mmap.mmap(fd, HEADER_WORDS * 8) as memory, memoryview(memory).cast("Q") as words:
        words[H_FACTOR_HIGH], words[H_FACTOR_LOW] = secrets.randbits(64), secrets.randbits(64) | 1
        words[H_MAGIC] = MAGIC
    return fd


class BanTable:
    """
    One holder's view of it.

    Args:
        fd: Descriptor of a table, which stays open with its owner.

    Attributes:
        words: All of it but the crowd.
        crowd: How many bans there are of each remainder of `remainder_of`.

    Raises:
        ValueError: If it is none.
    """

    __slots__ = ("_factor", "_low_factor", "_map", "crowd", "words")

    def __init__(self, fd: int) -> None:
        if os.fstat(fd).st_size != SIZE:
            raise ValueError("not a table of bans: another size")
        self._map = mmap.mmap(fd, SIZE)
        memory = memoryview(self._map)
        self.words, self.crowd = memory[:_CROWD_AT].cast("Q"), memory[_CROWD_AT : _CROWD_AT + CROWD]
        if self.words[H_MAGIC] != MAGIC:
            raise ValueError("not a table of bans: another beginning")
        self._low_factor = self.words[H_FACTOR_LOW]
        self._factor = self.words[H_FACTOR_HIGH] << 64 | self._low_factor

    def until(self, address: int, kind: int) -> int:
        """
        Return when a ban ends, which may be past; 0 for none; unit ns since the epoch.

        Args:
            address: As a number, IPv4 as IPv4-mapped; of the first address where the kind is wide.
            kind: USED, or KIND for a wide one.
        """
        # most look-ups end at the first slot, and this line is what each connection pays
        if not self.words[(address * self._factor >> _SHIFT & _PLACES) * SLOT_WORDS + _FIRST_MARK]:
            return 0
        base = self._find(address, kind)
        return 0 if base is None else self.words[base + MARK] & TIME

    def until_ipv6(self, high: int, low: int) -> int:
        """
        Return when the last ban of an IPv6 client ends, which may be past; 0 for none; unit ns since the epoch.

        Args:
            high, low: Its address as two numbers of 64 bits.
        """
        words, until = self.words, 0
        # the place of an address whose low half is 0 follows from the low half of the factor alone
        if words[(high * self._low_factor >> _WIDE_SHIFT & _PLACES) * SLOT_WORDS + _FIRST_MARK]:
            until = self.until(high << 64, KIND)
        if words[H_EXACT]:  # few are banned by one address, and only by hand
            until = max(until, self.until(high << 64 | low, USED))
        return until

    # Writing: for the supervisor alone -------------------------------------------------------------------------------

    def put(self, address: int, kind: int, until_ns: int) -> bool:
        """
        Ban, or say anew until when.

        Args:
            address, kind: As for `until`.
            until_ns: When it ends; `TIME` for never; what is finer than 4 ns is left out.

        Returns:
            Whether there was room.
        """
        found = self._find(address, kind)
        base = self._free(address) if found is None else found
        if base is None:
            return False
        words = self.words
        if found is None:
            words[base], words[base + ADDRESS_LOW] = address >> 64, address & (1 << 64) - 1
            words[H_LIVE] += 1
            words[H_EXACT] += _is_exact(address, kind)
            self._count(address, 1)
        words[base + MARK] = max(4, min(until_ns, TIME)) & TIME | kind
        return True

    def remove(self, address: int, kind: int) -> bool:
        """Lift a ban; returns whether there was one."""
        base = self._find(address, kind)
        if base is None:
            return False
        words = self.words
        words[base + MARK] = USED  # a time of 0: over
        words[H_LIVE] -= 1
        words[H_EXACT] -= _is_exact(address, kind)
        self._count(address, -1)
        self._tidy((base - HEADER_WORDS) // SLOT_WORDS)
        return True

    def _count(self, address: int, more: int) -> None:
        place = remainder_of(address)
        if self.crowd[place] != FULL:
            self.crowd[place] += more

    def _find(self, address: int, kind: int) -> int | None:
        words, slot = self.words, address * self._factor >> _SHIFT & _PLACES
        high, low = address >> 64, address & (1 << 64) - 1
        for _ in range(PROBES):
            base = HEADER_WORDS + slot * SLOT_WORDS
            mark = words[base + MARK]
            if not mark:
                return None
            same = words[base + ADDRESS_LOW] == low and words[base] == high
            if same and mark & KIND == kind and mark & TIME:
                return base
            slot = slot + 1 & _PLACES
        return None

    def _free(self, address: int) -> int | None:
        """Return the first slot for an address that holds nothing; None if there is no room."""
        words, slot = self.words, address * self._factor >> _SHIFT & _PLACES
        if words[H_LIVE] >= BANS:
            return None
        for _ in range(PROBES):
            base = HEADER_WORDS + slot * SLOT_WORDS
            if not words[base + MARK] & TIME:
                return base
            slot = slot + 1 & _PLACES
        return None

    def _tidy(self, slot: int) -> None:
        """Let look-ups end before a slot that was freed, if nothing stands behind it."""
        words = self.words
        if words[HEADER_WORDS + (slot + 1 & _PLACES) * SLOT_WORDS + MARK]:
            return
        while words[HEADER_WORDS + slot * SLOT_WORDS + MARK] == USED:
            words[HEADER_WORDS + slot * SLOT_WORDS + MARK] = 0
            slot = slot - 1 & _PLACES

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        self.words.release()
        self.crowd.release()
        self._map.close()


def remainder_of(address: int) -> int:
    """Return the place in the crowd of an address as a number: of IPv4's 32 bits, or of an IPv6 address's first 64."""
    return (address & 0xFFFF_FFFF if address >> 32 == 0xFFFF else address >> 64) % CROWD


def _is_exact(address: int, kind: int) -> bool:
    """Return whether a ban is one of a single IPv6 address."""
    return kind == USED and address >> 32 != 0xFFFF
