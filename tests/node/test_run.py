"""A node as a process of its own, and what signals do to it."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from penstock.node.sockets import open_admin

from .conftest import FAKE_COMMAND, PATIENCE

pytestmark = pytest.mark.system

PROGRAM = """
import gc, sys, msgspec
from penstock.config.plan import NodePlan
from penstock.node.run import run
plan = msgspec.json.decode(sys.argv[1], type=NodePlan)
def say(addresses):
    print(addresses.listeners["web"].port, flush=True)
    print(gc.get_freeze_count(), flush=True)
code = run(plan, on_ready=say, command=tuple(sys.argv[2:]))
"""

END = "sys.exit(code)"

LATE = """
import os, signal
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    os.kill(os.getpid(), each)
"""


class Node:
    """A node's process."""

    def __init__(self, plan, vice, end):
        text = msgspec.json.encode(replace(plan, log_format="json")).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM + end, text, *FAKE_COMMAND[:-1], vice],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Keep what it says on standard error."""
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def said(self, event):
        """Wait until it has logged this event, and return it."""

        def find():
            events = [json.loads(line) for line in self.lines if line.startswith("{")]
            return next((each for each in events if each["event"] == event), None)

        with self.changed:
            assert self.changed.wait_for(find, PATIENCE), self.lines
            return find()

    def connect(self):
        """Return a client that a worker has greeted, and the worker's process id."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return client, int(client.recv(100))

    def until_ready(self):
        """Wait until it has called on_ready; returns itself."""
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], self.lines
        self.port = int(self.process.stdout.readline())
        return self


@contextmanager
def node(plan, vice="none", end=END):
    """Run a node's process and leave nothing of it behind."""
    it = Node(plan, vice, end)
    try:
        yield it
    finally:
        it.process.kill()
        it.process.wait()
        it.reader.join()
        it.process.stdout.close()
        it.process.stderr.close()


def gone(pid):
    """Wait until a process that is not our child has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], PATIENCE)[0])
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(node_plan, number):
    """TERM and INT: who is there is served to the end, then the exit code is 0."""
    with node(node_plan()) as it:
        client, pid = it.until_ready().connect()
        with closing(client):
            it.process.send_signal(number)
            assert it.said("asked to end")["signal"] == number.name
            it.said("drain: 1 connection left")
            assert it.process.poll() is None
        assert it.process.wait(PATIENCE) == 0
        assert it.said("node ended")["bytes_out"] == len(str(pid)) + 1
        assert gone(pid)


def test_a_signal_behind_the_end_changes_nothing(node_plan):
    """Whoever sends one to a node that has just ended does not spoil its exit code."""
    with node(node_plan(), end=LATE + END) as it:
        it.until_ready()
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(PATIENCE) == 0


def test_collections_pass_over_what_is_there_to_stay(node_plan):
    """Once it serves, modules and plans are out of the collector's sight: they are many."""
    with node(node_plan()) as it:
        it.until_ready()
        assert int(it.process.stdout.readline()) > 10_000
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_now(node_plan):
    """With a connection that would never end, a second signal ends the node at once, with exit code 130."""
    with node(node_plan()) as it:
        client, pid = it.until_ready().connect()
        with closing(client):
            it.process.send_signal(signal.SIGTERM)
            it.said("asked to end")
            it.process.send_signal(signal.SIGTERM)
            assert it.process.wait(PATIENCE) == 130
            assert client.recv(1) == b""
        assert gone(pid)


def test_a_signal_during_the_start_is_not_lost(node_plan):
    """A node that is asked to end while its workers are not ready yet ends; a second signal does not wait for them."""
    with node(node_plan(), "mute") as it:
        path = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children")
        while len(path.read_text().split()) < 2:
            assert it.process.poll() is None
        it.process.send_signal(signal.SIGTERM)
        it.said("asked to end")
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(PATIENCE) == 130


def test_other_signals_explain_themselves(node_plan):
    """HUP where there is no file, and USR1, change nothing and say so."""
    with node(node_plan()) as it:
        it.until_ready()
        it.process.send_signal(signal.SIGHUP)
        assert "nothing to reload" in it.said("not reloaded")["why"]
        it.process.send_signal(signal.SIGUSR1)
        it.said("logs go to standard error: nothing to reopen")
        it.connect()[0].close()


def test_a_failed_start_is_one_line_and_exit_1(node_plan):
    """A port in use: one line that says so, exit code 1, no traceback."""
    plan = node_plan()
    with closing(open_admin("127.0.0.1", 0)) as other:
        host, port = other.getsockname()
        with node(replace(plan, admin=(host, port))) as it:
            assert it.process.wait(PATIENCE) == 1
            assert it.said("not started")["why"] == f"admin: {host}:{port} is in use by another process"
            it.reader.join(PATIENCE)
            assert not any("Traceback" in line for line in it.lines)


def test_kill_9_of_the_supervisor_leaves_nobody(node_plan):
    """Workers whose supervisor was killed end by themselves, and the next node takes the place of the dead one."""
    plan = node_plan()
    with node(plan) as it:
        client, pid = it.until_ready().connect()
        with closing(client):
            it.process.kill()
            assert gone(pid)
            assert client.recv(1) == b""
        assert Path(plan.socket_path).exists()
    (web,) = plan.worker.listeners
    plan = replace(plan, worker=replace(plan.worker, listeners=(replace(web, port=it.port),)))
    with node(plan) as heir:
        heir.until_ready().connect()[0].close()
