"""
What rows say in words: users, and destinations, which are what clients ask for or else the target that serves them.

A text is read when it is new: when its TEXT word or the target of its row is another one than at the last tick. So the
cost is that of new connections, not of open ones. What is half written is read at the next tick.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.growth import Growth, Words
from penstock.metrics.keyed import Told, distinct
from penstock.metrics.keys import Kind
from penstock.metrics.ledger import TARGET_SHIFT, TEXT
from penstock.metrics.scopes import NO_TARGET, TargetScope
from penstock.metrics.wording import parse_texts

_SILENT = b"\0\0"
"""A text that says nothing."""

Said = tuple[list[str], NDArray[np.intp]]
"""Texts, and which of them each row says."""

_TARGET_BITS = np.uint64(16)
_TARGET = np.uint64(0xFFFF)
_DOWN = np.uint64(TARGET_SHIFT)


def _same(text: str) -> str:
    return text


def _unless_empty(text: str) -> str | None:
    return text or None


USERS = Kind("user", "", _same, _unless_empty)

DESTINATIONS = Kind("destination", "", _same, lambda text: text.lower() or None)


class TextWatch:
    """
    Sees which rows of one worker say something new.

    Args:
        targets: Configured targets, by id.
    """

    def __init__(self, targets: Mapping[int, TargetScope]) -> None:
        self._targets = targets
        self._marks: Words = np.zeros(0, np.uint64)

    def told(self, growth: Growth) -> tuple[Told, Told]:
        """Return what rows say of users, and of destinations."""
        rows, words = growth.rows, growth.rows.words
        undecided, targets = growth.undecided, growth.scopes >> _DOWN & _TARGET
        targets[np.flatnonzero(undecided)] = 0  # before its dial is over another one may be tried
        marks = words[:, TEXT] << _TARGET_BITS | targets
        known = self._known(rows.position)
        known[np.flatnonzero(growth.fresh)] = 0
        news, *said = self._read(growth, np.flatnonzero(marks != known), targets)
        known[news] = marks[news]
        self._marks[rows.position] = known

        def ask(asked: NDArray[np.intp], which: int) -> list[str | None]:
            found, *said = self._read(growth, asked, targets)
            keys, each = said[which]
            answers = {row: keys[number] for row, number in zip(found.tolist(), each.tolist(), strict=True)}
            return [answers.get(row) for row in asked.tolist()]

        return (
            Told(news, *said[0], undecided, lambda asked: ask(asked, 0)),
            Told(news, *said[1], undecided, lambda asked: ask(asked, 1)),
        )

    def _known(self, position: NDArray[np.intp]) -> Words:
        missing = int(position[-1]) + 1 - len(self._marks) if len(position) else 0
        if missing > 0:
            self._marks = np.pad(self._marks, (0, missing))
        return self._marks[position]

    def _read(self, growth: Growth, rows: NDArray[np.intp], targets: Words) -> tuple[NDArray[np.intp], Said, Said]:
        """Return which rows could be read, and what they say of their users and destinations."""
        raws, whole = growth.reader.raw_texts(growth.rows.position[rows], growth.rows.serial[rows])
        whole |= growth.rows.words[rows, TEXT] == 0  # nothing was written yet, and nothing is what is read
        if not whole.all():
            raws, rows = [raw for raw, good in zip(raws, whole.tolist(), strict=True) if good], rows[whole]
        texts, each = distinct([raw or _SILENT for raw in raws])
        users, destinations = split(texts)
        return rows, (users, each), self._served(destinations, each, targets[rows])

    def _served(self, destinations: list[str], each: NDArray[np.intp], targets: Words) -> Said:
        """Return destinations; where none was asked for, those are the targets that serve."""
        if "" not in destinations:
            return destinations, each
        silent = np.flatnonzero(np.array([not asked for asked in destinations])[each])
        serving = targets[silent].astype(np.intp)
        there = np.flatnonzero(np.bincount(serving))
        number = np.zeros(int(there.max(initial=0)) + 1, np.intp)
        number[there] = np.arange(len(destinations), len(destinations) + len(there))
        each = each.copy()
        each[silent] = number[serving]
        named = [self._targets.get(target, NO_TARGET).address.lower() for target in there.tolist()]
        return destinations + named, each


def split(raws: list[bytes]) -> tuple[list[str], list[str]]:
    """
    Return users and destinations of texts that `Ledger.describe` wrote.

    Cost: 0.3 us a text. All are looked at together; one by one only if there is something in them that cannot be shown,
    or more than the two zeros that each of them has.
    """
    text = b"\n".join(raws).decode("utf-8", "replace")
    if text.count("\0") == 2 * len(raws) and text.replace("\0", "").replace("\n", "").isprintable():
        parts = text.replace("\n", "\0").split("\0")
        if len(parts) == 3 * len(raws):
            return parts[1::3], list(map(str.lower, parts[::3]))
    found = [parse_texts(raw) for raw in raws]
    return [texts.user for texts in found], [texts.destination.lower() for texts in found]
