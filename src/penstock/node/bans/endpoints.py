"""Bans at the admin door: listed, made, lifted, confirmed, and why an address is refused."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock.metrics.filters import parse_text, parse_word
from penstock.metrics.snapshot import Snapshot
from penstock.node.bans.desk import Desk
from penstock.node.bans.views import BanError, parse_wanted
from penstock.node.bans.why import why
from penstock.node.problems import Problem
from penstock.node.queries import body_of, parse_limit, take
from penstock.node.replies import reply
from penstock.policy.ban import parse_network
from penstock.policy.ranges import address_number

PAGE = 1_000
"""Bans in an answer that does not say how many."""

BODY_BYTES = 4_096
"""Longest order; one with the longest reason has 500 bytes."""

ORIGINS = ("manual", "auto", "shadow")


class Banning(Protocol):
    """What these doors need of a node."""

    @property
    def desk(self) -> Desk:
        """Return who bans."""

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which bans stay.

    Args:
        address: Of one; null for all that wait.
    """

    address: str | None = None


def routes(node: Banning) -> list[Route]:
    """Return the doors of bans."""
    door = _Bans(node)
    return [
        Route("/api/v1/bans", door.all, methods=["GET", "POST"]),
        Route("/api/v1/bans/confirm", door.confirm, methods=["POST"]),
        Route("/api/v1/bans/{network:path}", door.one, methods=["GET", "DELETE"]),
        Route("/api/v1/why", door.why),
    ]


class _Bans:
    def __init__(self, node: Banning) -> None:
        self._node = node

    async def all(self, request: Request) -> Response:
        """All bans; another one."""
        return await (self._ban(request) if request.method == "POST" else self._listing(request))

    async def _listing(self, request: Request) -> Response:
        """All bans, a page at a time."""
        known: dict[str, Callable[[str], Any]] = {
            "origin": partial(parse_word, known=ORIGINS),
            "reason": parse_text,
            "address": _address,
            "limit": parse_limit,
            "cursor": parse_text,
        }
        query = take(request, known)
        desk = self._node.desk
        bans, following, total = desk.page(
            after=query.get("cursor", ""),
            limit=query.get("limit", PAGE),
            origin=query.get("origin"),
            reason=query.get("reason"),
            address=query.get("address"),
        )
        return reply({"bans": bans, "next": following, "total": total, "lists": desk.lists})

    async def _ban(self, request: Request) -> Response:
        """Ban an address or a network."""
        take(request, {})
        body = await body_of(request, BODY_BYTES)
        host = request.client.host if request.client is not None else ""
        try:
            wanted = parse_wanted(body)
            view = self._node.desk.ban(wanted, host if _is_address(host) else "")
        except BanError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        if wanted.cut and not wanted.shadow:
            view = msgspec.structs.replace(view, cut=self._node.desk.cut(parse_network(view.network)))
        return reply(view, HTTPStatus.CREATED)

    async def confirm(self, request: Request) -> Response:
        """Let bans stay that would be undone."""
        take(request, {})
        try:
            wanted = msgspec.json.decode(await body_of(request, BODY_BYTES) or b"{}", type=Confirmation)
            return reply({"confirmed": self._node.desk.confirm(wanted.address)})
        except (BanError, msgspec.DecodeError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None

    async def one(self, request: Request) -> Response:
        """One ban: shown, or lifted."""
        take(request, {})
        network, desk = request.path_params["network"], self._node.desk
        try:
            view = desk.unban(network) if request.method == "DELETE" else desk.get(network)
        except BanError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        if view is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"{network} is not banned{_around(desk, network)}")
        return Response(status_code=HTTPStatus.NO_CONTENT) if request.method == "DELETE" else reply(view)

    async def why(self, request: Request) -> Response:
        """What holds against an address."""
        query = take(request, {"ip": parse_text})
        if "ip" not in query:
            raise Problem(HTTPStatus.BAD_REQUEST, "ip is needed, as in ?ip=192.0.2.7")
        node = self._node
        try:
            return reply(await run_in_threadpool(why, node.desk, node.snapshot().records, query["ip"]))
        except BanError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None


def _address(text: str) -> int:
    """Return one address as a number; raises ValueError for anything else."""
    network = parse_network(text)
    if not network.single:
        raise ValueError("one address is needed, as in 192.0.2.7")
    return network.ranges[0][0]


def _is_address(host: str) -> bool:
    return address_number(host) > 0


def _around(desk: Desk, network: str) -> str:
    """Return which bans hold for an address that has none of its own, as the end of a sentence."""
    try:
        address = _address(network)
    except ValueError:
        return ""
    names = [each.network for each in desk.holding(address)[:5]]
    files = [each.file for each in desk.listed(address)[:5]]
    held = [*names, *(f"the block list {each}" for each in files)]
    return f" itself; it is by {', '.join(held)}" if held else ""
