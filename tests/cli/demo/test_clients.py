"""The demo's clients: what they count is what went over the wire."""

import asyncio
from random import Random

import pytest

from penstock.base.addresses import Endpoint
from penstock.cli.demo import clients as module
from penstock.cli.demo.clients import (
    Client,
    Route,
    Tally,
    Traffic,
    TrafficError,
    ask_echo,
    ask_http,
    connected,
    crowd,
    open_connect,
    open_nothing,
    open_socks5,
    open_socks5_by_name,
)
from penstock.cli.demo.origin import Origin, echo, http


class Meter:
    """A proxy stand-in that knows no protocol: passes bytes to one target and counts them independently."""

    def __init__(self, target):
        self.target, self.rx, self.tx = target, 0, 0

    async def talk(self, reader, writer):
        """Serve one connection."""
        far_reader, far_writer = await asyncio.open_connection(self.target.host, self.target.port)

        async def up():
            while data := await reader.read(65_536):
                self.rx += len(data)
                far_writer.write(data)
                await far_writer.drain()
            far_writer.write_eof()

        async def down():
            while data := await far_reader.read(65_536):
                self.tx += len(data)
                writer.write(data)
                await writer.drain()

        await asyncio.gather(up(), down())
        far_writer.close()


def _endpoint(origin):
    return Endpoint(origin.host, origin.port)


def _through_meter(talk, opening, asking, exchanges):
    """Run exchanges over one connection through a meter; return the tally and the meter."""

    async def go():
        tally = Tally("x")
        async with Origin(talk) as origin:
            meter = Meter(_endpoint(origin))
            async with Origin(meter.talk) as proxy:
                route, random = Route(_endpoint(proxy), _endpoint(origin)), Random(1)
                async with connected(tally, route.proxy) as stream:
                    await opening(stream, route.origin)
                    for _ in range(exchanges):
                        await asking(stream, route, random)
        return tally, meter

    return asyncio.run(asyncio.wait_for(go(), 30))


@pytest.mark.parametrize(("talk", "asking"), [(echo, ask_echo), (http, ask_http)])
def test_every_byte_is_counted(talk, asking):
    """What a client counted equals what somebody between it and the origin counted, heads and bodies, both ways."""
    tally, meter = _through_meter(talk, open_nothing, asking, 30)
    assert (tally.sent, tally.received) == (meter.rx, meter.tx)
    assert min(meter.rx, meter.tx) > 1_000
    assert (tally.opened, tally.active, tally.failures) == (1, 0, 0)


def _answering(*steps):
    """Return a server that for each step reads exactly the one and sends the other, then echoes."""

    async def talk(reader, writer):
        for want, send in steps:
            assert await reader.readexactly(len(want)) == want
            writer.write(send)
        await echo(reader, writer)

    return talk


GREETING = (b"\x05\x01\x00", b"\x05\x00")
ORIGIN = Endpoint("127.0.0.1", 258)


@pytest.mark.parametrize(
    ("opening", "steps"),
    [
        (
            open_connect,
            [(b"CONNECT 127.0.0.1:258 HTTP/1.1\r\nHost: 127.0.0.1:258\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")],
        ),
        (open_socks5, [GREETING, (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x01\x02", b"\x05\x00\x00\x01" + bytes(6))]),
        (open_socks5, [GREETING, (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x01\x02", b"\x05\x00\x00\x04" + bytes(18))]),
        (
            open_socks5_by_name,
            [GREETING, (b"\x05\x01\x00\x03\x09localhost\x01\x02", b"\x05\x00\x00\x03\x02ab\x00\x50")],
        ),
    ],
)  # fmt: skip
def test_handshakes(opening, steps):
    """CONNECT and SOCKS5 say what the RFCs say, take any form of reply, count both, and carry data after."""

    async def go():
        tally = Tally("x")
        async with Origin(_answering(*steps)) as proxy, connected(tally, _endpoint(proxy)) as stream:
            await opening(stream, ORIGIN)
            await stream.echo(b"hello")
        return tally

    tally = asyncio.run(asyncio.wait_for(go(), 20))
    assert tally.sent == sum(len(want) for want, _ in steps) + 5
    assert tally.received == sum(len(send) for _, send in steps) + 5


@pytest.mark.parametrize(
    ("opening", "steps", "said"),
    [
        (open_connect, [(b"CONNECT", b"HTTP/1.1 502 Bad Gateway\r\n\r\n")], "502"),
        (open_socks5, [(b"\x05\x01\x00", b"\x05\xff")], "wants a login"),
        (open_socks5, [GREETING, (b"\x05", b"\x05\x05\x00\x01" + bytes(6))], "answered 5"),
    ],
)
def test_refusals_are_failures(opening, steps, said):
    """A proxy that says no is told in words."""

    async def go():
        async with Origin(_answering(*steps)) as proxy, connected(Tally("x"), _endpoint(proxy)) as stream:
            await opening(stream, ORIGIN)

    with pytest.raises(TrafficError, match=said):
        asyncio.run(asyncio.wait_for(go(), 20))


@pytest.mark.parametrize("wrong", [b"hellO", b"hell"])
def test_changed_bytes_are_found(wrong):
    """An echo that comes back changed or short is an error, and what did come is counted."""

    async def go():
        tally = Tally("x")

        async def talk(reader, writer):
            await reader.readexactly(5)
            writer.write(wrong)

        async with Origin(talk) as proxy:
            with pytest.raises(TrafficError):
                async with connected(tally, _endpoint(proxy)) as stream:
                    await stream.echo(b"hello")
        return tally

    tally = asyncio.run(asyncio.wait_for(go(), 20))
    assert (tally.sent, tally.received, tally.active) == (5, len(wrong), 0)


def test_a_client_goes_on_after_a_failure(monkeypatch):
    """A proxy that is away is tried again; the failure is kept in a line."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)

    async def go():
        tally, stop = Tally("x"), asyncio.Event()
        async with Origin(echo) as origin:
            gone = _endpoint(origin)
        client = Client(tally, Route(gone, gone), open_nothing, ask_echo, 0.001, 1)
        task = asyncio.create_task(client.run(stop))
        while tally.failures < 3:
            await asyncio.sleep(0)
        stop.set()
        await task
        return tally

    tally = asyncio.run(asyncio.wait_for(go(), 20))
    assert tally.opened == 0
    assert "ConnectionRefusedError" in tally.last_failure


def test_stopping_leaves_nothing_open():
    """Traffic that is told to stop ends its exchanges and connections properly: no failure, nothing active."""

    async def go():
        tally = Tally("x")
        async with Origin(echo) as origin:
            meter = Meter(_endpoint(origin))
            async with Origin(meter.talk) as proxy:
                route = Route(_endpoint(proxy), _endpoint(origin))
                async with Traffic([Client(tally, route, open_nothing, ask_echo, 0.001, seed) for seed in range(5)]):
                    while tally.exchanges < 20:
                        await asyncio.sleep(0)
        return tally, meter

    tally, meter = asyncio.run(asyncio.wait_for(go(), 30))
    assert (tally.active, tally.failures) == (0, 0)
    assert (tally.sent, tally.received) == (meter.rx, meter.tx)
    assert tally.opened >= 5


def test_the_crowd_speaks_every_protocol():
    """There are clients of each proxy, and no two have the same chance."""
    proxies = {name: Endpoint("127.0.0.1", 1) for name in ("tcp", "http", "socks5")}
    crowded = crowd({name: Tally(name) for name in proxies}, proxies, ORIGIN, ORIGIN)
    assert {client.tally.name for client in crowded} == set(proxies)
    assert {client.opening for client in crowded} == {open_nothing, open_connect, open_socks5, open_socks5_by_name}
    assert len({client.seed for client in crowded}) == len(crowded)
