"""Web servers of the standard library to test a proxy with, in a thread, on either family and inside TLS."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def web_server(
    handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """
    Run a web server for as long as the block lasts; yields its port.

    Args:
        handler: Answers.
        host: An address of loopback, of either family.
        tls: What it serves with; None for HTTP in the clear.
    """
    server = (_Server6 if ":" in host else ThreadingHTTPServer)((host, 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
