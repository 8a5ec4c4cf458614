"""
The demo's traffic: clients of all three proxies that count every byte they send and receive, heads and handshakes too.

A client never breaks off: told to stop, it ends the exchange that it is in, closes its direction, and reads until the
other end has closed too. So nothing is on its way when the counts are compared.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from penstock.base.addresses import Endpoint

HEAD_BYTES = 65_536
"""Longest response head that a client takes."""

STEP_SECONDS = 10.0
"""Longest time that one exchange may take before the client gives the connection up."""

RETRY_SECONDS = 0.25
"""Pause after a connection that failed."""


class TrafficError(Exception):
    """An answer was not what was asked for."""


@dataclass
class Tally:
    """
    What the clients of one listener did.

    Args:
        name: Of the listener.
        opened: Connections made.
        active: Of those, how many are open.
        exchanges: Questions answered in full and correctly.
        sent, received: Every byte written to and read from the proxy.
        failures: Connections that ended in an error.
        last_failure: One line about the last one.
    """

    name: str
    opened: int = 0
    active: int = 0
    exchanges: int = 0
    sent: int = 0
    received: int = 0
    failures: int = 0
    last_failure: str = ""


class Stream:
    """A connection to a proxy that adds every byte to a tally."""

    def __init__(self, tally: Tally, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tally, self._reader, self._writer = tally, reader, writer

    async def send(self, data: bytes) -> None:
        """Send and count."""
        self._tally.sent += len(data)
        self._writer.write(data)
        await self._writer.drain()

    async def exactly(self, count: int) -> bytes:
        """Return so many bytes, counted even if the end comes before."""
        try:
            return self._count(await self._reader.readexactly(count))
        except asyncio.IncompleteReadError as error:
            self._count(error.partial)
            raise TrafficError(f"the proxy closed after {len(error.partial)} of {count} bytes") from error

    async def head(self) -> bytes:
        """Return all up to and with an empty line."""
        try:
            return self._count(await self._reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            self._count(error.partial)
            raise TrafficError("the proxy closed in a response head") from error

    async def echo(self, data: bytes) -> None:
        """Send, and take the same back; both directions move at once, so that no size can lock up."""
        _, answer = await asyncio.gather(self.send(data), self.exactly(len(data)))
        if answer != data:
            raise TrafficError(f"{len(data)} bytes came back changed")

    async def finish(self) -> None:
        """Close our direction and read until the proxy has closed its own."""
        self._writer.write_eof()
        while self._count(await self._reader.read(65_536)):
            pass

    def _count(self, data: bytes) -> bytes:
        self._tally.received += len(data)
        return data


@asynccontextmanager
async def connected(tally: Tally, proxy: Endpoint) -> AsyncIterator[Stream]:
    """Connect to a proxy; the end of the block closes as the module says."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port, limit=HEAD_BYTES)
    tally.opened += 1
    tally.active += 1
    stream = Stream(tally, reader, writer)
    try:
        yield stream
        await asyncio.wait_for(stream.finish(), STEP_SECONDS)
    finally:
        tally.active -= 1
        writer.close()


@dataclass(frozen=True)
class Route:
    """
    Where a client goes.

    Args:
        proxy: The listener's address.
        origin: What is behind it.
    """

    proxy: Endpoint
    origin: Endpoint


Opening = Callable[[Stream, Endpoint], Awaitable[None]]
Asking = Callable[[Stream, Route, Random], Awaitable[None]]


async def open_nothing(stream: Stream, origin: Endpoint) -> None:
    """A plain TCP proxy asks for no handshake."""


async def open_connect(stream: Stream, origin: Endpoint) -> None:
    """Ask an HTTP proxy for a tunnel (RFC 9110 section 9.3.6)."""
    await stream.send(f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode())
    status = (await stream.head()).split(b"\r\n", 1)[0]
    if not status.startswith(b"HTTP/1.1 200"):
        raise TrafficError(f"CONNECT was answered {status.decode('latin-1')!r}")


async def open_socks5(stream: Stream, origin: Endpoint) -> None:
    """Ask a SOCKS5 proxy for a connection by IPv4 address (RFC 1928 sections 3 to 6)."""
    await _socks5(stream, b"\x01" + bytes(map(int, origin.host.split("."))), origin.port)


async def open_socks5_by_name(stream: Stream, origin: Endpoint) -> None:
    """Ask a SOCKS5 proxy for a connection by name; it is the proxy that looks it up."""
    name = b"localhost"
    await _socks5(stream, b"\x03" + bytes([len(name)]) + name, origin.port)


async def _socks5(stream: Stream, address: bytes, port: int) -> None:
    await stream.send(b"\x05\x01\x00")
    if await stream.exactly(2) != b"\x05\x00":
        raise TrafficError("the SOCKS5 proxy wants a login")
    await stream.send(b"\x05\x01\x00" + address + port.to_bytes(2, "big"))
    _, reply, _, kind = await stream.exactly(4)
    length = {1: 4, 4: 16}.get(kind) or (await stream.exactly(1))[0]
    await stream.exactly(length + 2)
    if reply:
        raise TrafficError(f"SOCKS5 CONNECT was answered {reply}")


async def ask_echo(stream: Stream, route: Route, random: Random) -> None:
    """Send some bytes and take them back: mostly small ones, now and then 64 KiB or more."""
    size = random.choice((64, 512, 1_460, 4_096, 16_384, 65_536, 200_000))
    await stream.echo(random.randbytes(16) * (size // 16))


async def ask_http(stream: Stream, route: Route, random: Random) -> None:
    """Ask an HTTP proxy for a page, or post a body, in absolute form (RFC 9112 section 3.2.2)."""
    size = random.choice((200, 1_000, 10_000, 50_000))
    url = f"http://{route.origin}"
    if random.random() < 0.3:
        body = random.randbytes(size)
        head = f"POST {url}/echo HTTP/1.1\r\nHost: {route.origin}\r\nContent-Length: {size}\r\n\r\n"
        await stream.send(head.encode() + body)
    else:
        body = b""
        await stream.send(f"GET {url}/bytes/{size} HTTP/1.1\r\nHost: {route.origin}\r\n\r\n".encode())
    answer = await stream.exactly(_length_of(await stream.head()))
    if len(answer) != size or (body and answer != body):
        raise TrafficError(f"{size} bytes were asked for and {len(answer)} came, or others")


def _length_of(head: bytes) -> int:
    status, *fields = head.decode("latin-1").split("\r\n")
    if " 200 " not in f"{status} ":
        raise TrafficError(f"a request was answered {status!r}")
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "content-length":
            return int(value)
    raise TrafficError("an answer came without its length")


@dataclass(frozen=True)
class Client:
    """
    One client that connects, asks, pauses, and connects again.

    Args:
        tally: Where it counts.
        route: Where it goes.
        opening: Its handshake.
        asking: One exchange.
        pause: Mean time between two exchanges; unit s.
        seed: Of its own chance: the same demo twice asks the same questions.
    """

    tally: Tally
    route: Route
    opening: Opening
    asking: Asking
    pause: float
    seed: int

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        random = Random(self.seed)  # noqa: S311 - sizes and pauses, no secrets
        while not stop.is_set():
            try:
                await self._connection(stop, random)
            except (OSError, TrafficError, TimeoutError, asyncio.LimitOverrunError) as error:
                self.tally.failures += 1
                self.tally.last_failure = f"{type(error).__name__}: {error}"
                await _pause(stop, RETRY_SECONDS)

    async def _connection(self, stop: asyncio.Event, random: Random) -> None:
        async with connected(self.tally, self.route.proxy) as stream:
            await asyncio.wait_for(self.opening(stream, self.route.origin), STEP_SECONDS)
            for _ in range(random.randint(5, 60)):
                if stop.is_set():
                    return
                await asyncio.wait_for(self.asking(stream, self.route, random), STEP_SECONDS)
                self.tally.exchanges += 1
                await _pause(stop, random.uniform(0.5, 1.5) * self.pause)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, or return at once when it is time to stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        pass


def crowd(tallies: dict[str, Tally], proxies: dict[str, Endpoint], echo: Endpoint, http: Endpoint) -> list[Client]:
    """
    Return the demo's clients: eleven, about 110 exchanges and a few MB a second together.

    Args:
        tallies: By listener: tcp, http and socks5.
        proxies: Addresses of the same.
        echo: The echo origin.
        http: The HTTP origin.
    """
    plan: list[tuple[str, Endpoint, Opening, Asking]] = [
        *[("tcp", echo, open_nothing, ask_echo)] * 4,
        *[("http", http, open_nothing, ask_http)] * 3,
        ("http", echo, open_connect, ask_echo),
        *[("socks5", echo, open_socks5, ask_echo)] * 2,
        ("socks5", echo, open_socks5_by_name, ask_echo),
    ]
    return [
        Client(tallies[name], Route(proxies[name], origin), opening, asking, 0.1, seed)
        for seed, (name, origin, opening, asking) in enumerate(plan)
    ]


class Traffic:
    """
    All clients together. Leaving the block stops them and waits until every connection is closed.

    Args:
        clients: Those that take part.
    """

    def __init__(self, clients: list[Client]) -> None:
        self._clients = clients
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Traffic":
        self._tasks = [asyncio.create_task(client.run(self._stop)) for client in self._clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        _done, stuck = await asyncio.wait(self._tasks, timeout=2 * STEP_SECONDS + 1)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=bool(stuck))
