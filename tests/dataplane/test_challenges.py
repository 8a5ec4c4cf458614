"""Challenges under way: told to all workers, and known to nobody who does not ask for them."""

import os
import ssl
from pathlib import Path

import pytest

from penstock.config.tls_plan import HTTP_01, TLS_ALPN_01, TlsPlan
from penstock.dataplane.board import NOTE_BYTES, SIZE, Board, create
from penstock.dataplane.challenges import NOTHING, Challenges, Pending, post
from penstock.node.acme.minting import proof
from penstock.testing.certificates import Authority
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import bench, listener

NOW = 1_700_000_000


@pytest.fixture
def boards():
    """The supervisor's view of a board, and a worker's."""
    fd = create()
    ours, theirs = Board(fd), Board(fd)
    yield ours, theirs
    for each in (ours, theirs):
        each.close()
    os.close(fd)


def test_workers_know_what_is_posted(boards):
    """A token has its answer and a name its certificate, until something else is posted."""
    ours, theirs = boards
    known = Challenges(theirs)
    assert (known.key_authorization("t"), known.has_certificate("a.example.com")) == ("", False)
    post(ours, Pending(tokens={"t": "t.thumb"}, certificates={"a.example.com": "PEM"}))
    assert (known.key_authorization("t"), known.has_certificate("a.example.com")) == ("t.thumb", True)
    assert (known.key_authorization("u"), known.has_certificate("b.example.com")) == ("", False)
    post(ours, NOTHING)
    assert (known.key_authorization("t"), known.has_certificate("a.example.com")) == ("", False)


def test_a_certificate_makes_a_context(boards, tmp_path):
    """It is loaded from memory; what is no certificate makes none, as does a name that nobody proves."""
    ours, theirs = boards
    pair = Authority(tmp_path).issue("a.example.com")
    pem = Path(pair.cert).read_text() + Path(pair.key).read_text()
    post(ours, Pending(certificates={"a.example.com": pem, "b.example.com": "nonsense"}))
    known = Challenges(theirs)
    made = known.context("a.example.com")
    assert made is not None
    assert known.context("a.example.com") is made
    assert known.context("b.example.com") is None
    assert known.context("c.example.com") is None


@pytest.mark.parametrize("length", [1, 5, NOTE_BYTES, (1 << 32) - 1])
def test_half_a_note_is_none(boards, length):
    """Whatever stands there while it is written, or by mistake, is no challenge, and hurts nobody."""
    ours, theirs = boards
    post(ours, Pending(tokens={"t": "t.thumb"}))
    ours.note[:4] = length.to_bytes(4, "little")
    assert Challenges(theirs).key_authorization("t") == ""


def test_too_much_is_refused(boards):
    """More than a note holds is not posted, and what was there stays."""
    ours, theirs = boards
    post(ours, Pending(tokens={"t": "t.thumb"}))
    with pytest.raises(ValueError, match="longer than a note"):
        post(ours, Pending(tokens={"t": "x" * NOTE_BYTES}))
    assert Challenges(theirs).key_authorization("t") == "t.thumb"


def test_a_note_takes_memory_only_when_it_is_written():
    """The board is as long as it may become, and sparse."""
    fd = create()
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks) == (SIZE, 0)
    os.close(fd)


def test_nothing_secret_is_printed():
    """Neither tokens nor keys."""
    assert repr(Pending(tokens={"t": "secret"}, certificates={"n": "secret"})) == "Pending(1 tokens, 1 certificates)"


def test_a_token_is_answered_as_soon_as_it_is_known():
    """On a connection that has asked for it in vain with the same bytes, too: none of these is a repetition."""
    head = b"GET /.well-known/acme-challenge/t HTTP/1.1\r\nHost: a.example\r\n\r\n"
    with serving(saying_ok) as origin, bench(web(origin.port)) as found, found.connect() as client:
        for _ in range(3):
            assert ask(client, head).endswith(b"origin")
        post(found.worker.board, Pending(tokens={"t": "t.thumb"}))
        for _ in range(2):
            assert ask(client, head).endswith(b"t.thumb")
        post(found.worker.board, NOTHING)
        assert ask(client, head).endswith(b"origin")


def web(port):
    """Return a reverse http listener that answers http-01."""
    return listener("main", "http", port, reverse=True, challenge=HTTP_01)


def saying_ok(client):
    """Answer each request."""
    while client.recv(65_536):
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin")


def ask(client, head):
    """Send a request and return its answer."""
    client.sendall(head)
    said = b""
    while not said.endswith((b"origin", b"t.thumb")):
        more = client.recv(65_536)
        assert more, said
        said += more
    return said


def test_the_server_alone_gets_the_proof(tmp_path):
    """Who offers acme-tls/1 alone gets the certificate of the proof, and the end; all others the listener's."""
    pair = Authority(tmp_path).issue("a.example.com")
    tls = TlsPlan(certificates=(pair,))
    with serving(echo) as target, bench(listener("main", "tls", target.port, tls=tls, challenge=TLS_ALPN_01)) as found:
        post(found.worker.board, Pending(certificates={"a.example.com": proof("a.example.com", "t.x", NOW).decode()}))
        shown, chosen, end = look(found, "acme-tls/1")
        assert b"Penstock: ACME challenge" in shown
        assert (chosen, end) == ("acme-tls/1", b"")
        for offered in ((), ("http/1.1",), ("acme-tls/1", "http/1.1")):
            shown, chosen, end = look(found, *offered)
            assert b"ACME challenge" not in shown
            assert (chosen, end) == (None, b"x")
        assert look(found, "acme-tls/1", name="b.example.com")[1:] == (None, b"x")


def look(found, *offered, name="a.example.com"):
    """Return the certificate that a client is shown, the protocol that is chosen, and what comes back of an `x`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(offered)
    with found.connect() as plain, context.wrap_socket(plain, server_hostname=name) as client:
        shown, chosen = client.getpeercert(binary_form=True), client.selected_alpn_protocol()
        if chosen is None:
            client.sendall(b"x")
        return shown, chosen, client.recv(1)
