"""
Short trackers of client addresses: the busiest by name, all others together and exact.

An address is known as long as it has an open connection or moved something in the last five minutes. When no place is
left, connections of new addresses count for `other`; at the next tick places of addresses without open connections are
given up, those idle longest first, and the connections that moved most get them. What an address counted before it had
a place, and after it lost it, is in `other`: so all of them together are the node's, to the byte.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.addresses import is_ip, pack_ip, unpack_ip
from penstock.metrics.fold import BYTES_IN, BYTES_OUT, OPENED, Growth, Numbers
from penstock.metrics.ledger import CLIENT_RX, CLIENT_TX, IP_HIGH, IP_LOW
from penstock.metrics.rings import History, Ring, View

CLIENTS = 1_000
"""Addresses that are known at once; 2.9 MB. Busier nodes have more clients, but nobody reads a longer list."""

SECONDS = 300
"""Samples of each, and how long an idle address stays known: five minutes."""

OTHER = 0
"""The key of all addresses that have no place."""

RATES = ("bytes_in", "bytes_out")
"""What is sampled."""

_RX, _TX = 0, CLIENT_TX - CLIENT_RX
"""Columns of a row's growth."""

Ip = tuple[int, int]
"""The two words of an address in a row."""


class Picture(NamedTuple):
    """
    All known clients at one tick.

    Args:
        keys: Whose place each is; None for a free one and for `other`, the first.
        active: Open connections; shape (places,).
        totals: Connections, bytes_in and bytes_out since the address got its place; shape (3, places).
        view: Their samples.
        now: The tracker itself, to see whether a place has changed hands since.
    """

    keys: tuple[Ip | None, ...]
    active: Numbers
    totals: Numbers
    view: View
    now: "Clients"

    def find(self, ip: str) -> int | None:
        """Return the place of an address as text, `-` for Unix sockets; None if it has none."""
        if ip != "-" and not is_ip(ip):
            return None
        key = tuple(np.frombuffer(pack_ip(ip), np.uint64).tolist())
        return self.keys.index(key) if key in self.keys else None

    def known(self) -> list[int]:
        """Return the places that are taken, that of `other` not among them."""
        return [place for place, key in enumerate(self.keys) if key is not None]

    def history(self, place: int, seconds: int) -> History:
        """Return the graph of one place; empty if another address has it by now."""
        history = self.view.history(seconds, place)
        if place != OTHER and self.now.keys[place] != self.keys[place]:
            return History(history.at[:0], history.covered[:0], history.sums[:0])
        return history


def _moved(growth: Growth, rows: NDArray[np.intp]) -> Numbers:
    total: Numbers = growth.moved[rows, _RX] + growth.moved[rows, _TX]
    return total


def text_of(key: Ip) -> str:
    """Return an address as text; `-` for a client on a Unix socket."""
    return unpack_ip(np.array(key, np.uint64).tobytes())


class Clients:
    """
    Who moves what, by client address.

    Args:
        places: How many addresses are known at once, 1 or more.

    Attributes:
        keys: Whose place each is; the first is that of `other`.
        evicted: Addresses that lost their place to others, in all.

    Cost: O(rows that moved or opened) a fold; `tests/metrics/test_clients.py` holds the bounds of time and memory.
    """

    def __init__(self, places: int = CLIENTS) -> None:
        size = places + 1
        self.keys: list[Ip | None] = [None] * size
        self.evicted = 0
        self._places: dict[Ip, int] = {}
        self._free = list(range(size - 1, OTHER, -1))
        self._rows: dict[int, NDArray[np.int32]] = {}
        self._open: dict[int, Numbers] = {}
        self._totals: Numbers = np.zeros((3, size), np.int64)
        self._sealed: Numbers = self._totals.copy()
        self._used: Numbers = np.zeros(size, np.int64)
        self._ring = Ring(SECONDS, size, len(RATES))
        self._turned_away = 0

    @property
    def nbytes(self) -> int:
        """Return the memory of the ring once it is full; unit bytes."""
        return self._ring.nbytes

    def add(self, generation: int, growth: Growth) -> None:
        """Add what the fold of one worker's ledger returned."""
        rows = growth.rows
        places = self._placed(generation, growth)
        np.add.at(self._totals[0], places[growth.fresh], 1)
        moved = np.flatnonzero(growth.moved[:, _RX] | growth.moved[:, _TX])
        for total, column in ((1, _RX), (2, _TX)):
            np.add.at(self._totals[total], places[moved], growth.moved[moved, column])
        self._open[generation] = np.bincount(places[rows.open], minlength=len(self.keys))

    def forget(self, generation: int) -> None:
        """Let go of a worker that is no more."""
        self._rows.pop(generation, None)
        self._open.pop(generation, None)

    def push(self, at: int, covered: float) -> None:
        """
        End a tick.

        Args:
            at: The wall second of the tick; unit s since the epoch.
            covered: Time since the last one; unit s, above 0.
        """
        grown = self._totals - self._sealed
        self._used[grown.any(axis=0) | (self._active() > 0)] = self._ring.end
        self._ring.push(grown[1:].T, at, covered)
        self._sealed = self._totals.copy()
        self._leave()

    def carry(self, node: Numbers) -> None:
        """Add the node's totals of an earlier run to those of `other`; shape (fold.COLUMNS,)."""
        for numbers in (self._totals, self._sealed):
            numbers[:, OTHER] += node[[OPENED, BYTES_IN, BYTES_OUT]]

    def sums(self) -> dict[str, int]:
        """Return what all addresses add up to, `other` among them; for the audit."""
        connections, bytes_in, bytes_out = self._totals.sum(axis=1).tolist()
        return {"bytes_in": bytes_in, "bytes_out": bytes_out, "connections": connections}

    def picture(self) -> Picture:
        """Return everybody as of now."""
        return Picture(tuple(self.keys), self._active(), self._sealed.copy(), self._ring.view(), self)

    def _active(self) -> Numbers:
        return sum(self._open.values(), np.zeros(len(self.keys), np.int64))

    def _placed(self, generation: int, growth: Growth) -> NDArray[np.int32]:
        """Return the place of every row. A row keeps its place; one without gets one when there is room."""
        position, fresh = growth.rows.position, growth.fresh
        known = self._rows.get(generation, np.zeros(0, np.int32))
        missing = int(position[-1]) + 1 - len(known) if len(position) else 0
        if missing > 0:
            known = np.pad(known, (0, missing))
        places = known[position]
        places[fresh] = OTHER
        waiting = np.flatnonzero(fresh)
        if self._free:
            waiting = np.concatenate((waiting, self._busiest(growth, np.flatnonzero((places == OTHER) & ~fresh))))
        if len(waiting):
            waiting = waiting[np.argsort(-_moved(growth, waiting), kind="stable")]
            words = growth.rows.words
            ips = list(zip(words[waiting, IP_HIGH].tolist(), words[waiting, IP_LOW].tolist(), strict=True))
            places[waiting] = self._places_of(ips)
        known[position] = places
        self._rows[generation] = known
        return places

    def _busiest(self, growth: Growth, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return as many of these rows as there are free places, those that moved most."""
        return rows[np.argsort(-_moved(growth, rows), kind="stable")[: len(self._free)]]

    def _places_of(self, ips: list[Ip]) -> list[int]:
        """Return the place of each address; the first ones that have none get those that are free."""
        for ip in ips:
            if not self._free:
                break
            if ip not in self._places:
                self._settle(ip)
        places = [self._places.get(ip, OTHER) for ip in ips]
        self._turned_away += places.count(OTHER)
        return places

    def _settle(self, ip: Ip) -> None:
        place = self._places[ip] = self._free.pop()
        self.keys[place] = ip
        self._used[place] = self._ring.end

    def _leave(self) -> None:
        """Take places back: from who has been idle for as long as samples are kept, and more where they were missed."""
        active = self._active()
        idle = np.flatnonzero((self._used < self._ring.end - 1) & (active == 0))
        idle = idle[[self.keys[place] is not None for place in idle]]
        idle = idle[np.argsort(self._used[idle], kind="stable")]
        expired = int(np.count_nonzero(self._used[idle] < self._ring.end - SECONDS))
        wanted = min(len(idle), max(self._turned_away, int(active[OTHER])))
        self._turned_away = 0
        self.evicted += max(0, wanted - expired)
        self._vacate(idle[: max(expired, wanted)])

    def _vacate(self, places: NDArray[np.intp]) -> None:
        if not len(places):
            return
        for numbers in (self._totals, self._sealed):
            numbers[:, OTHER] += numbers[:, places].sum(axis=1)
            numbers[:, places] = 0
        samples = self._ring.samples
        samples[:, OTHER] += samples[:, places].sum(axis=1)
        samples[:, places] = 0
        for place in places.tolist():
            key = self.keys[place]
            if key is not None:
                del self._places[key]
            self.keys[place] = None
            self._free.append(place)
