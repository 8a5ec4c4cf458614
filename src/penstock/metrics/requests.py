"""Requests that are over: how many by listener, route and status, and how long they took."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct

from penstock.base.clock import NS
from penstock.metrics import catalog
from penstock.metrics.histogram import SCALE, Distribution
from penstock.metrics.ledger import ROUTE_SHIFT
from penstock.metrics.saved import MOST, Bins, SavedError, Whole
from penstock.metrics.scopes import Scopes
from penstock.metrics.tallied import Tallied, Values
from penstock.metrics.tallies import BUCKET_COUNT, CODES, NO_CODE

NO_STATUS = "-"
"""What the status of a request is called that has none."""


class RequestsView(Struct, frozen=True):
    """
    Requests that are over, up to one tick.

    Args:
        codes: Listener, route, status or `-`, and how many. Numbers that nobody knows are all called `-`.
        durations: Listener, route, and how long they took; unit s.
    """

    codes: tuple[tuple[str, str, str, int], ...]
    durations: tuple[tuple[str, str, Distribution], ...]


Code = Annotated[int, Meta(ge=0, lt=CODES)]


class SavedRequests(Struct, frozen=True, kw_only=True):
    """
    Totals by name.

    Args:
        version: Of this struct.
        codes: Listener, route, status, 0 for none, and how many.
        bounds: Of what follows them.
        durations: Listener, route, and how long requests took; unit s.
    """

    version: Literal[1] = 1
    codes: tuple[tuple[str, str, Code, Whole], ...]
    bounds: tuple[float, ...]
    durations: tuple[tuple[str, str, Bins], ...]


class Requests:
    """
    Totals of requests by listener and route. Names that a plan no longer has count for `-`.

    Args:
        scopes: Names of listeners and routes; their pairs are there from the start.

    Cost: for each pair 128 bytes, and 200 bytes for each status that it had; at most CODES of them.
    """

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._codes: dict[tuple[int, int], dict[int, int]] = {}
        self._counts: dict[tuple[int, int], Values] = {}
        self._sums: dict[tuple[int, int], int] = {}
        self._view: RequestsView | None = None
        for pair in scopes.pairs:
            self._meet(pair)

    def _meet(self, pair: tuple[int, int]) -> None:
        if pair not in self._codes:
            self._codes[pair] = {NO_CODE: 0}
            self._counts[pair] = np.zeros(len(catalog.REQUEST_BOUNDS) + 1, np.int64)
            self._sums[pair] = 0

    def replan(self) -> None:
        """Begin with the pairs that the scopes name since they have changed."""
        for pair in self._scopes.pairs:
            self._meet(pair)
        self._view = None

    def add(self, tallied: Tallied, *, timed: bool = True) -> None:
        """Add what the fold of one worker returned, durations only if they are wanted."""
        grown = tallied.codes.any(axis=1) | tallied.buckets.any(axis=1)  # a dead worker's slots are read, used or not
        for place in np.flatnonzero(grown).tolist():
            pair = tallied.pairs[place]
            self._view = None
            self._meet(pair)
            codes, row = self._codes[pair], tallied.codes[place]
            for code in np.flatnonzero(row).tolist():
                codes[code] = codes.get(code, 0) + int(row[code])
            if timed:
                np.add.at(self._counts[pair], _PLACES, tallied.buckets[place])
                self._sums[pair] += int(tallied.sums[place])

    def forget_durations(self) -> None:
        """Begin anew to count how long requests take."""
        for counts in self._counts.values():
            counts[:] = 0
        self._sums = dict.fromkeys(self._sums, 0)
        self._view = None

    def view(self) -> RequestsView:
        """Return what was counted so far; the same object as long as nothing changes."""
        if self._view is None:
            served = tuple(found for pair, found in self._durations() if self._scopes.serves(*pair))
            self._view = RequestsView(tuple(self._named_codes()), served)
        return self._view

    def export(self) -> SavedRequests:
        """Return all totals by name."""
        return SavedRequests(
            codes=tuple((*self._names(pair), code, count) for pair, code, count in self._each() if count),
            bounds=catalog.REQUEST_BOUNDS,
            durations=tuple((one, two, Bins(found.counts, found.sum)) for _, (one, two, found) in self._durations()),
        )

    def restore(self, saved: SavedRequests) -> None:
        """
        Add totals of an earlier run.

        Raises:
            SavedError: If they are beyond belief, or were counted by other bounds; nothing is added then.
        """
        counted = [count for *_, count in saved.codes] + [n for *_, bins in saved.durations for n in bins.counts]
        if sum(counted) > MOST or sum(bins.sum for *_, bins in saved.durations) * NS > MOST:
            raise SavedError("totals are too large")
        buckets = len(saved.bounds) + 1
        if saved.bounds != catalog.REQUEST_BOUNDS or any(len(bins.counts) != buckets for *_, bins in saved.durations):
            raise SavedError("other bounds")
        for *names, code, count in saved.codes:
            codes = self._codes[self._called(*names)]
            codes[code] = codes.get(code, 0) + count
        for *names, bins in saved.durations:
            pair = self._called(*names)
            self._counts[pair] += np.array(bins.counts, np.int64)
            self._sums[pair] += round(bins.sum * NS)
        self._view = None

    def _called(self, listener: str, route: str) -> tuple[int, int]:
        """Return the ids of these names, 0 for those that nobody has."""
        found = self._scopes.called(listener)
        ids = {each.name: each.id for each in self._scopes.routes.values()}
        pair = found.id if found else 0, ids.get(route, 0)
        self._meet(pair)
        return pair

    def _each(self) -> Iterator[tuple[tuple[int, int], int, int]]:
        for pair, codes in self._codes.items():
            for code, count in sorted(codes.items()):
                yield pair, code, count

    def _names(self, pair: tuple[int, int]) -> tuple[str, str]:
        scope = pair[0] | pair[1] << ROUTE_SHIFT
        return self._scopes.of(scope)[0].name, self._scopes.route_of(scope).name

    def _named_codes(self) -> list[tuple[str, str, str, int]]:
        return [
            (*self._names(pair), str(code) if code else NO_STATUS, count)
            for pair, code, count in self._each()
            if self._scopes.serves(*pair)
        ]

    def _durations(self) -> Iterator[tuple[tuple[int, int], tuple[str, str, Distribution]]]:
        for pair, counts in self._counts.items():
            found = Distribution(catalog.REQUEST_BOUNDS, tuple(counts.tolist()), self._sums[pair] / NS)
            yield pair, (*self._names(pair), found)


def _places() -> Values:
    """Return between which of the published bounds the middle of each bucket lies; shape (BUCKET_COUNT,)."""
    bounds = np.array(catalog.REQUEST_BOUNDS) * NS
    base = 2.0 ** (2.0**-SCALE)
    middles = 2 * base ** np.arange(BUCKET_COUNT) / (1 + base)
    places: Values = np.searchsorted(bounds, middles).astype(np.int64)
    return places


_PLACES = _places()
