"""Certificates from a real ACME server: got, kept, renewed, refused, and waited for while it is down."""

import contextlib
import http.client
import json
import re
import socket
import ssl
import stat
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, serving
from penstock.testing.web import web_server
from penstock.testing.workbench import wait_for

from .pebble import Pebble

pytestmark = [pytest.mark.system, pytest.mark.needs("pebble", "pebble-challtestsrv")]

NAME, OTHER = "app.example.com", "www.example.com"

ACME_SECONDS = 60
"""Longest wait for a certificate."""


@pytest.fixture
def pebble(tmp_path):
    """An ACME server that does not run yet."""
    (tmp_path / "pebble").mkdir()
    return Pebble(tmp_path / "pebble")


def acme(pebble, challenge, *more, domains=(NAME,)):
    """Return [acme] as TOML."""
    lines = [
        "[acme]", "agree_to_terms = true", f"domains = {json.dumps(domains)}", f'challenge = "{challenge}"',
        f'directory = "{pebble.directory}"', f'ca = "{pebble.ca}"', 'email = "ops@example.com"', 'storage = "acme"',
        *more, "",
    ]  # fmt: skip
    return "\n".join(lines)


def tls(pebble, port=1, **more):
    """Return the tls listener as TOML; pebble looks for it at this port."""
    return table("tls", "tls", port, listen=f"{pebble.host}:{pebble.tls_port}", acme=True, **more)


def own(pebble):
    """Return where the node's own listener for challenges accepts."""
    return f'http_listen = "{pebble.host}:{pebble.http_port}"'


def shown(pebble, context, name):
    """Return the certificate that a listener shows to a client, as DER."""
    with (
        socket.create_connection((pebble.host, pebble.tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def served(pebble, name=NAME):
    """Return the certificate that a listener shows to those who trust anybody, as DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return shown(pebble, context, name)


def verified(pebble, name=NAME):
    """Return the same to those who trust the ACME server; raises if it was not issued there for this name."""
    return shown(pebble, ssl.create_default_context(cafile=pebble.roots), name)


def issued(node, count=1):
    """Wait until so many certificates were issued."""
    wait_for(lambda: len(node.logged("certificate issued")) >= count, f"{count} certificates", ACME_SECONDS)


class Paths(BaseHTTPRequestHandler):
    """Answers with the path that was asked for."""

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        """Say nothing."""


def placeholder_said(node):
    """Return the names of which the log has said that a self-signed certificate stands in for them."""
    event = "no certificate yet: a self-signed one is served until the first is issued"
    return [each["names"] for each in node.logged(event)]


def asked(pebble, path):
    """Return status and body of a GET where pebble looks for proofs."""
    with contextlib.closing(http.client.HTTPConnection(pebble.host, pebble.http_port, timeout=10)) as client:
        client.request("GET", path, headers={"Host": NAME})
        answer = client.getresponse()
        return answer.status, answer.read()


def certificates(node):
    """Return what the API says of all certificates."""
    return json.loads(node.fetch("/api/v1/certificates"))["certificates"]


def penstock(folder, *words):
    """Return what a command says to the node of this folder."""
    command = [sys.executable, "-m", "penstock.cli", *words]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def files(folder):
    """Return every file of the storage, with what it holds."""
    return {path: path.read_bytes() for path in (folder / "acme").rglob("*") if path.is_file()}


@pytest.mark.parametrize(("challenge", "workers"), [("http-01", 2), ("tls-alpn-01", 2), ("tls-alpn-01", 0)])
def test_a_certificate_is_got(pebble, tmp_path, challenge, workers):
    """All workers serve it as soon as it is there, and a restart finds it; its files are for our eyes alone."""
    more = [own(pebble)] if challenge == "http-01" else []
    tables = acme(pebble, challenge, *more, domains=[[NAME, OTHER]]), tls(pebble)
    with pebble.running():
        with running(*tables, folder=tmp_path, workers=workers) as node:
            issued(node)
            found = verified(pebble)
            assert all(verified(pebble, name) == found for name in (NAME, OTHER) * 5)
            assert placeholder_said(node) == [[NAME, OTHER]]
            before = files(tmp_path)
            (shown_by,) = certificates(node)
            ends = f'certificate="{NAME}",source="acme"}} {shown_by["not_after_s"]}\n'
            wait_for(lambda: ends in node.fetch("/metrics").decode(), "its end among the metrics")
        (name,) = [path for path in before if path.suffix == ".pem"]
        assert sorted(path.name for path in before) == ["account.key", f"{NAME}.pem"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in before} == {0o600}
        assert stat.S_IMODE(name.parent.stat().st_mode) == 0o700
        assert (shown_by["state"], shown_by["names"], shown_by["last_error"]) == ("valid", [NAME, OTHER], "")
        assert "Pebble Intermediate" in shown_by["issuer"]
        with running(*tables, folder=tmp_path, workers=workers) as node:
            assert verified(pebble) == found
            assert not node.logged("certificate asked for")
        assert files(tmp_path) == before
        words = " ".join(json.dumps(each) for each in node.events)
        assert not [line for line in name.read_text().splitlines()[1:-1] if line in words]


def test_a_listener_goes_on_beside_challenges(pebble, tmp_path):
    """The http listener that is named serves everything else as usual, unknown tokens too."""
    with web_server(Paths) as port, pebble.running():
        plain = table("plain", "http", port, listen=f"{pebble.host}:{pebble.http_port}", reverse=True)
        with running(acme(pebble, "http-01", 'http_listener = "plain"'), tls(pebble), plain, folder=tmp_path) as node:
            issued(node)
            verified(pebble)
            for path in ("/", "/.well-known/acme-challenge/unknown"):
                assert asked(pebble, path) == (200, path.encode())
            assert node.listener("plain")["requests"] >= 3


def test_nobody_else_gets_the_proof(pebble, tmp_path):
    """A client that offers acme-tls/1 when nothing is being proved is served as any other, without that protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    with running(acme(pebble, "tls-alpn-01"), tls(pebble), folder=tmp_path) as node:
        with (
            socket.create_connection((pebble.host, pebble.tls_port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            assert secure.selected_alpn_protocol() is None
        assert certificates(node)[0]["state"] == "pending"


def test_a_directory_that_is_down_is_waited_for(pebble, tmp_path):
    """The node serves with a self-signed certificate, says why, and asks again; a reload does so at once."""
    tables = acme(pebble, "http-01", own(pebble)), tls(pebble)
    with running(*tables, folder=tmp_path) as node:
        wait_for(lambda: node.logged("certificate not issued"), "a failure that is told")
        (said,) = node.logged("certificate not issued")
        assert "cannot be reached" in said["detail"]
        assert 120 <= int(said["next_try_in"].rstrip("s")) <= 240
        assert b"Penstock: no certificate yet" in served(pebble)
        (view,) = certificates(node)
        assert (view["state"], view["last_error"]) == ("pending", said["detail"])
        assert "pending" in penstock(tmp_path, "certificates")
        with pebble.running():
            path = tmp_path / "penstock.toml"
            path.write_text(path.read_text().replace("ops@", "other@"))  # an account of another address is another try
            penstock(tmp_path, "reload")
            issued(node)
            verified(pebble)


def test_a_refused_name_is_told(pebble, tmp_path):
    """With the server's reason; other certificates are got all the same, and the refused one is tried again later."""
    pebble.settings(domainBlocklist=["blocked.example.com"])
    tables = acme(pebble, "http-01", own(pebble), domains=["blocked.example.com", NAME]), tls(pebble)
    with pebble.running(), running(*tables, folder=tmp_path) as node:
        issued(node)
        verified(pebble)
        (said,) = node.logged("certificate not issued")
        assert said["names"] == ["blocked.example.com"]
        assert "rejectedIdentifier" in said["detail"]
        assert [each["state"] for each in certificates(node)] == ["pending", "valid"]


def test_a_challenge_that_fails_is_told(pebble, tmp_path):
    """Nobody answers where the server asks: its reason is told in one line, and nothing of the challenge stays."""
    pebble.settings(httpPort=1)
    with pebble.running(), running(acme(pebble, "http-01", own(pebble)), tls(pebble), folder=tmp_path) as node:
        wait_for(lambda: node.logged("certificate not issued"), "a failure that is told", ACME_SECONDS)
        (said,) = node.logged("certificate not issued")
        assert said["detail"].startswith(f"{NAME}: http-01 failed: connection: ")
        assert "\n" not in said["detail"]
        token = re.search(r"/\.well-known/acme-challenge/([\w-]+)", said["detail"])
        path = f"/.well-known/acme-challenge/{token[1] if token else 'x'}"
        assert asked(pebble, path)[0] == 404


def test_renewal_loses_nothing(pebble, tmp_path):
    """A short-lived certificate is renewed again and again under clients that come and stay, and none of them fails."""
    pebble.settings(certificateValidityPeriod=6)
    with (
        serving(echo) as echoes,
        pebble.running(refused_nonces=30),
        running(acme(pebble, "tls-alpn-01"), tls(pebble, echoes.port), folder=tmp_path, workers=2) as node,
    ):
        issued(node)
        seen = set()
        with contextlib.closing(client(pebble)) as stays:
            first = stays.getpeercert(binary_form=True)
            deadline = time.monotonic() + ACME_SECONDS
            while (len(node.logged("certificate issued")) < 3 or len(seen) < 2) and time.monotonic() < deadline:
                says(stays, b"still here")
                with contextlib.closing(client(pebble)) as comes:
                    seen.add(comes.getpeercert(binary_form=True))
                    says(comes, b"new")
            assert stays.getpeercert(binary_form=True) == first
        assert len(node.logged("certificate issued")) >= 3
        assert len(seen) >= 2
        assert not node.logged("certificate not issued")


def client(pebble):
    """Return a client with TLS that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((pebble.host, pebble.tls_port), 10), server_hostname=NAME)


def says(sock, data):
    """Say something, and hear the same."""
    sock.sendall(data)
    back = b""
    while len(back) < len(data) and (more := sock.recv(100)):
        back += more
    assert back == data


def test_acme_comes_with_a_reload(pebble, tmp_path):
    """A node that had a certificate from a file gets one from ACME when its configuration says so."""
    pair = Authority(tmp_path).issue("old.example.com")
    old = f'certificates = [{{ cert = "{pair.cert}", key = "{pair.key}" }}]\n'
    listener = table("tls", "tls", 1, listen=f"{pebble.host}:{pebble.tls_port}")
    with pebble.running(), running(listener + old, folder=tmp_path) as node:
        assert [each["source"] for each in certificates(node)] == ["file"]
        path = tmp_path / "penstock.toml"
        path.write_text(acme(pebble, "http-01", own(pebble)) + listener + old + "acme = true\n")
        assert "listener acme-http added" in penstock(tmp_path, "reload")
        issued(node)
        verified(pebble)
        found = certificates(node)
        assert [(each["source"], each["state"]) for each in found] == [("file", "valid"), ("acme", "valid")]


MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.mark.parametrize(
    ("key", "why"),
    [(MAC_KEY, ""), (MAC_KEY[::-1], "verification error"), (None, "acme.eab_kid")],
    ids=["right", "wrong", "none"],
)
def test_an_account_that_the_server_knows(tmp_path, pebble, key, why):
    """A server that wants accounts to be bound issues to who shows id and key, and to nobody else; the log says why."""
    pebble.settings(externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": MAC_KEY})
    more = [own(pebble)]
    if key is not None:
        (tmp_path / "eab.key").write_text(f"{key}\n")
        more += ['eab_kid = "kid-1"', 'eab_key_file = "eab.key"']
    with (
        pebble.running(),
        serving(echo) as target,
        running(tls(pebble, target.port), acme(pebble, "http-01", *more), folder=tmp_path) as node,
    ):
        event = "certificate not issued" if why else "certificate issued"
        wait_for(lambda: node.logged(event), event, ACME_SECONDS)
        if why:
            assert why in str(node.logged(event)[0]), node.logged(event)
        assert MAC_KEY not in json.dumps(node.events)
