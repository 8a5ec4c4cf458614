"""What the tests of deliveries share: a node that has traffic, and an HTTP server that takes metrics."""

import asyncio
import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from penstock.config.plan import MetricsPlan
from penstock.testing.standin import PLAN, StandIn


async def until(condition):
    """Wait until `condition()` is true."""
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.002)


class Post(NamedTuple):
    """One request that a store was sent; the body as it was before it was packed."""

    path: str
    headers: dict
    body: bytes


class Store(ThreadingHTTPServer):
    """Takes metrics over HTTP, and answers as it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts, self.status, self.answer, self.silent = [], 204, b"", threading.Event()
        self.silent.set()

    def url(self, path="", login=""):
        """Return where it is."""
        return f"http://{login}127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Take one request; name it BaseHTTPRequestHandler's way."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.posts.append(Post(self.path, headers, body))
        self.server.silent.wait(15)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving_store():
    """Run a store for as long as the block lasts."""
    store = Store()
    thread = threading.Thread(target=store.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.silent.set()
        store.shutdown()
        store.server_close()
        thread.join(15)


@pytest.fixture
def store():
    """A store that takes metrics."""
    with serving_store() as running:
        yield running


@pytest.fixture
def node():
    """A node that has one connection, and somewhere to send metrics."""
    node = StandIn(plan=replace(PLAN, metrics=MetricsPlan(statsd=("127.0.0.1", 1))))
    node.pen.move(node.pen.open(listener=1), 1_000, 2_000)
    node.tick()
    yield node
    node.close()


@pytest.fixture
def go():
    """Return what runs a coroutine to its end, within bounds."""

    def run(coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, 30))

    return run
