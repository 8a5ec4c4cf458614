"""The clock that stands still."""

from penstock.base.clock import NS, Clock
from penstock.testing.clock import ManualClock


def test_time_passes_only_by_hand():
    """Both clocks stand still until they are advanced, and then move together."""
    clock: Clock = ManualClock(now_ns=5, wall_ns=7)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (5, 7)
    clock.advance(1.5)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (5 + 3 * NS // 2, 7 + 3 * NS // 2)
