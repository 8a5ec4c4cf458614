"""Routes from a file, through a real node: by name in TLS, by client, by destination, through a parent."""

import json
import socket
import ssl
import subprocess
import sys

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.http_peers import Wire
from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.socks_peers import CONNECT, ask

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that a client may take; each takes a fraction of a second."""


def route(name, **keys):
    """Return a route as TOML."""
    return "\n".join(["[[route]]", *(f"{key} = {toml(value)}" for key, value in {"name": name, **keys}.items()), ""])


def toml(value):
    """Return a value as TOML spells it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def web(body, context=None):
    """Return a server that answers each connection's one request with this body, in TLS or in the clear."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def behave(client):
        if context is not None:
            client = context.wrap_socket(client, server_side=True)
        with client:
            request = b""
            while b"\r\n\r\n" not in request and (data := client.recv(65_536)):
                request += data
            if request:
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                read_all(client)

    return serving(behave)


def server_context(certificate):
    """Return what a server of TLS shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


def explained(folder, *words):
    """Return which route `penstock explain` tells for the configuration in a folder."""
    command = [sys.executable, "-m", "penstock.cli", "explain", "-c", str(folder / "penstock.toml"), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True, env=environment(folder))
    return json.loads(done.stdout)["route"]


def taken(node, connections):
    """Wait until so many connections have been counted, and return how many each route has taken."""
    stats = node.until(lambda stats: stats["totals"]["connections"] >= connections and not stats["totals"]["active"])
    return {each["name"]: each["connections"] for each in stats["routes"] if each["connections"]}


@pytest.fixture
def tls_node(tmp_path):
    """A tls listener that terminates for one name and passes through for another, whose authorities differ."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path / "theirs")
    theirs.folder.mkdir()
    ours.issue("here.example")
    behind = server_context(theirs.issue("behind.example"))
    certificates = 'certificates = [{ cert = "here.example.pem", key = "here.example.key" }]\n'
    with web(b"plain") as plain, web(b"hidden", behind) as hidden:
        tables = [
            table("web", "tls", inside="http") + certificates,
            route("here", match={"domains": "here.example"}, targets=[f"127.0.0.1:{plain.port}"]),
            route("behind", match={"domains": "*.example"}, tls="passthrough", targets=[f"127.0.0.1:{hidden.port}"]),
            route("nameless", match={"sni": False}, tls="passthrough", action="block"),
        ]
        with running(*tables, folder=tmp_path) as node:
            yield node, ours.file, theirs.file


def curl(node, name, authority):
    """Return what curl says to a GET for this name."""
    port = node.address("web")[1]
    command = ["curl", "-sS", "--max-time", str(SECONDS), "--cacert", authority]
    command += ["--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/"]
    return subprocess.run(command, capture_output=True, timeout=2 * SECONDS, check=False)


@pytest.mark.needs("curl")
def test_names_in_tls_by_curl(tls_node, tmp_path):
    """One name is terminated here, with our certificate; another goes through untouched, to the server's own."""
    node, ours, theirs = tls_node
    assert curl(node, "here.example", ours).stdout == b"plain"
    assert curl(node, "behind.example", theirs).stdout == b"hidden"
    assert curl(node, "behind.example", ours).returncode == 60  # an authority that it does not know: not ours
    assert taken(node, 3) == {"here": 1, "behind": 2}
    assert explained(tmp_path, "-l", "web", "--host", "here.example") == "here"
    assert explained(tmp_path, "-l", "web", "--host", "behind.example") == "behind"


def s_client(node, authority, *words):
    """Return what openssl says of a handshake: its exit code and its words."""
    host, port = node.address("web")
    command = [
        "openssl",
        "s_client",
        "-connect",
        f"{host}:{port}",
        "-CAfile",
        authority,
        "-verify_return_error",
        *words,
    ]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_names_in_tls_by_openssl(tls_node, tmp_path, version):
    """A second client agrees, in both versions of TLS; who asks for no name is refused by the route for those."""
    node, ours, theirs = tls_node
    for name, authority in (("here.example", ours), ("behind.example", theirs)):
        code, said = s_client(node, authority, version, "-servername", name, "-verify_hostname", name)
        assert (code, b"Verify return code: 0 (ok)" in said) == (0, True), said
    code, said = s_client(node, ours, version, "-noservername")
    assert code == 1
    assert b"unrecognized name" in said
    assert taken(node, 3) == {"here": 1, "behind": 1, "nameless": 1}
    assert explained(tmp_path, "-l", "web") == "nameless"


def test_clients_by_network(tmp_path):
    """A TCP client of a network goes where its route sends it, all others where the listener does."""
    with serving(saying(b"for most")) as most, serving(saying(b"for some")) as some:
        tables = [
            table("db", "tcp", most.port),
            route("some", match={"clients": "127.0.0.2/31"}, targets=[f"127.0.0.1:{some.port}"]),
        ]
        with running(*tables, folder=tmp_path) as node:
            for client, said in (("127.0.0.1", b"for most"), ("127.0.0.2", b"for some"), ("127.0.0.3", b"for some")):
                with socket.create_connection(node.address("db"), SECONDS, (client, 0)) as sock:
                    assert read_all(sock) == said
            assert taken(node, 3) == {"default": 1, "some": 2}
            assert explained(tmp_path, "-l", "db", "--client", "127.0.0.2") == "some"


@pytest.fixture
def parent(tmp_path):
    """Another node: a SOCKS5 proxy with a login, which the first one sends through."""
    with running(table("up", "socks5", auth="edge:s%cret")) as node:
        yield node


def greeted(node, host, port, data=b""):
    """Return the reply to a CONNECT through a node, and what came back for `data`."""
    with socket.create_connection(node.address("egress"), SECONDS) as sock:
        reply = ask(Wire(sock), CONNECT, host, port)
        if reply.code:
            return reply.code, b""
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return reply.code, read_all(sock)


def test_destinations_of_a_forward_proxy(tmp_path, parent):
    """A forbidden name is refused with reply 2, some destinations are dialed, all others go through the parent."""
    up = "socks5://edge:s%25cret@{}:{}".format(*parent.address("up"))
    with serving(echo) as near, serving(echo) as far:
        tables = [
            table("egress", "socks5"),
            route("forbidden", match={"destinations": ["*.ads.example", "*:25"]}, action="block"),
            route("near", match={"destinations": f"127.0.0.1:{near.port}"}),
            route("outside", parent=up),
        ]
        with running(*tables, folder=tmp_path) as node:
            assert greeted(node, "www.ads.example", 80) == (2, b"")
            assert greeted(node, "127.0.0.1", 25) == (2, b"")
            assert greeted(node, "127.0.0.1", near.port, b"near") == (0, b"near")
            assert parent.at_rest()["totals"]["connections"] == 0
            assert greeted(node, "127.0.0.1", far.port, b"far away") == (0, b"far away")
            assert parent.settled("up", 1)["target_tx"] == len(b"far away")
            assert taken(node, 4) == {"forbidden": 2, "near": 1, "outside": 1}
            refused = node.stats()["refused"]
            assert refused["access"] == 2
            assert explained(tmp_path, "-l", "egress", "-d", "www.ads.example:80") == "forbidden"
            assert explained(tmp_path, "-l", "egress", "-d", f"127.0.0.1:{far.port}") == "outside"


def test_a_parent_that_fails_is_an_error(tmp_path):
    """Where the parent cannot be reached, or does not know us, nothing goes around it."""
    with serving(echo) as origin, socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        nobody.close()
        tables = [table("egress", "socks5"), route("outside", parent=f"socks5://127.0.0.1:{port}")]
        with running(*tables, folder=tmp_path) as node:
            code, _ = greeted(node, "127.0.0.1", origin.port)
            assert code not in (0, 2)
            assert origin.clients == 0


def test_a_bad_certificate_stops_the_start(tmp_path):
    """A node whose certificate has another's key does not start: exit code 78, one line, and no key in it."""
    authority = Authority(tmp_path)
    authority.issue("a.example")
    authority.issue("b.example")
    listener = table("web", "tls", 1) + 'certificates = [{ cert = "a.example.pem", key = "b.example.key" }]\n'
    (tmp_path / "penstock.toml").write_text(listener)
    command = [sys.executable, "-m", "penstock.cli", "run", "-c", str(tmp_path / "penstock.toml"), "--admin", "off"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment(tmp_path)
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        f"{tmp_path}/penstock.toml:6: listener[web].certificates[1].key: 'b.example.key': is not the key of the "
        f"certificate in {tmp_path}/a.example.pem\n"
    )
