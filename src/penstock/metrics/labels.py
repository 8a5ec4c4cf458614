"""
Counters of the busiest keys of one kind, for exporters that give each a series of its own.

A series may only grow, and readers take what it grows by for traffic. Totals by place would not do: they begin anew
when a key comes again, and `other` would jump by all that a key had counted when it leaves. So these counters are made
of what grew in each tick: for the key's own series while it has one, for `other` while it has none. What a series
showed is remembered when another key gets its label, and goes on if the key comes back.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.growth import Numbers
from penstock.metrics.keys import (
    C_CONNECTIONS,
    C_IN,
    C_OUT,
    FIRST,
    NOBODY,
    NOBODY_NAME,
    OTHER,
    OTHER_NAME,
    TOTALS,
    Key,
    Kind,
)
from penstock.metrics.rings import Floats

LABELS = 100
"""Keys of a kind with series of their own. Each has four, so those of all three kinds are 1,224 with `other` and `-`: a
quarter of the 5,000 that one scrape shall serve in 50 ms."""

REMEMBERED = 10 * LABELS
"""Series that are remembered. A key that was forgotten begins at zero again, as after a restart; readers know that."""

REVIEW = 60
"""Ticks between two looks at who deserves a label."""

CHANGES = LABELS // 10
"""Labels that pass on in one review: a reader's graph is worth more than the exact order."""

MARGIN = 2
"""How many times as much as the weakest key with a label another must have moved in five minutes to get it."""


class KeySeries(NamedTuple):
    """
    What is served of one key.

    Args:
        name: The key as text, `other` or `-`.
        connections, bytes_in, bytes_out: Since the key first got a label.
        active: Open now.
    """

    name: str
    connections: int
    bytes_in: int
    bytes_out: int
    active: int


class Labels:
    """
    Who has a label, and what it counts.

    Args:
        kind: Of the keys.
        limit: Labels at most, 1 or more; `other` and `-` are not among them.
    """

    def __init__(self, kind: Kind, limit: int = LABELS) -> None:
        self._kind = kind
        self._slots: dict[Key, int] = {}
        self._keys: list[Key | None] = [None] * (FIRST + limit)
        self._free = list(range(FIRST + limit - 1, FIRST - 1, -1))
        self._counts: Numbers = np.zeros((TOTALS, FIRST + limit), np.int64)
        self._active: Numbers = np.zeros(FIRST + limit, np.int64)
        self._retired: dict[Key, Numbers] = {}
        self._ticks = 0

    def push(self, keys: Sequence[Key | None], grown: Numbers, active: Numbers, recent: Callable[[], Floats]) -> None:
        """
        Add what grew in a tick.

        Args:
            keys: Whose place each is.
            grown: Growth by place; shape (keys.TOTALS, places).
            active: Open connections by place; shape (places,).
            recent: Returns what the places moved in five minutes; shape (places, RATES). Asked once in `REVIEW` ticks.
        """
        self._ticks += 1
        slots = self._slots_of(keys)
        if self._free:
            without = (slots == OTHER) & (grown.any(axis=0) | (active > 0))
            self._admit(keys, without, grown[C_IN] + grown[C_OUT])
            slots = self._slots_of(keys)
        elif self._ticks % REVIEW == 0:
            self._review(keys, slots, recent().sum(axis=1))
            slots = self._slots_of(keys)
        np.add.at(self._counts.T, slots, grown.T)
        self._active[:] = 0
        np.add.at(self._active, slots, active)

    def rest(self) -> None:
        """Show nothing open: the kind is switched off."""
        self._active[:] = 0

    def series(self) -> list[KeySeries]:
        """Return every series: of those that have a label, of nobody once there was one, and of all others."""
        counts = self._counts[[C_CONNECTIONS, C_IN, C_OUT]].T.tolist()
        active = self._active.tolist()
        named = [(self._kind.text(key), slot) for key, slot in self._slots.items()]
        if counts[NOBODY][0]:
            named.append((NOBODY_NAME, NOBODY))
        named.append((OTHER_NAME, OTHER))
        return [KeySeries._make((name, *counts[slot], active[slot])) for name, slot in named]

    def _slots_of(self, keys: Sequence[Key | None]) -> NDArray[np.intp]:
        slots = np.array(list(map(self._slots.get, keys, repeat(OTHER))), np.intp)
        slots[NOBODY] = NOBODY
        return slots

    def _admit(self, keys: Sequence[Key | None], without: NDArray[np.bool_], moved: NDArray[np.number]) -> None:
        """Give free labels to the busiest of these places."""
        places = np.flatnonzero(without)
        places = places[np.argsort(-moved[places], kind="stable")]
        for place in places.tolist():
            if not self._free:
                break
            if keys[place] is not None:
                self._give(keys[place], self._free.pop())

    def _review(self, keys: Sequence[Key | None], slots: NDArray[np.intp], moved: Floats) -> None:
        """Pass labels on from who moved little to who moved much."""
        weight = np.zeros(len(self._keys))
        np.add.at(weight, slots, moved)
        weakest = FIRST + np.argsort(weight[FIRST:], kind="stable")[:CHANGES]
        better = np.flatnonzero(slots == OTHER)
        better = better[better >= FIRST]
        better = better[np.argsort(-moved[better], kind="stable")[:CHANGES]]
        for slot, place in zip(weakest.tolist(), better.tolist(), strict=False):
            if keys[place] is None or moved[place] <= MARGIN * weight[slot]:
                break
            self._retire(slot)
            self._give(keys[place], slot)

    def _give(self, key: Key, slot: int) -> None:
        self._slots[key], self._keys[slot] = slot, key
        self._counts[:, slot] = self._retired.pop(key, 0)

    def _retire(self, slot: int) -> None:
        key = self._keys[slot]
        del self._slots[key]
        self._retired[key] = self._counts[:, slot].copy()
        if len(self._retired) > REMEMBERED:
            del self._retired[next(iter(self._retired))]
