"""
Which columns of the limit table are whose: those of this process's workers, and of processes that drain.

A table has columns for several processes. In calm the workers of one count in theirs and sum these alone. When a new
process takes over it gets columns of its own in the same table, and all workers of both sum all columns: so no limit is
doubled, and who drains holds its places. When the last old process has gone its places are empty, and as soon as no
rate remembers anything of it, each worker sums its own process's columns again.
Source: docs/decisions/0018-upgrade.md.
"""

from collections.abc import Iterable

from msgspec import Struct

from penstock.config.plan import WorkerPlan
from penstock.dataplane.limit_table import Seats

WINDOWS = 2
"""Of a rate, after which it remembers nothing."""


class SavedSeats(Struct, frozen=True):
    """
    Columns that are taken.

    Args:
        first, count: Of the process that hands over.
        elders: Column by generation of workers that drain already; -1 for unknown.
    """

    first: int
    count: int
    elders: dict[int, int] = {}


class Seating:
    """
    The columns of one table, as one process sees them.

    Args:
        workers: How many count for this process.
        columns: Of the table.
        saved: What the process that we succeed has; None for none.

    Attributes:
        first: Column of our first worker; -1 where there is no room for us.
        wide: Whether workers sum all columns, and not ours alone.
        elders: Column by generation of workers of other processes; -1 for unknown.
    """

    def __init__(self, workers: int, columns: int, saved: SavedSeats | None = None) -> None:
        self._count, self._columns = workers, columns
        self.elders: dict[int, int] = {}
        self._quiet_ns: int | None = None
        self.wide = saved is not None
        self.first = 0
        if saved is not None:
            self.elders = dict(saved.elders)
            theirs = range(saved.first, saved.first + saved.count)
            self.first = _room(workers, columns, {*theirs, *self.elders.values()})

    def follow(self, seats: dict[int, int]) -> None:
        """Know whose columns others have: of each generation that drains; -1 for unknown."""
        self.elders = dict(seats)

    @property
    def own(self) -> range:
        """Return our columns."""
        return range(self.first, self.first + self._count)

    @property
    def idle(self) -> list[int]:
        """Return the columns that nobody has; none while somebody's are unknown."""
        taken = {*self.own, *self.elders.values()}
        return [] if -1 in taken else [each for each in range(self._columns) if each not in taken]

    def seats(self, fd: int) -> Seats:
        """Return what our workers are given."""
        return Seats(fd, self.first, 0, 0) if self.wide else Seats(fd, self.first, self.first, self._count)

    def widen(self) -> None:
        """Let all columns be summed."""
        self.wide, self._quiet_ns = True, None

    def left(self, generation: int) -> list[int]:
        """Return the columns that are empty now that a worker of another process is no more."""
        column = self.elders.pop(generation, None)
        if self.elders or column is None:
            return [] if column is None or column < 0 else [column]
        return self.idle

    def settle(self, plan: WorkerPlan, now: int) -> bool:
        """Sum ours alone again once nobody else has any and no rate remembers others; returns whether that came."""
        if not self.wide or self.elders:
            return False
        if self._quiet_ns is None:
            self._quiet_ns = now + WINDOWS * longest_window(plan)
        if now < self._quiet_ns:
            return False
        self.wide = False
        return True


def _room(workers: int, columns: int, taken: Iterable[int]) -> int:
    """Return the first of so many columns in a row that nobody has; -1 where there are none, or nobody knows."""
    busy = set(taken)
    if -1 in busy:
        return -1
    firsts = range(columns - workers + 1)
    return next((first for first in firsts if busy.isdisjoint(range(first, first + workers))), -1)


def longest_window(plan: WorkerPlan) -> int:
    """Return the longest time of all rates in a plan; unit ns, 0 where there is none."""
    shares = [each.limits for each in plan.listeners]
    shares += [each.limits for each in (*(each.route for each in plan.listeners), *plan.routes)]
    shares += [plan.limits.per_user, *plan.limits.users.values()]
    rates = (plan.limits.rate_per_ip, *(each.rate for each in shares if each is not None))
    return max((each.window for each in rates if each is not None), default=0)
