"""Clients that ask without pause, and know of each request how it ended."""

import contextlib
import socket
import ssl
import threading
from collections import Counter

from penstock.testing.workbench import wait_for

REQUEST = b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"

PATIENCE_S = 20.0


class Load:
    """
    Asks from several threads.

    Args:
        address: Of a listener.
        context: For TLS; None for in the clear.
        kept: Whether a client keeps its connection for the next request.
        clients: How many.

    Attributes:
        answers: How often each body has come.
        failures: What went wrong, one by one.
    """

    def __init__(self, address, *, context=None, kept=False, clients=6):
        self._address, self._context, self._kept = address, context, kept
        self.answers, self.failures = Counter(), []
        self._ended = [0] * clients
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in range(clients)]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for each in self._threads:
            each.join(PATIENCE_S)
            assert not each.is_alive()

    @property
    def asked(self):
        """Return how many requests have ended, well or not."""
        return self.answers.total() + len(self.failures)

    def settle(self):
        """Wait until each client has ended the request that it is in now."""
        before = list(self._ended)
        wait_for(lambda: all(now > then for now, then in zip(self._ended, before, strict=True)), "requests to end")

    def _run(self, number):
        sock = None
        while not self._stop.is_set():
            try:
                sock = sock or self._connect()
                body, closes = exchange(sock)
                with self._lock:
                    self.answers[body] += 1
                self._ended[number] += 1
                if self._kept and not closes:
                    continue
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(repr(error))
                self._ended[number] += 1
            if sock is not None:
                sock.close()
                sock = None
        if sock is not None:
            sock.close()

    def _connect(self):
        sock = socket.create_connection(self._address, PATIENCE_S)
        if self._context is None:
            return sock
        try:
            return self._context.wrap_socket(sock, server_hostname="app.example")
        except OSError:
            sock.close()
            raise


def ask(sock):
    """Send a request and return the body of its answer; anything but a whole 200 raises."""
    return exchange(sock)[0]


def exchange(sock):
    """Send a request and return the body of its answer, and whether the connection closes after it."""
    sock.sendall(REQUEST)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if lines[0].split()[1] != b"200":
        raise ValueError(lines[0])
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += _some(sock)
    return body.decode(), b"connection: close" in lines


def _some(sock):
    data = sock.recv(65_536)
    if not data:
        raise EOFError("closed before the answer was whole")
    return data


def fresh(address):
    """Ask on a connection of its own, and return the body."""
    with contextlib.closing(socket.create_connection(address, PATIENCE_S)) as sock:
        return ask(sock)


def trusting(authority):
    """Return what a client needs that trusts an authority."""
    return ssl.create_default_context(cafile=authority.file)
