"""
Totals of a node as they are kept across a restart.

Connections that were open when the last checkpoint was made have ended with their node: they are counted as lost, like
those of a worker that died.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.metrics.growth import CLOSED, COLUMNS, OPENED, Numbers
from penstock.metrics.saved import NOBODY, Column, Key, Named, Rows, Whole, bounded, counted, target_keys
from penstock.metrics.scopes import Scopes


class SavedTotals(Struct, frozen=True, kw_only=True):
    """
    Totals by name.

    Args:
        version: Of this struct.
        node: All traffic together.
        listeners: By name.
        routes: By name.
        targets: By route, address and number among those of the same route and address.
        pairs: By listener and route.
        outcomes: Ended connections by who and phase.
        refused: Refusals by reason.
        pauses: How often a worker paused accepting.
        logins: Right and wrong ones.
        proxy_headers: Taken ones.
        respawns: How often a dead worker was replaced.
        since_ns: When they were zero; unit ns since the epoch, 0 for nobody knows.
    """

    version: Literal[1] = 1
    node: Column
    listeners: Rows
    routes: Rows
    targets: Rows
    pairs: Rows
    outcomes: tuple[tuple[EndedBy, Phase, Whole], ...]
    refused: dict[Reason, Whole]
    pauses: Whole
    logins: tuple[Whole, Whole] = (0, 0)
    proxy_headers: Whole = 0
    respawns: Whole
    since_ns: Whole = 0


class Restored(NamedTuple):
    """
    Totals by id.

    Args:
        node: Shape (COLUMNS,).
        listeners, routes, targets, pairs: Shape (COLUMNS, ids).
        lost: Connections that were open.
    """

    node: Numbers
    listeners: Numbers
    routes: Numbers
    targets: Numbers
    pairs: Numbers
    lost: int


class Names:
    """
    What totals are called.

    Args:
        scopes: Listeners, routes and targets of the plan.
        pairs: The place of each pair of listener and route, by their ids; places are given here too.

    Attributes:
        listeners, routes, targets, pairs: Of each kind.
    """

    def __init__(self, scopes: Scopes, pairs: dict[tuple[int, int], int]) -> None:
        self._places = pairs
        self._name(scopes)

    def replan(self, scopes: Scopes) -> None:
        """Take the names that the scopes have now."""
        before = self.listeners, self.routes, self.targets, self.pairs
        self._name(scopes)
        for now, then in zip((self.listeners, self.routes, self.targets, self.pairs), before, strict=True):
            now.gone = then.gone

    def _name(self, scopes: Scopes) -> None:
        self._listeners: dict[Key, int] = {(each.name,): each.id for each in scopes.listeners.values()}
        self._routes: dict[Key, int] = {(each.name,): each.id for each in scopes.routes.values()}
        self.listeners, self.routes = _simple(self._listeners, 0), _simple(self._routes, 0)
        self.targets = _simple(target_keys(scopes), None)
        self.pairs = Named(self._own_pair, self._pair, self._pair_keys)

    def restore(self, saved: SavedTotals, *, goes_on: bool = False) -> Restored:
        """
        Return totals by the ids of this plan.

        Args:
            saved: By name.
            goes_on: Whether connections that are open in them go on, and will be read to their ends.

        Raises:
            SavedError: If the numbers are beyond belief.
        """
        for rows in (((NOBODY, saved.node),), saved.listeners, saved.routes, saved.targets, saved.pairs):
            bounded(rows)
        homeless = [] if goes_on else _without_route(saved)
        pairs = (*saved.pairs, *(((name, "-"), column) for (name,), column in homeless))
        routes = (*saved.routes, *((NOBODY, column) for _, column in homeless))
        return Restored(
            node=counted(saved.node, goes_on=goes_on),
            listeners=self.listeners.restore(saved.listeners, goes_on=goes_on),
            routes=self.routes.restore(routes, goes_on=goes_on),
            targets=self.targets.restore(saved.targets, goes_on=goes_on),
            pairs=self.pairs.restore(pairs, goes_on=goes_on),
            lost=0 if goes_on else max(0, saved.node[OPENED] - saved.node[CLOSED]),
        )

    def _own_pair(self, key: Key) -> int | None:
        listener, route = (*key, "", "")[:2]
        known = ((listener,) in self._listeners or listener == "-") and ((route,) in self._routes or route == "-")
        return self._pair(key) if known else None

    def _pair(self, key: Key) -> int:
        listener, route = (*key, "", "")[:2]
        ids = self._listeners.get((listener,), 0), self._routes.get((route,), 0)
        return self._places.setdefault(ids, len(self._places))

    def _pair_keys(self) -> Mapping[int, Key]:
        listeners = {number: key[0] for key, number in self._listeners.items()}
        routes = {number: key[0] for key, number in self._routes.items()}
        return {
            place: (listeners.get(listener, "-"), routes.get(route, "-"))
            for (listener, route), place in self._places.items()
        }


def _simple(ids: Mapping[Key, int], spill: int | None) -> Named:
    keys = {number: key for key, number in ids.items()}
    own = {**ids, NOBODY: 0} if spill is not None else ids
    return Named(own.get, lambda _: spill, lambda: keys)


def _without_route(saved: SavedTotals) -> list[tuple[tuple[str], Column]]:
    """Return the connections of each listener that had taken no route yet: they ended without one."""
    counted: Counter[str] = Counter()
    for key, column in saved.pairs:
        counted[key[0] if key else "-"] += column[OPENED]
    left = [((key[0] if key else "-",), column[OPENED]) for key, column in saved.listeners]
    rest = (0,) * (COLUMNS - OPENED - 1)
    return [((name,), (number - counted[name], *rest)) for (name,), number in left if number > counted[name]]
