"""
The limit table: shared memory in which all workers of a node count together what limits are about.

A file of 8-byte words: a header, then buckets of WAYS slots. A slot has a key (a client's address, or the digest of a
name) and two rows of columns: for each worker's seat one word of open connections and one word of a rate. So each
counter has one writer, and what all workers have is the sum of a row.

- A worker counts itself in, then sums. Where the sum is within the limit by more than there are workers, that is all:
  no lock. Nearer to the limit it takes itself back, and does the same under the lock of the bucket, where whoever else
  has not yet decided stands behind it. So a limit is never exceeded, and what is free is taken.
- The lock is a byte of the file (fcntl): the kernel gives it back when its holder dies.
- A rate's word holds the number of a window, what was counted in it, and what was in the one before:
  used = now + before * what of the window before still counts. From rest a window begins with the first connection, so
  exactly the limit passes in it; after two windows of silence nothing is left. Precedent: HAProxy's freq_ctr.
- A rate with a burst is a bucket instead: one word of the slot, until when what was drawn is paid for, as a bandwidth
  is (policy/bandwidth.py). All workers write it, under the lock.
- A new key takes an empty slot of its bucket, or that which nobody touched for longest of those without open
  connections. Where all have open ones, the key is not counted, and that is (`UNTRACKED`).
- A slot is used without the lock only while it is fresh; it is taken from its key only when it is long stale, unless
  the bucket is full. What a key has is then forgotten, and nothing worse: whoever holds a slot gives back what it took.
- The bucket is chosen by a digest with a secret of the node: clients choose their addresses, and cannot choose whom
  they collide with.

Source: docs/decisions/0015-limits.md.
"""

import fcntl
import mmap
import os
from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from penstock.base import bounds
from penstock.base.clock import NS
from penstock.config.limit_plan import RatePlan
from penstock.policy.bandwidth import FIRST_NS, pay

H_COLUMNS, H_BUCKETS, H_SECRET, H_LAYOUT = 0, 1, 2, 6
"""Words of the header: how many columns, how many buckets, four words of secret, and LAYOUT."""

LAYOUT = 0x50_4C_4D_54_00_00_00_01
"""Says what words mean what; another one is another release's."""

SECRET_BYTES = 32

GLOBAL, UNTRACKED = 256, 512
"""First words of two rows of columns in the header: open connections of each worker; what it could not count."""

MOST_COLUMNS = 256
"""Of a table; a node has at most as many workers."""

PROCESSES = 3
"""Of one table, that may count in it at once: one that serves, and two that drain after upgrades."""

HEADER_WORDS = 1_024

KEY_HIGH, KEY_LOW, TOUCHED, ORIGIN, KIND, PAID, _, DRAWN = range(8)
COLUMNS = 8
"""Words of a slot: its key, when it was last used and when its windows began (monotonic, unit ns), what its key is of,
until when the bytes of each direction are paid, and what was drawn from the bucket of its rate. Then the columns: open
connections, rates."""

IP, LISTENER, ROUTE, USER = 1, 2, 3, 4
"""What a key is of."""

NODE = GLOBAL - COLUMNS
"""Stands for the slot of the whole node, whose columns of open connections lie in the header."""

WAYS = 8
"""Slots of a bucket."""

FRESH_NS = 5 * NS
"""For so long after its last use a slot may be used without the lock."""

STALE_NS = 10 * NS
"""After so long, or two windows, a slot without open connections is as good as an empty one."""

KNOWN = 16_384
"""Keys of which a worker remembers the slot; twice as many as it has clients under most loads."""

COUNT_BITS = 22
COUNT_MASK = (1 << COUNT_BITS) - 1
TAG_SHIFT = 2 * COUNT_BITS
TAG_MASK = (1 << 19) - 1
"""A rate's word: the count of its window, that of the one before, and the window's number above them, which begins
again after six days of one-second windows. The sign stays free."""

FARTHEST_NS = 1 << 62
"""How far back a window's number may put the first window: a word holds it."""

AHEAD = -1
"""Stands for: another worker, whose clock is read a moment later, has begun a window that has not begun here."""

_KEY = Struct("=16s")
_HEAD = Struct(f"=qq{SECRET_BYTES}sq")


class Seats(NamedTuple):
    """
    What a worker is given of a table.

    Args:
        fd: Of the table; -1 for one of its own.
        column: Of the worker with the number 0; the others follow.
        first, columns: Which are summed: so many from the first on, 0 for all.
    """

    fd: int = -1
    column: int = 0
    first: int = 0
    columns: int = 0


ALONE = Seats()
"""Of a worker that shares its counts with nobody."""


def serialize(seats: Seats) -> str:
    """Return seats for a command line: `5,2,0,0`, and `,0,0,0` for a table of one's own."""
    return ",".join("" if each < 0 else str(each) for each in seats)


def parse(text: str) -> Seats:
    """Return the seats of a text that `serialize` made; raises ValueError for any other."""
    fd, column, first, columns = (int(word) if word else -1 for word in text.split(","))
    return Seats(fd, column, first, columns)


def slot_words(columns: int) -> int:
    """Return the words of a slot."""
    return COLUMNS + 2 * columns


def columns_for(workers: int) -> int:
    """Return how many columns the table of a node has, so that processes that succeed each other share it."""
    return min(PROCESSES * max(1, workers), MOST_COLUMNS)


def columns_of(fd: int) -> int:
    """Return how many columns a table has; 0 for one that this release cannot count in."""
    if os.fstat(fd).st_size < HEADER_WORDS * 8:
        return 0
    columns, buckets, *_, layout = _HEAD.unpack(os.pread(fd, _HEAD.size, 0))
    fits = layout == LAYOUT and 0 < columns <= MOST_COLUMNS and 0 < buckets <= bounds.LIMIT_SLOTS
    size = (HEADER_WORDS + buckets * WAYS * slot_words(columns)) * 8 if fits else 0
    return columns if size == os.fstat(fd).st_size else 0


def buckets_for(columns: int) -> int:
    """Return how many buckets a table of so many columns has: a power of two."""
    buckets = bounds.LIMIT_SLOTS // WAYS
    while buckets * WAYS * slot_words(columns) * 8 > bounds.LIMIT_TABLE_BYTES:
        buckets //= 2
    return buckets


def create(columns: int, buckets: int = 0, name: str = "penstock-limits") -> int:
    """
    Return the descriptor of a new table in anonymous memory; it lives until its last holder closes it.

    Args:
        columns: One for each worker that will count in it at once.
        buckets: A power of two; 0 for the usual number.
    """
    buckets = buckets or buckets_for(columns)
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, (HEADER_WORDS + buckets * WAYS * slot_words(columns)) * 8)
    head = _HEAD.pack(columns, buckets, os.urandom(SECRET_BYTES), LAYOUT)
    os.pwrite(fd, head, 0)
    return fd


class LimitTable:
    """
    One holder's view of it.

    Args:
        fd: Descriptor of a table; the caller's own afterwards, and used for as long as the view is.
        seat: Which columns it writes.

    Attributes:
        words: All of it.
        columns: How many each row has.
        seats: How many of them are summed.
        spent: Keys whose quota is used up.
        column: From the first word of a slot to this worker's word of open connections.
    """

    __slots__ = (
        "_buckets", "_fd", "_first", "_known", "_map", "_plain", "_rate", "_rates", "_secret", "_slot_words", "column",
        "columns", "seat", "seats", "spent", "words",
    )  # fmt: skip

    def __init__(self, fd: int, seat: int = 0) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        self.words = memoryview(self._map).cast("q")
        self.seat, self.columns, self._buckets = seat, self.words[H_COLUMNS], self.words[H_BUCKETS]
        if not seat < self.columns:
            raise ValueError(f"seat {seat} of {self.columns}")
        self._secret = self._map[H_SECRET * 8 : H_SECRET * 8 + SECRET_BYTES]
        self._slot_words = slot_words(self.columns)
        self.column, self._rate = COLUMNS + seat, COLUMNS + self.columns + seat
        self._plain: dict[bytes, tuple[int, slice, int, int, int]] = {}
        self.sum_up()
        self._known: dict[bytes, int] = {}
        self.spent: frozenset[bytes] = frozenset()

    def sum_up(self, first: int = 0, count: int = 0) -> None:
        """Sum these columns from now on; 0 for all. Whoever counts is in one of them."""
        if not 0 <= first <= first + count <= self.columns:
            raise ValueError(f"{count} columns from {first} of {self.columns}")
        self.seats = count or self.columns
        self.forget_plain()
        self._first, self._rates = COLUMNS + first, COLUMNS + self.columns + first

    def close(self) -> None:
        """Let go of the memory; the file stays with whoever holds its descriptor."""
        self.words.release()
        self._map.close()

    def key(self, kind: int, name: str) -> bytes:
        """Return the key of a listener, route or user; no address has the same, for nobody knows the secret."""
        return blake2b(name.encode(), digest_size=16, key=self._secret, salt=bytes((kind,))).digest()

    # Slots -----------------------------------------------------------------------------------------------------------

    def slot(self, key: bytes, kind: int, window: int, now: int) -> int:
        """
        Return the slot of a key: the index of its first word; 0 if there is no room for it.

        Args:
            key: 16 bytes.
            kind: IP, LISTENER, ROUTE or USER.
            window: Of the key's rate; unit ns, 0 for none.
            now: Monotonic time; unit ns.
        """
        base = self._known.get(key)
        if base is not None:
            age = now - self.words[base + TOUCHED]
            if age < FRESH_NS and self._map[base << 3 : (base << 3) + 16] == key:
                if age > NS:
                    self.words[base + TOUCHED] = now
                return base
        return self._seek(key, kind, window, now)

    def look(self, key: bytes) -> int:
        """Return the slot that a key has; 0 if it has none. Nothing is changed."""
        return self._find(self._bucket(key), key)

    def _bucket(self, key: bytes) -> int:
        digest = blake2b(key, digest_size=8, key=self._secret).digest()
        return HEADER_WORDS + (int.from_bytes(digest, "little") & self._buckets - 1) * WAYS * self._slot_words

    def _seek(self, key: bytes, kind: int, window: int, now: int) -> int:
        first = self._bucket(key)
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, first)
        try:
            base = self._find(first, key) or self._take(first, key, kind, window, now)
            if base:
                self.words[base + TOUCHED] = now
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, first)
        if base:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = base
        else:
            self.words[UNTRACKED + self.seat] += 1
        return base

    def _find(self, first: int, key: bytes) -> int:
        for base in range(first, first + WAYS * self._slot_words, self._slot_words):
            if self._map[base << 3 : (base << 3) + 16] == key:
                return base
        return 0

    def _take(self, first: int, key: bytes, kind: int, window: int, now: int) -> int:
        """Give the key an empty slot, or the stalest one without open connections; 0 where all have some."""
        words, best, oldest = self.words, 0, now + 1
        for base in range(first, first + WAYS * self._slot_words, self._slot_words):
            touched = words[base + TOUCHED]
            if touched < oldest and not any(words[base + self._first : base + self._first + self.seats]):
                best, oldest = base, touched
        if best:
            self._begin_afresh(best, window, now)
            words[best + KIND] = kind
            words[best + PAID] = words[best + PAID + 1] = now - FIRST_NS
            words[best + DRAWN] = -FARTHEST_NS
            _KEY.pack_into(self._map, best << 3, key)
        return best

    def _begin_afresh(self, base: int, window: int, now: int) -> None:
        """Let no column count any more: all of them are of windows that are over, since their writers are others."""
        rates = self.words[base + COLUMNS + self.columns : base + COLUMNS + 2 * self.columns]
        number = max(word >> TAG_SHIFT for word in rates) + 2
        if number > TAG_MASK or number * window > FARTHEST_NS:
            number = 2
        self.words[base + ORIGIN] = now - number * window

    # The short way ---------------------------------------------------------------------------------------------------

    def take(self, key: bytes, most: int, limit: int, now: int) -> int:
        """
        Count one more open connection and one more in the rate of a key, where that is plain: see `make_plain`.

        Args:
            key: 16 bytes.
            most: Open connections that it may have; 0 for no limit, which are not counted.
            limit: Most that pass in a window; 0 for no limit.
            now: Monotonic time; unit ns.

        Returns:
            The slot; 0 where it is not plain: then nothing is counted, and `slot`, `enter` and `count` say the truth.
        """
        plain = self._plain.get(key)
        if plain is None:
            return 0
        base, place, until, begin, room = plain
        if now >= until or self._map[place] != key:
            return 0
        words, mine = self.words, base + self.column
        if most and words[mine] >= most:
            return 0
        if limit:
            rate = base + self._rate
            count = words[rate] - begin
            if not 0 <= count < room:
                return 0
            words[rate] = begin + count + 1
        if most:
            words[mine] += 1
        return base

    def make_plain(self, key: bytes, base: int, limit: int, window: int, now: int) -> None:
        """
        Note what the next connections of a key need not ask again: what has just been counted at its slot stands, until
        its window is over or the slot must be touched, since nobody else counts, and what the window before leaves only
        gets less. So all that most connections need is one call of `take`, without a division.

        Args:
            key: 16 bytes.
            base: Its slot, from `slot` at this time.
            limit, window: Its rate; 0 for none; unit ns.
            now: Monotonic time; unit ns.
        """
        words = self.words
        until, begin, room = words[base + TOUCHED] + NS, 0, 0
        if self.seats != 1:
            return
        if limit:
            word, elapsed = words[base + self._rate], now - words[base + ORIGIN]
            if elapsed < 0 or word >> TAG_SHIFT != elapsed // window & TAG_MASK:
                return
            begin, room = word & ~COUNT_MASK, limit - _left(_previous(word), elapsed, window)
            until = min(until, now + window - elapsed % window)
        if len(self._plain) >= KNOWN:
            self._plain.clear()
        self._plain[key] = base, slice(base << 3, (base << 3) + 16), until, begin, room

    def forget_plain(self) -> None:
        """Forget all that was made plain: limits are others now, or those who count."""
        self._plain.clear()

    # Open connections ------------------------------------------------------------------------------------------------

    def enter(self, base: int, limit: int) -> bool:
        """
        Count one more open connection, or return False where there are as many as there may be.

        Args:
            base: A slot, or NODE.
            limit: Most that all workers together may have.
        """
        words, mine, seats = self.words, base + self.column, self.seats
        count = words[mine] + 1
        if seats == 1 and count > limit:
            return False
        words[mine] = count
        if seats == 1:
            return True
        first = base + self._first
        if sum(words[first : first + seats]) + seats <= limit:
            return True
        words[mine] -= 1
        return self._enter_locked(base, limit)

    def _enter_locked(self, base: int, limit: int) -> bool:
        words, mine = self.words, base + self.column
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, base)
        try:
            words[mine] += 1
            if self.open_in(base) <= limit:
                return True
            words[mine] -= 1
            return False
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, base)

    def leave(self, base: int) -> None:
        """Give back what `enter` counted."""
        self.words[base + self.column] -= 1

    def open_in(self, base: int) -> int:
        """Return the open connections of all workers."""
        return sum(self.words[base + self._first : base + self._first + self.seats])

    # Rates -----------------------------------------------------------------------------------------------------------

    def count(self, base: int, limit: int, window: int, now: int) -> bool:
        """
        Count one more in the rate, or return False where as many have passed as may.

        Args:
            base: A slot.
            limit: Most that pass in a window.
            window: Unit ns.
            now: Monotonic time; unit ns.
        """
        words, mine = self.words, base + self._rate
        elapsed = now - words[base + ORIGIN]
        if self.seats == 1 and elapsed >= 0 and words[mine] >> TAG_SHIFT == elapsed // window & TAG_MASK:
            word = words[mine]  # nobody else counts, and the window has begun: the usual case of small nodes
            if (word & COUNT_MASK) + _left(_previous(word), elapsed, window) >= limit:
                return False
            words[mine] = word + 1
            return True
        if elapsed >= 0:
            number = elapsed // window
            before = words[mine]
            words[mine] = _counted(before, number & TAG_MASK)
            used = self.used(base, window, now)
            if (used > 1 or elapsed == number * window) and used + self.seats <= limit:
                return True
            words[mine] = before
        return self._count_locked(base, limit, window, now)

    def uncount(self, base: int) -> None:
        """Take back what this worker has counted last, in the same turn of its reactor."""
        self.words[base + self._rate] -= 1

    def _count_locked(self, base: int, limit: int, window: int, now: int) -> bool:
        words, mine = self.words, base + self._rate
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, base)
        try:
            used = self.used(base, window, now)
            while used == AHEAD:  # its clock is a moment ahead of ours, and a window has begun there: it is ours too
                elapsed = max(0, now - words[base + ORIGIN])
                now += window - elapsed % window
                used = self.used(base, window, now)
            if used >= limit:
                return False
            number = max(0, now - words[base + ORIGIN]) // window
            if not used and not self._remembers(base, number):
                words[base + ORIGIN] = now - number * window  # after rest a window begins with who comes first
            words[mine] = _counted(words[mine], number & TAG_MASK)
            return True
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, base)

    def _remembers(self, base: int, number: int) -> bool:
        """Return whether anything was counted in this window or the one before."""
        tags = (number & TAG_MASK, number - 1 & TAG_MASK)
        rates = self.words[base + self._rates : base + self._rates + self.seats]
        return any(word >> TAG_SHIFT in tags and word & COUNT_MASK for word in rates)

    def used(self, base: int, window: int, now: int) -> int:
        """
        Return how many of a rate are used; what passed in the window before counts less and less, rounded down.

        Returns:
            0 or more; AHEAD where another worker has begun the next window already.
        """
        elapsed = max(now - self.words[base + ORIGIN], 0)
        number = elapsed // window
        tag, first = number & TAG_MASK, base + self._rates
        current = previous = 0
        for word in self.words[first : first + self.seats]:
            if word:
                late = tag - (word >> TAG_SHIFT) & TAG_MASK
                if not late:
                    current += word & COUNT_MASK
                    previous += _previous(word)
                elif late == 1:
                    previous += word & COUNT_MASK
                elif late == TAG_MASK:
                    return AHEAD
        return current + _left(previous, elapsed, window) if previous else current

    def wait(self, base: int, limit: int, window: int, now: int) -> int:
        """Return after which time one more may pass, if nobody else does; unit ns, a little more than needed."""
        low, high, grain = 0, 2 * window, max(NS // 2, window >> 6)
        while high - low > grain:  # halves each time
            middle = (low + high) // 2
            low, high = (low, middle) if self.used(base, window, now + middle) < limit else (middle, high)
        return high

    # Rates with a burst ----------------------------------------------------------------------------------------------

    def draw(self, base: int, cost: int, reach: int, now: int) -> bool:
        """
        Draw one from the bucket of a rate, or return False where it is empty.

        Args:
            base: A slot.
            cost: After which time there is one more; unit ns.
            reach: After which time an empty bucket is full; unit ns, at least `cost`.
            now: Monotonic time; unit ns.
        """
        words, word = self.words, base + DRAWN
        if words[word] > now - cost:
            return False
        if self.seats == 1:
            words[word] = max(words[word], now - reach) + cost
            return True
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, base)
        try:
            drawn = max(words[word], now - reach) + cost
            if drawn > now:
                return False
            words[word] = drawn
            return True
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, base)

    def put_back(self, base: int, cost: int) -> None:
        """Put one back that this worker has drawn, in the same turn of its reactor."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, base)
        try:
            self.words[base + DRAWN] -= cost
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, base)

    def terms(self, rate: RatePlan | None) -> tuple[Callable[[int, int, int, int], bool], int, int]:
        """Return what counts one more of a rate, `count` or `draw`, and its second and third argument."""
        if rate is None:
            return self.count, 0, 0
        return (self.draw, rate.cost, rate.reach) if rate.burst else (self.count, rate.count, rate.window)

    def used_of(self, base: int, rate: RatePlan, now: int) -> int:
        """Return how many of a rate are used at a slot, of its burst where it has one; for whoever looks."""
        if not rate.burst:
            used = self.used(base, rate.window, now)
            return 1 if used == AHEAD else used  # another worker has begun a window just now
        return max(0, -((now - rate.reach - self.words[base + DRAWN]) // rate.cost))

    def wait_of(self, base: int, rate: RatePlan, now: int) -> int:
        """Return after which time one more may pass, if nobody else does; unit ns, a little more than needed."""
        if not rate.burst:
            return self.wait(base, rate.count, rate.window, now)
        return max(0, self.words[base + DRAWN] + rate.cost - now)

    # Bandwidth -------------------------------------------------------------------------------------------------------

    def pay(self, base: int, way: int, count: int, rate: int, reach: int, now: int) -> None:
        """
        Note that bytes have passed; see `policy.bandwidth.pay`.

        Args:
            base: A slot.
            way: 0 from clients, 1 to them.
            count: How many.
            rate: Bytes a second.
            reach: How far behind the bucket's time may stay; unit ns.
            now: Monotonic time; unit ns.
        """
        words, word = self.words, base + PAID + way
        if self.seats == 1:
            words[word] = pay(words[word], now, count, rate, reach)
            return
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, base)
        try:
            words[word] = pay(words[word], now, count, rate, reach)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, base)


def _previous(word: int) -> int:
    """Return what a rate's word has of the window before its own."""
    return word >> COUNT_BITS & COUNT_MASK


def _left(previous: int, elapsed: int, window: int) -> int:
    """Return what still counts of the window before, so long after a window began."""
    return previous * (window - elapsed % window) // window


def _counted(word: int, tag: int) -> int:
    """Return a rate's word with one more in the window of this number."""
    late = tag - (word >> TAG_SHIFT) & TAG_MASK
    if not late:
        return word + 1
    previous = word & COUNT_MASK if late == 1 else 0
    return tag << TAG_SHIFT | previous << COUNT_BITS | 1
