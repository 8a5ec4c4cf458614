"""A whole node with real workers, in processes and in one thread: it serves, counts, survives and goes."""

import asyncio
import io
import json
import os
import signal
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from penstock.base.addresses import Endpoint
from penstock.base.clock import NS
from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, TargetPlan, TimeoutPlan, WorkerPlan
from penstock.metrics.ledger import CLIENT_TX, H_HIGH, HEADER_WORDS, ROW_WORDS, size_of
from penstock.node.log import make_log
from penstock.node.supervisor import Supervisor

pytestmark = pytest.mark.system

PATIENCE = 20.0
"""Seconds until a condition that should hold soon is given up, on a machine that is busy with other tests."""

BOTH = pytest.mark.parametrize("workers", [2, 0], ids=["processes", "thread"])


async def until(condition):
    """Wait until `condition()` is true and return what it returned."""
    async with asyncio.timeout(PATIENCE):
        while not (found := condition()):
            await asyncio.sleep(0.01)
        return found


def counted(life):
    """Return the bytes that a worker has counted as sent to clients, from its ledger as it is now."""
    file = os.pread(life.ledger, size_of(100), 0)
    words = memoryview(file[: len(file) // 8 * 8]).cast("Q")
    rows = range(HEADER_WORDS, HEADER_WORDS + words[H_HIGH] * ROW_WORDS, ROW_WORDS)
    return sum(words[row + CLIENT_TX] for row in rows)


class Running:
    """A node in front of an echo server."""

    def __init__(self, workers, target, drain=30 * NS):
        echo = TargetPlan(id=1, host=target[0], port=target[1])
        web = ListenerPlan(
            id=1,
            name="web",
            protocol="tcp",
            host="127.0.0.1",
            port=0,
            route=RoutePlan(id=1, name="default", targets=(echo,)),
        )
        worker = WorkerPlan(listeners=(web,), connections=1_000, ledger_rows=4_000, timeouts=TimeoutPlan(drain=drain))
        self.plan = NodePlan(name="test", workers=workers, admin=None, socket_path="", worker=worker)
        self.written = io.StringIO()

    def events(self, name):
        """Return the logged events of this name."""
        events = map(json.loads, self.written.getvalue().splitlines())
        return [event for event in events if event["event"] == name]

    async def connect(self):
        """Return reader and writer of a client."""
        return await asyncio.open_connection(*self.node.addresses.listeners["web"])

    async def is_open(self):
        """Return whether the node still takes connections."""
        try:
            _, writer = await self.connect()
        except ConnectionResetError:
            return True  # it stood in the queue at the moment when the port was closed
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    async def echoed(self, data):
        """Return a client's writer after it has got back what it sent."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(len(data)) == data
        return reader, writer

    async def totals(self, condition):
        """Wait for a snapshot whose totals fulfil the condition, and return them."""
        await until(lambda: condition(self.node.snapshot().totals))
        return self.node.snapshot().totals


async def echo(reader, writer):
    """Send back what comes, until the other end closes or is gone."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def ended(reader):
    """Wait until the other end has closed or reset the connection; returns whether it sent nothing more."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def serving(tmp_path):
    """Return a context manager that runs an echo server and a node before it."""

    @asynccontextmanager
    async def run(workers, target=None, **kwargs):
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            it = Running(workers, target or server.sockets[0].getsockname(), **kwargs)
            plan = replace(it.plan, socket_path=str(tmp_path / "node.sock"))
            it.node = Supervisor(plan, log=make_log("debug", "json", it.written))
            await it.node.start()
            try:
                yield it
            finally:
                await it.node.stop()

    return run


@BOTH
def test_bytes_are_counted_exactly(serving, workers):
    """What clients sent and received is in the totals to the byte, on both sides of the proxy."""

    async def go():
        async with serving(workers) as it:
            sizes = [1, 1_000, 100_000, 1_000_000]
            for size in sizes:
                _, writer = await it.echoed(os.urandom(size))
                writer.close()
            totals = await it.totals(lambda totals: totals.connections == len(sizes) and not totals.active)
            assert {totals.bytes_in, totals.bytes_out, totals.target_rx, totals.target_tx} == {sum(sizes)}

    asyncio.run(go())


@BOTH
def test_a_live_connection_is_seen_and_closed(serving, workers):
    """An open connection is listed with its bytes, and is closed by its id."""

    async def go():
        async with serving(workers) as it:
            reader, writer = await it.echoed(b"x" * 500)
            await it.totals(lambda totals: totals.bytes_in == 500)
            snapshot = it.node.snapshot()
            (view,) = snapshot.live.page(listener=None, after=0, limit=10, busiest=False).connections
            assert await it.node.close_connection(view.id)
            async with asyncio.timeout(PATIENCE):
                assert await ended(reader)
            assert not await it.node.close_connection(view.id)
            writer.close()

    asyncio.run(go())


@BOTH
def test_drain_lets_connections_finish(serving, workers):
    """During a drain an open connection goes on to work, new ones are refused, and the node ends with the last one."""

    async def go():
        async with serving(workers) as it:
            reader, writer = await it.echoed(b"before")
            await it.node.drain()
            async with asyncio.timeout(PATIENCE):
                while await it.is_open():
                    pass
            writer.write(b"during")
            async with asyncio.timeout(PATIENCE):
                assert await reader.readexactly(6) == b"during"
                writer.close()
                await it.node.wait()
            assert it.node.snapshot().totals.active == 0
            assert it.events("worker died") == []

    asyncio.run(go())


@BOTH
def test_drain_cuts_at_its_deadline(serving, workers):
    """A client that stays is cut at the deadline, and the node ends."""

    async def go():
        async with serving(workers, drain=NS // 10) as it:
            _, writer = await it.echoed(b"x")
            await it.node.drain()
            await asyncio.wait_for(it.node.wait(), PATIENCE)
            assert it.node.snapshot().totals.active == 0
            writer.close()

    asyncio.run(go())


def test_kill_9_of_a_worker(serving):
    """One of two workers is killed: totals lose nothing that it had counted, and every later client is served."""

    async def go():
        async with serving(2) as it:
            clients = [await it.echoed(b"x" * 1_000) for _ in range(32)]
            await until(lambda: sum(map(counted, it.node._house.crew.lives)) == 32_000)
            victim = it.node._house.crew.lives[0]
            os.kill(victim.pid, signal.SIGKILL)
            await asyncio.wait_for(victim.ended, PATIENCE)
            clients += [await it.echoed(b"y" * 1_000) for _ in range(32)]
            totals = await it.totals(lambda totals: totals.connections == 64 and totals.bytes_out == 64_000)
            assert 32 <= totals.active < 64
            assert totals.bytes_in == 64_000
            assert it.node.snapshot().workers.respawns == 1
            for _, writer in clients:
                writer.close()
            await it.totals(lambda totals: totals.active == 0)

    asyncio.run(go())


@BOTH
def test_a_dead_target_is_one_line(serving, workers):
    """A connection whose target refuses is closed, and is one line of reason in the log."""

    async def go():
        with_nobody = await asyncio.start_server(echo, "127.0.0.1", 0)
        target = with_nobody.sockets[0].getsockname()
        with_nobody.close()
        await with_nobody.wait_closed()
        async with serving(workers, target) as it:
            reader, writer = await it.connect()
            async with asyncio.timeout(PATIENCE):
                assert await ended(reader)
            found = await until(lambda: it.events("connection failed"))
            assert (found[0]["listener"], found[0]["phase"]) == ("web", "dial")
            assert found[0]["target"] in ("", str(Endpoint(*target)))
            writer.close()

    asyncio.run(go())
