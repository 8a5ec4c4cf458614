"""The two sides of a shaped stream: an origin that sends as fast as it may, and a client that counts for a while."""

import argparse
import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
import time

from bench.handshake import address

PIECE = 1 << 20
"""Bytes of one write or read."""

PATIENCE_S = 10.0
"""The longest wait for a byte."""


def origin(where: tuple[str, int]) -> None:
    """Send zeros to everybody who comes, for ever."""
    with socket.create_server(where) as door:
        while True:
            client, _ = door.accept()
            threading.Thread(target=pump, args=(client,), daemon=True).start()


def pump(client: socket.socket) -> None:
    """Send zeros until the client goes, without copying them."""
    with client, tempfile.TemporaryFile() as file, contextlib.suppress(OSError):
        file.truncate(PIECE)
        while True:
            os.sendfile(client.fileno(), file.fileno(), 0, PIECE)


def count(where: tuple[str, int], early: float, seconds: float) -> dict[str, float]:
    """
    Count what comes, and copy none of it.

    Args:
        where: To connect to.
        early: How long nothing is counted: who begins or has paused may catch up; unit s.
        seconds: How long bytes are counted; unit s.

    Returns:
        The `bytes` that came, and in how long, `seconds`.
    """
    room, found = bytearray(PIECE), 0
    with socket.create_connection(where, PATIENCE_S) as sock:
        began = time.monotonic() + early
        while (now := time.monotonic()) < began + seconds:
            got = sock.recv_into(room, PIECE, socket.MSG_TRUNC)
            if not got:
                break
            found += got if now >= began else 0
    return {"bytes": found, "seconds": time.monotonic() - began}


def main(argv: list[str]) -> None:
    """Be one of the two; the client prints what it counted."""
    parser = argparse.ArgumentParser(prog="bench.pump", description=__doc__)
    parser.add_argument("role", choices=("origin", "client"))
    parser.add_argument("where", type=address)
    parser.add_argument("--early", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args(argv)
    if asked.role == "origin":
        origin(asked.where)
    print(json.dumps(count(asked.where, asked.early, asked.seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
