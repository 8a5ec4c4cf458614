"""How far a drain is: a line in the log every few seconds, and what systemd wants to hear to wait for its end."""

from collections.abc import Callable

from penstock.base.clock import NS
from penstock.node.log import Log
from penstock.node.notify import notify

TELL_NS = 5 * NS
"""Between two lines: as often as somebody who watches looks, and twelve a minute in a log."""

EXTEND_US = 15_000_000
"""What systemd is asked to wait from each line on (EXTEND_TIMEOUT_USEC of sd_notify(3)): three of them may be late."""


class Progress:
    """
    The progress of one drain.

    Args:
        log: Where it is told.
        tell: Tells systemd.

    Attributes:
        began_with: Connections that were open when it began; None before that.
    """

    def __init__(self, log: Log, tell: Callable[[str], object] = notify) -> None:
        self._log, self._tell = log, tell
        self._told_ns = 0
        self.began_with: int | None = None

    def see(self, active: int, now_ns: int, cut_ns: int | None) -> None:
        """
        Tell it, if that is due.

        Args:
            active: Connections that are open.
            now_ns: Monotonic time; unit ns.
            cut_ns: When what still runs is cut; None while nobody knows.
        """
        if self.began_with is None:
            self.began_with = active
        elif now_ns - self._told_ns < TELL_NS:
            return
        if not active:
            return
        self._told_ns = now_ns
        what = f"{active} {'connection' if active == 1 else 'connections'} left"
        left = {} if cut_ns is None else {"cut_in": f"{max(0, cut_ns - now_ns) / NS:.0f}s"}
        self._log.info(f"drain: {what}", began_with=self.began_with, **left)
        self._tell(f"STATUS=Draining: {what} of {self.began_with}\nEXTEND_TIMEOUT_USEC={EXTEND_US}")
