"""What goes wrong again and again: told of each route once in a while, with how often it was not told."""

from collections.abc import Callable

from penstock.base.bounds import ROUTES
from penstock.base.clock import NS
from penstock.dataplane import orders
from penstock.dataplane.reactor import Reactor

WINDOW_NS = 10 * NS
"""What goes wrong on a route is told of once in this time."""


class Complaints:
    """
    Tells the operator of one kind of failure.

    Args:
        event: What has failed, in words that stay the same.
        reactor: Whose time counts.
        report: Tells the supervisor.
    """

    def __init__(self, event: str, reactor: Reactor, report: Callable[[orders.Notice], object]) -> None:
        self._event, self._reactor, self._report = event, reactor, report
        self._told: dict[str, tuple[int, int]] = {}

    def say(self, route: str, why: str, level: str = "warning") -> None:
        """
        Tell what has gone wrong on a route; within a window only count it.

        Args:
            route: Its name.
            why: One line.
            level: How bad it is: `info` or `warning`.
        """
        now = self._reactor.now
        until, skipped = self._told.get(route, (0, 0))
        if now < until:
            self._told[route] = until, skipped + 1
            return
        if len(self._told) >= ROUTES:  # of plans of before
            self._told.clear()
        self._told[route] = now + WINDOW_NS, 0
        more = f" ({skipped} more times since it was last told)" if skipped else ""
        self._report(orders.Notice(level, self._event, f"route {route}: {why}{more}"))
