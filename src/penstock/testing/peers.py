"""Peers to test with: servers in a thread that echo, hold still, reset, or say exactly what a test wants."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from penstock.testing.workbench import PATIENCE_S

Behaviour = Callable[[socket.socket], None]


class Server:
    """
    A server on a free port of loopback; each client gets a thread that runs `behave` and closes.

    Args:
        behave: What is done with a client's socket.
    """

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.port: int = self._sock.getsockname()[1]
        self.clients = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._sock.accept()
                self.clients += 1
                threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE_S)
        with client, contextlib.suppress(OSError):
            self._behave(client)

    def close(self) -> None:
        """Take no more clients."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


@contextlib.contextmanager
def serving(behave: Behaviour) -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    server = Server(behave)
    try:
        yield server
    finally:
        server.close()


def echo(client: socket.socket) -> None:
    """Send back what comes, until the client is done; then be done too."""
    while data := client.recv(65_536):
        client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def swallow(client: socket.socket) -> None:
    """Read everything and say nothing."""
    while client.recv(1 << 20):
        pass


def reset(client: socket.socket) -> None:
    """Read once, then close with a reset."""
    client.recv(65_536)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def saying(data: bytes) -> Behaviour:
    """Return a behaviour that says `data` at once and closes."""

    def say(client: socket.socket) -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        swallow(client)

    return say


def until_released(gate: threading.Event) -> Behaviour:
    """Return a behaviour that neither reads nor writes until the gate opens."""

    def hold(client: socket.socket) -> None:
        gate.wait(PATIENCE_S)

    return hold


def say(address: tuple[str, int], data: bytes) -> bytes:
    """Send bytes to an address, say that this is all, and return what comes back; a few, which fit into buffers."""
    with socket.create_connection(address, timeout=PATIENCE_S) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def _silent(client: socket.socket) -> None:
    pass


def let_in(address: tuple[str, int], introduce: Behaviour = _silent) -> socket.socket | None:
    """
    Ask for a connection on which an echo answers.

    Args:
        address: Where a proxy stands before the echo.
        introduce: What a client does first; ConnectionError says that it was sent away.

    Returns:
        The connection, of which a byte came back; None if it was closed without one.
    """
    sock = socket.create_connection(address, PATIENCE_S)
    try:
        introduce(sock)
        sock.sendall(b"x")
        if sock.recv(1) == b"x":
            return sock
    except ConnectionError:
        pass
    sock.close()
    return None


def read_all(sock: socket.socket) -> bytes:
    """Return everything that comes until the end of file."""
    parts = []
    while data := sock.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)
