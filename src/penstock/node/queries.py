"""What a request to the admin door asks for: values of its query, read by parsers that say what is wrong."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from penstock.node.problems import Problem

LONGEST_PAGE = 10_000
"""Connections in one answer; 10,000 of them are 3 MB of JSON, made in 80 ms."""

LARGEST_ID = 2**53 - 1


def take(request: Request, known: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    """
    Return the values of a query.

    Args:
        request: Whose query.
        known: What reads each value; it raises ValueError with what would be right.

    Raises:
        Problem: If a name is unknown or given twice, or a value is wrong.
    """
    values: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in known:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name!r} is unknown here; known are: {', '.join(known) or 'none'}")
        if name in values:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is given twice")
        try:
            values[name] = known[name](text)
        except ValueError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name}={text!r}: {error}") from None
    return values


def parse_number(text: str) -> int:
    """Return a number from 0 to `LARGEST_ID`; raises ValueError for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > LARGEST_ID:
        raise ValueError(f"a number from 0 to {LARGEST_ID} is needed")
    return int(text)


def parse_limit(text: str) -> int:
    """Return how many connections a page may hold, 1 to `LONGEST_PAGE`; raises ValueError for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not 1 <= int(text) <= LONGEST_PAGE:
        raise ValueError(f"a number from 1 to {LONGEST_PAGE} is needed")
    return int(text)


async def body_of(request: Request, limit: int) -> bytes:
    """Return what was sent; raises Problem, 413, for more than `limit` bytes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {limit} bytes here")
    return body
