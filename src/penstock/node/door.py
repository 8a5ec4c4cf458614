"""
Serves the admin application with uvicorn, on sockets that are bound already, inside a loop that somebody else runs.

Everything is bounded: connections, heads, and the time until an answer has been taken. A client that is slower, whether
it sends, reads or waits, loses its connection and nobody else's.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from penstock.base import bounds
from penstock.node.admin import Node, make_app

CONNECTIONS = 100
"""Open at once on one socket; more are answered 503. Prometheus, probes and dashboards keep a handful."""

KEEP_ALIVE_S = 15
"""Between two requests. Prometheus scrapes every 15 s by default and would rather not connect anew each time."""

PATIENCE_S = 30.0
"""From connecting, or from the last answer, until the next answer is given. Prometheus gives up on us after 10 s."""

DATE_S = 1.0
"""How long an answer's Date stays the same (RFC 9110 section 5.6.7 knows whole seconds)."""

STOP_S = 2
"""For answers that are under way when the door closes."""


class Door:
    """
    The admin door.

    Args:
        node: What it shows and commands.
        tcp: A bound TCP socket; None for none.
        unix: A bound Unix socket with its permissions set; None for none. Its file stays for its owner to remove.
    """

    def __init__(self, node: Node, tcp: socket.socket | None = None, unix: socket.socket | None = None) -> None:
        self._served = [
            (_Server(_config(make_app(node, local=sock is unix))), sock) for sock in (tcp, unix) if sock is not None
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to serve; returns when every socket answers, or raises what kept one from it."""
        for server, sock in self._served:
            serving = asyncio.create_task(server.serve([sock]), name="admin door")
            opening = asyncio.create_task(server.open.wait())
            await asyncio.wait((serving, opening), return_when=asyncio.FIRST_COMPLETED)
            opening.cancel()
            if serving.done():
                await serving
            self._tasks.append(serving)

    async def mute(self) -> None:
        """Accept nobody more, and close the listening sockets; who was accepted is served until `stop`."""
        loop = asyncio.get_running_loop()
        closing = [each for server, _ in self._served for each in server.servers]
        for sock in [sock for each in closing for sock in each.sockets]:
            loop.remove_reader(sock.fileno())
        for _ in range(2):  # asyncio resets whom it has accepted and not begun to serve when the server is closed
            await asyncio.sleep(0)
        for each in closing:
            each.close()

    async def stop(self) -> None:
        """Stop serving and close the sockets; answers that are under way get `STOP_S` seconds."""
        for server, _ in self._served:
            server.end()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=bounds.HTTP_HEAD_BYTES,
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to the supervisor, says when it is open, and sleeps while nobody asks."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Stop serving soon."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Keep the Date of answers. uvicorn would look ten times a second whether to end: 1.2 ms of CPU."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_S):
                    await self._ending.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.open.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Patient(H11Protocol):
    """uvicorn bounds the time between requests only; this bounds the whole time without an answer."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_answer()

    def on_response_complete(self) -> None:
        self._expect_answer()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _expect_answer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(PATIENCE_S, self.transport.abort)
