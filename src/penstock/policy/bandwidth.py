"""
Token buckets of bytes, as one number each: until when what has passed is paid for.

A byte costs 1 / rate of time. A bucket whose time is behind has room for what that time is worth, but for no more than
its burst; one whose time is ahead has none until then. So a bucket is one word, refills by itself, and what was taken
too much is only paid later. Precedent: the generic cell rate algorithm (ITU-T I.371), as a continuous bucket.

A bucket begins with a twentieth of a second, not with its burst: the burst is for who has paused. So a flow that never
pauses has had at most its rate and 1 % more after five seconds.
"""

from penstock.base.clock import NS

FIRST_NS = NS // 20
"""What a new bucket has room for."""

LEAST_BYTES = 1_448
"""What is waited for, if more is wanted: the bytes of one segment on Ethernet (RFC 879, with timestamps)."""


def reach_of(rate: int, burst: int) -> int:
    """
    Return how far behind a bucket's time may stay; unit ns.

    Args:
        rate: Bytes a second; 1 or more.
        burst: Bytes that pass at once after a pause.
    """
    return burst * NS // rate


def room(paid: int, now: int, rate: int, reach: int) -> int:
    """
    Return how many bytes may pass.

    Args:
        paid: The bucket: until when all is paid; monotonic time, unit ns.
        now: Monotonic time; unit ns.
        rate: Bytes a second.
        reach: Of `reach_of`.
    """
    behind = now - paid
    return 0 if behind <= 0 else min(behind, reach) * rate // NS


def pay(paid: int, now: int, count: int, rate: int, reach: int) -> int:
    """Return the bucket after `count` bytes have passed; the other arguments are those of `room`."""
    return max(paid, now - reach) - -count * NS // rate


def ready_at(paid: int, count: int, rate: int) -> int:
    """Return when there will be room for `count` bytes, if nobody else takes it; monotonic time, unit ns."""
    return paid - -count * NS // rate
