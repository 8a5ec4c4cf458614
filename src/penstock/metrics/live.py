"""The connections that are open: kept as copied rows, made into words only for those that somebody asks for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.base.clock import NS
from penstock.base.outcomes import Phase
from penstock.metrics.fold import LedgerReader
from penstock.metrics.growth import Rows
from penstock.metrics.ledger import (
    CLIENT_RX,
    CLIENT_TX,
    PHASE,
    REQUESTS,
    SCOPE,
    STARTED,
    TARGET_RX,
    TARGET_TX,
)
from penstock.metrics.scopes import Scopes
from penstock.metrics.wording import client_of

SERIAL_BITS = 32
GENERATION_BITS = 21
"""An id stays below 2**53, the largest integer that every reader of JSON keeps whole. A worker's connections count
round after 2**32, long after the first ones have ended."""

_STATES = {Phase.DETECT: "detect", Phase.DIAL: "dial", Phase.RELAY: "relay", Phase.DRAIN: "relay", Phase.DONE: "relay"}
"""What is not here has yet to say what it wants: `negotiate`."""


class ConnectionView(Struct, frozen=True, kw_only=True):
    """
    One open connection, as it is published.

    Args:
        id: Number of the connection in this node, below 2**53.
        client: `ip:port`, or `-` for a client on a Unix socket.
        listener: Name of the listener.
        route: Name of the route.
        target: `host:port` of the configured target; empty where there is none.
        destination: What the client asked for; empty where it could not or has not yet.
        user: Who it is; empty for unknown.
        state: detect, negotiate, dial or relay.
        bytes_in, bytes_out: Client to proxy, proxy to client.
        target_rx, target_tx: Target to proxy, proxy to target.
        requests: HTTP exchanges or SOCKS commands so far.
        started_at: RFC 3339, UTC.
        age: Since accept; unit s.
        worker: Process that carries it.
    """

    id: int
    client: str
    listener: str
    route: str
    target: str
    destination: str
    user: str
    state: str
    bytes_in: int
    bytes_out: int
    target_rx: int
    target_tx: int
    requests: int
    started_at: str
    age: float
    worker: int


class Place(NamedTuple):
    """Whose connection it is: the worker's incarnation, and its number there, which `CloseConnection` wants."""

    generation: int
    serial: int


class Page(NamedTuple):
    """
    Some of the open connections.

    Args:
        connections: Those of this page.
        next: Where the next page begins; None on the last one.
        total: How many there are on all pages.
    """

    connections: list[ConnectionView]
    next: int | None
    total: int


class Share(NamedTuple):
    """What one worker's ledger showed."""

    reader: LedgerReader
    rows: Rows


class Live:
    """
    Every connection that was open at one tick. Numbers are those of the tick; words are read when they are asked for,
    and are empty if the row has passed to another connection since.

    Args:
        shares: One of each worker.
        scopes: Names of listeners, routes and targets.
        now_ns: Monotonic time of the tick; unit ns.
        wall_ns: Time of the tick since the epoch; unit ns.
    """

    def __init__(self, shares: Sequence[Share], scopes: Scopes, now_ns: int, wall_ns: int) -> None:
        self._shares = tuple(shares)
        self._scopes, self._now, self._wall = scopes, now_ns, wall_ns

    def __len__(self) -> int:
        return sum(int(np.count_nonzero(share.rows.open)) for share in self._shares)

    def page(self, *, listener: int | None = None, after: int = 0, limit: int = 1_000, busiest: bool = False) -> Page:
        """
        Return some open connections.

        Args:
            listener: Id of the only listener to show; None for all.
            after: Only ids above this one.
            limit: How many at most.
            busiest: Order by bytes moved, most first, instead of by id. Then there is no next page.

        Cost: O(connections open) for the order, O(limit) for the words.
        """
        ids, shares, rows = self._index(listener)
        if busiest:
            chosen = np.argsort(-self._moved(shares, rows), kind="stable")[:limit]
            more = False
        else:
            order = np.argsort(ids)
            order = order[ids[order] > after]
            chosen, more = order[:limit], len(order) > limit
        views = [self._view(int(ids[i]), self._shares[shares[i]], int(rows[i])) for i in chosen]
        return Page(views, views[-1].id if more else None, len(ids))

    def find(self, number: int) -> ConnectionView | None:
        """Return the open connection with this id, if there is one."""
        found = self._find(number)
        return self._view(number, *found) if found else None

    def locate(self, number: int) -> Place | None:
        """Return whose the open connection with this id is, if there is one."""
        found = self._find(number)
        if found is None:
            return None
        share, row = found
        return Place(share.reader.generation, int(share.rows.serial[row]))

    def _find(self, number: int) -> tuple[Share, int] | None:
        for share in self._shares:
            found = np.flatnonzero((_ids(share) == number) & share.rows.open)
            if len(found):
                return share, int(found[0])
        return None

    def _index(self, listener: int | None) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
        """Return ids, number of the share, and row in the share, of each connection."""
        none = np.zeros(0, np.intp)
        ids, shares, rows = [none.astype(np.int64)], [none], [none]
        for number, share in enumerate(self._shares):
            chosen = share.rows.open
            if listener is not None:
                chosen = chosen & (share.rows.words[:, SCOPE] & 0xFFFF == listener)
            found = np.flatnonzero(chosen)
            ids.append(_ids(share)[found])
            shares.append(np.full(len(found), number, np.intp))
            rows.append(found)
        return np.concatenate(ids), np.concatenate(shares), np.concatenate(rows)

    def _moved(self, shares: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int64]:
        moved = np.zeros(len(rows), np.int64)
        for number, share in enumerate(self._shares):
            mine = shares == number
            words = share.rows.words[rows[mine]]
            moved[mine] = (words[:, CLIENT_RX] + words[:, CLIENT_TX]).astype(np.int64)
        return moved

    def _view(self, number: int, share: Share, row: int) -> ConnectionView:
        words = share.rows.words[row]
        texts = share.reader.texts(int(share.rows.position[row]), int(share.rows.serial[row]))
        listener, target = self._scopes.of(int(words[SCOPE]))
        age_ns = max(0, self._now - int(words[STARTED]))
        return ConnectionView(
            id=number,
            client=client_of(words),
            listener=listener.name,
            route=self._scopes.route_of(int(words[SCOPE])).name,
            target=target.address,
            destination=texts.destination,
            user=texts.user,
            state=_STATES.get(int(words[PHASE]), "negotiate"),  # type: ignore[call-overload]
            bytes_in=int(words[CLIENT_RX]),
            bytes_out=int(words[CLIENT_TX]),
            target_rx=int(words[TARGET_RX]),
            target_tx=int(words[TARGET_TX]),
            requests=int(words[REQUESTS]),
            started_at=rfc3339(self._wall - age_ns),
            age=age_ns / NS,
            worker=share.reader.pid,
        )


def _ids(share: Share) -> NDArray[np.int64]:
    serials = share.rows.serial.astype(np.int64) & (1 << SERIAL_BITS) - 1
    return serials | number_of(share.reader.generation, 0)


def number_of(generation: int, serial: int) -> int:
    """Return the id of a connection: its worker's incarnation and its number there."""
    return (generation & (1 << GENERATION_BITS) - 1) << SERIAL_BITS | serial & (1 << SERIAL_BITS) - 1


def rfc3339(wall_ns: int) -> str:
    """Return nanoseconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(wall_ns / NS, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
