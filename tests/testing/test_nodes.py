"""A real node for tests."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from penstock.testing.nodes import RunningNode, bytes_of, running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system


def test_a_node_runs_for_a_block():
    """It is where it says, counts what it moves, and is gone with its workers afterwards."""
    with serving(echo) as server:
        with running(table("a", "tcp", server.port), table("b", "http", listen="[::1]:0")) as node:
            with socket.create_connection(node.address("a"), 10) as client:
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"hello"
            assert bytes_of(node.settled("a", 1)) == (5, 5, 5, 5)
            assert bytes_of(node.listener("b")) == (0, 0, 0, 0)
            assert node.url("b").startswith("http://[::1]:")
            assert node.fetch("/health") == b"OK"
            pids = [node.process.pid, *node.worker_pids()]
        assert node.logged("node ended")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def kill_a_worker(port):
    """Run a node, and kill its worker while a connection is open."""
    with running(table("a", "tcp", port)) as node, socket.create_connection(node.address("a"), 10) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        os.kill(node.worker_pids()[0], signal.SIGKILL)
        node.until(lambda stats: stats["workers"]["respawns"])


def test_a_block_fails_with_its_node():
    """A worker that dies unexpectedly fails the block: its connection has ended as internal."""
    with serving(echo) as server, pytest.raises(AssertionError, match="internal"):
        kill_a_worker(server.port)


def test_a_node_that_does_not_start_says_why():
    """A configuration with a mistake fails at once, with what the node wrote."""
    with pytest.raises(AssertionError, match=r"78.*protokol"), running(table("a", "tcp", protokol="x")):
        raise NotImplementedError("it must not start")


def test_descriptors_are_limited():
    """A limit of open files holds for the node, which says that it is low."""
    with running(table("a", "http"), descriptors=300) as node:
        assert node.logged("too few file descriptors")[0]["detail"].startswith("300 ")


def test_what_was_written_is_known():
    """Lines that a process has written are there at once, a last one without its end once it is gone, others apart."""
    program = 'import os; os.write(2, b\'{"event": "a"}\\nstray\\n{"event"\'); os.read(0, 1); os.write(2, b\': "b"}\')'
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        node = RunningNode(process)
        wait_for(lambda: node.logged("a"))
        assert node.strays == ["stray\n"]
        assert not node.logged("b")
        process.stdin.write(b"x")
        process.stdin.close()
        process.wait()
        assert node.logged("b")
        assert len(node.events) == 2


def test_rest_is_not_that_of_before(monkeypatch):
    """A picture from before the question, with nobody in it, is no answer: what it is about may not be in it yet."""
    now = datetime.now(UTC)
    looks = [(-1, 0), (1, 2), (2, 0)]

    def stats(_node):
        age, active = looks.pop(0) if len(looks) > 1 else looks[0]
        return {"totals": {"active": active}, "taken_at": (now + timedelta(minutes=age)).isoformat()}

    monkeypatch.setattr(RunningNode, "stats", stats)
    found = object.__new__(RunningNode).at_rest()
    assert found["taken_at"] == (now + timedelta(minutes=2)).isoformat()
