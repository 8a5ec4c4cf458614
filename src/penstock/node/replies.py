"""What the admin door answers where nothing is wrong; `problems` has the rest."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

JSON = "application/json"


def reply(value: Any, status: int = HTTPStatus.OK) -> Response:
    """
    Return an answer in JSON.

    Args:
        value: What msgspec can encode.
        status: HTTP status.
    """
    return Response(msgspec.json.encode(value), status, media_type=JSON)
