"""The machine's clocks."""

import time

from penstock.base.clock import NS, SystemClock


def test_monotonic_time_is_the_one_that_processes_share():
    """The monotonic clock is CLOCK_MONOTONIC, whose readings compare across processes of one machine."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    now = SystemClock().monotonic_ns()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_wall_time_counts_from_the_epoch():
    """The wall clock counts nanoseconds since 1970."""
    assert abs(SystemClock().wall_ns() - time.time() * NS) < 60 * NS
