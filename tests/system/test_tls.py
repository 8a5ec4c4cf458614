"""TLS through real processes: openssl, curl and Chromium as clients, exact wire bytes, and hellos that mean harm."""

import contextlib
import random
import re
import shutil
import socket
import ssl
import struct
import subprocess
from http.server import BaseHTTPRequestHandler

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.nodes import bytes_of, running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.web import web_server
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that a client may take."""

MUTATIONS = 400
"""Broken hellos of each run; the seed is fixed, so a failure comes again."""

LARGE = 20_000_000


class Page(BaseHTTPRequestHandler):
    """Answers with a page that names who served it, or with as many bytes as the path says."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def do_GET(self):
        """Answer."""
        size = re.fullmatch(r"/bytes/(\d+)", self.path)
        body = bytes(int(size[1])) if size else b"<html><body><h1>served behind TLS</h1></body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Proto", self.headers.get("X-Forwarded-Proto", "-"))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        """Answer with how much came."""
        left = int(self.headers["Content-Length"])
        total = 0
        while left and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)
            total += len(data)
        self.send_response(200)
        body = str(total).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def pages(context=None):
    """Run an HTTP or HTTPS server of pages; yields its port."""
    return web_server(Page, tls=context)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with files of its own."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority):
    """A certificate of localhost."""
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def secure(pair):
    """What an HTTPS server behind the proxy serves with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


def tls_table(pair, *targets, more="", **fields):
    """Return a tls listener as TOML."""
    own = "" if pair is None else f'certificates = [{{ cert = "{pair.cert}", key = "{pair.key}" }}]\n'
    return table("tls", "tls", *targets, **fields) + own + more


def s_client(node, authority, *options, said="", name="localhost"):
    """Return all that `openssl s_client` writes."""
    host, port = node.address("tls")
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", authority.file, "-servername", name,
         "-verify_return_error", *options],
        input=said, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def curl(node, authority, path="/", *options, name="localhost"):
    """Return the exit code and the output of curl."""
    _, port = node.address("tls")
    done = subprocess.run(
        ["curl", "-sS", "--http1.1", "--cacert", authority.file, "--resolve", f"{name}:{port}:127.0.0.1", *options,
         f"https://{name}:{port}{path}"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout or done.stderr


@pytest.fixture(scope="module")
def relay(pair):
    """A node that relays what is inside TLS to a server of pages. Who uses it sees its own connections settled."""
    with pages() as port, running(tls_table(pair, port)) as node:
        yield node


@pytest.fixture(scope="module")
def site(pair):
    """A node that speaks HTTP inside TLS, before a server of pages. Who uses it sees its own connections settled."""
    with pages() as port, running(tls_table(pair, port, inside="http")) as node:
        yield node


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("version", "shown"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_openssl_resumes(relay, authority, tmp_path, version, shown):
    """Each version is spoken with a certificate that verifies, and a session that was kept is resumed."""
    kept, before = str(tmp_path / "session.pem"), relay.listener("tls")["connections"]
    ask = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    first = s_client(relay, authority, version, "-ign_eof", "-sess_out", kept, said=ask)
    again = s_client(relay, authority, version, "-ign_eof", "-sess_in", kept, said=ask)
    relay.settled("tls", before + 2)
    for told in (first, again):
        assert "served behind TLS" in told
        assert "Verify return code: 0 (ok)" in told
    assert f"New, {shown}, Cipher is ECDHE" in first or f"New, {shown}, Cipher is TLS_" in first
    assert f"Reused, {shown}" in again


@pytest.mark.needs("openssl")
def test_openssl_versions_that_are_old_are_refused(authority, pair):
    """TLS 1.1 is no longer spoken; the node says so and counts nobody as served."""
    with serving(echo) as target, running(tls_table(pair, target.port)) as node:
        told = s_client(node, authority, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
        assert "Cipher is (NONE)" in told
        ended = node.settled("tls", 1)
        assert target.clients == 0
        assert ended["target_tx"] == 0


@pytest.mark.needs("openssl")
def test_openssl_other_protocols(site, authority):
    """A protocol that is not offered is not agreed on (RFC 7301): the client goes on without one, or is refused."""
    before = site.listener("tls")["connections"]
    right = s_client(site, authority, "-alpn", "h2,http/1.1")
    wrong = s_client(site, authority, "-alpn", "h2")
    assert "ALPN protocol: http/1.1" in right
    assert "ALPN protocol: h2" not in wrong
    assert "No ALPN negotiated" in wrong or "alert no application protocol" in wrong
    site.settled("tls", before + 2)


@pytest.mark.needs("openssl")
def test_certificates_by_name(authority, pair):
    """The name in the hello chooses the certificate, a wildcard stands for one label, and the first is for others."""
    other = authority.issue("*.example.org")
    files = (f'{{ cert = "{each.cert}", key = "{each.key}" }}' for each in (pair, other))
    more = f"certificates = [{', '.join(files)}]\n"
    with serving(echo) as target, running(tls_table(None, target.port, more=more)) as node:
        for name, wanted in (("a.example.org", "*.example.org"), ("localhost", "localhost"), ("else", "localhost")):
            host, port = node.address("tls")
            context = authority.client_context()
            context.check_hostname = False
            with (
                socket.create_connection((host, port), SECONDS) as raw,
                context.wrap_socket(raw, server_hostname=name) as client,
            ):
                names = [value for kind, value in client.getpeercert()["subjectAltName"] if kind == "DNS"]
                assert names == [wanted]


@pytest.mark.needs("curl")
def test_curl_terminates_and_reencrypts(authority, pair, secure):
    """Plain and TLS targets behind TLS; a target's certificate that nobody trusts is a bad gateway."""
    with pages() as plain, pages(secure) as wrapped:
        listener = tls_table(pair, inside="http")
        route = '[[route]]\nname = "{0}"\nmatch = {{ path = "/{0}/*" }}\ntargets = ["localhost:{1}"]\n{2}\n'
        tables = [
            route.format("plain", plain, ""),
            route.format("wrapped", wrapped, f'target_tls = {{ ca = "{authority.file}" }}'),
            route.format("strange", wrapped, "target_tls = {}"),
        ]
        with running(listener, *tables) as node:
            for path in ("/plain/x", "/wrapped/x"):
                code, told = curl(node, authority, path, "-i")
                assert (code, "served behind TLS" in told) == (0, True), told
                assert "X-Proto: https" in told
            code, told = curl(node, authority, "/strange/x", "-i")
            assert (code, "HTTP/1.1 502" in told) == (0, True), told


@pytest.mark.needs("curl")
def test_curl_passes_through_by_name(authority, pair, secure):
    """A name is passed on to its target in TLS that the proxy cannot read; other names are refused with an alert."""
    route = '[[route]]\nname = "pass"\nmatch = {{ domains = ["localhost"] }}\ntls = "passthrough"\n'
    route += 'targets = ["127.0.0.1:{}"]\n'
    with pages(secure) as port, running(tls_table(None), route.format(port)) as node:
        code, told = curl(node, authority, "/bytes/100000", "-o", "/dev/null", "-w", "%{size_download}")
        assert (code, told) == (0, "100000")
        row = node.settled("tls", 1)
        received, sent, to_target, from_target = bytes_of(row)
        assert (received, sent) == (to_target, from_target)
        assert sent > 100_000
        code, told = curl(node, authority, name="elsewhere.test")
        assert (code, "unrecognized name" in told) == (35, True), told


@pytest.mark.needs("curl")
def test_curl_shows_its_certificate(authority, pair):
    """Where a client certificate is required, only a client with one of ours is served."""
    own = authority.issue("client.test")
    tls = f'tls = {{ client_certificates = "required", client_ca = "{authority.file}" }}\n'
    with pages() as port, running(tls_table(pair, port, more=tls, inside="http")) as node:
        code, told = curl(node, authority, "/", "--cert", own.cert, "--key", own.key)
        assert (code, "served behind TLS" in told) == (0, True), told
        code, _ = curl(node, authority, "/")
        assert code != 0
        node.settled("tls", 2)


def wire(sock):
    """Return what the client's own kernel has sent and received, payload bytes once each (linux/tcp.h)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216)
    state, received, waiting, sent, again = struct.unpack("=B127xQ8xI52xQQ", info)
    return sent - again + waiting, received - (state == 8)  # in CLOSE_WAIT the FIN counts as a byte


@pytest.mark.parametrize("request_", ["up", "down"])
def test_large_bodies_are_counted_on_the_wire(site, authority, request_):
    """What the node counts with its client is what the client's kernel counts, handshake and records included."""
    before = site.listener("tls")
    context = authority.client_context()
    with (
        socket.create_connection(site.address("tls"), SECONDS) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        if request_ == "up":
            client.sendall(
                b"PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % LARGE
            )
            client.sendall(bytes(LARGE))
        else:
            client.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % LARGE)
        answer = read_all(client)
        row = site.settled("tls", before["connections"] + 1)
        sent, received = wire(client)
    assert answer.endswith(str(LARGE).encode()) if request_ == "up" else len(answer) > LARGE
    counted = [now - then for now, then in zip(bytes_of(row), bytes_of(before), strict=True)]
    assert counted[:2] == [sent, received]


def test_fuzzed_hellos(authority, pair):
    """No mutation of a real hello ends or wedges a worker: each connection ends, and the next client is served."""
    mouth = Mouth(authority)
    chance = random.Random(4)
    with serving(echo) as target, running(tls_table(pair, target.port), '[timeouts]\nhandshake = "2s"') as node:
        address, pids = node.address("tls"), node.worker_pids()
        for _ in range(MUTATIONS):
            with socket.create_connection(address, SECONDS) as client, contextlib.suppress(ConnectionError):
                client.sendall(mutated(mouth.hello(), chance))
                client.shutdown(socket.SHUT_WR)
                read_all(client)
        with (
            socket.create_connection(address, SECONDS) as raw,
            authority.client_context().wrap_socket(raw, server_hostname="localhost") as client,
        ):
            client.sendall(b"still here")
            assert client.recv(10) == b"still here"
        node.settled("tls", MUTATIONS + 1)
        assert node.worker_pids() == pids


class Mouth:
    """Says what a client says first, with no socket."""

    def __init__(self, authority):
        self._context = authority.client_context()

    def hello(self):
        """Return a new hello."""
        out = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            self._context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
        return out.read()


def mutated(hello, chance):
    """Return a hello with bytes changed, cut, doubled or put in, or its lengths broken."""
    data = bytearray(hello)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 40))
            case 3:
                data[at : at + 2] = chance.choice((b"\0\0", b"\xff\xff", b"\x40\x01"))
            case _:
                data += data[at:]
        if not data:
            data = bytearray(b"\x16")
    return bytes(data)


def test_trickled_hello_is_cut(authority, pair):
    """A hello that comes byte by byte has until the handshake's deadline, however busy it is."""
    hello = Mouth(authority).hello()
    with serving(echo) as target, running(tls_table(pair, target.port), '[timeouts]\nhandshake = "500ms"') as node:
        with socket.create_connection(node.address("tls"), SECONDS) as client:
            client.settimeout(0.02)
            said = 0
            with contextlib.suppress(ConnectionError):
                while said < len(hello) - 1:  # it is never whole
                    client.send(hello[said : said + 1])
                    said += 1
                    with contextlib.suppress(TimeoutError):
                        if not client.recv(64):
                            break
        assert said < len(hello) - 1
        node.settled("tls", 1)
        assert target.clients == 0


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed, and too large to ask for")
def test_chromium_fetches_a_page(authority, pair, tmp_path):
    """A browser gets its page through TLS that ends at the proxy."""
    with pages() as port, running(tls_table(pair, port, inside="http")) as node:
        _, own = node.address("tls")
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
             "--ignore-certificate-errors", "--dump-dom", f"https://127.0.0.1:{own}/"],
            capture_output=True, text=True, timeout=2 * SECONDS, check=False,
        )  # fmt: skip
        assert "served behind TLS" in done.stdout, done.stderr[-500:]
        assert wait_for(lambda: node.listener("tls")["requests"] >= 1, "a request")
