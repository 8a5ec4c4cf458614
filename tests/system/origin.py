"""
A web server in a process of its own, to be killed: says its name, and how many requests it has served.

`/healthz` is answered with 200, or 503 after SIGUSR1; it counts for nothing. `/served` answers the count.
"""

import contextlib
import http.client
import signal
import socket
import socketserver
import subprocess
import sys
import threading

from penstock.testing.workbench import wait_for


class Origin:
    """
    A server process.

    Args:
        name: What it answers.
        port: Where it listens; 0 for any.
    """

    def __init__(self, name, port=0):
        self.name = name
        if not port:
            with socket.create_server(("127.0.0.1", 0)) as sock:
                port = sock.getsockname()[1]
        self.port, self.address, self._process = port, f"127.0.0.1:{port}", None

    def start(self):
        """Begin to serve, and return when it does."""
        command = [sys.executable, __file__, self.name, str(self.port)]
        self._process = subprocess.Popen(command)
        wait_for(self._answers, f"{self.name} to listen")
        return self

    def _answers(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def served(self):
        """Return how many requests it has answered."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as wire:
            wire.request("GET", "/served")
            return int(wire.getresponse().read())

    def sicken(self):
        """Let its health checks fail from now on."""
        self._process.send_signal(signal.SIGUSR1)

    def kill(self):
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def origins(*names):
    """Run servers for as long as the block lasts."""
    found = [Origin(name) for name in names]
    try:
        yield [each.start() for each in found]
    finally:
        for each in found:
            each.kill()


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        with contextlib.suppress(OSError):
            while line := self.rfile.readline():
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                self._answer(line.split()[1])

    def _answer(self, path):
        status, body = 200, self.server.name
        if path == b"/healthz":
            status = self.server.health
        elif path == b"/served":
            body = b"%d" % self.server.count
        else:
            with self.server.lock:
                self.server.count += 1
        self.wfile.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 512


def main():
    """Serve until killed."""
    name, port = sys.argv[1:]
    server = _Server(("127.0.0.1", int(port)), _Handler)
    server.name, server.count, server.health, server.lock = name.encode(), 0, 200, threading.Lock()

    def sicken(*_):
        server.health = 503

    signal.signal(signal.SIGUSR1, sicken)
    server.serve_forever()


if __name__ == "__main__":
    main()
