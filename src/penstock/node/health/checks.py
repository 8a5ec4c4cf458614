"""
One check of one target: connect, say who we are, shake hands, ask.

It takes the way that traffic takes, but for a parent: what is asked is how the target is, and from here. Nothing is
kept between two checks, as a connection that lives says nothing about the next one.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple

import penstock
from penstock.base.clock import NS
from penstock.base.errors import RemoteError
from penstock.config.plan import HealthPlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import TargetTlsPlan
from penstock.dataplane.contexts import make_target_context
from penstock.dataplane.handshake import reason_of
from penstock.node.health.names import Names
from penstock.protocols.http1.status import STATUS_BYTES, parse_status
from penstock.protocols.proxy_header.header import LOCAL, UNKNOWN
from penstock.protocols.proxy_header.v1 import serialize_v1
from penstock.protocols.proxy_header.v2 import serialize_v2

HEADERS = {"off": b"", "v1": serialize_v1(UNKNOWN), "v2": serialize_v2(LOCAL)}
"""What says that a connection is nobody's but ours (PROXY protocol, sections 2.1 and 2.2)."""

PROBLEM_CHARS = 200
"""Of what is told of a check that failed."""


class Way(NamedTuple):
    """
    What leads to a target.

    Args:
        target: Its address.
        health: What is asked.
        header: What is sent before anything else.
        context: How TLS is spoken; None for in the clear.
        server_name: Whom we ask for in TLS.
    """

    target: TargetPlan
    health: HealthPlan
    header: bytes = b""
    context: ssl.SSLContext | None = None
    server_name: str = ""


Check = Callable[[Way], Awaitable[str]]
"""Returns what is wrong with a target; nothing, if nothing is."""


def ways(routes: Iterable[RoutePlan]) -> Iterator[tuple[RoutePlan, Way]]:
    """
    Yield what leads to each target of these routes.

    Raises:
        StartError: If a file of their TLS cannot be used.
    """
    contexts: dict[TargetTlsPlan, ssl.SSLContext] = {}  # one takes 20 ms: the system's authorities are read
    for route in routes:
        tls = route.target_tls if route.health.kind != "off" else None
        if tls is not None and tls not in contexts:
            contexts[tls] = make_target_context(tls)
        for each in route.targets:
            context, name = (None, "") if tls is None else (contexts[tls], tls.server_name or each.host)
            yield route, Way(each, route.health, HEADERS[route.header_for(each)], context, name)


class Checker:
    """
    Checks targets.

    Args:
        names: Finds their addresses.
    """

    def __init__(self, names: Names) -> None:
        self._names = names

    async def check(self, way: Way) -> str:
        """Return what is wrong with a target; empty for nothing. Takes no longer than its timeout."""
        try:
            async with asyncio.timeout(way.health.timeout / NS):
                problem = await self._ask(way)
        except TimeoutError:
            problem = "no answer in time"
        except ssl.SSLError as error:
            problem = f"TLS: {reason_of(error)}"
        except OSError as error:
            problem = _words(error)
        except RemoteError as error:
            problem = str(error)
        except ValueError:  # a name that cannot be one in TLS or DNS
            problem = "its name cannot be looked up"
        return problem[:PROBLEM_CHARS]

    async def _ask(self, way: Way) -> str:
        sock = await self._connect(way.target)
        try:
            if way.header:
                await asyncio.get_running_loop().sock_sendall(sock, way.header)
            if way.context is not None:
                return await _ask_in_tls(way, sock)
            return _judge(await _exchange(way, sock), way.health) if way.health.kind == "http" else ""
        finally:
            sock.close()

    async def _connect(self, target: TargetPlan) -> socket.socket:
        """Return a connection to the first address that takes one."""
        failure = OSError("its name has no address")
        for address in await self._names.of(target.host):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            try:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, (address, target.port))
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure


def _words(error: OSError) -> str:
    """Return the system's words; asyncio puts its own, with the address, into the error."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()


async def _exchange(way: Way, sock: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request_of(way))
    data = b""
    while True:
        more = await loop.sock_recv(sock, STATUS_BYTES)
        data += more
        status = parse_status(data)
        if status is not None:
            return status
        if not more:
            raise RemoteError("closed without an answer")


async def _ask_in_tls(way: Way, sock: socket.socket) -> str:
    reader, writer = await asyncio.open_connection(sock=sock, ssl=way.context, server_hostname=way.server_name)
    try:
        if way.health.kind != "http":
            return ""
        writer.write(request_of(way))
        data, status = b"", None
        while status is None:
            more = await reader.read(STATUS_BYTES)
            data += more
            status = parse_status(data)
            if status is None and not more:
                raise RemoteError("closed without an answer")
        return _judge(status, way.health)
    finally:
        writer.transport.abort()  # nothing is left to say, and nobody waits for a close_notify


def request_of(way: Way) -> bytes:
    """Return the request of a check by HTTP."""
    lines = (
        f"GET {way.health.path} HTTP/1.1",
        f"Host: {way.health.host or way.target}",
        f"User-Agent: penstock/{penstock.__version__} (health check)",
        "Accept: */*",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _judge(status: int, health: HealthPlan) -> str:
    return "" if any(first <= status <= last for first, last in health.expect) else f"status {status}"
