"""Time. Everywhere else time is an argument; these are the two places it comes from."""

import time
from typing import Protocol

NS = 1_000_000_000
"""Nanoseconds in a second."""


class Clock(Protocol):
    """What gives the time; `testing.clock.ManualClock` is the other one."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds on a clock that never goes back and that all processes of this machine share."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the epoch on a clock that an operator may set."""


class SystemClock:
    """The machine's clocks."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)
