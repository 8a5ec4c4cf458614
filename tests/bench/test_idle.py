"""Both ends of the memory scenario: an origin that holds what connects, and clients that rest and wake."""

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest
from bench.idle import clients, origin, wake
from bench.servers import free_ports


@pytest.fixture
def echo():
    """The port of an origin that echoes."""
    (port,) = free_ports(1)
    threading.Thread(target=origin, args=(("127.0.0.1", port),), daemon=True).start()
    while socket.socket().connect_ex(("127.0.0.1", port)):
        pass
    return port


def test_clients_wake_up_in_turn(echo):
    """Each byte goes through the next connection, and a dead one counts as failed."""
    held = clients(("127.0.0.1", echo), 3)
    order = [sock.fileno() for sock in held]
    assert wake(held, 1_000, 0.004) | {"seconds": 0} == {"done": 4, "failed": 0, "seconds": 0}
    assert [sock.fileno() for sock in held] == [order[1], order[2], order[0]]
    held[0].shutdown(socket.SHUT_RDWR)
    assert wake(held, 1_000, 0.001)["failed"] == 1
    for sock in held:
        sock.close()


def test_no_clients_without_a_proxy():
    """Where nobody listens no connection is held."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = listener.getsockname()
    assert clients(nowhere, 4) == []


def accepted(client):
    """Return the descriptor of a connection's other end, which this process holds too."""
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # just gone, or not connected
            if str(file.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as sock:
                    if sock.getpeername() == client.getsockname():
                        return int(file.name)
    raise AssertionError("nobody has accepted it")


def test_a_copied_descriptor_does_not_end_the_origin(echo):
    """A connection whose descriptor a forked child still has is over for the origin, which serves whom comes next."""
    (client,) = clients(("127.0.0.1", echo), 1)
    copy = os.dup(accepted(client))
    try:
        client.close()
        (after,) = clients(("127.0.0.1", echo), 1)
        assert wake([after], 1_000, 0.002)["done"] == 2
        after.close()
    finally:
        os.close(copy)
