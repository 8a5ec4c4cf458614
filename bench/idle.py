"""The two ends of the memory scenario: an echo that holds what connects, and clients that send one byte and rest."""

import argparse
import contextlib
import select
import socket
import sys
from typing import NoReturn

from bench.handshake import SOURCES, address

BATCH = 256
"""Connections begun before their echoes are awaited: well below any listen backlog."""

ECHO_S = 20.0
"""The longest wait for one batch's echoes."""


def origin(where: tuple[str, int]) -> NoReturn:
    """
    Accept, echo and hold until killed.

    Args:
        where: Address and port to listen on.
    """
    listener = socket.create_server(where, backlog=4096)
    held = {listener.fileno(): listener}
    with select.epoll() as epoll:
        epoll.register(listener.fileno(), select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == listener.fileno():
                    sock, _peer = listener.accept()
                    held[sock.fileno()] = sock
                    epoll.register(sock.fileno(), select.EPOLLIN)
                elif not echo(held[fd]):
                    held.pop(fd).close()


def echo(sock: socket.socket) -> bool:
    """Send back what arrived; return whether the connection goes on."""
    try:
        data = sock.recv(4096)
        return bool(data) and sock.send(data) > 0
    except OSError:
        return False


def clients(proxy: tuple[str, int], count: int) -> list[socket.socket]:
    """
    Open connections and see one byte through each, both ways.

    Args:
        proxy: Where to connect.
        count: How many; unit connections.

    Returns:
        Those whose byte came back, open.
    """
    held: list[socket.socket] = []
    while len(held) < count:
        batch = [begin(proxy, len(held) + number) for number in range(min(BATCH, count - len(held)))]
        echoed = [sock for sock in batch if sock is not None and came_back(sock)]
        held += echoed
        if len(echoed) < len(batch):
            break
    return held


def begin(proxy: tuple[str, int], number: int) -> socket.socket | None:
    """Connect from one of the source addresses and send one byte; None if that fails."""
    sock = socket.socket()
    try:
        sock.settimeout(ECHO_S)
        sock.bind((f"127.0.0.{2 + number % SOURCES}", 0))
        sock.connect(proxy)
        sock.send(b"!")
    except OSError:
        sock.close()
        return None
    return sock


def came_back(sock: socket.socket) -> bool:
    """Await one byte; return whether it came."""
    with contextlib.suppress(OSError):
        return sock.recv(1) == b"!"
    return False


def main(argv: list[str]) -> None:
    """Be the origin until killed; or be the clients: print how many are held, and let go when standard input ends."""
    parser = argparse.ArgumentParser(prog="bench.idle", description=__doc__)
    parser.add_argument("role", choices=("origin", "clients"))
    parser.add_argument("where", type=address)
    parser.add_argument("--count", type=int, default=0)
    asked = parser.parse_args(argv)
    if asked.role == "origin":
        origin(asked.where)
    held = clients(asked.where, asked.count)
    print(len(held), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
