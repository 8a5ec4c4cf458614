"""Errors of the admin door, as problem details (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


SAFE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer: nothing is kept, guessed, framed, or lent to a page of another site."""


class Problem(HTTPException):
    """
    A request that cannot be served.

    Args:
        status: HTTP status.
        detail: What is wrong with this request and what would be right, in one sentence.
        headers: More headers of the answer.
        mistakes: All that is wrong, a line for each, where that is more than one sentence.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        mistakes: Sequence[str] = (),
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.mistakes = mistakes


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, *, mistakes: Sequence[str] = ()
) -> Response:
    """Return the answer that describes a problem."""
    phrase = HTTPStatus(status).phrase
    body: dict[str, Any] = {"type": "about:blank", "title": phrase, "status": status, "detail": detail}
    if mistakes:
        body["mistakes"] = mistakes
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router and the views raise."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    detail = error.detail
    if not isinstance(error, Problem):
        detail = _DETAILS.get(error.status_code, error.detail).format(method=request.method, path=request.url.path)
    mistakes = error.mistakes if isinstance(error, Problem) else ()
    return problem(error.status_code, detail, error.headers, mistakes=mistakes)


async def on_crash(request: Request, error: Exception) -> Response:
    """Answer a fault of ours; what it was stands in the log."""
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of Penstock; the log has the details", SAFE_HEADERS)


_DETAILS = {
    404: "there is nothing at {path}; /api/v1/openapi.json lists what there is",
    405: "{path} does not take {method}; the Allow header says what it takes",
}
