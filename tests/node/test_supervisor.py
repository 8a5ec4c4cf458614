"""One node from start to end, with fake workers."""

import asyncio
import json
import os
import signal
import socket
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.config.plan import TimeoutPlan
from penstock.metrics.live import number_of
from penstock.node.sockets import open_admin
from penstock.node.supervisor import SHORTEST_TICK_NS, Supervisor, until_tick

from .conftest import FAKE, FAKE_COMMAND, PATIENCE, ask, refuses, until


class Run:
    """A running node and its log."""

    def __init__(self, plan, kept, vice="none"):
        self.kept = kept
        self.node = Supervisor(plan, log=kept.log, command=("-P", FAKE, vice))

    @property
    def web(self):
        """The address of the only listener."""
        return self.node.addresses.listeners["web"]

    def connect(self):
        """Return a new client."""
        return socket.create_connection(self.web, PATIENCE)

    async def greeted(self):
        """Return a new client that a worker has greeted, and the worker's process id."""
        client = self.connect()
        return client, int(await asyncio.to_thread(client.recv, 100))

    async def totals(self, condition):
        """Wait for a snapshot whose totals fulfil the condition, and return them."""
        await until(lambda: condition(self.node.snapshot().totals))
        return self.node.snapshot().totals


@pytest.fixture
def node(kept):
    """Return a context manager that runs a node and leaves nothing of it behind."""

    @asynccontextmanager
    async def run(plan, **kwargs):
        built = Run(plan, kept, **kwargs)
        await built.node.start()
        try:
            yield built
        finally:
            await built.node.stop()

    return run


def test_a_node_starts_serves_and_stops(node, node_plan):
    """After start every address is known and answers; after stop nothing answers and no file is left."""

    async def go():
        async with node(node_plan()) as it:
            addresses = it.node.addresses
            assert addresses.admin.port > 0
            for door in (addresses.admin, addresses.socket_path):
                assert await ask(door, "/readyz") == (200, '{"status":"ready"}')
            client, pid = await it.greeted()
            with closing(client):
                assert pid in it.node.snapshot().workers.pids
            assert it.kept.events("listening")[0]["address"] == str(it.web)
            assert it.kept.events("node ready")[0]["admin"] == str(addresses.admin)
        for address in (it.web, addresses.admin):
            assert refuses(address)
        assert not Path(addresses.socket_path).exists()

    asyncio.run(go())


def test_the_command_socket_is_its_owners_alone(node, node_plan):
    """Only the user who runs the node may connect to its Unix socket."""

    async def go():
        async with node(node_plan(admin=None)) as it:
            assert it.node.addresses.admin is None
            path = Path(it.node.addresses.socket_path)
            assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    asyncio.run(go())


def test_workers_are_told_the_real_ports(node, node_plan):
    """The plan that workers get has the ports that the kernel chose, and every address that must not be dialed."""

    async def go():
        async with node(node_plan()) as it:
            told = it.node.plan.worker
            assert told.listeners[0].port == it.web.port > 0
            assert set(told.own_addresses) == {tuple(it.web), tuple(it.node.addresses.admin)}
            assert told.workers == 2

    asyncio.run(go())


def test_ticks_count_what_workers_move(node, node_plan):
    """Snapshots follow the workers' ledgers while connections are open, and keep what they moved."""

    async def go():
        async with node(node_plan()) as it:
            client, pid = await it.greeted()
            with closing(client):
                totals = await it.totals(lambda totals: totals.active == 1)
                assert totals.bytes_out == len(str(pid)) + 1
            await it.totals(lambda totals: totals.active == 0)

    asyncio.run(go())


def test_kill_9_of_a_worker_loses_nothing(node, node_plan):
    """What a killed worker counted stays in the totals, its connections end as internal, a respawn is counted."""

    async def go():
        async with node(node_plan(workers=1)) as it:
            client, pid = await it.greeted()
            with closing(client):
                os.kill(pid, signal.SIGKILL)
                other, heir = await it.greeted()
                with closing(other):
                    totals = await it.totals(lambda totals: totals.connections == 2)
                    assert (totals.active, totals.bytes_out) == (1, len(str(pid)) + len(str(heir)) + 2)
            snapshot = it.node.snapshot()
            assert snapshot.workers.respawns == 1
            lost = {(each.ended_by, each.phase): each.count for each in snapshot.outcomes}
            assert lost["internal", "relay"] == 1
            (event,) = it.kept.events("connection failed")
            assert (event["why"], event["level"]) == ("internal", "error")

    asyncio.run(go())


def test_a_connection_is_closed_by_its_id(node, node_plan):
    """The id in the list of connections is the id that closes one, at the door as well; another id is 404."""

    async def go():
        async with node(node_plan()) as it:
            client, _ = await it.greeted()
            with closing(client):
                await it.totals(lambda totals: totals.active == 1)
                door = it.node.addresses.socket_path
                (view,) = json.loads((await ask(door, "/api/v1/connections"))[1])["connections"]
                assert (await ask(door, f"/api/v1/connections/{number_of(99, 1)}", "DELETE"))[0] == 404
                assert (await ask(door, f"/api/v1/connections/{view['id']}", "DELETE"))[0] == 204
                assert client.recv(1) == b""

    asyncio.run(go())


def test_drain_by_the_door_ends_the_node(node, node_plan):
    """After an order to drain: not ready, nobody accepted, who is there is served, progress said, and then the end."""

    async def go():
        async with node(node_plan()) as it:
            door = it.node.addresses.socket_path
            client, _ = await it.greeted()
            with closing(client):
                assert (await ask(door, "/-/drain", "POST"))[0] == 202
                assert (await ask(door, "/-/drain", "POST"))[0] == 202
                status, why = await ask(door, "/readyz")
                assert (status, json.loads(why)["detail"]) == (503, "the node is draining")
                await until(lambda: refuses(it.web))
                await until(lambda: it.kept.events("drain: 1 connection left"))
            await asyncio.wait_for(it.node.wait(), PATIENCE)
            assert (it.node.snapshot().totals.active, it.node.snapshot().node.state) == (0, "draining")
            assert len(it.kept.events("node ended")) == 1

    asyncio.run(go())


def test_drain_is_bounded(node, node_plan):
    """A client that never goes is cut when the drain has lasted long enough, and is in the last totals."""

    async def go():
        plan = node_plan()
        async with node(replace(plan, worker=replace(plan.worker, timeouts=TimeoutPlan(drain=NS // 10)))) as it:
            client, pid = await it.greeted()
            with closing(client):
                await it.node.drain()
                await asyncio.wait_for(it.node.wait(), PATIENCE)
                assert client.recv(1) == b""
            totals = it.node.snapshot().totals
            assert (totals.active, totals.connections, totals.bytes_out) == (0, 1, len(str(pid)) + 1)

    asyncio.run(go())


def test_stop_cuts_a_drain_short(node, node_plan):
    """A stop during a drain ends every connection now."""

    async def go():
        async with node(node_plan()) as it:
            client, _ = await it.greeted()
            with closing(client):
                await it.node.drain()
                await asyncio.wait_for(it.node.stop(), PATIENCE)
                assert client.recv(1) == b""

    asyncio.run(go())


def test_no_worker_is_not_ready(node, node_plan):
    """While no worker accepts, the node is not ready, and says why."""

    async def go():
        async with node(node_plan(workers=1)) as it:
            (life,) = it.node._house.crew.lives
            it.node._house.crew._birth = lambda *args: (_ for _ in ()).throw(OSError(11, "none today"))
            os.kill(life.pid, signal.SIGKILL)
            await until(lambda: it.kept.events("worker died"))
            assert it.node.ready() == (False, "no worker accepts")

    asyncio.run(go())


@pytest.mark.parametrize("taken", ["web", "admin"])
def test_port_in_use_fails_before_anything_starts(kept, node_plan, taken):
    """If a listener's or the admin door's port is in use, the start fails with its name, and nothing is left bound."""

    async def go():
        plan = node_plan()
        with closing(open_admin("127.0.0.1", 0)) as other:
            host, port = other.getsockname()
            (web,) = plan.worker.listeners
            if taken == "admin":
                plan = replace(plan, admin=(host, port))
            else:
                plan = replace(plan, worker=replace(plan.worker, listeners=(replace(web, port=port),)))
            name = "listener web" if taken == "web" else "admin"
            with pytest.raises(StartError, match=f"^{name}: {host}:{port} is in use by another process$"):
                await Supervisor(plan, log=kept.log, command=FAKE_COMMAND).start()
        assert not Path(plan.socket_path).exists()
        assert kept.events("worker died") == []

    asyncio.run(go())


def test_a_bad_worker_fails_the_start(kept, node_plan):
    """If workers die at start, the start fails, and ports and files are free again."""

    async def go():
        plan = node_plan()
        supervisor = Supervisor(plan, log=kept.log, command=("-P", FAKE, "stillborn"))
        with pytest.raises(StartError, match="ended before it was ready: exit 3"):
            await supervisor.start()
        assert not Path(plan.socket_path).exists()
        open_admin(*supervisor.addresses.admin).close()
        open_admin(*supervisor.addresses.listeners["web"]).close()
        await supervisor.stop()

    asyncio.run(go())


def test_a_second_node_cannot_take_the_command_socket(node, node_plan, kept):
    """Two nodes cannot share a Unix socket, and the first one keeps it."""

    async def go():
        plan = node_plan()
        async with node(plan) as it:
            with pytest.raises(StartError, match=r"command socket: unix:.* is in use by another process"):
                await Supervisor(plan, log=kept.log, command=FAKE_COMMAND).start()
            assert (await ask(it.node.addresses.socket_path, "/health"))[0] == 200

    asyncio.run(go())


def test_a_socket_directory_that_cannot_be_made_is_said(kept, node_plan, tmp_path):
    """A path below a file is refused in one line."""

    async def go():
        (tmp_path / "file").touch()
        plan = node_plan(socket_path=str(tmp_path / "file" / "node.sock"))
        with pytest.raises(StartError, match=r"^command socket: .* cannot be made"):
            await Supervisor(plan, log=kept.log, command=FAKE_COMMAND).start()

    asyncio.run(go())


def test_a_failing_tick_stops_nobody(node, node_plan):
    """If numbers cannot be read, that is said, and the node serves on."""

    async def go():
        async with node(node_plan()) as it:
            tick, it.node._house.sampler.tick = it.node._house.sampler.tick, lambda: 1 // 0
            await until(lambda: it.kept.events("tick failed"))
            client, _ = await it.greeted()
            client.close()
            it.node._house.sampler.tick = tick

    asyncio.run(go())


def test_few_descriptors_are_a_warning(node, node_plan):
    """A limit that does not hold the configured connections is said once, with what would."""

    async def go():
        plan = node_plan()
        async with node(replace(plan, worker=replace(plan.worker, connections=2**40))) as it:
            (event,) = it.kept.events("too few file descriptors")
            assert "LimitNOFILE=" in event["detail"]

    asyncio.run(go())


def test_ticks_come_with_the_wall_second():
    """A tick is due at the next wall second; a timer that woke a moment early does not make two of one."""
    assert until_tick(5 * NS) == NS
    assert until_tick(5 * NS + NS // 4) == NS - NS // 4
    assert until_tick(6 * NS - SHORTEST_TICK_NS) == SHORTEST_TICK_NS
    assert until_tick(6 * NS - 1) == NS + 1
