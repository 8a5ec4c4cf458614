"""Web servers in a thread answer on either family, in the clear and inside TLS, and are gone afterwards."""

import http.client
import ssl
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.web import web_server


class Path(BaseHTTPRequestHandler):
    """Answers with the path that was asked for."""

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("secure", [False, True])
def test_it_answers_and_ends(tmp_path, host, secure):
    """For as long as the block lasts, and to nobody afterwards."""
    authority = Authority(tmp_path)
    pair, server = authority.issue(host), None
    connect = partial(http.client.HTTPConnection, timeout=10)
    if secure:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pair.cert, pair.key)
        connect = partial(http.client.HTTPSConnection, timeout=10, context=authority.client_context())
    with web_server(Path, host, server) as port, closing(connect(host, port)) as client:
        client.request("GET", "/a")
        assert client.getresponse().read() == b"/a"
    with closing(connect(host, port)) as client, pytest.raises(ConnectionRefusedError):
        client.connect()
