"""The history of ended connections at the admin door: which are asked for, and in which form they are told."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from penstock.metrics.exporters.negotiation import preferred
from penstock.metrics.exporters.spreadsheet import to_csv
from penstock.metrics.filters import (
    WORDS,
    Filter,
    parse_client,
    parse_destination,
    parse_length,
    parse_moment,
    parse_text,
    parse_word,
)
from penstock.metrics.records import RecordsView
from penstock.metrics.searching import Page, RecordView, search
from penstock.node.problems import Problem
from penstock.node.queries import parse_limit, parse_number, take

PAGE = 100
"""Records in an answer that does not say how many: a screen or two."""

FORMS = {"json": "application/json", "csv": "text/csv", "jsonl": "application/x-ndjson"}
"""Media type by name of the form; the first is that of who does not say."""

_FILTERS: dict[str, Callable[[str], Any]] = {
    "client": parse_client,
    "user": parse_text,
    "destination": parse_destination,
    "route": parse_text,
    "listener": parse_text,
    "target": parse_text,
    **{name: partial(parse_word, known=words) for name, words in WORDS.items()},
    "min_bytes": parse_number,
    "min_duration": parse_length,
}

_PAGING: dict[str, Callable[[str], Any]] = {
    "limit": parse_limit,
    "cursor": parse_number,
    "after": parse_number,
    "format": partial(parse_word, known=FORMS),
}


def known(now_ns: int) -> dict[str, Callable[[str], Any]]:
    """
    Return what a query may hold, and what reads each of its values.

    Args:
        now_ns: What `-5m` is told from; unit ns since the epoch.
    """
    moment = partial(parse_moment, now_ns=now_ns)
    return _FILTERS | {"since": moment, "until": moment} | _PAGING


def answer(request: Request, view: RecordsView) -> Response:
    """
    Return the records that a request asks for. Takes milliseconds: it belongs into a thread.

    Args:
        request: Its query and its Accept header say what and how.
        view: The records to choose from.

    Raises:
        Problem: If the query makes no sense.
    """
    query = take(request, known(view.wall_ns))
    form = query.pop("format", None) or _liked(request)
    limit, before, after = (query.pop(name, default) for name, default in _DEFAULTS)
    if before is not None and after is not None:
        raise Problem(HTTPStatus.BAD_REQUEST, "cursor goes back from the newest, after goes on to it: only one of them")
    page = search(view, Filter(**query), limit=limit, before=before, after=after)
    headers = {"Vary": "Accept"}
    if page.next is not None:
        place = request.url.include_query_params(**{"cursor" if after is None else "after": page.next})
        headers["Link"] = f'<{place.path}?{place.query}>; rel="next"'
    return Response(_render(page, form), media_type=FORMS[form], headers=headers)


_DEFAULTS = (("limit", PAGE), ("cursor", None), ("after", None))


def _liked(request: Request) -> str:
    names = {media: name for name, media in FORMS.items()}
    return names[preferred(",".join(request.headers.getlist("accept")), list(names))]


def _render(page: Page, form: str) -> bytes:
    if form == "csv":
        rows = map(msgspec.structs.astuple, page.connections)
        return "".join(to_csv(RecordView.__struct_fields__, rows)).encode()
    if form == "jsonl":
        return b"".join(msgspec.json.encode(each) + b"\n" for each in page.connections)
    return msgspec.json.encode(page._asdict())
