"""When a dead worker is started again: at once, then later and later, until one has lived long enough to be trusted."""

from typing import NamedTuple

from penstock.base.clock import NS

FIRST_NS = NS // 10
"""Delay after the second death in a row; systemd's RestartSec default is 100 ms as well."""

LONGEST_NS = 30 * NS
"""Where doubling ends: a cause that heals, such as memory pressure, is met again within half a minute."""

TRUSTED_NS = 60 * NS
"""A life this long ends a row of deaths."""

LOOP_DEATHS = 3
"""Deaths in a row that make a crash loop: two may be one bad moment."""

LOOP_WINDOW_NS = 60 * NS
"""A crash loop is said once in this time."""


class Respawn(NamedTuple):
    """
    What to do about one death.

    Args:
        delay_ns: Time until the next start; unit ns, 0 for at once.
        deaths: Deaths in a row, this one included.
        say: Whether this death deserves a line of its own in the log.
    """

    delay_ns: int
    deaths: int
    say: bool

    @property
    def loops(self) -> bool:
        """Return whether the worker is in a crash loop."""
        return self.deaths >= LOOP_DEATHS


class Backoff:
    """The deaths of one worker's seat."""

    __slots__ = ("_deaths", "_said_ns")

    def __init__(self) -> None:
        self._deaths = 0
        self._said_ns: int | None = None

    def died(self, started_ns: int, now_ns: int) -> Respawn:
        """
        Return when to start the next one.

        Args:
            started_ns: Monotonic time at which the dead worker was started; unit ns.
            now_ns: Monotonic time of its death; unit ns.
        """
        self._deaths = 1 if now_ns - started_ns >= TRUSTED_NS else self._deaths + 1
        return Respawn(delay_after(self._deaths), self._deaths, self._is_said(now_ns))

    def _is_said(self, now_ns: int) -> bool:
        if self._deaths < LOOP_DEATHS:
            return True
        if self._said_ns is not None and now_ns - self._said_ns < LOOP_WINDOW_NS:
            return False
        self._said_ns = now_ns
        return True


def delay_after(deaths: int) -> int:
    """Return the delay after so many deaths in a row, 1 or more; unit ns."""
    if deaths <= 1:
        return 0
    return min(FIRST_NS << min(deaths - 2, 16), LONGEST_NS)
