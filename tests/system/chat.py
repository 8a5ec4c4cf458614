"""A WebSocket server to talk to through a proxy."""

import contextlib
import threading

from websockets.sync.server import serve


@contextlib.contextmanager
def chatting():
    """Run a server that sends back every message; yields its port."""

    def echo(client):
        for message in client:
            client.send(message)

    with serve(echo, "127.0.0.1", 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.socket.getsockname()[1]
        server.shutdown()
