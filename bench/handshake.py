"""
A load of short proxied connections: ask the proxy for the origin, fetch one page, end.

wrk speaks neither SOCKS5 nor CONNECT. This client (one process, level-triggered epoll) costs more of its core than wrk
does, which bounds the rate and not the figure: what is measured is the proxy's CPU time, on another core.
"""

import argparse
import contextlib
import json
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

SOURCES = 8
"""Loopback addresses that clients come from in turn, 127.0.0.2 on: each has its own range of local ports."""

STUCK_S = 5.0
"""Without any event for so long, the rest counts as failed."""

REQUEST = b"GET / HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n"

Complete = Callable[[bytes, bool], bool | None]
"""From what arrived, and whether that is all, to: answered as expected, answered otherwise, or not yet (None)."""


@dataclass(frozen=True)
class Step:
    """
    One thing said and one answer awaited.

    Args:
        send: The bytes to say.
        complete: What judges the answer.
    """

    send: bytes
    complete: Complete


def method_chosen(data: bytes, eof: bool) -> bool | None:
    """Judge the method selection of RFC 1928 section 3: version 5, no authentication."""
    return data == b"\x05\x00" if len(data) >= 2 or eof else None


def connected(data: bytes, eof: bool) -> bool | None:
    """Judge the reply of RFC 1928 section 6 that carries an IPv4 address: succeeded, ten bytes."""
    return data[:4] == b"\x05\x00\x00\x01" and len(data) == 10 if len(data) >= 10 or eof else None


def tunnelled(data: bytes, eof: bool) -> bool | None:
    """Judge the head that answers CONNECT (RFC 9110 section 9.3.6): any 200, and nothing behind the empty line."""
    if data.endswith(b"\r\n\r\n") or eof:
        return data.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
    return None


def fetched(data: bytes, eof: bool) -> bool | None:
    """Judge the page: it is whole when the origin has closed."""
    return data.startswith(b"HTTP/1.1 200") if eof else None


class Secure:
    """
    The client's end of TLS, with the calls that a crowd makes.

    Args:
        sock: Connected; goes over to this one.
        first: Sent once both agree.
    """

    def __init__(self, sock: socket.socket, first: bytes) -> None:
        self._sock = CONTEXT.wrap_socket(sock, do_handshake_on_connect=False)
        self._sock.setblocking(False)
        self._first, self._shaken = first, False
        self.fileno, self.close, self.send = self._sock.fileno, self._sock.close, self._sock.send
        self._shake()

    def _shake(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._sock.do_handshake()
            self._shaken = True
            self._sock.send(self._first)

    def recv(self, size: int) -> bytes:
        """Return what has come; BlockingIOError if that is nothing."""
        if not self._shaken:
            self._shake()
        try:
            return self._sock.recv(size)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


CONTEXT = _context()


def steps(protocol: str, host: str, port: int) -> tuple[Step, ...]:
    """
    Write down one connection's talk.

    Args:
        protocol: `socks5`, `connect`, or `tls` and `direct`, which ask for nothing but the page.
        host: The origin's IPv4 address.
        port: The origin's port.

    Returns:
        Its steps, each sent when the one before is answered.
    """
    page = Step(REQUEST, fetched)
    if protocol in ("tls", "direct"):
        return (page,)
    if protocol == "socks5":
        command = b"\x05\x01\x00\x01" + socket.inet_aton(host) + struct.pack(">H", port)
        return Step(b"\x05\x01\x00", method_chosen), Step(command, connected), page
    head = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    return Step(head.encode(), tunnelled), page


class Talk:
    """
    One connection under way.

    Attributes:
        sock: Its socket.
        at: Its place in the steps.
        received: What the current answer has so far.
        due: When it was to begin, where somebody asks for that; unit s.
        well: Whether it has ended as it should.
    """

    __slots__ = ("at", "due", "received", "sock", "well")

    def __init__(self, sock: socket.socket | Secure) -> None:
        self.sock, self.at, self.received = sock, 0, b""
        self.due, self.well = 0.0, False


class Crowd:
    """
    Many connections, so many at a time.

    Args:
        proxy: Where they connect.
        talk: What each says.
        count: How many in all, at most; unit connections.
        seconds: When no more are begun; unit s.
        secure: Whether they speak TLS.
    """

    def __init__(
        self, proxy: tuple[str, int], talk: tuple[Step, ...], count: int, seconds: float, *, secure: bool = False
    ) -> None:
        self.secure = secure
        self.proxy, self.talk, self.count, self.seconds = proxy, talk, count, seconds
        self.begun = self.done = self.failed = 0
        self.live: dict[int, Talk] = {}
        self.epoll = select.epoll()

    def run(self, concurrency: int) -> float:
        """
        Run the load to its end.

        Args:
            concurrency: Connections open at a time.

        Returns:
            Its length; unit s.
        """
        start = time.monotonic()
        end = start + self.seconds
        while True:
            while len(self.live) < concurrency and self.begun < self.count and time.monotonic() < end:
                self.begin()
            if not self.live:
                return time.monotonic() - start
            events = self.epoll.poll(STUCK_S)
            if not events:
                self.failed += len(self.live)
                return time.monotonic() - start
            for fd, _ in events:
                self.on_readable(self.live[fd])

    def begin(self) -> Talk | None:
        """Connect, which on loopback takes no time worth waiting apart for, and say the first thing; None if not."""
        sock = socket.socket()
        source = f"127.0.0.{2 + self.begun % SOURCES}"
        self.begun += 1
        try:
            # The port is chosen at connect time, when the whole 4-tuple counts, not at bind time (ip(7)).
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT, which the socket module lacks
            sock.bind((source, 0))
            sock.connect(self.proxy)
            if not self.secure:
                sock.send(self.talk[0].send)
            sock.setblocking(False)
            said = Secure(sock, self.talk[0].send) if self.secure else sock
        except OSError:
            self.failed += 1
            sock.close()
            return None
        talk = self.live[said.fileno()] = Talk(said)
        self.epoll.register(said.fileno(), select.EPOLLIN)
        return talk

    def on_readable(self, talk: Talk) -> None:
        """Take what arrived; go on to the next step when this one is answered."""
        try:
            try:
                data = talk.sock.recv(65_536)
            except BlockingIOError:
                return
            talk.received += data
            answered = self.talk[talk.at].complete(talk.received, not data)
            if answered is None:
                return
            if answered and talk.at + 1 < len(self.talk):
                talk.at, talk.received = talk.at + 1, b""
                talk.sock.send(self.talk[talk.at].send)
                return
        except OSError:
            answered = False
        self.end(talk, bool(answered))

    def end(self, talk: Talk, well: bool) -> None:
        """Close a connection and count how it went."""
        talk.well = well
        self.done += well
        self.failed += not well
        del self.live[talk.sock.fileno()]
        talk.sock.close()


def address(text: str) -> tuple[str, int]:
    """Read `host:port`."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def main(argv: list[str]) -> None:
    """Run one load and print `{"done", "failed", "seconds"}`."""
    parser = argparse.ArgumentParser(prog="bench.handshake", description=__doc__)
    parser.add_argument("protocol", choices=("socks5", "connect", "tls", "direct"))
    parser.add_argument("proxy", type=address)
    parser.add_argument("origin", type=address)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    asked = parser.parse_args(argv)
    crowd = Crowd(
        asked.proxy, steps(asked.protocol, *asked.origin), asked.count, asked.seconds, secure=asked.protocol == "tls"
    )
    seconds = crowd.run(asked.concurrency)
    print(json.dumps({"done": crowd.done, "failed": crowd.failed, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
