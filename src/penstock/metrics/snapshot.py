"""An immutable picture of a node at one tick. Every reader of numbers sees one such object: all of them agree."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from penstock.metrics.audit import AuditView
from penstock.metrics.banned import BannedView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import Collection
from penstock.metrics.endings import EndingsView
from penstock.metrics.keys import Picture
from penstock.metrics.labels import KeySeries
from penstock.metrics.live import Live
from penstock.metrics.quotas import QuotasView
from penstock.metrics.records import RecordsView
from penstock.metrics.requests import RequestsView
from penstock.metrics.scopes import Scopes
from penstock.metrics.tracker import Series

State = Literal["starting", "serving", "draining"]


class NodeView(Struct, frozen=True, kw_only=True):
    """
    The node.

    Args:
        name: As configured.
        version: Of Penstock.
        started_at: RFC 3339, UTC.
        counts_since: When its totals were zero: in an earlier life, if they were kept; RFC 3339, UTC.
        uptime: Unit s.
        state: starting, serving or draining.
        pid: The supervisor's.
    """

    name: str
    version: str
    started_at: str
    counts_since: str
    uptime: float
    state: State
    pid: int


class WorkersView(Struct, frozen=True, kw_only=True):
    """
    The workers.

    Args:
        configured: How many there shall be; 0 for all in one process.
        alive: How many ledgers are being written.
        respawns: How often a dead one was replaced.
        accept_pauses: How often one paused accepting.
        pids: Processes of those that have begun.
    """

    configured: int
    alive: int
    respawns: int
    accept_pauses: int
    pids: tuple[int, ...]


class Throughput(Struct, frozen=True):
    """Bytes per second in the last tick."""

    bytes_in: float
    bytes_out: float


class Totals(Struct, frozen=True, kw_only=True):
    """Totals since counting began; `active` as of the tick. See `registry.Count`."""

    connections: int
    active: int
    bytes_in: int
    bytes_out: int
    target_rx: int
    target_tx: int
    requests: int


class ListenerView(Totals, frozen=True, kw_only=True):
    """Totals and throughput of a listener. See `scopes.ListenerScope`."""

    id: int
    name: str
    protocol: str
    address: str
    route: str
    throughput: Throughput


class RouteView(Totals, frozen=True, kw_only=True):
    """
    Totals and throughput of a route.

    Args:
        id: Its number in the ledger; 0 for connections that took none.
        name: As configured; `-` for none, and for one that is no more.
    """

    id: int
    name: str
    throughput: Throughput


class PairView(Totals, frozen=True, kw_only=True):
    """Totals of the connections of a listener that took one route; both by name, `-` as in `RouteView`."""

    listener: str
    route: str


class TargetView(Totals, frozen=True, kw_only=True):
    """
    Totals and throughput of the connections that a target served, and how it is. See `scopes.TargetScope`.

    Args:
        state, why, since, weight: See `conditions.Condition`.
        checks: How many had which result: `passed`, `failed`.
        ejections: How often failed dials have taken it out.
    """

    id: int
    route: str
    address: str
    throughput: Throughput
    state: str
    why: str
    since: str
    weight: float
    checks: dict[str, int]
    ejections: int


class AuthView(Struct, frozen=True):
    """
    Logins since the start, right and wrong; what is no attempt and what is one is said in docs/words.md.

    Args:
        success, failure: So many.
        users_file_errors: How often a users file could not be read since this process began.
    """

    success: int
    failure: int
    users_file_errors: int = 0


class OutcomeCount(Struct, frozen=True):
    """How many connections ended this way."""

    ended_by: str
    phase: str
    count: int


class EndedView(Struct, frozen=True, kw_only=True):
    """
    A connection that was refused or went wrong, for the log.

    Args:
        id: The number that it had while it was open.
        client: `ip:port`, or `-`.
        listener: Name of the listener.
        target: `host:port` of the configured target; empty where there is none.
        destination: What the client asked for; empty for unknown.
        user: Who it was; empty for unknown.
        ended_by: Who ended it.
        phase: In which phase.
        close_reason: The published word for that.
        reason: Why it was refused; empty where nothing was refused.
        detail: One line; empty for none.
        duration: From accept to end; unit s. 0 where a worker died with it.
    """

    id: int
    client: str
    listener: str
    target: str
    destination: str
    user: str
    ended_by: str
    phase: str
    close_reason: str
    reason: str
    detail: str
    duration: float


class Snapshot(Struct, frozen=True, kw_only=True):
    """
    A node at one tick.

    Args:
        node, workers, totals, throughput, listeners, routes, targets: As their types say.
        pairs: Every listener with every route that it has or had.
        outcomes: Every pair of who and phase, those that never happened included.
        auth: Logins.
        refused: Every reason, those that never were one included.
        taken_at: RFC 3339, UTC.
        live: The open connections.
        series: What the node, listeners, routes and targets did, by the second.
        kinds: The same of client addresses, users and destinations: `client`, `user`, `destination`; without those that
            are switched off.
        proxy_headers: PROXY headers that were taken.
        evictions: Keys of each kind that lost their place to others.
        labelled: Series of each kind that has labels.
        endings: What ended connections measured.
        banned: How many are banned.
        quotas: What routes and users have had of their months, one tick ago.
        requests: Requests that are over, by status, and how long they took.
        audit: Whether all ways to add up agree.
        records: The newest ended connections.
        collection: Which parts are on; what is off shows nothing.
        certificates: Those that listeners serve, as they were when one of them last changed.
        troubles: Connections that ended badly since the last tick; at most `fold.TROUBLES`.
    """

    node: NodeView
    workers: WorkersView
    totals: Totals
    throughput: Throughput
    listeners: tuple[ListenerView, ...]
    routes: tuple[RouteView, ...]
    pairs: tuple[PairView, ...]
    targets: tuple[TargetView, ...]
    outcomes: tuple[OutcomeCount, ...]
    refused: Mapping[str, int]
    auth: AuthView
    taken_at: str
    live: Live
    scopes: Scopes
    series: Series
    kinds: Mapping[str, Picture]
    proxy_headers: int
    evictions: Mapping[str, int]
    labelled: Mapping[str, Sequence[KeySeries]]
    endings: EndingsView
    banned: BannedView
    requests: RequestsView
    audit: AuditView
    records: RecordsView
    collection: Collection
    certificates: tuple[CertificateView, ...] = ()
    quotas: QuotasView = QuotasView()
    troubles: tuple[EndedView, ...] = ()

    def stats(self) -> dict[str, Any]:
        """Return what `GET /api/v1/stats` answers: all but the single connections."""
        return {name: getattr(self, name) for name in _STATS}


_STATS = (
    "node", "workers", "totals", "throughput", "listeners", "routes", "targets", "outcomes", "refused", "taken_at"
)  # fmt: skip


class Usage(Struct, frozen=True, kw_only=True):
    """
    Resources of the supervisor and its workers together.

    Args:
        cpu_seconds: User and system time, of dead workers too; never goes back.
        resident_bytes: Resident memory, shared pages counted in each process.
        virtual_bytes: Virtual memory.
        open_fds: Open descriptors.
        max_fds: Descriptors that they may open.
        started_at: Start of the supervisor; unit s since the epoch.
    """

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    open_fds: int
    max_fds: int
    started_at: float
