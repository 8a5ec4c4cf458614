"""The metrics of a node as its users ask for them: in Python, and by the same names as JSON from the admin door."""

import re
from collections.abc import Iterable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.metrics import clients
from penstock.metrics.endings import PercentilesView
from penstock.metrics.rings import History
from penstock.metrics.snapshot import Snapshot
from penstock.metrics.tracker import MINUTE, NODE, WINDOWS, Rates

OTHER = "other"
"""All client addresses that are not named."""

NAMED = 100
"""Client addresses that `by_ip` names; the rest are `other`."""

TOP = 10
"""Addresses in `top_ips`."""

LONGEST = 31 * 86_400
"""The longest window and the longest graph that can be asked for; unit s. So long minutes can be kept."""

FIELDS = ("bytes_in", "bytes_out", "requests", "connections")
"""Curves of a graph, in the order of `tracker.COLUMNS`; a client has the first two."""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

_WINDOW = re.compile(r"([0-9]{1,7})([smhd]?)", re.ASCII)


class UnknownScopeError(LookupError):
    """There is no such listener, route, target or client, or it has no tracker."""


class ConnectionCount(Struct, frozen=True):
    """Open connections, and those accepted so far."""

    active: int
    total: int


class IpRates(Struct, frozen=True):
    """Bytes per second of one client address over the last ten seconds."""

    bytes_in: float
    bytes_out: float


class TopIp(Struct, frozen=True, kw_only=True):
    """
    One of the addresses with the most open connections.

    Args:
        ip: The address; `-` for clients on Unix sockets.
        active: Open connections.
        total: Connections since the address became known.
        bytes_in, bytes_out: Client to proxy, proxy to client, since then.
    """

    ip: str
    active: int
    total: int
    bytes_in: int
    bytes_out: int


class Connections(Struct, frozen=True, kw_only=True):
    """
    Connections of a node.

    Args:
        active: Open now.
        total: Accepted since the start.
        by_route: The same of each route.
        by_ip: The same of the busiest client addresses, all others as `other`.
        top_ips: Who has most open.
    """

    active: int
    total: int
    by_route: dict[str, ConnectionCount]
    by_ip: dict[str, ConnectionCount]
    top_ips: list[TopIp]


class Throughputs(Struct, frozen=True, kw_only=True):
    """
    Rates of a node.

    Args:
        instant, recent, average: Over 1 s, 10 s and 60 s.
        by_route: Of each route over 10 s.
        by_ip: Of the busiest client addresses over 10 s, all others as `other`.
    """

    instant: Rates
    recent: Rates
    average: Rates
    by_route: dict[str, Rates]
    by_ip: dict[str, IpRates]


class Requests(Struct, frozen=True):
    """Requests in the last second; in the last minute, told from what of it is covered; since the start."""

    per_second: float
    per_minute: float
    total: int


class Sums(Struct, frozen=True):
    """Totals of the node since the start."""

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
    """

    taken_at: str
    connections: Connections
    throughput: Throughputs
    requests: Requests
    totals: Sums
    percentiles: PercentilesView
    blocked: dict[str, int]


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
        return Connections(
            active=totals.active,
            total=totals.connections,
            by_route=self._by_route(),
            by_ip=self._connections_by_ip(),
            top_ips=self._top_ips(),
        )

    @property
    def throughput(self) -> Throughputs:
        """Return the rates of the named windows."""
        routes = dict.fromkeys(view.name for view in self._snapshot.routes)
        tracked = (route for route in routes if f"route:{route}" in self._snapshot.series.slots)
        return Throughputs(
            instant=self.window(WINDOWS["instant"]),
            recent=self.window(WINDOWS["recent"]),
            average=self.window(WINDOWS["average"]),
            by_route={route: self.window(WINDOWS["recent"], f"route:{route}") for route in tracked},
            by_ip=self._rates_by_ip(),
        )

    @property
    def requests(self) -> Requests:
        """Return how many there were."""
        second, minute = self.window(WINDOWS["instant"]), self.window(WINDOWS["average"])
        return Requests(second.requests, minute.requests * MINUTE, self._snapshot.totals.requests)

    @property
    def totals(self) -> Sums:
        """Return what was moved since the start."""
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
        )

    def window(self, seconds: int, scope: str = NODE) -> Rates:
        """
        Return what happened per second.

        Args:
            seconds: Length of the window; from 1 to as long as samples are kept; unit s.
            scope: `node`, `listener:NAME`, `route:NAME`, `target:HOST:PORT`, `client:IP` or `client:other`.

        Raises:
            UnknownScopeError: If there is no such scope.
            ValueError: If nothing is remembered for so long.
        """
        place = self._client(scope, seconds)
        if place is not None:
            window = self._snapshot.clients.view.window(seconds, place)
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
        place = self._client(scope, seconds)
        if place is not None:
            return _drawn(scope, 1, self._snapshot.clients.history(place, seconds))
        try:
            return _drawn(scope, *self._snapshot.series.history(scope, seconds))
        except KeyError:
            raise self._unknown(scope) from None

    def _client(self, scope: str, seconds: int) -> int | None:
        """Return the place of a client; None for any other scope."""
        kind, _, ip = scope.partition(":")
        longest = clients.SECONDS if kind == "client" else self._snapshot.series.longest
        if not 1 <= seconds <= longest:
            raise ValueError(f"a time from 1 to {longest} seconds is needed for {kind}")
        if kind != "client":
            return None
        place = clients.OTHER if ip == OTHER else self._snapshot.clients.find(ip)
        if place is None:
            raise UnknownScopeError(f"{ip!r} is no client of the last five minutes, or not one of the busiest")
        return place

    def _unknown(self, scope: str) -> UnknownScopeError:
        some = ", ".join(list(self._snapshot.series.slots)[:20])
        return UnknownScopeError(f"nothing is called {scope!r}; there are: {some}, and client:IP")

    def _by_route(self) -> dict[str, ConnectionCount]:
        counts: dict[str, ConnectionCount] = {}
        for view in self._snapshot.routes:
            before = counts.get(view.name, ConnectionCount(0, 0))
            counts[view.name] = ConnectionCount(before.active + view.active, before.total + view.connections)
        return counts

    def _connections_by_ip(self) -> dict[str, ConnectionCount]:
        picture = self._snapshot.clients
        order = np.lexsort((-picture.totals[0], -picture.active))
        named = self._named(order, NAMED)
        counts = {
            name: ConnectionCount(int(picture.active[place]), int(picture.totals[0, place])) for name, place in named
        }
        rest = _rest(picture.active, named), _rest(picture.totals[0], named)
        return counts | {OTHER: ConnectionCount(int(rest[0]), int(rest[1]))}

    def _rates_by_ip(self) -> dict[str, IpRates]:
        rates = self._snapshot.clients.view.window(WINDOWS["recent"]).rates()
        named = self._named(np.argsort(-rates.sum(axis=1), kind="stable"), NAMED)
        found = {name: IpRates(*rates[place].tolist()) for name, place in named}
        return found | {OTHER: IpRates(float(_rest(rates[:, 0], named)), float(_rest(rates[:, 1], named)))}

    def _top_ips(self) -> list[TopIp]:
        picture = self._snapshot.clients
        found = []
        for name, place in self._named(np.lexsort((-picture.totals[0], -picture.active)), TOP):
            total, bytes_in, bytes_out = picture.totals[:, place].tolist()
            active = int(picture.active[place])
            found.append(TopIp(ip=name, active=active, total=total, bytes_in=bytes_in, bytes_out=bytes_out))
        return found

    def _named(self, order: Iterable[int], limit: int) -> list[tuple[str, int]]:
        """Return the first known addresses in this order, with their places."""
        found: list[tuple[str, int]] = []
        keys = self._snapshot.clients.keys
        for place in order:
            key = keys[place]
            if key is not None:
                found.append((clients.text_of(key), int(place)))
            if len(found) == limit:
                break
        return found


def parse_window(text: str) -> int:
    """
    Return the length of a window; unit s.

    Args:
        text: instant, recent or average; or a number of seconds, with or without `s`, of minutes with `m`, of hours
            with `h` or of days with `d`.

    Raises:
        ValueError: If it is none of these, or not from 1 second to 31 days.
    """
    if text in WINDOWS:
        return WINDOWS[text]
    match = _WINDOW.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= LONGEST:
        raise ValueError("a time from 1s to 31d is needed, as in 10s or 5m, or one of instant, recent, average")
    return seconds


def _rest(numbers: NDArray[np.number], named: list[tuple[str, int]]) -> float:
    """Return the sum of all that are not named."""
    rest = np.ones(len(numbers), np.bool_)
    rest[[place for _, place in named]] = False
    return numbers[rest].sum()  # type: ignore[no-any-return]


def _drawn(scope: str, step: int, history: History) -> HistoryView:
    rates = history.rates().astype(object)
    rates[history.covered == 0] = None
    return HistoryView(
        scope=scope,
        step=step,
        at=history.at.tolist(),
        covered=history.covered.tolist(),
        series={name: column.tolist() for name, column in zip(FIELDS, rates.T, strict=False)},
    )
