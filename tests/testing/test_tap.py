"""The tap between two peers."""

import socket

from penstock.testing.peers import echo, read_all, reset, serving
from penstock.testing.tap import tapping


def test_it_relays_and_counts():
    """Bytes come back as they were sent, and both ends' counts are theirs."""
    with serving(echo) as server, tapping("127.0.0.1", server.port) as tap:
        for data in (b"", b"x" * 100_000):
            with socket.create_connection(("127.0.0.1", tap.port), 10) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == data
        tap.settle()
        assert [(line.up, line.sent_up, line.down, line.sent_down) for line in tap.lines] == [(0,) * 4, (100_000,) * 4]
        assert tap.total("down") == 100_000


def test_it_reads_on_when_one_side_is_gone():
    """What a client says after its target was reset is counted as come, not as passed on."""
    with serving(reset) as server, tapping("127.0.0.1", server.port) as tap:
        with socket.create_connection(("127.0.0.1", tap.port), 10) as client:
            client.sendall(b"x")
            assert read_all(client) == b""
            client.sendall(b"y" * 3_000_000)
        tap.settle()
        assert tap.total("up") == 3_000_001
        assert tap.total("sent_up") < 3_000_001
