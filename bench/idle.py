"""The two ends of the memory scenario: an echo that holds what connects, and clients that send one byte and rest."""

import argparse
import contextlib
import json
import select
import socket
import sys
import time
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
                    epoll.unregister(fd)  # closing alone leaves it watched while a forked child has a copy
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


def wake(held: list[socket.socket], rate: int, seconds: float) -> dict[str, float]:
    """
    Send a byte through one connection after the other and have it back.

    Args:
        held: The connections, open; the first goes last.
        rate: Of all together; unit bytes/s.
        seconds: For how long; unit s.

    Returns:
        `done` and `failed` bytes, and how long it took, `seconds`.
    """
    began, done, failed = time.monotonic(), 0, 0
    for number in range(int(rate * seconds)):
        if (early := began + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        sock = held.pop(0)
        held.append(sock)
        try:
            sock.send(b"!")
            well = came_back(sock)
        except OSError:
            well = False
        done, failed = done + well, failed + (not well)
    return {"done": done, "failed": failed, "seconds": time.monotonic() - began}


def main(argv: list[str]) -> None:
    """Be the origin until killed; or clients: print how many are held, and wake them as standard input says."""
    parser = argparse.ArgumentParser(prog="bench.idle", description=__doc__)
    parser.add_argument("role", choices=("origin", "clients"))
    parser.add_argument("where", type=address)
    parser.add_argument("--count", type=int, default=0)
    asked = parser.parse_args(argv)
    if asked.role == "origin":
        origin(asked.where)
    held = clients(asked.where, asked.count)
    print(len(held), flush=True)
    for line in sys.stdin:
        rate, seconds = line.split()
        print(json.dumps(wake(held, int(rate), float(seconds))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
