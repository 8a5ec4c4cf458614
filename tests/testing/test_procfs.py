"""What the kernel says of processes and of the other ends of connections."""

import os
import socket
import subprocess
import sys

import pytest

from penstock.testing import procfs
from penstock.testing.workbench import wait_for


@pytest.fixture
def pair():
    """Both ends of a connection over loopback, and the listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        yield server, client


def test_memory_grows_with_what_is_held():
    """Ten megabytes more in a process are ten megabytes more."""
    program = "input(); held = b'x' * 10_000_000; print('held', flush=True); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        wait_for(lambda: procfs.memory(child.pid) == procfs.memory(child.pid) > 1_000_000, "the process to stand still")
        before = procfs.memory(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "held\n"
        assert 9_000_000 < procfs.memory(child.pid) - before < 14_000_000
        child.communicate("\n")


def test_descriptors_are_counted(pair):
    """One more is one more."""
    before = procfs.descriptors(os.getpid())
    with socket.socket():
        assert procfs.descriptors(os.getpid()) == before + 1


def test_children_are_found():
    """A process that was started is among the children until it is gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in procfs.children(os.getpid())
        child.communicate(b"\n")
    assert child.pid not in procfs.children(os.getpid())


def test_the_other_end_is_seen(pair):
    """What it has not read is counted; its holder is found; and nobody is there before the accept and after the end."""
    server, client = pair
    client.sendall(b"12345")
    assert procfs.unread(client) is None
    other, _ = server.accept()
    with other:
        assert procfs.unread(client) == 5
        other.recv(2)
        assert procfs.unread(client) == 3
        other.recv(3)
        assert procfs.unread(client) == 0
        assert procfs.holder(client, (1 << 22, os.getpid())) == os.getpid()
        assert procfs.holder(client, (1 << 22,)) is None
    assert procfs.holder(client, (os.getpid(),)) is None
