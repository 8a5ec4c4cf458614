"""
Minutes of clients and users, gathered from their trackers in exact numbers.

What keys grew by is asked for at the end of each minute and at each checkpoint; so it counts for the minute in which it
was asked for, and nothing for two.
"""

from collections import deque

from penstock.metrics.keys import OTHER_NAME
from penstock.metrics.kinds import CLIENT, USER, Kinds
from penstock.metrics.rollups import Minute, SavedMinute, row
from penstock.metrics.saved import SavedError

MINUTE = 60

WAITING = 120
"""Minutes that wait at most; they are taken once an hour or oftener (`store.flush`)."""

NAMED = 2_000
"""Names of a kind in one minute: twice those that have a place by default, since some leave and others come."""

_COLUMNS = 4


class Minutes:
    """
    What clients and users did, minute by minute.

    Attributes:
        keeps: Whether minutes are gathered at all, which is when somebody takes them.
    """

    def __init__(self) -> None:
        self.keeps = False
        self._minute = 0
        self._growth: dict[str, dict[str, list[int]]] = {CLIENT: {}, USER: {}}
        self._done: deque[Minute] = deque(maxlen=WAITING)

    def tick(self, at: int, kinds: Kinds) -> None:
        """
        End a tick.

        Args:
            at: The wall second of the tick; unit s since the epoch.
            kinds: Their trackers, ticked.
        """
        if not self.keeps:
            return
        minute = (at - 1) // MINUTE  # the sample that ends a minute belongs to it
        if minute != self._minute:
            self._seal()
        self._minute = minute
        if at % MINUTE == 0:
            self.gather(kinds)

    def gather(self, kinds: Kinds) -> None:
        """Ask trackers what their keys grew by, once it is known which minute it is. Cost: O(keys that grew)."""
        if not self.keeps or not self._minute:
            return
        for kind, growth in self._growth.items():
            tracker = kinds.trackers.get(kind)
            for key, connections, requests, bytes_in, bytes_out in tracker.drain_minute() if tracker else ():
                _add(growth, key, (bytes_in, bytes_out, requests, connections))

    def take(self) -> tuple[Minute, ...]:
        """Return minutes that are over, each once."""
        done = tuple(self._done)
        self._done.clear()
        return done

    def export(self) -> SavedMinute:
        """Return the minute that is not over."""
        growth = {
            f"{kind}:{key}": tuple(numbers) for kind, names in self._growth.items() for key, numbers in names.items()
        }
        return SavedMinute(minute=self._minute, covered=0.0, growth=growth)

    def restore(self, saved: SavedMinute) -> None:
        """
        Seal the minute in which an earlier run ended. What this run adds to the same minute is added up later.

        Raises:
            SavedError: If it is none.
        """
        if not 0 <= saved.minute < 2**34 or any(len(numbers) != _COLUMNS for numbers in saved.growth.values()):
            raise SavedError("SavedMinute: it is no minute")
        if self.keeps and saved.growth:
            self._done.append(_rolled(saved))

    def _seal(self) -> None:
        if any(self._growth.values()):
            self._done.append(_rolled(self.export()))
        for growth in self._growth.values():
            growth.clear()


def _add(growth: dict[str, list[int]], key: str, numbers: tuple[int, int, int, int]) -> None:
    if key not in growth and len(growth) >= NAMED:
        key = OTHER_NAME
    sums = growth.setdefault(key, [0] * _COLUMNS)
    for column, number in enumerate(numbers):
        sums[column] += number


def _rolled(saved: SavedMinute) -> Minute:
    return Minute((saved.minute + 1) * MINUTE, 0, tuple(row(name, *numbers) for name, numbers in saved.growth.items()))
