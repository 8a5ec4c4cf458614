"""
A tap between two peers: relays and counts, so that the truth about any client is known, whatever it says of itself.

It reads each end until that end is done, even if the other one is gone: whatever was sent is counted, and nothing is
left in a socket whose close would then be a reset.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

from penstock.testing.peers import Server, serving
from penstock.testing.workbench import PATIENCE_S, wait_for

CHUNK = 262_144


class Line:
    """
    One connection through a tap.

    Attributes:
        up, down: Bytes that came from the client, from the target.
        sent_up, sent_down: What of it could be passed on to the target, to the client.
        done: Whether both ends have said all.
    """

    def __init__(self) -> None:
        self.done = False
        self.up = self.down = self.sent_up = self.sent_down = 0

    def _carry_up(self, client: socket.socket, target: socket.socket) -> None:
        for received, sent in _carry(client, target):
            self.up += received
            self.sent_up += sent

    def _carry_down(self, client: socket.socket, target: socket.socket) -> None:
        for received, sent in _carry(target, client):
            self.down += received
            self.sent_down += sent

    def carry(self, client: socket.socket, target: socket.socket) -> None:
        """Relay until both ends are done."""
        other = threading.Thread(target=self._carry_down, args=(client, target), daemon=True)
        other.start()
        self._carry_up(client, target)
        other.join()
        self.done = True


def _carry(source: socket.socket, sink: socket.socket) -> Iterator[tuple[int, int]]:
    """Pass on bytes until the source is done; yields what each chunk was, and what the sink took of it."""
    buffer = bytearray(CHUNK)
    view, open_ = memoryview(buffer), True
    while count := _receive(source, buffer):
        if open_:
            try:
                sink.sendall(view[:count])
            except OSError:
                open_ = False
        yield count, count if open_ else 0
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _receive(source: socket.socket, buffer: bytearray) -> int:
    try:
        return source.recv_into(buffer)
    except OSError:
        return 0


class Tap:
    """
    The lines of one tap.

    Args:
        host, port: Where it passes bytes on to.

    Attributes:
        lines: One for each connection, in the order in which they came.
        server: Its own listening side.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.lines: list[Line] = []
        self.server: Server | None = None

    @property
    def port(self) -> int:
        """Return where it listens."""
        assert self.server is not None
        return self.server.port

    def behave(self, client: socket.socket) -> None:
        """Carry one connection."""
        line = Line()
        self.lines.append(line)
        with socket.create_connection(self._target, PATIENCE_S) as target:
            for each in (client, target):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.carry(client, target)

    def settle(self) -> None:
        """Wait until every connection that it ever had has ended."""
        wait_for(lambda: all(line.done for line in self.lines), "the connections of a tap to end")

    def total(self, what: str) -> int:
        """Return the sum of one of the numbers of all lines."""
        return sum(getattr(line, what) for line in self.lines)


@contextlib.contextmanager
def tapping(host: str, port: int) -> Iterator[Tap]:
    """Run a tap for as long as the block lasts."""
    tap = Tap(host, port)
    with serving(tap.behave) as server:
        tap.server = server
        yield tap
