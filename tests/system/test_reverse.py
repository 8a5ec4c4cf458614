"""Reverse HTTP and PROXY headers through real processes: curl, HAProxy, nginx and WebSocket clients."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect as websocket

from penstock.testing.certificates import Authority
from penstock.testing.http_peers import ok, origin
from penstock.testing.nodes import bytes_of, running, table
from penstock.testing.peers import read_all
from penstock.testing.workbench import wait_for

from .chat import chatting

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that a client may take."""

LARGE = 300_000

PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
CLIENT = "127.0.0.7"
"""Whom clients come from, so that nobody takes the proxy between for them."""


def reverse(port, **fields):
    """Return a reverse listener as TOML."""
    return table("web", "http", port, reverse=True, **fields)


def told(message, wire):
    """Answer with what of the request matters here."""
    names = ("x-forwarded-for", "x-forwarded-proto", "expect", "transfer-encoding")
    kept = {name: message.fields.get(name, "-") for name in names}
    return ok(json.dumps(kept | {"start": message.start, "size": len(message.body)}).encode())


def curl(*words):
    """Return what curl prints."""
    done = subprocess.run(["curl", "-sS", *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("curl")
def test_curl_keeps_its_connection(tmp_path):
    """Several requests share one connection, a chunked body and one that waits for 100 arrive whole."""
    body = tmp_path / "body"
    body.write_bytes(b"x" * LARGE)
    with origin(told) as target, running(reverse(target.port)) as node:
        url = node.url("web")
        plain = curl(f"{url}/a", "-o", "-", f"{url}/b", "-w", "\n%{num_connects}\n")
        assert [line for line in plain.splitlines() if line.isdigit()] == ["1", "0"]
        chunked = json.loads(curl(f"{url}/c", "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{body}"))
        waited = json.loads(curl(f"{url}/d", "-H", "Expect: 100-continue", "--data-binary", f"@{body}"))
        assert (chunked["size"], waited["size"]) == (LARGE, LARGE)
        assert chunked["x-forwarded-for"] == "127.0.0.1"
        assert node.settled("web", 3)["requests"] == 4


STATUS = {"/204": b"HTTP/1.1 204 No Content\r\n\r\n", "/304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"}
TRAILED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"


def bodiless(message, wire):
    """Answer with statuses that have no body, with none to HEAD, or with trailers."""
    method, path, _ = message.start.split()
    if method == "HEAD":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
    return STATUS.get(path, TRAILED)


def test_answers_without_bodies_and_with_trailers():
    """HEAD, 204 and 304 end with their heads, trailers arrive, and the connection lives through all of it."""
    asked = [("HEAD", "/"), ("GET", "/204"), ("GET", "/304"), ("GET", "/trailers")]
    with origin(bodiless) as target, running(reverse(target.port)) as node:
        with socket.create_connection(node.address("web"), SECONDS) as client:
            for number, (method, path) in enumerate(asked):
                close = "Connection: close\r\n" if number == len(asked) - 1 else ""
                client.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{close}\r\n".encode())
            got = read_all(client)
        assert [line[9:12] for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] == [
            b"200", b"204", b"304", b"200",
        ]  # fmt: skip
        assert got.endswith(b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
        row = node.settled("web", 1)
        assert bytes_of(row)[1] == len(got)


@pytest.fixture
def authority(tmp_path):
    """An authority with files of its own."""
    return Authority(tmp_path)


@pytest.fixture
def chat():
    """Port of a WebSocket server that echoes."""
    with chatting() as port:
        yield port


@pytest.mark.parametrize("secure", [False, True])
def test_websocket(authority, chat, secure):
    """A WebSocket client talks through reverse HTTP, in the clear and inside TLS."""
    pair = authority.issue("localhost")
    inside = f'inside = "http"\ncertificates = [{{ cert = "{pair.cert}", key = "{pair.key}" }}]\n'
    listener = table("web", "tls", chat) + inside if secure else reverse(chat)
    with running(listener) as node:
        _, port = node.address("web")
        context = authority.client_context() if secure else None
        url = f"{'wss' if secure else 'ws'}://localhost:{port}/"
        with websocket(url, ssl=context, proxy=None, compression=None) as client:
            for message in ("hello", "x" * 100_000):
                client.send(message)
                assert client.recv(SECONDS) == message
        assert node.settled("web", 1)["bytes_in"] > 100_000


# PROXY headers -------------------------------------------------------------------------------------------------------

STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"

HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind fd@{fd} {accept}
    default_backend back
backend back
    server target 127.0.0.1:{port} {send}
"""

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        location / {{ return 200 "$proxy_protocol_addr"; }}
    }}
}}
"""

NGINX_SENDS = """
load_module {module};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ }}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{target}; proxy_protocol on; }} }}
"""


@contextlib.contextmanager
def haproxy(folder, port, *, accept="", send=""):
    """Run HAProxy in front of a port; yields its own."""
    with socket.create_server(("127.0.0.1", 0)) as front:
        file = folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(fd=front.fileno(), accept=accept, port=port, send=send))
        argv = [shutil.which("haproxy", path=PATH), "-db", "-f", str(file)]
        with subprocess.Popen(argv, pass_fds=[front.fileno()], stderr=subprocess.DEVNULL) as process:
            try:
                yield front.getsockname()[1]
            finally:
                process.kill()


@contextlib.contextmanager
def nginx(folder, text, **fields):
    """Run nginx with a configuration; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(text.format(folder=folder, port=port, **fields))
    argv = [shutil.which("nginx", path=PATH), "-p", str(folder), "-e", "stderr", "-c", str(file)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: _accepts(port), "nginx to listen")
            yield port
        finally:
            process.terminate()


def _accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetched(port):
    """Fetch a page from another address than everybody else's; returns its text."""
    return curl("--interface", CLIENT, f"http://127.0.0.1:{port}/")


TRUSTING = {"accept_proxy": "required", "trusted_proxies": ["127.0.0.1"]}


def last_client(node):
    """Return whom the node's latest record says the client was."""
    found = []

    def look():
        found[:] = json.loads(node.fetch("/api/v1/history?limit=1"))["connections"]
        return found

    wait_for(look, "a record")
    return found[0]["client"]


@pytest.mark.needs("curl", "haproxy")
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"])
def test_haproxy_sends(tmp_path, send):
    """The client that HAProxy tells of is who is recorded, and whom the target learns of."""
    with origin(told) as target, running(reverse(target.port, **TRUSTING)) as node:
        with haproxy(tmp_path, node.address("web")[1], send=send) as port:
            assert json.loads(fetched(port))["x-forwarded-for"] == CLIENT
        assert last_client(node).startswith(CLIENT)


@pytest.mark.needs("curl", "nginx")
@pytest.mark.skipif(not Path(STREAM).exists(), reason="nginx's stream module is not installed")
def test_nginx_sends(tmp_path):
    """The same with nginx's stream module, which writes version 1."""
    with origin(told) as target, running(reverse(target.port, **TRUSTING)) as node:
        with nginx(tmp_path, NGINX_SENDS, module=STREAM, target=node.address("web")[1]) as port:
            assert json.loads(fetched(port))["x-forwarded-for"] == CLIENT
        assert last_client(node).startswith(CLIENT)


@pytest.mark.needs("curl")
def test_curl_sends():
    """`--haproxy-protocol` is understood, and a client without a header is refused where one is required."""
    with origin(told) as target, running(reverse(target.port, **TRUSTING)) as node:
        assert json.loads(curl("--haproxy-protocol", node.url("web")))["x-forwarded-for"] == "127.0.0.1"
        done = subprocess.run(["curl", "-sS", node.url("web")], capture_output=True, timeout=SECONDS, check=False)
        assert done.returncode in (52, 56)  # an empty reply, or a reset
        node.settled("web", 2)


@pytest.mark.needs("curl", "haproxy")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_receives(tmp_path, version):
    """HAProxy believes our header, and passes the client on to nginx, which names it."""
    with (
        nginx(tmp_path, NGINX) as port,
        haproxy(tmp_path, port, accept="accept-proxy", send="send-proxy") as middle,
        running(table("raw", "tcp"), _sending(middle, version)) as node,
    ):
        assert fetched(node.address("raw")[1]) == CLIENT


@pytest.mark.needs("curl", "nginx")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_receives(tmp_path, version):
    """nginx answers with the client that our header names."""
    with nginx(tmp_path, NGINX) as port, running(table("raw", "tcp"), _sending(port, version)) as node:
        assert fetched(node.address("raw")[1]) == CLIENT


def _sending(port, version):
    return f'[[route]]\nname = "on"\ntargets = ["127.0.0.1:{port}"]\nsend_proxy = "{version}"\n'
