"""What the tests of the supervisor's hands share: fake workers, a log that is kept, and waiting without sleeping."""

import asyncio
import functools
import http.client
import io
import json
import socket
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from penstock.base.clock import SystemClock
from penstock.config.plan import ListenerPlan, NodePlan, WorkerPlan
from penstock.node.admin import make_app
from penstock.node.crew import Crew
from penstock.node.log import make_log
from penstock.node.processes import Outfit
from penstock.node.sockets import open_listeners
from penstock.testing.standin import StandIn

FAKE = str(Path(__file__).with_name("fake_worker.py"))

FAKE_COMMAND = ("-P", FAKE, "none")

PATIENCE = 30.0
"""Seconds until a condition that should hold soon is given up, on a machine that is busy with other tests."""


def in_a_loop(test):
    """Run an async test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


async def until(condition, patience=PATIENCE):
    """Wait until `condition()` is true and return what it returned."""
    async with asyncio.timeout(patience):
        while not (found := condition()):
            await asyncio.sleep(0.002)
        return found


def refuses(address):
    """Return whether nobody listens there. A client that stood in the queue while the port was closed is reset."""
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionResetError:
        return False
    except ConnectionRefusedError:
        return True
    return False


class KeptLog:
    """A log and the events that were written to it."""

    def __init__(self, level="debug"):
        self.stream = io.StringIO()
        self.log = make_log(level, "json", self.stream)

    def events(self, name=None):
        """Return the events of this name, or all."""
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [event for event in found if name in (None, event["event"])]


class Folds:
    """Follows ledgers by name only."""

    def __init__(self):
        self.attached, self.detached = [], []

    def attach(self, generation, fd):
        """Note it."""
        self.attached.append(generation)

    def detach(self, generation):
        """Note it."""
        self.detached.append(generation)


class Stage:
    """A crew of fake workers behind one listener on loopback."""

    def __init__(self, workers=1, vice="none", birth=None):
        self.kept, self.folds, self.respawns = KeptLog(), Folds(), 0
        plan = ListenerPlan(id=7, name="web", protocol="tcp", host="127.0.0.1", port=0)
        self.listeners = open_listeners([plan], workers)
        self.port = self.listeners[0].plan.port
        plan = WorkerPlan(listeners=(self.listeners[0].plan,), ledger_rows=1_000, workers=workers)
        self.outfit = Outfit(plan, self.listeners, ("-P", FAKE, vice))
        self.clock = SystemClock()
        self.crew = Crew(
            self.outfit, workers, self.folds, self.clock, self.kept.log, on_respawn=self.count, birth=birth
        )

    def count(self):
        """Count a respawn."""
        self.respawns += 1

    def connect(self):
        """Return a new client, connected, that gives up a read after a while."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    async def greet(self, client):
        """Return the process id that the worker behind this client greets it with."""
        return int((await asyncio.to_thread(client.recv, 100)).decode())


class Asked(http.client.HTTPConnection):
    """One request to an admin door, on a Unix socket or TCP; host and port, or path and 0."""

    def connect(self):
        """Connect to whichever it is."""
        if not self.host.startswith("/"):
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        return self.sock.connect(self.host)


async def ask(door, path, method="GET"):
    """Return status and body that a door, an Endpoint or a socket's path, answers with."""

    def go():
        asked = Asked(door, timeout=PATIENCE) if isinstance(door, str) else Asked(*door, timeout=PATIENCE)
        with closing(asked):
            asked.request(method, path, headers={"Host": "localhost"})
            answer = asked.getresponse()
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(go)


@pytest.fixture
def node_plan(tmp_path):
    """Return a function that makes the plan of a node with one tcp listener, all on free ports."""

    def make(**changes):
        web = ListenerPlan(id=7, name="web", protocol="tcp", host="127.0.0.1", port=0)
        fields = {
            "name": "test", "workers": 2, "admin": ("127.0.0.1", 0), "socket_path": str(tmp_path / "run" / "node.sock"),
            "worker": WorkerPlan(listeners=(web,), ledger_rows=1_000, connections=100),
        }  # fmt: skip
        return NodePlan(**fields | changes)

    return make


@pytest.fixture
def node():
    """A node without processes that has done nothing."""
    node = StandIn()
    yield node
    node.close()


@pytest.fixture
def client(node):
    """A client of its admin door."""
    return TestClient(make_app(node), base_url="http://127.0.0.1:9190")


@pytest.fixture
def kept():
    """Return a log that keeps its events."""
    return KeptLog()


@pytest.fixture
def stage():
    """Return a context manager that runs a crew of fake workers and leaves none behind."""

    @asynccontextmanager
    async def run(*args, **kwargs):
        built = Stage(*args, **kwargs)
        try:
            await built.crew.start()
            yield built
        finally:
            await built.crew.stop()

    return run
