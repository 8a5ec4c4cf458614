"""Listeners and routes at the admin door: what is in effect, and what an operator wants them to be from now on."""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock.base.errors import ConfigurationError
from penstock.config.changes import SECTIONS, Section
from penstock.config.changes import Written as Table
from penstock.config.difference import Change
from penstock.config.layered import WrittenView
from penstock.config.marked import reached
from penstock.metrics.filters import parse_word
from penstock.node.problems import Problem
from penstock.node.queries import body_of, take
from penstock.node.reload import ReloadError, ReloadView, UnknownTableError
from penstock.node.replies import reply

TABLE_BYTES = 262_144
"""Longest table; a route with ten thousand networks has 200 KB. A configuration file has 1 MiB."""

CHECK = ("false", "true")


class Changeable(Protocol):
    """What these views need of a node."""

    async def change(self, section: Section, name: str, table: Table | None, *, dry_run: bool = False) -> ReloadView:
        """Serve another listener or route; see `Reloads.change`."""

    def tables(self, section: Section) -> Sequence[WrittenView]:
        """Return every table of a section; raises ReloadError where nobody knows."""

    def changed(self) -> tuple[Change, ...]:
        """Return what was changed at runtime."""


class TableView(msgspec.Struct, frozen=True):
    """
    A listener or a route as it is in effect.

    Args:
        name: What it is called.
        origin: `configuration`, or `runtime` for one that was changed since.
        table: Its keys as they are written; `***` stands for a secret.
    """

    name: str
    origin: Literal["configuration", "runtime"]
    table: dict[str, Any]


def routes_of(node: Changeable, *, trusted: bool) -> list[Route]:
    """
    Return the routes of these views.

    Args:
        node: What they show and change.
        trusted: Whether whoever asks has proved who he is, by a token or by the permissions of the Unix socket. Others
            name no files and no code.
    """
    found = [Route("/api/v1/runtime", partial(_changed, node))]
    for section in SECTIONS:
        view = _View(node, section, trusted)
        found += [
            Route(f"/api/v1/{section}s", view.all),
            Route(f"/api/v1/{section}s/{{name}}", view.one, methods=["GET", "PUT", "DELETE"]),
        ]
    return found


class _View:
    """The views of one section."""

    def __init__(self, node: Changeable, section: Section, trusted: bool) -> None:
        self._node, self._section, self._trusted = node, section, trusted

    async def all(self, request: Request) -> Response:
        """Show all tables."""
        take(request, {})
        return reply({f"{self._section}s": self._views()})

    async def one(self, request: Request) -> Response:
        """Show one, change it, or take it away."""
        name = request.path_params["name"]
        if request.method not in ("PUT", "DELETE"):
            take(request, {})
            return reply(self._view(name))
        check = take(request, {"check": partial(parse_word, known=CHECK)}).get("check") == "true"
        table = self._read(name, await body_of(request, TABLE_BYTES)) if request.method == "PUT" else None
        try:
            return reply(await self._node.change(self._section, name, table, dry_run=check))
        except UnknownTableError as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from None
        except ReloadError as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from None
        except ConfigurationError as error:
            what = f"{self._section} {name} has mistakes, or others have with it; nothing has changed"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, what, mistakes=error.mistakes) from None

    def _read(self, name: str, body: bytes) -> dict[str, Any]:
        try:
            table = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the keys of a {self._section} are needed: {error}") from None
        if table.get("name", name) != name:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the table has another name than {name!r} in the path")
        if not self._trusted and (paths := reached(self._section, table)):
            keys = ", ".join(dict.fromkeys(".".join(path) for path in paths))
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"{keys}: files and code are named through the Unix socket, or where an admin token is demanded",
            )
        return table

    def _views(self) -> list[TableView]:
        try:
            found = self._node.tables(self._section)
        except ReloadError as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from None
        return [TableView(each.name, "runtime" if each.runtime else "configuration", each.table) for each in found]

    def _view(self, name: str) -> TableView:
        views = self._views()
        found = next((each for each in views if each.name == name), None)
        if found is None:
            names = ", ".join(each.name for each in views[:20])
            raise Problem(HTTPStatus.NOT_FOUND, f"no {self._section} is called {name!r}; there are: {names or 'none'}")
        return found


async def _changed(node: Changeable, request: Request) -> Response:
    """Show what was changed at runtime."""
    take(request, {})
    return reply({"changes": node.changed()})
