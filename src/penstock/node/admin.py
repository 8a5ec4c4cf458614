"""The admin door's application: what a node shows and what it lets an operator do, over HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from platform import python_version
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import penstock
from penstock.base.errors import ConfigurationError
from penstock.config.plan import MetricsPlan
from penstock.metrics.audit import AuditView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import Collection, CollectionError
from penstock.metrics.exporters.compat import served
from penstock.metrics.exporters.families import Reading, chosen
from penstock.metrics.exporters.listing import to_json, to_table
from penstock.metrics.exporters.negotiation import choose_format, takes_gzip
from penstock.metrics.exporters.prometheus import Format, render
from penstock.metrics.filters import parse_word
from penstock.metrics.snapshot import Snapshot, TargetView
from penstock.metrics.tracker import NODE, WINDOWS
from penstock.metrics.view import HistoryView, Metrics, UnknownScopeError, WindowView, parse_span, parse_window
from penstock.node import history, targets
from penstock.node.bans import endpoints
from penstock.node.bans.desk import Desk
from penstock.node.gate import Gate
from penstock.node.limits import LimitsView
from penstock.node.openapi import describe
from penstock.node.problems import Problem, on_crash, on_http_exception
from penstock.node.queries import body_of, parse_limit, parse_number, take
from penstock.node.reload import DrainView, ReloadError, ReloadView
from penstock.node.replies import JSON, reply
from penstock.node.tables import Changeable, routes_of
from penstock.node.upgrade import UpgradeError, UpgradeView
from penstock.node.usage import UsageMeter
from penstock.policy.health import TargetOrder
from penstock.store.store import UnreachableError

PAGE = 1_000
NAMES = 256
"""Names of metrics in one request: several times the families that there are; Prometheus itself has no bound."""

GRAPH = 300
"""Seconds of a graph that does not say how many."""

BODY_BYTES = 4_096
"""Longest body of an order; the longest that makes sense has 150 bytes."""

SORTS = ("id", "bytes")

SWITCHES = ("0", "1")

EXPORTS = {"json": (JSON, to_json), "csv": ("text/csv", to_table)}
"""Media types of an export and what writes them, by the word for each."""


class Node(Changeable, Protocol):
    """
    What the door needs of a node.

    Attributes:
        admin_token: Demanded on TCP; None for none.
    """

    @property
    def admin_token(self) -> str | None:
        """Return the token that is demanded on TCP; None for none."""

    @property
    def metrics(self) -> MetricsPlan:
        """Return what of its metrics is shown."""

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""

    async def audit(self) -> AuditView:
        """Compare open connections with the kernel, and return the whole sheet."""

    async def close_connection(self, number: int) -> bool:
        """End the connection with this id; returns whether there was one."""

    def switch(self, wanted: Mapping[str, bool]) -> Collection:
        """Switch parts of the collection, and return what is on; raises CollectionError for what cannot be."""

    async def kept_graph(self, scope: str, seconds: int) -> HistoryView | None:
        """
        Return a graph from the store; None if it knows nothing of the scope, or there is none.

        Raises:
            ValueError: If nothing is kept for so long.
            UnreachableError: If it cannot be read.
        """

    async def reload(self, *, dry_run: bool = False) -> ReloadView:
        """
        Read the configuration again and serve it, or only say what would change.

        Raises:
            ConfigurationError: With every mistake; nothing has changed then.
            ReloadError: If there is nothing to reload, or not now.
        """

    async def upgrade(self) -> UpgradeView:
        """Let a new process of the program take over; raises UpgradeError if it could not."""

    def targets(self) -> tuple[TargetView, ...]:
        """Return how each target is now."""

    def limits(self) -> LimitsView:
        """Return all limits, and how much of each is used."""

    def certificates(self) -> tuple[CertificateView, ...]:
        """Return how each certificate is; reads files."""

    def order_target(self, route: str, address: str, order: TargetOrder | None, weight: int | None) -> tuple[int, ...]:
        """Do what an operator wants of a target, and return its ids; see `Health.order`."""

    async def drain(self) -> None:
        """Begin to drain, and return at once; a second call changes nothing."""

    def drained(self) -> DrainView:
        """Return how far a drain is."""

    @property
    def desk(self) -> Desk:
        """Return who bans."""

    def ready(self) -> tuple[bool, str]:
        """Return whether new connections are served, and why not."""


def make_app(node: Node, *, local: bool = False) -> Starlette:
    """
    Return the application.

    Args:
        node: What it shows and commands.
        local: Whether it is served on the node's Unix socket, whose permissions stand for the token.
    """
    door = _Door(node)
    scraped = [Route("/metrics", door.metrics)] if node.metrics.prometheus else []
    routes = [
        *scraped,
        Route("/health", door.health),
        Route("/healthz", door.healthz),
        Route("/readyz", door.readyz),
        Route("/version", door.version),
        Route("/api/v1/stats", door.stats),
        Route("/api/v1/metrics", door.everything),
        Route("/api/v1/metrics/throughput", door.throughput),
        Route("/api/v1/metrics/history", door.history),
        Route("/api/v1/metrics/export", door.export),
        Route("/api/v1/metrics/collection", door.collection, methods=["GET", "PUT"]),
        Route("/api/v1/audit", door.audit),
        Route("/api/v1/certificates", door.certificates),
        Route("/api/v1/limits", door.limits),
        Route("/api/v1/targets", door.targets),
        Route("/api/v1/targets/{route}/{target}", door.target, methods=["GET", "PUT"]),
        *routes_of(node, trusted=local or node.admin_token is not None),
        Route("/api/v1/connections", door.connections),
        Route("/api/v1/connections/{id}", door.connection, methods=["GET", "DELETE"]),
        Route("/api/v1/history", door.records),
        *endpoints.routes(node),
        Route("/api/v1/openapi.json", door.openapi),
        Route("/api/v1/reload", door.reload, methods=["POST"]),
        Route("/api/v1/upgrade", door.upgrade, methods=["POST"]),
        Route("/-/upgrade", door.upgrade, methods=["POST"]),
        Route("/api/v1/drain", door.drained),
        Route("/-/reload", door.reload, methods=["POST"]),
        Route("/-/drain", door.drain, methods=["POST"]),
    ]
    gate = Middleware(
        Gate, token=node.admin_token, names=(node.snapshot().node.name,), local=local, saw=node.desk.spared.saw_admin
    )
    app = Starlette(
        routes=routes,
        middleware=[gate],
        exception_handlers={HTTPException: on_http_exception, Exception: on_crash},
    )
    app.router.redirect_slashes = False  # a redirect would repeat whatever Host it was told
    return app


class _Door:
    """The views, in the order of the routes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._meter = UsageMeter()

    async def metrics(self, request: Request) -> Response:
        """Everything that is counted, for Prometheus."""
        form = choose_format(",".join(request.headers.getlist("accept")))
        compressed = takes_gzip(",".join(request.headers.getlist("accept-encoding")))
        names = _names(request)
        body = await run_in_threadpool(self._render, self._node.snapshot(), form, compressed, names)
        headers = {"Vary": "Accept, Accept-Encoding", "Content-Type": form.value}
        return Response(body, headers=headers | ({"Content-Encoding": "gzip"} if compressed else {}))

    def _readings(self, snapshot: Snapshot) -> list[Reading]:
        usage = self._meter.read(snapshot.workers.pids)
        return served(snapshot, usage, compat_names=self._node.metrics.compat_names)

    async def export(self, request: Request) -> Response:
        """Every family with what is known of it, as JSON or CSV."""
        form = take(request, {"format": partial(parse_word, known=EXPORTS)}).get("format", "json")
        media, write = EXPORTS[form]
        snapshot = self._node.snapshot()
        body = await run_in_threadpool(lambda: write(self._readings(snapshot), snapshot.taken_at))
        return Response(body, media_type=media)

    def _render(self, snapshot: Snapshot, form: Format, compressed: bool, names: frozenset[str]) -> bytes:
        found = self._readings(snapshot)
        return render(chosen(found, names) if names else found, form, compressed=compressed)

    async def health(self, request: Request) -> Response:
        """Whether the process answers."""
        return PlainTextResponse("OK")

    async def healthz(self, request: Request) -> Response:
        """Whether the process answers, as JSON."""
        return reply({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Whether new connections are served."""
        ready, why = self._node.ready()
        if not ready:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, why)
        return reply({"status": "ready"})

    async def version(self, request: Request) -> Response:
        """Which Penstock this is."""
        return reply({"name": "penstock", "version": penstock.__version__, "python": python_version()})

    async def stats(self, request: Request) -> Response:
        """Totals and throughput."""
        take(request, {})
        return reply(self._node.snapshot().stats())

    async def everything(self, request: Request) -> Response:
        """Connections, throughput, requests and totals, with their windows."""
        take(request, {})
        return reply(Metrics(self._node.snapshot()).everything())

    async def throughput(self, request: Request) -> Response:
        """One window of one scope."""
        query = take(request, {"window": parse_window, "scope": str})
        window, scope = query.get("window", WINDOWS["recent"]), query.get("scope", NODE)
        with _scoped():
            return reply(WindowView(scope, window, Metrics(self._node.snapshot()).window(window, scope)))

    async def history(self, request: Request) -> Response:
        """A graph of one scope."""
        query = take(request, {"seconds": parse_span, "scope": str})
        seconds, scope = query.get("seconds", GRAPH), query.get("scope", NODE)
        with _scoped():
            try:
                view = Metrics(self._node.snapshot()).history(seconds, scope)
            except (UnknownScopeError, ValueError):  # memory does not know it: the store may
                kept = await self._kept(scope, seconds)
                if kept is None:
                    raise
                view = kept
        return reply(view)

    async def _kept(self, scope: str, seconds: int) -> HistoryView | None:
        try:
            return await self._node.kept_graph(scope, seconds)
        except UnreachableError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None

    async def collection(self, request: Request) -> Response:
        """Which parts of the metrics are collected: shown, or switched."""
        take(request, {})
        if request.method != "PUT":
            return reply(self._node.snapshot().collection)
        try:
            wanted = msgspec.json.decode(await body_of(request, BODY_BYTES), type=dict[str, bool])
            return reply(self._node.switch(wanted))
        except (CollectionError, msgspec.DecodeError) as error:  # the latter knows of wrong types, too
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None

    async def targets(self, request: Request) -> Response:
        """How all targets are."""
        query = take(request, {"route": str})
        return reply({"targets": targets.listed(self._node.targets(), query.get("route"))})

    async def target(self, request: Request) -> Response:
        """How one target is; what an operator wants of it."""
        take(request, {})
        route, address = request.path_params["route"], request.path_params["target"]
        if request.method == "PUT":
            order = targets.parse_order(await body_of(request, BODY_BYTES))
            self._node.order_target(route, address, order.state, order.weight)
        return reply(targets.one(self._node.targets(), route, address))

    async def limits(self, request: Request) -> Response:
        """All limits, and how much of each is used."""
        take(request, {})
        return reply(self._node.limits())

    async def certificates(self, request: Request) -> Response:
        """How all certificates are."""
        take(request, {})
        return reply({"certificates": await run_in_threadpool(self._node.certificates)})

    async def audit(self, request: Request) -> Response:
        """Whether everything that is counted adds up, the kernel's counts among it."""
        take(request, {})
        return reply(await self._node.audit())

    async def connections(self, request: Request) -> Response:
        """Open connections, a page at a time."""
        snapshot = self._node.snapshot()
        query = take(request, {"listener": str, "limit": parse_limit, "cursor": parse_number, "sort": _sort})
        busiest = query.get("sort") == "bytes"
        if busiest and "cursor" in query:
            raise Problem(HTTPStatus.BAD_REQUEST, "cursor goes with sort=id only: bytes change from page to page")
        page = await run_in_threadpool(
            snapshot.live.page,
            listener=_listener(snapshot, query.get("listener")),
            after=query.get("cursor", 0),
            limit=query.get("limit", PAGE),
            busiest=busiest,
        )
        return reply({"connections": page.connections, "next": page.next, "total": page.total})

    async def connection(self, request: Request) -> Response:
        """One open connection: shown, or ended."""
        take(request, {})
        number = _id(request.path_params["id"])
        if request.method == "DELETE":
            if not await self._node.close_connection(number):
                raise _no_connection(number)
            return Response(status_code=HTTPStatus.NO_CONTENT)
        view = self._node.snapshot().live.find(number)
        if view is None:
            raise _no_connection(number)
        return reply(view)

    async def records(self, request: Request) -> Response:
        """Connections that have ended, the newest first."""
        return await run_in_threadpool(history.answer, request, self._node.snapshot().records)

    async def openapi(self, request: Request) -> Response:
        """What this door answers, as OpenAPI 3.1."""
        return reply(describe(penstock.__version__))

    async def reload(self, request: Request) -> Response:
        """Read the configuration again and serve it, or say what would change."""
        query = take(request, {"dry_run": partial(parse_word, known=SWITCHES)})
        try:
            return reply(await self._node.reload(dry_run=query.get("dry_run", "0") == "1"))
        except ReloadError as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from None
        except ConfigurationError as error:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "the configuration has mistakes", mistakes=error.mistakes
            ) from None

    async def upgrade(self, request: Request) -> Response:
        """Let a new process of the program take over."""
        take(request, {})
        try:
            return reply(await self._node.upgrade())
        except UpgradeError as error:
            raise Problem(HTTPStatus.CONFLICT, f"not upgraded, all goes on as before: {error}") from None

    async def drained(self, request: Request) -> Response:
        """How far a drain is."""
        take(request, {})
        return reply(self._node.drained())

    async def drain(self, request: Request) -> Response:
        """Accept no more, let what runs finish, then stop."""
        take(request, {})
        await self._node.drain()
        return reply({"state": "draining"}, HTTPStatus.ACCEPTED)


def _names(request: Request) -> frozenset[str]:
    """Return the metrics that are asked for by `name` and `name[]`; none at all for every one."""
    names = frozenset(name for key in ("name[]", "name") for name in request.query_params.getlist(key))
    if len(names) > NAMES:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{len(names)} names; at most {NAMES} are taken: ask for everything")
    return names


@contextmanager
def _scoped() -> Iterator[None]:
    """Answer what the metrics do not have as problems."""
    try:
        yield
    except UnknownScopeError as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error)) from None
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None


def _no_connection(number: int) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"no connection {number} is open")


def _sort(text: str) -> str:
    if text not in SORTS:
        raise ValueError(f"one of {', '.join(SORTS)} is needed")
    return text


def _id(text: str) -> int:
    try:
        return parse_number(text)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"connection id {text!r}: {error}") from None


def _listener(snapshot: Snapshot, name: str | None) -> int | None:
    if name is None:
        return None
    found = snapshot.scopes.called(name)
    if found is None:
        names = ", ".join(listener.name for listener in snapshot.listeners[:20])
        raise Problem(HTTPStatus.BAD_REQUEST, f"no listener is called {name!r}; there are: {names}")
    return found.id
