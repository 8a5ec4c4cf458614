"""Clients that people use, through real processes: curl, httpx, requests, python-socks, git, pip and a WebSocket."""

import asyncio
import contextlib
import functools
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler

import httpx
import pytest
import requests
import socks
from python_socks.async_.asyncio import Proxy as AsyncProxy
from python_socks.sync import Proxy
from websockets.client import ClientProtocol
from websockets.sync.client import connect as websocket
from websockets.uri import parse_uri

from penstock.testing.nodes import bytes_of, running, table
from penstock.testing.peers import read_all
from penstock.testing.web import web_server

from .chat import chatting

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that a client may take; each takes a fraction of a second."""

LOGIN = "ann:s%cret"
"""The user's password has a character that URLs escape."""

CURL_WRONG = {"http": 0, "connect": 56, "socks5": 97}
"""What curl ends with after a login was refused: an answer of 407 is one like any other."""


class Handler(BaseHTTPRequestHandler):
    """Answers a GET with as many bytes as the path says, anything else with what it brought."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def do_GET(self):
        """Answer with bytes."""
        self._answer(blob(int(self.path.rpartition("/")[2])))

    def do_HEAD(self):
        """Answer without them."""
        self.do_GET()

    def do_PUT(self):
        """Answer with the digest of what came."""
        chunked = self.headers["Transfer-Encoding"] == "chunked"
        body = b"".join(self._chunks()) if chunked else self.rfile.read(int(self.headers["Content-Length"]))
        expected = self.headers.get("Expect", "none")
        self._answer(f"{hashlib.sha256(body).hexdigest()} chunked={chunked} expect={expected}".encode())

    def _chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Via", self.headers.get("Via", "-"))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@functools.cache
def blob(size):
    """Return bytes that are the same each time."""
    return hashlib.shake_128(b"penstock").digest(size)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for loopback that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=SECONDS,
    )  # fmt: skip
    return cert, key


@pytest.fixture(scope="module")
def tls(certificate):
    """What a TLS server of ours serves with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture(scope="module")
def origin():
    """Port of an HTTP server."""
    with web_server(Handler) as port:
        yield port


@pytest.fixture(scope="module")
def origin6():
    """Port of an HTTP server on ::1."""
    with web_server(Handler, "::1") as port:
        yield port


@pytest.fixture(scope="module")
def secure(tls):
    """Port of an HTTPS server."""
    with web_server(Handler, tls=tls) as port:
        yield port


@pytest.fixture(scope="module")
def node(origin):
    """A node with a listener of each kind, with and without login, on both families."""
    tables = [table("tcp", "tcp", origin)]
    for protocol in ("http", "socks5", "auto"):
        tables += [
            table(protocol, protocol, **({"detect": ["http", "socks5"]} if protocol == "auto" else {})),
            table(f"{protocol}.login", protocol, auth=LOGIN, **({"detect": ["http"]} if protocol == "auto" else {})),
            table(f"{protocol}.6", protocol, listen="[::1]:0", **({"detect": ["http"]} if protocol == "auto" else {})),
        ]
    with running(*tables, workers=2) as found:
        yield found


@contextlib.contextmanager
def through(node, listener, connections=1):
    """What happens in the block comes through this listener, on so many connections or any, and leaves none open."""
    before = node.listener(listener)
    yield
    if connections is None:
        node.at_rest()  # a look between two of them would be too early, though none is open
        after = node.listener(listener)
        assert after["connections"] > before["connections"]
    else:
        after = node.settled(listener, before["connections"] + connections)
    assert all(more > less for more, less in zip(bytes_of(after), bytes_of(before), strict=True))


def curl(*words, data=None, code=0):
    """Run curl, and return what it wrote."""
    result = subprocess.run(
        ["curl", "-sS", "--noproxy", "", *words], check=False, input=data, capture_output=True, timeout=SECONDS
    )
    assert result.returncode == code, result.stderr
    return result.stdout


def host_port(node, listener):
    """Return `host:port`."""
    return node.url(listener).removeprefix("http://")


WAYS = {
    "forward": ("http", ("-x", "http://{}"), "http://127.0.0.1:{origin}"),
    "forward by name": ("http", ("-x", "http://{}"), "http://localhost:{origin}"),
    "forward to IPv6": ("http", ("-x", "http://{}"), "http://[::1]:{origin6}"),
    "forward from IPv6": ("http.6", ("-x", "http://{}"), "http://127.0.0.1:{origin}"),
    "tunnel": ("http", ("-x", "http://{}", "--proxytunnel"), "http://127.0.0.1:{origin}"),
    "tunnel to IPv6": ("http", ("-x", "http://{}", "--proxytunnel"), "http://[::1]:{origin6}"),
    "tunnel from IPv6": ("http.6", ("-x", "http://{}", "--proxytunnel"), "http://localhost:{origin}"),
    "tunnel 1.0": ("http", ("-x", "http://{}", "--proxytunnel", "--proxy1.0", "{}"), "http://127.0.0.1:{origin}"),
    "TLS in a tunnel": ("http", ("-x", "http://{}", "--cacert", "{cert}"), "https://localhost:{secure}"),
    "socks5": ("socks5", ("--socks5", "{}"), "http://localhost:{origin}"),
    "socks5 to IPv6": ("socks5", ("--socks5", "{}"), "http://[::1]:{origin6}"),
    "socks5 from IPv6": ("socks5.6", ("--socks5", "{}"), "http://127.0.0.1:{origin}"),
    "socks5-hostname": ("socks5", ("--socks5-hostname", "{}"), "http://localhost:{origin}"),
    "socks5-hostname to IPv6": ("socks5", ("--socks5-hostname", "{}"), "http://[::1]:{origin6}"),
    "TLS in socks5": ("socks5", ("--socks5-hostname", "{}", "--cacert", "{cert}"), "https://localhost:{secure}"),
    "socks4": ("socks5", ("--socks4", "{}"), "http://127.0.0.1:{origin}"),
    "socks4a": ("socks5", ("--socks4a", "{}"), "http://localhost:{origin}"),
    "auto as http": ("auto", ("-x", "http://{}"), "http://127.0.0.1:{origin}"),
    "auto as tunnel": ("auto", ("-x", "http://{}", "--proxytunnel"), "http://127.0.0.1:{origin}"),
    "auto as socks5": ("auto", ("--socks5", "{}"), "http://127.0.0.1:{origin}"),
    "auto as socks4a": ("auto", ("--socks4a", "{}"), "http://localhost:{origin}"),
}


@pytest.mark.needs("curl", "openssl")
@pytest.mark.parametrize("name", WAYS)
def test_curl(name, node, origin, origin6, secure, certificate, tmp_path):
    """curl downloads, uploads with a length and in chunks, each on a connection of its own, in each of its ways."""
    listener, words, target = WAYS[name]
    address = host_port(node, listener)
    words = [word.replace("{}", address).replace("{cert}", str(certificate[0])) for word in words]
    target = target.format(origin=origin, origin6=origin6, secure=secure)
    data = blob(1_500_000)
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "data").write_bytes(data)
    with through(node, listener, 3):
        assert curl(*words, f"{target}/bytes/300000") == blob(300_000)
        chunked = curl(*words, "-T", "-", f"{target}/up", "-H", "Expect: 100-continue", data=data)
        sized = curl(*words, "-T", str(tmp_path / "data"), f"{target}/up")
    assert chunked.decode().split()[:2] == [digest, "chunked=True"]
    assert sized.decode().split()[:2] == [digest, "chunked=False"]


@pytest.mark.needs("curl")
def test_curl_straight(node, origin):
    """A tcp listener is its target to whoever connects."""
    with through(node, "tcp"):
        assert curl(f"http://{host_port(node, 'tcp')}/bytes/1000000") == blob(1_000_000)


@pytest.mark.needs("curl")
def test_curl_keeps_its_connection(node, origin):
    """Answers with and without bodies, one after the other on one connection; the target hears who is between."""
    target = f"http://127.0.0.1:{origin}"
    words = ["-x", node.url("http"), "-w", "%{num_connects} %header{x-via}\n"]
    with through(node, "http"):
        heads = curl("-I", *words, f"{target}/bytes/5000", f"{target}/bytes/0", f"{target}/bytes/7").decode()
    lines = [line for line in heads.splitlines() if line[:2] in ("0 ", "1 ")]
    assert [line[:2] for line in lines] == ["1 ", "0 ", "0 "]
    assert all(line[2:].startswith("1.1 ") for line in lines)


@pytest.mark.needs("curl")
@pytest.mark.parametrize("scheme", ["http", "connect", "socks5"])
def test_curl_logs_in(node, origin, scheme):
    """The right login is served, a wrong one and none are refused, and each refusal is counted as auth."""
    listener = "socks5.login" if scheme == "socks5" else "http.login"
    words = ["--socks5", host_port(node, listener)] if scheme == "socks5" else ["-x", node.url(listener)]
    words += ["--proxytunnel"] if scheme == "connect" else []
    url, refused = f"http://127.0.0.1:{origin}/bytes/1000", node.stats()["refused"]["auth"]
    with through(node, listener, 3):
        assert curl(*words, "--proxy-user", LOGIN, url) == blob(1_000)
        for login in (["--proxy-user", "ann:wrong"], []):
            body = curl(*words, *login, "-w", "%{http_code}%{http_connect}", url, code=CURL_WRONG[scheme])
            assert scheme == "socks5" or b"407" in body
            assert blob(1_000) not in body
    assert node.stats()["refused"]["auth"] == refused + 2


@pytest.mark.needs("curl")
def test_curl_negotiates_a_login(node, origin):
    """curl that asks first which login is wanted is told Basic, and is served on the same connection."""
    words = ["-x", node.url("http.login"), "--proxy-anyauth", "--proxy-user", LOGIN]
    with through(node, "http.login"):
        assert curl(*words, f"http://127.0.0.1:{origin}/bytes/1000") == blob(1_000)


# Python --------------------------------------------------------------------------------------------------------------


def with_login(url):
    """Return a proxy's URL with the login in it."""
    user, _, password = LOGIN.partition(":")
    return url.replace("://", f"://{user}:{password.replace('%', '%25')}@")


@pytest.mark.needs("openssl")
def test_httpx(node, origin, secure, certificate):
    """httpx forwards http on one connection, tunnels https, and logs in."""
    context = ssl.create_default_context(cafile=certificate[0])
    with through(node, "http", 2), httpx.Client(proxy=node.url("http"), verify=context) as client:
        for size in (0, 1, 100_000):
            assert client.get(f"http://127.0.0.1:{origin}/bytes/{size}").content == blob(size)
        upload = client.put(f"http://127.0.0.1:{origin}/", content=iter([b"ab", b"c" * 100_000]))
        assert upload.text.startswith(hashlib.sha256(b"ab" + b"c" * 100_000).hexdigest() + " chunked=True")
        assert client.get(f"https://localhost:{secure}/bytes/100000").content == blob(100_000)
    with through(node, "http.login"), httpx.Client(proxy=with_login(node.url("http.login"))) as client:
        assert client.get(f"http://127.0.0.1:{origin}/bytes/9").content == blob(9)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h", "socks4a"])
def test_requests(node, origin, secure, certificate, scheme):
    """requests, by PySocks where it is SOCKS, fetches and uploads over http and https."""
    listener = "http" if scheme == "http" else "socks5"
    proxy = node.url(listener, scheme)
    with through(node, listener, 2), requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy, "https": proxy}
        session.verify = str(certificate[0])
        for url in (f"http://localhost:{origin}", f"https://localhost:{secure}"):
            there_and_back(session, url)


def there_and_back(session, url):
    """Fetch and upload. The answers are let go of here: requests keeps a connection for as long as one lives."""
    assert session.get(f"{url}/bytes/100000", timeout=SECONDS).content == blob(100_000)
    upload = session.put(url, data=blob(100_000), timeout=SECONDS)
    assert upload.text.startswith(hashlib.sha256(blob(100_000)).hexdigest())


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5"])
def test_python_socks(node, origin, scheme):
    """python-socks, blocking and on asyncio, with names resolved here and there, with and without a login."""
    listener = "http" if scheme == "http" else "socks5"
    request = b"GET /bytes/5000 HTTP/1.0\r\n\r\n"
    plain = node.url(listener, scheme)
    proxies = [Proxy.from_url(plain, rdns=rdns) for rdns in (False, True)]
    with through(node, listener, 3):
        for proxy in proxies:
            with proxy.connect("localhost", origin, timeout=SECONDS) as sock:
                sock.sendall(request)
                assert read_all(sock).endswith(blob(5_000))
        assert asyncio.run(by_asyncio(plain, origin, request)).endswith(blob(5_000))
    if scheme != "socks4":
        login = with_login(node.url(f"{listener}.login", scheme))
        connect = Proxy.from_url(login).connect
        with through(node, f"{listener}.login"), connect("127.0.0.1", origin, timeout=SECONDS) as sock:
            sock.sendall(request)
            assert read_all(sock).endswith(blob(5_000))


async def by_asyncio(proxy, port, request):
    """Return what a target answers through python-socks on asyncio."""
    sock = await AsyncProxy.from_url(proxy).connect("127.0.0.1", port, timeout=SECONDS)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), SECONDS)
    finally:
        writer.close()


@pytest.mark.parametrize("login", [False, True])
def test_pysocks_sends_datagrams(node, login):
    """
    PySocks carries datagrams by UDP ASSOCIATE, small and near the longest; each is counted with its head of ten bytes.

    python-socks, which most Python clients use for SOCKS, has no UDP.
    """
    listener = "socks5.login" if login else "socks5"
    before = node.listener(listener)
    sizes = [0, 1, 1_400, 60_000]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo, socks.socksocket(type=socket.SOCK_DGRAM) as client:
        echo.bind(("127.0.0.1", 0))
        echo.settimeout(SECONDS)
        client.set_proxy(socks.SOCKS5, *node.address(listener), True, *(LOGIN.split(":") if login else ()))
        client.settimeout(SECONDS)
        for size in sizes:
            client.sendto(blob(size), echo.getsockname())
            data, sender = echo.recvfrom(65_535)
            assert data == blob(size)
            echo.sendto(data[::-1], sender)
            assert client.recvfrom(65_535) == (blob(size)[::-1], echo.getsockname())
    after = node.settled(listener, before["connections"] + 1)
    moved = [more - less for more, less in zip(bytes_of(after), bytes_of(before), strict=True)]
    greeting, login_reply = (4 + len(b"\x01\x03ann\x06s%cret"), 2) if login else (3, 0)
    announcement = 4 + len(b"\x010") + 2  # the name "0" and a port
    wrapped = sum(sizes) + 10 * len(sizes)
    assert moved == [wrapped + greeting + announcement, wrapped + 2 + login_reply + 10, sum(sizes), sum(sizes)]


# git and pip ---------------------------------------------------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    """Serves files."""

    def log_message(self, *_):
        """Say nothing."""


def clean_environment(folder, **more):
    """Return an environment in which no setting of this machine counts."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **more}


def git(folder, *words):
    """Run git in a folder."""
    identity = {
        f"GIT_{who}_{what}": "ann@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS,
        env=clean_environment(folder, **identity),
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A folder with a bare repository that plain file servers can serve."""
    folder = tmp_path_factory.mktemp("git")
    (folder / "work").mkdir()
    git(folder / "work", "init", "-q", "-b", "main")
    for number in range(20):
        (folder / "work" / f"file{number}").write_bytes(os.urandom(20_000))
        git(folder / "work", "add", ".")
        git(folder / "work", "commit", "-q", "-m", f"commit {number}")
    git(folder, "clone", "-q", "--bare", "work", "repo.git")
    git(folder / "repo.git", "update-server-info")
    return folder


@pytest.mark.needs("git", "openssl")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_git_clones(node, repository, tls, certificate, tmp_path, scheme):
    """git clones over http by forwarding and over https through CONNECT, and gets the same commits and files."""
    handler = functools.partial(Quiet, directory=repository)
    before = node.listener("http")
    with web_server(handler, tls=tls if scheme == "https" else None) as port:
        settings = ["-c", f"http.proxy={node.url('http')}", "-c", f"http.sslCAInfo={certificate[0]}"]
        git(tmp_path, *settings, "clone", "-q", f"{scheme}://localhost:{port}/repo.git", "copy")
    assert git(tmp_path / "copy", "log", "--format=%H") == git(repository / "work", "log", "--format=%H")
    assert git(tmp_path / "copy", "status", "--porcelain") == ""

    def counted(stats):
        (found,) = (each for each in stats["listeners"] if each["name"] == "http")
        return not found["active"] and found["bytes_out"] - before["bytes_out"] > 400_000

    node.until(counted)


def make_wheel(folder):
    """Make the smallest wheel that pip takes."""
    info = "penstock_sample-1.0.dist-info"
    with zipfile.ZipFile(folder / "penstock_sample-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("penstock_sample.py", f"BLOB = {blob(100_000)!r}\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: penstock-sample\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.mark.needs("openssl")
def test_pip_downloads(node, tls, certificate, tmp_path):
    """pip downloads a package from an index behind CONNECT."""
    simple = tmp_path / "index" / "simple" / "penstock-sample"
    simple.mkdir(parents=True)
    make_wheel(simple)
    handler = functools.partial(Quiet, directory=tmp_path / "index")
    with web_server(handler, tls=tls) as port, through(node, "http", None):  # versions of pip differ in how many
        subprocess.run(
            [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "download", "--no-deps",
             "--no-cache-dir", "--proxy", node.url("http"), "--cert", str(certificate[0]),
             "--index-url", f"https://localhost:{port}/simple/", "-d", "got", "penstock-sample"],
            cwd=tmp_path, check=True, capture_output=True, timeout=SECONDS,
            env=clean_environment(tmp_path, PIP_CONFIG_FILE=os.devnull),
        )  # fmt: skip
    (got,) = (tmp_path / "got").iterdir()
    assert got.read_bytes() == (simple / got.name).read_bytes()


# WebSockets ----------------------------------------------------------------------------------------------------------

MESSAGES = ["", "hello", "x" * 200, b"\0\xff" * 40_000, "y" * 500_000]


@pytest.fixture(scope="module")
def chat():
    """Port of a WebSocket server that sends back every message."""
    with chatting() as port:
        yield port


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h", "socks4a"])
def test_websocket_in_a_tunnel(node, chat, scheme):
    """A WebSocket client of the websockets package talks through CONNECT and SOCKS."""
    listener = "http" if scheme == "http" else "socks5"
    with through(node, listener), websocket(f"ws://localhost:{chat}/", proxy=node.url(listener, scheme)) as client:
        for message in MESSAGES:
            client.send(message)
            assert client.recv(SECONDS) == message


def test_websocket_by_upgrade(node, chat):
    """
    A WebSocket is opened through the forward proxy itself: a request with Upgrade is answered 101 and relayed.

    The absolute URL of such a request is one of http (RFC 6455 section 4.1).
    """
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{chat}/"))
    opening = protocol.connect()
    opening.path = f"http://127.0.0.1:{chat}/"
    with through(node, "http"), socket.create_connection(node.address("http"), SECONDS) as sock:
        protocol.send_request(opening)
        for message in MESSAGES:
            send = protocol.send_text if isinstance(message, str) else protocol.send_binary
            if protocol.state.name == "CONNECTING":
                exchange(sock, protocol, 1)
            send(message.encode() if isinstance(message, str) else message)
            (frame,) = exchange(sock, protocol, 1)
            assert frame.data == (message.encode() if isinstance(message, str) else message)


def exchange(sock, protocol, count):
    """Send what the protocol has to say, and return so many events of the answer."""
    for data in protocol.data_to_send():
        sock.sendall(data)
    events = []
    while len(events) < count:
        protocol.receive_data(sock.recv(65_536))
        events += protocol.events_received()
        assert protocol.handshake_exc is None
    return events
