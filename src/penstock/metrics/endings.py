"""What ended connections and requests measured: how long they took, how much was moved, how long dials took."""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from msgspec import Struct

from penstock.base.clock import NS
from penstock.metrics import catalog
from penstock.metrics.growth import Growth
from penstock.metrics.histogram import Bounded, Distribution, Exponential, SavedExponential, Values
from penstock.metrics.ledger import (
    CLIENT_RX,
    CLIENT_TX,
    DIALED,
    ENDED,
    REST,
    ROUTE_SHIFT,
    SCOPE,
    STARTED,
    STATE,
    TARGET_SHIFT,
)
from penstock.metrics.saved import GONE, Bins, Key, SavedError, target_keys
from penstock.metrics.scopes import Scopes

SHARES = (0.50, 0.95, 0.99)

_ID = 0xFFFF
_KIND = np.uint64(3)


class Percentiles(Struct, frozen=True, kw_only=True):
    """
    Of all connections, or requests, that ended since the start; within `histogram.error_of(histogram.SCALE)`, 1.1 %.

    Args:
        count: How many were measured.
        p50, p95, p99: What so many of a hundred do not exceed; None if none was measured.
    """

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class PercentilesView(Struct, frozen=True, kw_only=True):
    """
    Percentiles of a node.

    Args:
        connection_duration: From accept to end; unit s.
        bytes_in, bytes_out, bytes_transferred: Client to proxy, proxy to client, both together; unit bytes.
        dial_duration: The last successful dial of each connection that dialed; unit s.
        request_duration: Of answered requests, from the end of the head to the end of the answer; unit s.
    """

    connection_duration: Percentiles
    bytes_in: Percentiles
    bytes_out: Percentiles
    bytes_transferred: Percentiles
    dial_duration: Percentiles
    request_duration: Percentiles


class EndingsView(Struct, frozen=True):
    """
    What was measured up to one tick.

    Args:
        percentiles: Of the node.
        durations: Of connections; unit s.
        dials: By route and target, `-` for dials to where the client asked; unit s.
        exact: The histograms behind the percentiles, by their names; durations in ns. Nobody changes them.
    """

    percentiles: PercentilesView
    durations: Distribution
    dials: tuple[tuple[str, str, Distribution], ...]
    exact: Mapping[str, Exponential]


class SavedEndings(Struct, frozen=True, kw_only=True):
    """
    Measurements by name.

    Args:
        version: Of this struct.
        exact: Histograms, as in `PercentilesView`.
        duration_bounds, dial_bounds: Of what follows them.
        durations: Of connections.
        dials: By route, address and number for targets, by route for other places.
    """

    version: Literal[1] = 1
    exact: dict[str, SavedExponential]
    duration_bounds: tuple[float, ...]
    durations: Bins
    dial_bounds: tuple[float, ...]
    dials: tuple[tuple[Key, Bins], ...]


class Endings:
    """
    Measures connections as they end. One that its worker's death ended has no duration, and is not measured.

    Args:
        scopes: Names of listeners and targets.

    Cost: 16 KB for each of six histograms, and 112 bytes a target.
    """

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._exact = {name: Exponential() for name in PercentilesView.__struct_fields__}
        self._durations = Bounded(catalog.DURATION_BOUNDS)
        self._by_target = Bounded(catalog.DIAL_BOUNDS, max(scopes.targets, default=0) + 1)
        self._by_route = Bounded(catalog.DIAL_BOUNDS, max(scopes.routes, default=0) + 1)
        self._gone: dict[Key, Bins] = {}
        self._view: EndingsView | None = None

    def replan(self) -> None:
        """Measure what the scopes name since they have changed; who comes back goes on where it was."""
        self._by_target.grow(max(self._scopes.targets, default=0) + 1)
        self._by_route.grow(max(self._scopes.routes, default=0) + 1)
        for key, table, each in self._keys():
            if key in self._gone:
                table.carry(each, self._gone.pop(key))
        self._view = None

    def add(self, growth: Growth) -> None:
        """Measure the connections and requests that ended in one fold."""
        if growth.tallied.pairs:
            self._view = None
            self._exact["request_duration"].absorb(growth.tallied.buckets.sum(axis=0))
        ended = growth.rows.words[~growth.rows.open]
        ended = ended[ended[:, STATE] & _KIND == REST]
        if not len(ended):
            return
        self._view = None
        words: Values = ended.view(np.int64)
        lasted = np.maximum(0, words[:, ENDED] - words[:, STARTED])
        bytes_in, bytes_out = np.maximum(0, words[:, CLIENT_RX]), np.maximum(0, words[:, CLIENT_TX])
        self._exact["connection_duration"].add(lasted)
        self._exact["bytes_in"].add(bytes_in)
        self._exact["bytes_out"].add(bytes_out)
        self._exact["bytes_transferred"].add(np.minimum(bytes_in, 2**62) + np.minimum(bytes_out, 2**62))
        self._durations.add(lasted / NS, np.zeros(len(lasted), np.intp))
        self._dial(words[words[:, DIALED] > 0])

    def _dial(self, words: Values) -> None:
        """Measure the dials of connections that had one."""
        self._exact["dial_duration"].add(words[:, DIALED])
        took, scope = words[:, DIALED] / NS, words[:, SCOPE]
        target, route = scope >> TARGET_SHIFT & _ID, scope >> ROUTE_SHIFT & _ID
        self._by_target.add(took[target > 0], target[target > 0])
        self._by_route.add(took[target == 0], route[target == 0])

    def view(self) -> EndingsView:
        """Return what was measured so far; the same object as long as nothing ends."""
        if self._view is None:
            self._view = EndingsView(
                self._percentiles(),
                self._durations.of(),
                tuple(self._dials()),
                {name: histogram.copy() for name, histogram in self._exact.items()},
            )
        return self._view

    def export(self) -> SavedEndings:
        """Return everything that was measured, by name."""
        dials = {key: table.export(each) for key, table, each in self._keys()}
        return SavedEndings(
            exact={name: histogram.export() for name, histogram in self._exact.items()},
            duration_bounds=tuple(catalog.DURATION_BOUNDS),
            durations=self._durations.export(),
            dial_bounds=tuple(catalog.DIAL_BOUNDS),
            dials=tuple((key, bins) for key, bins in (dials | self._gone).items() if any(bins.counts)),
        )

    def restore(self, saved: SavedEndings) -> None:
        """
        Add what an earlier run measured.

        Raises:
            SavedError: If it is not what was measured once, or was measured by other bounds; nothing is added then.
        """
        if saved.duration_bounds != tuple(catalog.DURATION_BOUNDS) or saved.dial_bounds != tuple(catalog.DIAL_BOUNDS):
            raise SavedError("SavedEndings: other bounds")
        exact = {name: histogram.restore() for name, histogram in saved.exact.items() if name in self._exact}
        Bounded(catalog.DURATION_BOUNDS).carry(0, saved.durations)  # both are tried before anything is added
        for _, bins in saved.dials:
            Bounded(catalog.DIAL_BOUNDS).carry(0, bins)
        self._exact |= {name: self._exact[name].merged(histogram) for name, histogram in exact.items()}
        self._durations.carry(0, saved.durations)
        places = {key: (table, each) for key, table, each in self._keys()}
        for key, bins in saved.dials:
            if key in places:
                table, each = places[key]
                table.carry(each, bins)
            elif len(self._gone) < GONE:
                self._gone[key] = bins
        self._view = None

    def _keys(self) -> Iterator[tuple[Key, Bounded, int]]:
        for key, number in target_keys(self._scopes).items():
            yield key, self._by_target, number
        for scope in self._scopes.routes.values():
            yield (scope.name,), self._by_route, scope.id

    def _percentiles(self) -> PercentilesView:
        units = {"connection_duration": NS, "dial_duration": NS, "request_duration": NS}
        return PercentilesView(**{name: _percentiles(h, units.get(name, 1)) for name, h in self._exact.items()})

    def _dials(self) -> list[tuple[str, str, Distribution]]:
        scopes, gone = self._scopes, self._scopes.gone
        targets = [each for each in scopes.targets.values() if each.id not in gone.targets]
        routes = [each for each in scopes.routes.values() if each.id not in gone.routes]
        found = [(each.route, each.address, self._by_target.of(each.id)) for each in targets]
        return found + [(each.name, "-", self._by_route.of(each.id)) for each in routes]


def _percentiles(histogram: Exponential, unit: int) -> Percentiles:
    found = histogram.quantiles(SHARES)
    if not found:
        return Percentiles(count=0)
    p50, p95, p99 = (value / unit for value in found)
    return Percentiles(count=len(histogram), p50=p50, p95=p95, p99=p99)
