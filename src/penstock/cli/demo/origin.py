"""What the demo's traffic goes to: an echo server and a small HTTP/1.1 server, both on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

CHUNK_BYTES = 65_536
"""What is read and written at a time; asyncio's own read size is 64 KiB and 256 KiB."""

HEAD_BYTES = 32_768
"""Longest request head; the proxies in front take no longer one."""

BODY_BYTES = 1 << 30
"""Longest body sent or taken, for visitors who want to see a large one: 1 GiB."""

CLIENTS = 256
"""Connections that one origin serves at once; the demo itself needs about twenty."""

HELLO = b"Hello from behind Penstock. Try /bytes/1000000, /chunked/1000000, or POST something to /echo.\n"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Origin:
    """
    A listening server.

    Args:
        talk: Serves one connection.
        host: Address to bind.
        port: 0 lets the kernel choose.
    """

    def __init__(self, talk: Talk, host: str = "127.0.0.1", port: int = 0) -> None:
        self._talk = talk
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Origin":
        self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered before
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= CLIENTS:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError, asyncio.LimitOverrunError):
                await self._talk(reader, writer)
        finally:
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back whatever comes, until the client closes its direction."""
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()


class Request(NamedTuple):
    """
    A request head.

    Args:
        method: As sent.
        path: Of the URL; a server takes the absolute form too (RFC 9112 section 3.2.2).
        length: Of the body that follows; unit bytes; -1 for a chunked one, which this server does not take.
        keep_alive: Whether the client would ask again.
    """

    method: str
    path: str
    length: int
    keep_alive: bool


def parse_request(head: bytes) -> Request | None:
    """Return what a request head asks for; None if it is none that this server understands."""
    line, *fields = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields) if name}
    length = -1 if "transfer-encoding" in headers else _whole(headers.get("content-length", "0"))
    if length is None:
        return None
    keep_alive = words[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Request(words[0], _path(words[1]), length, keep_alive)


def _path(url: str) -> str:
    return "/" + url[7:].partition("/")[2] if url.startswith("http://") else url


def _whole(text: str) -> int | None:
    """Return a number of bytes from 0 to BODY_BYTES; None for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    return int(text) if int(text) <= BODY_BYTES else None


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer HTTP/1.1 requests: `/`, `/bytes/N`, `/chunked/N` and `POST /echo`."""
    while True:
        request = parse_request((await reader.readuntil(b"\r\n\r\n"))[:-4])
        if request is None or request.length < 0:
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        await _answer(request, reader, writer)
        await writer.drain()
        if not request.keep_alive:
            return


async def _answer(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    kind, _, count = request.path.lstrip("/").partition("/")
    length = _whole(count)
    if request.method == "POST" and kind == "echo":
        await _echo_body(request.length, reader, writer)
        return
    await _skip(request.length, reader)
    if kind == "chunked" and length is not None:
        await _send_chunked(request, length, writer)
    elif kind == "bytes" and length is not None:
        await _send(request, length, writer)
    elif request.path == "/":
        await _send(request, len(HELLO), writer, HELLO)
    else:
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")


async def _echo_body(length: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_head(f"content-length: {length}"))
    while length:
        data = await _some(length, reader)
        length -= len(data)
        writer.write(data)
        await writer.drain()


async def _skip(length: int, reader: asyncio.StreamReader) -> None:
    while length:
        length -= len(await _some(length, reader))


async def _some(length: int, reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(min(length, CHUNK_BYTES))
    if not data:
        raise EOFError("the client closed in the middle of a body")
    return data


async def _send(request: Request, length: int, writer: asyncio.StreamWriter, body: bytes = b"") -> None:
    writer.write(_head(f"content-length: {length}"))
    if request.method == "HEAD":
        return
    if body:
        writer.write(body)
        return
    for piece in _pieces(length):
        writer.write(piece)
        await writer.drain()


async def _send_chunked(request: Request, length: int, writer: asyncio.StreamWriter) -> None:
    writer.write(_head("transfer-encoding: chunked"))
    if request.method == "HEAD":
        return
    for piece in _pieces(length):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


def _pieces(length: int) -> list[bytes]:
    """Return the body of so many bytes; its full pieces are one object."""
    whole, rest = divmod(length, CHUNK_BYTES)
    piece = filler(CHUNK_BYTES) if whole else b""
    return [piece] * whole + ([filler(rest)] if rest else [])


def filler(length: int) -> bytes:
    """Return so many bytes of readable text."""
    line = b"0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"
    return (line * (length // len(line) + 1))[:length]


def _head(framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{framing}\r\n\r\n".encode()
