"""
What an operator reads of connections that went wrong: a few lines whole, and one line for all that are like them.

Like are those that were refused, and those that failed. Of each word for why, the first three within five seconds are
told in full. All others become one line with counts by why and those clients that did it most: after five seconds, or
as soon as there are a hundred, or fifty in one tick; and at the end. So an attack writes about as much as a bad minute.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.base.addresses import unpack_ip
from penstock.base.clock import NS
from penstock.metrics.snapshot import EndedView
from penstock.metrics.troubled import Troubled
from penstock.metrics.wording import outcome_of
from penstock.node.log import Log

WHOLE = 3
"""Lines in full for each word within `WINDOW_NS`: one may be chance, three show what they have in common."""

LINES = 20
"""Lines in full in one tick, whatever their words. A screen holds about twenty."""

WINDOW_NS = 5 * NS
EVENTS = 100
BURST = 50
"""When a sum is told: FEATURES B7."""

NAMED = 5
"""Clients that a sum names."""

CLIENTS = 1_000
"""Clients that are counted by name for that at once, as many as have trackers."""


class Summaries:
    """
    Tells of connections that were refused or failed.

    Args:
        log: Where to.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._sums = {True: _Sum(), False: _Sum()}
        self._whole: Counter[str] = Counter()
        self._window_ns: int | None = None

    def tell(self, troubles: Sequence[EndedView], troubled: Troubled, now_ns: int) -> None:
        """
        Tell of one tick.

        Args:
            troubles: Some of what went wrong, in full.
            troubled: Whose it was, all of it.
            now_ns: Monotonic time; unit ns.
        """
        if self._window_ns is not None and now_ns - self._window_ns >= WINDOW_NS:
            self.flush(now_ns)
        if not len(troubled.counts):
            return
        if self._window_ns is None:
            self._window_ns = now_ns
        grown = self._count(troubled)
        self._say_some(troubles)
        for refused, each in self._sums.items():
            if each.count >= EVENTS or min(grown[refused], each.count) >= BURST:
                self._say_sum(refused, now_ns)

    def flush(self, now_ns: int) -> None:
        """Tell what is left to be told."""
        for refused in self._sums:
            self._say_sum(refused, now_ns)
        self._whole.clear()
        self._window_ns = None

    def _count(self, troubled: Troubled) -> dict[bool, int]:
        grown = {True: 0, False: 0}
        words, places = np.unique(troubled.outcomes, return_inverse=True)
        counts = np.zeros(len(words), np.int64)
        np.add.at(counts, places, troubled.counts)
        sums: dict[int, _Sum] = {}
        for word, count in zip(words.tolist(), counts.tolist(), strict=True):
            outcome = outcome_of(word)
            refused = outcome.reason is not None
            sums[word] = self._sums[refused]
            self._sums[refused].whys[outcome.reason or outcome.ended_by.name.lower()] += count
            grown[refused] += count
        most = np.argsort(-troubled.counts, kind="stable")[:CLIENTS]
        columns = (each[most].tolist() for each in (troubled.outcomes, troubled.high, troubled.low, troubled.counts))
        for word, high, low, count in zip(*columns, strict=True):
            sums[word].blame((high, low), count)
        return grown

    def _say_some(self, troubles: Sequence[EndedView]) -> None:
        left = LINES
        for trouble in troubles:
            word = why(trouble)
            if not left or self._whole[word] >= WHOLE:
                continue
            left -= 1
            self._whole[word] += 1
            refused = bool(trouble.reason)
            self._sums[refused].whys[word] -= 1
            say = self._log.error if trouble.ended_by == "internal" else self._log.info
            say("connection refused" if refused else "connection failed", **_fields(trouble))

    def _say_sum(self, refused: bool, now_ns: int) -> None:
        each, self._sums[refused] = self._sums[refused], _Sum()
        if not each.count or self._window_ns is None:
            return
        self._log.warning(
            "more connections refused" if refused else "more connections failed",
            count=each.count,
            seconds=max(1, round((now_ns - self._window_ns) / NS)),
            **{word: count for word, count in each.whys.most_common() if count},
            top=each.top(),
        )


class _Sum:
    """
    What is to be told in one line.

    Attributes:
        whys: Connections by the word for why.
    """

    def __init__(self) -> None:
        self.whys: Counter[str] = Counter()
        self._clients: dict[tuple[int, int], int] = {}

    @property
    def count(self) -> int:
        """Return how many connections it stands for."""
        return self.whys.total()

    def blame(self, client: tuple[int, int], count: int) -> None:
        """Count a client by name, as long as there is room; who did more in one tick than before took room first."""
        before = self._clients.get(client, 0)
        if before or len(self._clients) < CLIENTS:
            self._clients[client] = before + count

    def top(self) -> str:
        """Return the clients that did it most, those told in full included, as `192.0.2.7 (12), 192.0.2.9 (3)`."""
        return ", ".join(f"{_text(client)} ({count})" for client, count in Counter(self._clients).most_common(NAMED))


def _text(client: tuple[int, int]) -> str:
    return unpack_ip(np.array(client, np.uint64).tobytes())


def _fields(trouble: EndedView) -> dict[str, Any]:
    fields = {
        "why": why(trouble),
        "detail": trouble.detail,
        "listener": trouble.listener,
        "client": trouble.client,
        "user": trouble.user,
        "destination": trouble.destination,
        "target": trouble.target,
        "phase": trouble.phase,
        "seconds": round(trouble.duration, 3),
        "id": trouble.id,
    }
    return {key: value for key, value in fields.items() if value != ""}


def why(trouble: EndedView) -> str:
    """Return the word for what went wrong: the reason of a refusal, else who ended the connection."""
    return trouble.reason or trouble.ended_by
