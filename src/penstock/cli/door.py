"""One request over a Unix socket. The client of the standard library does: others take a tenth of a second to load."""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode


class Answer(NamedTuple):
    """
    What a node has answered.

    Args:
        status: Of HTTP.
        reason: Its words.
        body: Whatever it is.
    """

    status: int
    reason: str
    body: bytes

    def json(self) -> Any:
        """Return the body read as JSON; raises ValueError if it is none."""
        return json.loads(self.body)


class _Door(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("penstock", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, method: str, target: str, query: Mapping[str, Any], body: Any, timeout: float) -> Answer:
    """
    Ask whoever listens at a Unix socket.

    Args:
        path: Of the socket.
        method, target: Of the request.
        query: By name.
        body: Sent as JSON; None for none.
        timeout: For each step of it; unit s.

    Raises:
        OSError: If nobody is there; TimeoutError if there is no answer.
        HTTPException: If the answer is none of HTTP.
    """
    door = _Door(path, timeout)
    data = None if body is None else json.dumps(body).encode()
    headers = {"Connection": "close"} | ({} if data is None else {"Content-Type": "application/json"})
    try:
        # Whoever answers before it has read all, as to what it does not want, has answered (RFC 9112 section 9.5).
        with suppress(BrokenPipeError, ConnectionResetError):
            door.request(method, f"{target}?{urlencode(query)}" if query else target, data, headers)
        answer = door.getresponse()
        return Answer(answer.status, answer.reason, answer.read())
    finally:
        door.close()
