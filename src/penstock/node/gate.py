"""
Who may use the admin door: checked before anything else is looked at.

Rules:
- `/health` and `/healthz` are for everybody; they tell nothing but that we run.
- A request that a browser sends for a page of another site is refused: its Origin is not the address that it asks.
- Where a token is demanded, nobody gets in without it (RFC 6750).
- Where none is, the Host must be an IP address, localhost or the node's name. A site that lets its own name point to
  127.0.0.1 (DNS rebinding) sends its name there; with a token it would not know the token.
- On the Unix socket the file's permissions have decided already.
"""

import hmac
from collections.abc import Callable, Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.base.addresses import is_ip
from penstock.node.problems import SAFE_HEADERS, problem

OPEN_PATHS = frozenset(("/health", "/healthz"))


class Gate:
    """
    ASGI middleware that holds the rules above.

    Args:
        app: What lies behind it.
        token: Demanded as `Authorization: Bearer`; None for none.
        names: Host names that we are known by, besides localhost and IP addresses.
        local: Whether it stands on a Unix socket.
        saw: Called with the address of whom it lets in over TCP.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        names: Collection[str],
        local: bool,
        saw: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._names = frozenset(name.lower() for name in names) | {"localhost"}
        self._local, self._saw = local, saw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or let the request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = None
        if scope["path"] not in OPEN_PATHS:
            refusal = self.refusal(Headers(scope=scope))
            if refusal is None and not self._local and scope.get("client"):
                self._saw(scope["client"][0])
        await (refusal or self._app)(scope, receive, send_safely)

    def refusal(self, headers: Headers) -> Response | None:
        """Return why a request with these headers is refused; None if it is not."""
        if self._local:
            return None
        host = headers.get("host", "")
        origin = headers.get("origin")
        if origin is not None and not _same(origin, host):
            return problem(HTTPStatus.FORBIDDEN, "a page of another site asked for this")
        if self._token is not None:
            return None if self._knows_token(headers.getlist("authorization")) else _WHO_ARE_YOU
        if host and not self._is_ours(host):  # HTTP/1.0 may leave it out, browsers do not
            return problem(
                HTTPStatus.FORBIDDEN,
                "the Host header is neither an IP address nor localhost nor this node's name; "
                "ask for the address itself, or set an admin token",
            )
        return None

    def _knows_token(self, authorization: list[str]) -> bool:
        scheme, _, given = (authorization[0] if len(authorization) == 1 else "").partition(" ")
        if scheme.lower() != "bearer" or not self._token:  # an empty token opens nothing
            return False
        return hmac.compare_digest(given.strip().encode("latin-1"), self._token)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        return name in self._names or is_ip(name)


_WHO_ARE_YOU = problem(
    HTTPStatus.UNAUTHORIZED,
    "this node demands a token: Authorization: Bearer TOKEN",
    {"WWW-Authenticate": 'Bearer realm="penstock"'},
)


def _name(host: str) -> str:
    """Return the host of a Host header without its port; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same(origin: str, host: str) -> bool:
    """Return whether an Origin header (RFC 6454) names the host that is asked; `null` names nobody."""
    scheme, _, rest = origin.partition("://")
    return bool(rest) and scheme in ("http", "https") and rest.lower() == host.lower()
