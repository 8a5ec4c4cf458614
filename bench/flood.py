"""The two sides of a connection flood: thousands of addresses that connect and hold, and a client that asks on."""

import argparse
import json
import math
import os
import socket
import struct
import sys
import threading
import time
from collections import deque

from bench.handshake import address
from bench.proxies import LOOPBACK
from bench.urgency import at_once

HELD = 1_024
"""Connections that the flooder holds; the oldest is reset when there is one more."""

NICE = 19
"""Of the flooder where others cannot go before it, since it shares their core: it takes all that they leave."""

THREADS = 8
"""Of a client, so that a late answer holds up few others; lasting connections, too, so workers share them."""

NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT: connect chooses the port, which is quicker. Linux uapi, linux/in.h."""

READY = "ready"
"""What a client says when its lasting connections stand."""

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

PATIENCE_S = 5.0
"""The longest wait for an answer."""

_RESET = struct.pack("ii", 1, 0)


def source(number: int) -> str:
    """Return an address of loopback that no server and no other client has: 127.1.0.0 and so on."""
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def flood(proxy: tuple[str, int], first: int, count: int, seconds: float) -> dict[str, float]:
    """
    Connect from one address after the other, as fast as may be, and hold what was connected for a while.

    Args:
        proxy: Where to connect.
        first: Number of the first address.
        count: Addresses.
        seconds: For how long; unit s.

    Returns:
        `made` connections, of which none was waited for, and how long it took, `seconds`.
    """
    held: deque[socket.socket] = deque()
    sources = [(source(first + number), 0) for number in range(count)]
    began, made = time.monotonic(), 0
    while (length := time.monotonic() - began) < seconds:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
        sock.bind(sources[made % count])
        sock.connect_ex(proxy)
        held.append(sock)
        made += 1
        if len(held) > HELD:
            held.popleft().close()
    for sock in held:
        sock.close()
    return {"made": made, "seconds": length}


class Client:
    """
    Asks at an even pace, and measures each answer from the moment when its request was due.

    Args:
        proxy: Where to connect.
        fresh: Whether each request has a connection of its own.

    Attributes:
        took: Of each request that was answered; unit s.
        failed: Requests that were not.
    """

    def __init__(self, proxy: tuple[str, int], *, fresh: bool) -> None:
        self._proxy = proxy
        self._kept = [None if fresh else opened(proxy) for _ in range(THREADS)]
        for each in self._kept:
            if each is not None:  # what lasts has been accepted: until then it waits in line with all that are new
                answered(each)
        self.took: list[float] = []
        self.failed = 0

    def run(self, rate: float, seconds: float) -> None:
        """Ask from so many threads as have a part of the rate each; unit 1/s, s."""
        part, began = rate / THREADS, time.monotonic()
        threads = [
            threading.Thread(target=self._run, args=(kept, began + number / rate, part, int(part * seconds)))
            for number, kept in enumerate(self._kept)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _run(self, kept: socket.socket | None, began: float, rate: float, asked: int) -> None:
        for number in range(asked):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            try:
                sock = kept or opened(self._proxy)
                answered(sock)
                self.took.append(time.monotonic() - due)
                if kept is None:
                    sock.close()
            except OSError:
                self.failed += 1

    def report(self) -> dict[str, float]:
        """Return `failed`, and the latencies `p50` and `p99`; unit us."""
        took = sorted(self.took) or [math.inf]
        p50, p99 = (took[len(took) * part // 100] * 1e6 for part in (50, 99))
        return {"failed": self.failed, "p50": p50, "p99": p99}


def opened(proxy: tuple[str, int]) -> socket.socket:
    """Return a connection of the client that may."""
    sock = socket.create_connection(proxy, PATIENCE_S, (LOOPBACK, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def answered(sock: socket.socket) -> None:
    """Ask once and read the answer, whose head and body are a few hundred bytes; raises OSError if there is none."""
    sock.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"..."):
        data = sock.recv(4_096)
        if not data:
            raise ConnectionError("closed")
        answer += data


def main(argv: list[str]) -> None:
    """Be one of the two, and print a report; a client says first when it is ready."""
    parser = argparse.ArgumentParser(prog="bench.flood", description=__doc__)
    parser.add_argument("role", choices=("flood", "kept", "fresh"))
    parser.add_argument("where", type=address)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args(argv)
    if asked.role == "flood":
        if os.geteuid():  # clients cannot say that they run at once
            os.nice(NICE)
        print(json.dumps(flood(asked.where, asked.first, asked.count, asked.seconds)))
        return
    at_once(os.getpid())
    client = Client(asked.where, fresh=asked.role == "fresh")
    print(READY, flush=True)
    client.run(asked.rate, asked.seconds)
    print(json.dumps(client.report()))


if __name__ == "__main__":
    main(sys.argv[1:])
