"""The two sides of a shaped stream."""

import socket
import threading

from bench.pump import count, origin
from bench.servers import free_ports


def test_what_comes_is_counted():
    """A client counts bytes for as long as it is told, from an origin that never ends."""
    (port,) = free_ports(1)
    threading.Thread(target=origin, args=(("127.0.0.1", port),), daemon=True).start()
    while socket.socket().connect_ex(("127.0.0.1", port)):
        pass
    found = count(("127.0.0.1", port), 0.0, 0.05)
    assert found["bytes"] > 0
    assert found["seconds"] >= 0.05


def test_a_stream_that_ends_is_counted_to_its_end():
    """Who sends nothing is no reason to wait."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=lambda: [client.close() for client, _ in [door.accept()]], daemon=True).start()
        assert count(door.getsockname()[:2], 0.0, 5.0)["bytes"] == 0
