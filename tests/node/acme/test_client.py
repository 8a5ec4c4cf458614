"""The client against a directory that is down, lies, or says no; tests/system has one that issues."""

import contextlib
import datetime
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from acme import errors, messages
from cryptography import x509

from penstock.config.tls_plan import AcmePlan, CertificatePlan
from penstock.node.acme.client import (
    ANSWER_BYTES,
    DETAIL_CHARACTERS,
    Errand,
    IssueError,
    _Issue,
    _token,
    chain_of,
    issue,
    told,
    wished,
)
from penstock.node.acme.minting import new_key, placeholder
from penstock.node.acme.storage import prepare
from penstock.testing.certificates import Authority

NAME = "a.example.com"


class Directory(BaseHTTPRequestHandler):
    """Answers everything in the same way, as its server was told."""

    def do_GET(self):
        """Answer."""
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names are those of http.server

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(tmp_path):
    """An HTTPS server whose answer a test sets."""
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    found = ThreadingHTTPServer(("127.0.0.1", 0), Directory)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    found.answer, found.ca = (200, {}, b"{}"), authority.file
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def errand(tmp_path, url, ca=""):
    """Return an errand to a directory."""
    folder = str(tmp_path / "acme")
    certificate = CertificatePlan(cert=f"{folder}/a.pem", key=f"{folder}/a.pem", names=(NAME,))
    plan = AcmePlan(directory=url, ca=ca, storage=folder, certificates=(certificate,))
    prepare(plan, 1_700_000_000)
    return Errand(plan, certificate, lambda pending: None, threading.Event())


def refused(tmp_path, server, answer):
    """Return the error that an answer leads to."""
    server.answer = answer
    url = f"https://127.0.0.1:{server.server_address[1]}/dir"
    with pytest.raises(IssueError) as caught:
        issue(errand(tmp_path, url, server.ca))
    return caught.value


PROBLEM = {"Content-Type": "application/problem+json"}


def test_a_directory_that_is_down_is_told(tmp_path):
    """In one line, without the layers of the HTTP client."""
    with pytest.raises(IssueError, match="cannot be reached") as caught:
        issue(errand(tmp_path, "https://127.0.0.1:1/dir"))
    assert str(caught.value).startswith("the server cannot be reached: Failed to establish a new connection")
    assert "Connection refused" in str(caught.value)
    assert caught.value.wish == 0


def test_a_directory_that_nobody_vouches_for_is_refused(tmp_path, server):
    """Its certificate is verified, by the file that the configuration names or by everybody's authorities."""
    url = f"https://127.0.0.1:{server.server_address[1]}/dir"
    with pytest.raises(IssueError, match="TLS with the server failed"):
        issue(errand(tmp_path, url))


def test_a_server_that_limits_is_left_alone(tmp_path, server):
    """Its reason is told, and how long it wants to be left alone."""
    said = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates", "status": 429}
    error = refused(tmp_path, server, (429, PROBLEM | {"Retry-After": "7200"}, json.dumps(said).encode()))
    assert str(error) == "rateLimited: too many certificates"
    assert error.wish == 7_200


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ((200, {}, b"nonsense"), "Unexpected response"),
        ((200, {}, b"[]"), "makes no sense"),
        ((200, {}, b"{}"), "makes no sense"),
        ((500, {}, b"oops"), ""),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "without TLS"),
        ((200, {}, b'"' + b"a" * ANSWER_BYTES + b'"'), "is longer than"),
        ((400, PROBLEM, json.dumps({"type": "x", "detail": "a\nb\x1b[2J" * 999}).encode()), ""),
    ],
)
def test_whatever_a_server_says_is_one_line(tmp_path, server, answer, what):
    """Nonsense, too much, a way around TLS: one error, of one printable line, without an end to the node's care."""
    error = refused(tmp_path, server, answer)
    assert what in str(error)
    assert str(error).isprintable()
    assert 0 < len(str(error)) <= DETAIL_CHARACTERS


def test_a_wish_is_seconds_or_a_date():
    """Both forms of Retry-After are read; what is neither is no wish."""

    def of(text):
        response = requests.Response()
        response.headers["Retry-After"] = text
        return wished(response)

    assert of("120") == 120
    assert of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert 86_000 < of(later.strftime("%a, %d %b %Y %H:%M:%S GMT")) <= 86_400
    assert [of(text) for text in ("", "soon", "-5", "1" * 60, "Wed, 99 Oct 2015 07:28:00 GMT")] == [0] * 5
    assert wished(requests.Response()) == 0


def test_an_answer_must_be_what_was_asked_for(tmp_path):
    """The right key, all names, an issuer, and nothing but certificates."""
    pair = Authority(tmp_path).issue(NAME, "b.example.com")
    content = Path(pair.cert).read_bytes()
    public = x509.load_pem_x509_certificate(content).public_key()
    kept = chain_of(b"Bag Attributes\n" + content + b"-----BEGIN PRIVATE KEY-----\n", (NAME,), public)
    assert kept.strip() == content.strip()
    for names, key in (((NAME, "c.example.com"), public), ((NAME,), new_key().public_key())):
        with pytest.raises(IssueError, match="another key or other names"):
            chain_of(content, names, key)
    with pytest.raises(IssueError, match="cannot be read"):
        chain_of(b"nonsense", (NAME,), public)
    own = placeholder((NAME,), 1_700_000_000)
    with pytest.raises(IssueError, match="issued by nobody"):
        chain_of(own, (NAME,), x509.load_pem_x509_certificate(own).public_key())


def test_errors_are_told_in_the_servers_words():
    """The kind and the detail, wherever they are wrapped; and what took too long."""
    error = messages.Error(typ="urn:ietf:params:acme:error:caa", detail="CAA forbids it")
    assert told(error) == told(errors.IssuanceError(error)) == "caa: CAA forbids it"
    assert "180 s" in told(errors.TimeoutError())
    assert told(OSError()) == "OSError"


def authorization(*challenges, status="pending"):
    """Return an authorization of NAME, as a server would tell it."""
    body = {"identifier": {"type": "dns", "value": NAME}, "status": status, "challenges": list(challenges)}
    return messages.AuthorizationResource(body=messages.Authorization.from_json(body), uri="https://x/1")


def challenge(kind, token="A" * 43, **more):
    """Return a challenge in the server's words."""
    return {"type": kind, "url": "https://x/2", "status": "pending", "token": token} | more


@pytest.mark.parametrize("token", ["../../etc/passwd", "short", "a" * 257, "a b" * 10, "", 5, None])
def test_a_token_that_is_none_is_refused(token):
    """A token becomes a path and a name: what is not base64url, or too short or too long, is not answered."""
    (found,) = authorization(challenge("tls-alpn-01", token)).body.challenges
    with pytest.raises(IssueError, match="token is none"):
        _token(found)


def test_the_wanted_challenge_is_chosen(tmp_path):
    """Of those that are offered; without it, those are told."""
    issuing = _Issue(errand(tmp_path, "https://x/"), None)
    chosen = issuing._challenge(authorization(challenge("dns-01"), challenge("http-01")))
    assert chosen.chall.typ == "http-01"
    with pytest.raises(IssueError, match=r"a\.example\.com: the server offers no http-01, but dns-01, tls-alpn-01"):
        issuing._challenge(authorization(challenge("dns-01"), challenge("tls-alpn-01")))


class Polled:
    """Stands in for the client: an authorization that is as it is each time."""

    def __init__(self, *turns):
        self.turns = list(turns)

    def poll(self, _):
        """Return the next state."""
        return self.turns.pop(0), requests.Response()


def test_a_refusal_is_told_in_the_servers_words(tmp_path):
    """Its kind and its detail, or what else is known; and who is stopped waits no longer."""
    issuing = _Issue(errand(tmp_path, "https://x/"), None)
    error = {"type": "urn:ietf:params:acme:error:connection", "detail": "refused"}
    for answer, what in (
        (authorization(challenge("http-01", error=error), status="invalid"), "http-01 failed: connection: refused"),
        (authorization(status="deactivated"), "http-01 failed: the authorization is deactivated"),
    ):
        issuing._client = Polled(answer)
        with pytest.raises(IssueError, match=f"{NAME}: {what}"):
            issuing._await_valid(authorization())
    issuing._errand.stop.set()
    issuing._client = Polled(authorization(status="pending"))
    with pytest.raises(IssueError, match="stopped"):
        issuing._await_valid(authorization())
    issuing._client = Polled(authorization(status="valid"))
    issuing._await_valid(authorization())


def test_a_broken_account_is_told(tmp_path):
    """Whose file it is: it is not made anew, since the account would be lost."""
    broken = errand(tmp_path, "https://127.0.0.1:1/dir")
    Path(broken.plan.storage, "account.key").write_text("nonsense")
    with pytest.raises(IssueError, match="holds no key of an account"):
        issue(broken)
