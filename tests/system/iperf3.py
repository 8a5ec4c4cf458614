"""A server of iperf3 on loopback."""

import contextlib
import socket
import subprocess

TRIES = 10
"""Ports that are tried: between finding one and using it somebody else may take it."""


@contextlib.contextmanager
def iperf3(*words):
    """Run a server for as long as the block lasts, with more words on its command line; yields its port."""
    server, port = _server(words)
    with server:
        try:
            yield port
        finally:
            server.kill()


def _server(words):
    for _ in range(TRIES):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["iperf3", "-s", *words, "-B", "127.0.0.1", "-p", str(port), "--forceflush"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if any("Server listening" in line for line in server.stdout):
            return server, port
        server.communicate()
    raise AssertionError(f"iperf3 listens on none of {TRIES} ports")
