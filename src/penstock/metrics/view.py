"""The metrics of a node as its users ask for them: in Python, and by the same names as JSON from the admin door."""

import re

import numpy as np
from msgspec import Struct

from penstock.metrics import keys, tops
from penstock.metrics.endings import PercentilesView
from penstock.metrics.keys import Picture
from penstock.metrics.kinds import KINDS
from penstock.metrics.rings import History
from penstock.metrics.snapshot import AuthView, Snapshot
from penstock.metrics.tops import ConnectionCount, KeyRates, TopDestination, TopIp, TopUser
from penstock.metrics.tracker import MINUTE, NODE, WINDOWS, Rates

LONGEST = 31 * 86_400
"""The longest window and the longest graph that can be asked for; unit s. So long minutes can be kept."""

FURTHEST = 3_650 * 86_400
"""How far back a graph can be asked for; unit s. So long hours can be kept."""

FIELDS = ("bytes_in", "bytes_out", "requests", "connections")
"""Curves of a graph, in the order of `tracker.COLUMNS`; a client, user or destination has the first two."""

NO_HISTORY = History(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(keys.RATES))))
"""The graph of what is off."""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

_WINDOW = re.compile(r"([0-9]{1,7})([smhd]?)", re.ASCII)


class UnknownScopeError(LookupError):
    """There is no such listener, route, target, client, user or destination, or it has no tracker."""


class Connections(Struct, frozen=True, kw_only=True):
    """
    Connections of a node.

    Args:
        active: Open now.
        total: Accepted since counting began.
        by_route: The same of each route.
        by_ip, by_user, by_destination: The same of the busiest client addresses, users and destinations, all others
            as `other`; empty where the kind is switched off.
        top_ips, top_users, top_destinations: Who has most open.
    """

    active: int
    total: int
    by_route: dict[str, ConnectionCount]
    by_ip: dict[str, ConnectionCount]
    by_user: dict[str, ConnectionCount]
    by_destination: dict[str, ConnectionCount]
    top_ips: list[TopIp]
    top_users: list[TopUser]
    top_destinations: list[TopDestination]


class Throughputs(Struct, frozen=True, kw_only=True):
    """
    Rates of a node.

    Args:
        instant, recent, average: Over 1 s, 10 s and 60 s.
        by_route: Of each route over 10 s.
        by_ip, by_user, by_destination: Of the busiest client addresses, users and destinations over 10 s, all others as
            `other`; empty where the kind is switched off.
    """

    instant: Rates
    recent: Rates
    average: Rates
    by_route: dict[str, Rates]
    by_ip: dict[str, KeyRates]
    by_user: dict[str, KeyRates]
    by_destination: dict[str, KeyRates]


class Requests(Struct, frozen=True):
    """Requests in the last second; in the last minute, told from what of it is covered; since counting began."""

    per_second: float
    per_minute: float
    total: int


class Sums(Struct, frozen=True):
    """Totals of the node since counting began: with the store, or with the start of a node without one."""

    bytes_in: int
    bytes_out: int
    connections: int


class MetricsView(Struct, frozen=True, kw_only=True):
    """
    Everything at once.

    Args:
        taken_at: RFC 3339, UTC.
        connections, throughput, requests, totals, percentiles: As their types say.
        blocked: Refusals by reason.
        auth: Logins that were right, and that were wrong.
    """

    taken_at: str
    connections: Connections
    throughput: Throughputs
    requests: Requests
    totals: Sums
    percentiles: PercentilesView
    blocked: dict[str, int]
    auth: AuthView


class WindowView(Struct, frozen=True):
    """
    One window of one scope.

    Args:
        scope: As it was asked for.
        window: Unit s.
        throughput: What happened per second in it.
    """

    scope: str
    window: int
    throughput: Rates


class HistoryView(Struct, frozen=True, kw_only=True):
    """
    A graph of one scope, oldest first.

    Args:
        scope: As it was asked for.
        step: Length of a step; unit s.
        at: Where each step ends; unit s since the epoch.
        covered: How much time the samples of each step cover; unit s, 0 for a gap.
        series: Rates per second by name, as many as steps; None in gaps.
    """

    scope: str
    step: int
    at: list[int]
    covered: list[float]
    series: dict[str, list[float | None]]


class Metrics:
    """
    What a snapshot tells. Every answer is of one tick, whenever it is asked for.

    Args:
        snapshot: Of the node.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def connections(self) -> Connections:
        """Return how many there are."""
        totals = self._snapshot.totals
        clients, users, destinations = (tops.most_open(self._snapshot.kinds.get(kind)) for kind in KINDS)
        return Connections(
            active=totals.active,
            total=totals.connections,
            by_route=self._by_route(),
            by_ip=clients.counts,
            by_user=users.counts,
            by_destination=destinations.counts,
            top_ips=clients.named(TopIp),
            top_users=users.named(TopUser),
            top_destinations=destinations.named(TopDestination),
        )

    @property
    def throughput(self) -> Throughputs:
        """Return the rates of the named windows."""
        series = self._snapshot.series
        scopes = {f"route:{view.name}": view.name for view in self._snapshot.routes}
        tracked = [scope for scope in scopes if scope in series.slots]
        routes = series.rates_of(tracked, WINDOWS["recent"])
        clients, users, destinations = (
            tops.fastest(self._snapshot.kinds.get(kind), WINDOWS["recent"]) for kind in KINDS
        )
        return Throughputs(
            instant=self.window(WINDOWS["instant"]),
            recent=self.window(WINDOWS["recent"]),
            average=self.window(WINDOWS["average"]),
            by_route={scopes[scope]: rates for scope, rates in routes.items()},
            by_ip=clients,
            by_user=users,
            by_destination=destinations,
        )

    @property
    def requests(self) -> Requests:
        """Return how many there were."""
        second, minute = self.window(WINDOWS["instant"]), self.window(WINDOWS["average"])
        return Requests(second.requests, minute.requests * MINUTE, self._snapshot.totals.requests)

    @property
    def totals(self) -> Sums:
        """Return what was moved since counting began."""
        totals = self._snapshot.totals
        return Sums(totals.bytes_in, totals.bytes_out, totals.connections)

    @property
    def percentiles(self) -> PercentilesView:
        """Return what ended connections measured."""
        return self._snapshot.endings.percentiles

    @property
    def blocked(self) -> dict[str, int]:
        """Return refusals by reason."""
        return dict(self._snapshot.refused)

    @property
    def auth(self) -> AuthView:
        """Return how many logins were right, and how many wrong."""
        return self._snapshot.auth

    def everything(self) -> MetricsView:
        """Return all of it, as `GET /api/v1/metrics` answers."""
        return MetricsView(
            taken_at=self._snapshot.taken_at,
            connections=self.connections,
            throughput=self.throughput,
            requests=self.requests,
            totals=self.totals,
            percentiles=self.percentiles,
            blocked=self.blocked,
            auth=self.auth,
        )

    def window(self, seconds: int, scope: str = NODE) -> Rates:
        """
        Return what happened per second.

        Args:
            seconds: Length of the window; from 1 to as long as samples are kept; unit s.
            scope: `node`, `listener:NAME`, `route:NAME`, `target:HOST:PORT`, `client:IP`, `user:NAME`,
                `destination:HOST:PORT`; or `client:other` and the like.

        Raises:
            UnknownScopeError: If there is no such scope.
            ValueError: If nothing is remembered for so long.
        """
        found = self._keyed(scope, seconds)
        if found is not None:
            picture, place = found
            if picture is None:
                return Rates(0.0, 0.0, 0.0, 0.0, 0.0)
            window = picture.window(seconds, place)
            bytes_in, bytes_out = window.rates().tolist()
            return Rates(bytes_in, bytes_out, 0.0, 0.0, window.covered)
        try:
            return self._snapshot.series.rates(scope, seconds)
        except KeyError:
            raise self._unknown(scope) from None

    def history(self, seconds: int, scope: str = NODE) -> HistoryView:
        """
        Return a graph: by the second as far as they are kept, by the minute beyond it.

        Args:
            seconds: How far it looks back; bounds as for `window`.
            scope: As for `window`.

        Raises:
            UnknownScopeError: If there is no such scope.
            ValueError: If nothing is remembered for so long.
        """
        found = self._keyed(scope, seconds)
        if found is not None:
            picture, place = found
            return drawn(scope, 1, NO_HISTORY if picture is None else picture.history(place, seconds))
        try:
            return drawn(scope, *self._snapshot.series.history(scope, seconds))
        except KeyError:
            raise self._unknown(scope) from None

    def _keyed(self, scope: str, seconds: int) -> tuple[Picture | None, int] | None:
        """Return tracker and place of a client, user or destination, no tracker if it is off; None for other scopes."""
        kind, _, name = scope.partition(":")
        longest = keys.SECONDS if kind in KINDS else self._snapshot.series.longest
        if not 1 <= seconds <= longest:
            raise ValueError(f"a time from 1 to {longest} seconds is needed for {kind}")
        if kind not in KINDS:
            return None
        picture = self._snapshot.kinds.get(kind)
        if picture is None:
            return None, 0
        place = picture.find(name)
        if place is None:
            raise UnknownScopeError(f"{name!r} is no {kind} of the last five minutes, or not one of the busiest")
        return picture, place

    def _unknown(self, scope: str) -> UnknownScopeError:
        some = ", ".join(list(self._snapshot.series.slots)[:20])
        return UnknownScopeError(
            f"nothing is called {scope!r}; there are: {some}, and client:IP, user:NAME, destination:HOST:PORT"
        )

    def _by_route(self) -> dict[str, ConnectionCount]:
        counts: dict[str, ConnectionCount] = {}
        for view in self._snapshot.routes:
            before = counts.get(view.name, ConnectionCount(0, 0))
            counts[view.name] = ConnectionCount(before.active + view.active, before.total + view.connections)
        return counts


def parse_span(text: str) -> int:
    """
    Return how far a graph looks back; unit s.

    Args:
        text: As for `parse_window`, to ten years.

    Raises:
        ValueError: If it is none of these.
    """
    seconds = _seconds(text)
    if not 1 <= seconds <= FURTHEST:
        raise ValueError("a time from 1s to 3650d is needed, as in 10s, 5m or 90d")
    return seconds


def _seconds(text: str) -> int:
    if text in WINDOWS:
        return WINDOWS[text]
    match = _WINDOW.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else 0


def parse_window(text: str) -> int:
    """
    Return the length of a window; unit s.

    Args:
        text: instant, recent or average; or a number of seconds, with or without `s`, of minutes with `m`, of hours
            with `h` or of days with `d`.

    Raises:
        ValueError: If it is none of these, or not from 1 second to 31 days.
    """
    seconds = _seconds(text)
    if not 1 <= seconds <= LONGEST:
        raise ValueError("a time from 1s to 31d is needed, as in 10s or 5m, or one of instant, recent, average")
    return seconds


def drawn(scope: str, step: int, history: History) -> HistoryView:
    """Return a graph as it is published; a step that nothing covers has no values."""
    columns: list[list[float | None]] = history.rates().T.tolist()
    for gap in np.flatnonzero(history.covered == 0).tolist():
        for column in columns:
            column[gap] = None
    return HistoryView(
        scope=scope,
        step=step,
        at=history.at.tolist(),
        covered=history.covered.tolist(),
        series=dict(zip(FIELDS, columns, strict=False)),
    )
