"""A clock that stands still until it is told."""

from penstock.base.clock import NS


class ManualClock:
    """
    Both of `base.clock.Clock`, moved by hand and together.

    Args:
        now_ns: Where the monotonic clock begins; unit ns.
        wall_ns: Where the wall clock begins; unit ns since the epoch.
    """

    def __init__(self, now_ns: int = 1_000 * NS, wall_ns: int = 1_700_000_000 * NS) -> None:
        self._now, self._wall = now_ns, wall_ns

    def monotonic_ns(self) -> int:
        """Return the time that has passed; unit ns."""
        return self._now

    def wall_ns(self) -> int:
        """Return the time of day; unit ns since the epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks; unit s."""
        self._now += round(seconds * NS)
        self._wall += round(seconds * NS)
