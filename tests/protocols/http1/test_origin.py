"""Requests to a reverse proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1 import origin
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.framing import NO_BODY, Chunked
from penstock.protocols.http1.origin import parse_origin


def request(*lines, end=b"\r\n\r\n"):
    """Return a head of these lines."""
    return parse_origin(b"\r\n".join(lines) + end)


def test_path_and_host():
    """The path is the target, Host says whose it is; what is hop-by-hop goes, and Host stands apart."""
    found = request(b"GET /a/../b?x=1 HTTP/1.1", b"Host: App.Example:8080", b"Connection: close, x", b"X: 1", b"Y: 2")
    assert (found.path, found.target, found.host, found.port) == ("/b", b"/b?x=1", "app.example", 8_080)
    assert found.authority == b"app.example:8080"
    assert (found.lines, found.keep_alive, found.framing) == (b"\r\nY: 2", False, NO_BODY)


def test_absolute_urls_are_taken_apart():
    """An absolute URL counts more than Host (RFC 9112 section 3.2.2), and https is as good as http."""
    for scheme in (b"http", b"HTTPS"):
        found = request(b"GET " + scheme + b"://a.example/p HTTP/1.1", b"Host: b.example")
        assert (found.host, found.path, found.lines) == ("a.example", "/p", b"")


def test_the_known_are_read_alike():
    """A second request with the same fields says the same, whatever its line."""
    head = (b"Host: a.example", b"Accept: */*", b"Connection: keep-alive")
    first, second = request(b"GET /1 HTTP/1.1", *head), request(b"HEAD /2?q HTTP/1.1", *head)
    assert (first.lines, first.host, first.keep_alive) == (second.lines, second.host, second.keep_alive)
    assert (second.method, second.path, second.target) == (b"HEAD", "/2", b"/2?q")


PIECES = ["/", "//", ".", "..", "a", "a.b", "%2e", "%2F", "%", "~_-", "\\", "?", "#", ";", "%41", "=", "é", "*", " "]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_any_target_is_read_alike_behind_known_fields(pieces):
    """Whether fields are known changes nothing of what a target means, or whether it is refused."""
    line = b"GET /" + "".join(pieces).encode() + b" HTTP/1.1"
    found = []
    for known in (False, True):
        origin._BLOCKS.clear()
        if known:
            request(b"GET / HTTP/1.1", b"Host: a.example")
        try:
            found.append(request(line, b"Host: a.example"))
        except BadRequest as error:
            found.append(error.status)
    assert found[0] == found[1]


def test_old_clients_and_bodies():
    """HTTP/1.0 needs no Host and is not kept; bodies keep their framing; an upgrade is passed on as one."""
    old = request(b"GET / HTTP/1.0", b"Expect: 100-continue")
    assert (old.host, old.port, old.keep_alive, old.http_1_0, old.lines) == ("", 0, False, True, b"")
    assert isinstance(request(b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked").framing, Chunked)
    upgrade = request(b"GET /ws HTTP/1.1", b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket")
    assert upgrade.upgrade
    assert upgrade.lines == b"\r\nUpgrade: websocket\r\nConnection: upgrade"
    assert request(b"OPTIONS * HTTP/1.1", b"Host: a").target == b"*"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"CONNECT a:443 HTTP/1.1", b"Host: a"), 405), ((b"TRACE / HTTP/1.1", b"Host: a"), 405),
        ((b"GET / HTTP/1.1",), 400), ((b"GET / HTTP/1.1", b"Host: a", b"Host: b"), 400),
        ((b"GET /# HTTP/1.1", b"Host: a"), 400), ((b"GET /% HTTP/1.1", b"Host: a"), 400),
        ((b"GET ftp://a/ HTTP/1.1", b"Host: a"), 501), ((b"GET a HTTP/1.1", b"Host: a"), 400),
        ((b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
    ],
)  # fmt: skip
def test_what_is_refused(lines, status):
    """Whatever two readers could read in two ways is refused with the status that fits it."""
    with pytest.raises(BadRequest) as caught:
        request(*lines)
    assert caught.value.status == status


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data):
    """Hostile heads are a request or a BadRequest, nothing else."""
    for said in (data, b"GET /" + data + b" HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\r\n" + data):
        try:
            found = parse_origin(said.replace(b"\r\n\r\n", b"") + b"\r\n\r\n")
        except BadRequest:
            continue
        assert found.target.startswith((b"/", b"*"))
        assert b"\r\n\r\n" not in found.lines
        assert b"\nhost:" not in found.lines.lower()
