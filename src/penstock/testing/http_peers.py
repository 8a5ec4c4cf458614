"""HTTP/1.1 peers to test a proxy with: an origin that answers as told and a client, both counting every byte."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from penstock.testing.peers import Server, serving
from penstock.testing.workbench import PATIENCE_S


class Message(NamedTuple):
    """
    A request or an answer as it was read.

    Args:
        start: Request line or status line, without its end.
        fields: By name in lower case; of a repeated one the last.
        body: Without chunks, where it came in chunks.
    """

    start: str
    fields: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        """Return the status code of an answer."""
        return int(self.start.split(" ")[1])


class Wire:
    """
    One end of an HTTP/1.1 connection, which counts.

    Args:
        sock: Connected.

    Attributes:
        rx, tx: Bytes received and sent.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self._file = sock, sock.makefile("rb")
        self.rx = self.tx = 0

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)
        self.tx += len(data)

    def read(self, count: int = -1) -> bytes:
        """Return `count` bytes, fewer only at the end of the file; -1 for all until then."""
        data = self._file.read(count)
        self.rx += len(data)
        return data

    def read_head(self) -> Message | None:
        """Return the next head, its body unread; None at the end of the file."""
        lines = []
        while (line := self._line()) not in (b"", b"\r\n"):
            lines.append(line.rstrip(b"\r\n").decode("latin-1"))
        if not lines:
            return None
        pairs = (line.partition(":") for line in lines[1:])
        return Message(lines[0], {name.lower(): value.strip() for name, _, value in pairs}, b"")

    def read_message(self, *, bodiless: bool = False) -> Message | None:
        """Return the next message; an answer without length lasts until the end of the file."""
        head = self.read_head()
        if head is None or bodiless:
            return head
        return head._replace(body=self._body(head))

    def _body(self, head: Message) -> bytes:
        if head.fields.get("transfer-encoding") == "chunked":
            return self._chunks()
        length = head.fields.get("content-length")
        if length is not None:
            return self.read(int(length))
        if head.start.startswith("HTTP/") and head.status not in (100, 101, 103, 204, 304):
            return self.read()
        return b""

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._line().split(b";")[0], 16):
            parts.append(self.read(size))
            self._line()
        while self._line() not in (b"", b"\r\n"):
            pass
        return b"".join(parts)

    def _line(self) -> bytes:
        line = self._file.readline(65_536)
        self.rx += len(line)
        return line

    def close(self) -> None:
        """Close."""
        with contextlib.suppress(OSError):
            self._file.close()
        self.sock.close()

    def __enter__(self) -> "Wire":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


Answer = Callable[[Message, Wire], bytes | None]
"""Says what is sent for a request; None closes the connection."""


class Origin:
    """
    An HTTP/1.1 server that serves one request after the other on each connection.

    Args:
        answer: Called with each request and the connection that it came on.

    Attributes:
        wires: Every connection that it ever had.
        requests: What it was asked, in order.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.wires: list[Wire] = []
        self.requests: list[Message] = []
        self.server: Server | None = None

    @property
    def port(self) -> int:
        """Return where it listens."""
        assert self.server is not None
        return self.server.port

    @property
    def rx(self) -> int:
        """Return the bytes received on all connections."""
        return sum(wire.rx for wire in self.wires)

    @property
    def tx(self) -> int:
        """Return the bytes sent on all connections."""
        return sum(wire.tx for wire in self.wires)

    def url(self, path: str = "/") -> str:
        """Return an absolute URL of it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def behave(self, sock: socket.socket) -> None:
        """Serve one connection."""
        with contextlib.suppress(OSError, ValueError), Wire(sock) as wire:  # ValueError: cut in the middle of a chunk
            self.wires.append(wire)
            while (request := wire.read_message()) is not None:
                self.requests.append(request)
                answer = self._answer(request, wire)
                if answer is None:
                    return
                wire.send(answer)


@contextlib.contextmanager
def origin(answer: Answer) -> Iterator[Origin]:
    """Run an origin for as long as the block lasts."""
    found = Origin(answer)
    with serving(found.behave) as server:
        found.server = server
        yield found


def slowly(gate: threading.Event) -> Answer:
    """Return what answers `done`, and for paths that begin with /slow only when the gate is open."""

    def answer(message: Message, wire: Wire) -> bytes:
        if message.start.startswith("GET /slow"):
            gate.wait(PATIENCE_S)
        return ok(b"done")

    return answer


def ok(body: bytes = b"", *fields: str) -> bytes:
    """Return a 200 with a length."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def request(method: str, url: str, body: bytes | None = None, *fields: str) -> bytes:
    """Return a request as a client of a forward proxy sends it."""
    host = url.split("/")[2]
    lines = [f"{method} {url} HTTP/1.1", f"Host: {host}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(body: bytes, size: int = 4_096) -> bytes:
    """Return a body in chunks of `size`."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
