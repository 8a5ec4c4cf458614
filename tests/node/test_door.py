"""The admin door on real sockets."""

import asyncio
import contextlib
import signal
import socket
from email.utils import parsedate_to_datetime

import httpx
import pytest

from penstock.node import door as module
from penstock.node.door import Door
from penstock.node.sockets import UnixSocket, open_admin
from penstock.testing.standin import StandIn

REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def node():
    """A node that demands a token on TCP."""
    node = StandIn(admin_token="s3cret")
    yield node
    node.close()


@pytest.fixture
def served(node, tmp_path):
    """Runs a coroutine function against a door on both kinds of socket."""

    def run(use):
        async def main():
            tcp, unix = open_admin("127.0.0.1", 0), UnixSocket(str(tmp_path / "penstock.sock"), "admin", 0o600)
            port = tcp.getsockname()[1]
            door = Door(node, tcp, unix.socket)
            async with asyncio.timeout(30):
                await door.start()
                try:
                    return await use(port, unix.path)
                finally:
                    await door.stop()
                    unix.close()

        return asyncio.run(main())

    return run


async def talk(port, *parts):
    """Send bytes and return all that comes until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    finally:
        writer.close()


def test_both_sockets_are_served(served):
    """TCP demands the token, the Unix socket does not; both show the same node."""

    async def use(port, path):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/health")).text == "OK"
            assert (await client.get("/api/v1/stats")).status_code == 401
            outside = await client.get("/api/v1/stats", headers={"Authorization": "Bearer s3cret"})
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(base_url="http://penstock", transport=transport) as client:
            inside = await client.get("/api/v1/stats")
            assert (await client.post("/-/drain")).status_code == 202
        assert outside.json() == inside.json()

    served(use)


def test_signals_stay_with_the_supervisor(served):
    """A door that opens and closes touches no signal handler."""
    before = signal.getsignal(signal.SIGTERM)  # of SIGINT asyncio's own runner takes care

    async def use(port, path):
        assert signal.getsignal(signal.SIGTERM) == before

    served(use)
    assert signal.getsignal(signal.SIGTERM) == before


def test_answers_have_the_time(served):
    """Though the door sleeps, answers tell the time: a later second has a later Date."""

    async def use(port, path):
        async with httpx.AsyncClient() as client:

            async def date():
                return parsedate_to_datetime((await client.get(f"http://127.0.0.1:{port}/health")).headers["Date"])

            first = later = await date()
            while later == first:
                later = await date()
        assert later > first

    served(use)


def test_a_door_that_sleeps_closes(served, monkeypatch):
    """However long a door would sleep, `stop` wakes it."""
    monkeypatch.setattr(module, "DATE_S", 3_600.0)

    async def use(port, path):
        assert (await talk(port, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b"OK")

    served(use)


def test_a_closed_door_refuses(served, tmp_path):
    """After `stop` nobody listens on either socket."""

    async def use(port, path):
        return port

    port = served(use)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert list(tmp_path.iterdir()) == []


def test_head_has_no_body(served):
    """HEAD over the wire is answered with headers and nothing else, and the connection goes on."""

    async def use(port, path):
        closing = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        answer = await talk(port, REQUEST.replace(b"GET", b"HEAD"), closing)
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert answer.count(b"OK\r\n") == 2
        assert answer.endswith(b"\r\n\r\nOK")

    served(use)


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
    ],
)
def test_noise_is_answered(served, noise):
    """Bytes that are no request get a 400 and a closed connection, and others are served."""

    async def use(port, path):
        assert (await talk(port, noise)).startswith(b"HTTP/1.1 400")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/health")).text == "OK"

    served(use)


def test_a_head_without_an_end_is_cut(served):
    """A head beyond its bound ends the connection, by a 400 or, where its rest crosses the answer, by a reset."""

    async def use(port, path):
        try:
            assert (await talk(port, b"GET / HTTP/1.1\r\nX: ", b"a" * 40_000)).startswith(b"HTTP/1.1 400")
        except ConnectionResetError:
            pass

    served(use)


def later(seconds):
    """Let the time of the running loop be later at once."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    loop.time = lambda: clock() + seconds


@pytest.mark.parametrize("parts", [(), (REQUEST[:20],), (REQUEST, REQUEST[:20])])
def test_a_client_that_waits_is_closed(served, monkeypatch, parts):
    """Who says nothing, half a head, or half a second head, is closed when patience ends."""
    monkeypatch.setattr(module, "PATIENCE_S", 8.0)

    async def use(port, path):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts:
            writer.write(part)
            if part == REQUEST:
                assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200")
        later(9)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    served(use)


def test_a_client_that_keeps_asking_is_kept(served, monkeypatch):
    """Patience begins anew with every answer: a connection in use outlives it."""
    monkeypatch.setattr(module, "PATIENCE_S", 8.0)

    async def use(port, path):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(4):
            writer.write(REQUEST)
            assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200")
            later(5)
        writer.close()

    served(use)


def test_connections_are_bounded(served, monkeypatch):
    """Beyond the bound requests are answered 503; when others have gone it serves again."""
    monkeypatch.setattr(module, "CONNECTIONS", 3)

    async def use(port, path):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:
            writer.write(REQUEST)
            assert await reader.read(15) == b"HTTP/1.1 200 OK"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/health")).status_code == 503
            for _, writer in held:
                writer.close()
                await writer.wait_closed()
            while (await client.get("/health")).status_code != 200:
                await asyncio.sleep(0.01)

    served(use)


def test_a_door_that_cannot_open_says_so(node):
    """A socket that cannot be served is an error of `start`, not a silent wait."""
    sock = open_admin("127.0.0.1", 0)
    sock.close()

    async def main():
        door = Door(node, sock)
        async with asyncio.timeout(30):
            with pytest.raises(OSError, match="Bad file descriptor"):
                await door.start()
            await door.stop()

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(4))
def test_whoever_was_accepted_is_answered_though_the_door_is_muted(node, turns):
    """At whatever moment of an accept that happens; who was not waits for whoever has the socket too."""

    async def main():
        tcp = open_admin("127.0.0.1", 0)
        door = Door(node, tcp.dup(), None)
        await door.start()
        clients = [socket.create_connection(tcp.getsockname(), timeout=30) for _ in range(5)]
        for client in clients:
            client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await door.mute()
        waiting, tcp_left = [], True
        tcp.setblocking(False)
        while tcp_left:
            try:
                waiting.append(tcp.accept())
            except BlockingIOError:
                tcp_left = False
        left = {peer for _, peer in waiting}
        accepted = [client for client in clients if client.getsockname() not in left]
        for client in accepted:
            assert (await asyncio.to_thread(client.recv, 100)).startswith(b"HTTP/1.1 200")
        await door.stop()
        for each in (*clients, *(sock for sock, _ in waiting), tcp):
            each.close()

    asyncio.run(main())
