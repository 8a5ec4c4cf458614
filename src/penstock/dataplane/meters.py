"""
The buckets of bandwidth that flows of one worker pay into: their own, and those that all workers share.

Each direction has a bucket of its own. A shared one is a word of a slot of the limit table (dataplane/limit_table.py):
what it has room for is read without a lock, and what has passed is paid under the lock of the slot. So two workers may
both take what is left, once; then both wait until it is paid, and nothing is lost when one of them dies.
"""

from collections.abc import Callable

from penstock.base.clock import NS
from penstock.config.limit_plan import BandwidthPlan
from penstock.dataplane.limit_table import PAID, LimitTable
from penstock.dataplane.reactor import SLOT_BITS
from penstock.policy.bandwidth import FIRST_NS, LEAST_BYTES, pay, reach_of, ready_at, room

UP, DOWN = 0, 1
"""From the client, and to it."""

EACH_NS = NS // 1_000
"""What each flow that waits for a shared bucket adds to the time until all of them look again."""


class Meter:
    """
    The bucket of one flow.

    Args:
        plan: How much it has.
        now: Monotonic time; unit ns.

    Attributes:
        waiting: Flows that wait for room, by direction.
    """

    __slots__ = ("_paid", "_rate", "_reach", "waiting")

    def __init__(self, plan: BandwidthPlan, now: int) -> None:
        self._rate, self._reach = plan.rate, reach_of(plan.rate, plan.burst)
        self._paid = [now - FIRST_NS, now - FIRST_NS]
        self.waiting = [0, 0]

    def room(self, way: int, now: int) -> int:
        """Return how many bytes may pass in a direction now."""
        return room(self._paid[way], now, self._rate, self._reach)

    def pay(self, way: int, count: int, now: int) -> None:
        """Note that so many bytes have passed."""
        self._paid[way] = pay(self._paid[way], now, count, self._rate, self._reach)

    def ready_at(self, way: int, count: int, now: int) -> int:
        """Return when there will be room for so many bytes, or for what the burst allows; unit ns."""
        return min(ready_at(self._paid[way], count, self._rate), max(self._paid[way], now) + self._reach)


class SharedMeter:
    """
    A bucket that many flows of all workers share.

    Those that wait in one worker are told in one turn of its wheel, and divide what there is evenly.

    Args:
        table: Where it lies.
        slot: Returns the slot at a time, 0 where the table has no room; then nothing is metered.
        plan: How much all of them have.

    Attributes:
        waiting: Flows of this worker that wait for room, by direction.
    """

    __slots__ = ("__weakref__", "_portion", "_rate", "_reach", "_slot", "_table", "_turn", "waiting")

    def __init__(self, table: LimitTable, slot: Callable[[int], int], plan: BandwidthPlan) -> None:
        self._table, self._slot = table, slot
        self._rate, self._reach = plan.rate, reach_of(plan.rate, plan.burst)
        self._turn, self._portion, self.waiting = [0, 0], [0, 0], [0, 0]

    def room(self, way: int, now: int) -> int:
        """Return how many bytes one flow may pass in a direction now."""
        slot = self._slot(now)
        if not slot:
            return self._rate
        free = room(self._table.words[slot + PAID + way], now, self._rate, self._reach)
        waiting = self.waiting[way]
        if waiting <= 1 and self._table.seats == 1:
            return free
        if self._turn[way] != now >> SLOT_BITS:
            self._turn[way] = now >> SLOT_BITS
            half = 1 if self._table.seats == 1 else 2  # other workers wake at the same time
            self._portion[way] = max(free // (half * max(waiting, 1)), LEAST_BYTES)
        return min(free, self._portion[way])

    def pay(self, way: int, count: int, now: int) -> None:
        """Note that so many bytes have passed."""
        slot = self._slot(now)
        if slot:
            self._table.pay(slot, way, count, self._rate, self._reach, now)

    def ready_at(self, way: int, count: int, now: int) -> int:
        """
        Return when it is worth to look again: there is as much for each that waits, or a while is over; unit ns.

        The more wait, the longer the while: what a few of them get shall be even, what a crowd costs shall be little.
        """
        slot = self._slot(now)
        paid = self._table.words[slot + PAID + way] if slot else now
        waiting = max(1, self.waiting[way])
        all_can = ready_at(paid, count * waiting, self._rate)
        a_while = min(FIRST_NS + waiting * EACH_NS, self._reach // 2)
        return max(ready_at(paid, count, self._rate), min(all_can, max(paid, now) + a_while))
