"""Request heads: what is understood, what is forwarded, what is refused; h11 is the other opinion."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base import bounds
from penstock.protocols.http1 import request
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.framing import NO_BODY, Chunked, Length
from penstock.protocols.http1.request import parse_request

VIA = b"Via: 1.1 penstock\r\n"


def head(*lines: bytes, start: bytes = b"GET http://a.example/x HTTP/1.1") -> bytes:
    """Return a head of these lines."""
    return b"\r\n".join([start, *lines, b"", b""])


def status_of(raw: bytes) -> int:
    """Return the status that a head is refused with."""
    with pytest.raises(BadRequest) as refused:
        parse_request(raw)
    return refused.value.status


# What is understood ---------------------------------------------------------------------------------------------------


def test_absolute_form_becomes_origin_form():
    """The target gets the path, its own Host, every other field untouched and in order, and our Via behind them."""
    request = parse_request(
        head(
            b"Host: a.example:8080", b"Accept: */*", b"X-Case: Kept", start=b"GET http://a.example:8080/p?q=1 HTTP/1.1"
        )
    )
    assert (request.host, request.port, request.method) == ("a.example", 8080, b"GET")
    assert request.head == (
        b"GET /p?q=1 HTTP/1.1\r\nHost: a.example:8080\r\nAccept: */*\r\nX-Case: Kept\r\n" + VIA + b"\r\n"
    )
    assert (request.framing, request.keep_alive, request.http_1_0, request.upgrade) == (NO_BODY, True, False, False)
    assert (request.final, request.credentials, request.destination) == (False, None, "a.example:8080")


@pytest.mark.parametrize(
    ("target", "host", "port", "path"),
    [
        (b"http://a.example", "a.example", 80, b"/"),
        (b"http://a.example/", "a.example", 80, b"/"),
        (b"http://a.example?q=/x", "a.example", 80, b"/?q=/x"),
        (b"HTTP://A.Example/X", "a.example", 80, b"/X"),
        (b"http://a.example:/x", "a.example", 80, b"/x"),
        (b"http://192.0.2.1:81/x", "192.0.2.1", 81, b"/x"),
        (b"http://[2001:DB8::1]/x", "2001:db8::1", 80, b"/x"),
        (b"http://[::1]:8080/x", "::1", 8080, b"/x"),
        (b"http://a.example/http://b.example/", "a.example", 80, b"/http://b.example/"),
    ],
)
def test_targets(target, host, port, path):
    """Every form of an http URL names its host and port, and leaves its path as it was."""
    authority = target[7:].partition(b"/")[0].partition(b"?")[0]
    request = parse_request(head(b"Host: " + authority, start=b"GET %b HTTP/1.1" % target))
    assert (request.host, request.port) == (host, port)
    assert request.head.split(b" ")[1] == path


@pytest.mark.parametrize("host", [b"Host: other.example", b"host:a.example:80", b"Host:"])
def test_host_is_replaced_by_the_target(host):
    """A Host that differs from the request-target is replaced by the target's authority (RFC 9112 section 3.2.2)."""
    request = parse_request(head(b"Accept: */*", host))
    assert request.host == "a.example"
    assert request.head == b"GET /x HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n" + VIA + b"\r\n"


def test_http_1_0_gets_a_host_and_no_second_request():
    """An HTTP/1.0 request needs no Host, is forwarded as HTTP/1.1 with one, and its connection is not kept."""
    request = parse_request(head(b"Connection: keep-alive", start=b"GET http://a.example/x HTTP/1.0"))
    assert request.head == b"GET /x HTTP/1.1\r\nHost: a.example\r\nVia: 1.0 penstock\r\n\r\n"
    assert request.http_1_0
    assert not request.keep_alive


def test_hop_by_hop_fields_are_removed():
    """What concerns one connection alone is not forwarded, nor anything that Connection names."""
    fields = [
        b"Connection: keep-alive, X-Mine,  te", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive",
        b"TE: trailers", b"x-mine: 1", b"X-MINE: 2", b"Trailer: Digest", b"Proxy-Authorization: Basic YTpi",
        b"Proxy-Authenticate: Basic", b"X-Mine-Too: 3", b"Upgrade: x",
    ]  # fmt: skip
    request = parse_request(head(b"Host: a.example", *fields))
    assert request.head == (
        b"GET /x HTTP/1.1\r\nHost: a.example\r\nTrailer: Digest\r\nX-Mine-Too: 3\r\n" + VIA + b"\r\n"
    )
    assert request.credentials == b"Basic YTpi"


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: close",),
        (b"connection:CLOSE \t",),
        (b"Connection: keep-alive", b"Connection: Close"),
        (b"Connection: te, close,",),
    ],
)
def test_close_is_understood(lines):
    """A client that says close, in whatever case and company, sends no further request."""
    request = parse_request(head(b"Host: a.example", *lines))
    assert not request.keep_alive
    assert b"onnection" not in request.head


def test_one_hop_line_may_begin_another():
    """Of two lines with the same beginning both are cut, and nothing else."""
    request = parse_request(head(b"TE: trailersX", b"Host: a.example", b"TE: trailers", b"X-TE: trailers"))
    assert request.head == b"GET /x HTTP/1.1\r\nHost: a.example\r\nX-TE: trailers\r\n" + VIA + b"\r\n"


def test_bodies():
    """A body is framed by its length or its chunks, and the field that says so is forwarded."""
    for value, size in ((b"5", 5), (b" 7 ", 7), (b"007", 7)):
        request = parse_request(head(b"Host: a.example", b"Content-Length:" + value))
        assert isinstance(request.framing, Length)
        assert request.framing.passthrough == size
        assert b"Content-Length:" + value + b"\r\n" in request.head
    request = parse_request(head(b"Host: a.example", b"transfer-encoding: Chunked"))
    assert isinstance(request.framing, Chunked)
    assert b"transfer-encoding: Chunked\r\n" in request.head
    assert parse_request(head(b"Host: a.example", b"Content-Length: 0")).framing is NO_BODY


def test_lengths_are_not_remembered_from_other_heads():
    """Two heads that differ in their length alone have their own."""
    sizes = [parse_request(head(b"Host: a.example", b"Content-Length: %d" % n)).framing.passthrough for n in (1, 22, 3)]
    assert sizes == [1, 22, 3]


def test_retriable():
    """What may be sent twice is an idempotent method without a body."""
    assert parse_request(head(b"Host: a.example")).retriable
    assert not parse_request(head(b"Host: a.example", start=b"POST http://a.example/ HTTP/1.1")).retriable
    assert not parse_request(
        head(b"Host: a.example", b"Content-Length: 1", start=b"PUT http://a.example/ HTTP/1.1")
    ).retriable


def test_upgrade_is_forwarded():
    """A request to change protocols is forwarded with a Connection field of our own."""
    request = parse_request(
        head(b"Host: a.example", b"Connection: Upgrade, keep-alive", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    )
    assert request.upgrade
    assert request.head == (
        b"GET /x HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
        + VIA
        + b"Connection: upgrade\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        ((b"Upgrade: websocket",), b"1.1"),
        ((b"Connection: upgrade",), b"1.1"),
        ((b"Connection: upgrade", b"Upgrade: websocket"), b"1.0"),
        ((b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 1"), b"1.1"),
        ((b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"), b"1.1"),
        ((b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: H2C"), b"1.1"),
    ],
)
def test_upgrade_is_ignored(lines, version):
    """Half an upgrade, one from HTTP/1.0, one with a body and one to h2c are forwarded as ordinary requests."""
    request = parse_request(head(b"Host: a.example", *lines, start=b"GET http://a.example/x HTTP/" + version))
    assert not request.upgrade
    assert b"pgrade" not in request.head
    assert b"HTTP2" not in request.head


def test_expect_is_forwarded_but_not_for_http_1_0():
    """100-continue goes on to the target; an HTTP/1.0 client could not take the answer (RFC 9110 section 10.1.1)."""
    lines = (b"Host: a.example", b"Expect: 100-continue", b"Content-Length: 3")
    assert b"Expect: 100-continue\r\n" in parse_request(head(*lines)).head
    assert b"Expect" not in parse_request(head(*lines, start=b"POST http://a.example/ HTTP/1.0")).head


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [(b"a.example:443", "a.example", 443), (b"[::1]:1", "::1", 1), (b"192.0.2.1:65535", "192.0.2.1", 65_535)],
)
def test_connect(target, host, port):
    """CONNECT names host and port; nothing is forwarded."""
    request = parse_request(head(b"Host: whatever", b"Content-Length: 0", start=b"CONNECT %b HTTP/1.1" % target))
    assert (request.method, request.host, request.port, request.head) == (b"CONNECT", host, port, b"")
    assert request.framing.done


def test_options_and_trace_for_the_proxy():
    """`OPTIONS *` and Max-Forwards: 0 ask the proxy; a TRACE is reflected without what a script must not see."""
    assert parse_request(head(b"Host: p", start=b"OPTIONS * HTTP/1.1")).final
    assert parse_request(head(b"Host: p", b"Max-Forwards: 0", start=b"OPTIONS http://a.example/ HTTP/1.1")).final
    secrets = (b"Cookie: s", b"Authorization: s", b"Proxy-Authorization: s")
    start = b"TRACE http://a.example/ HTTP/1.1"
    trace = parse_request(head(b"Host: a.example", *secrets, b"max-forwards:0", b"X: y", start=start))
    assert trace.final
    assert trace.head == b"TRACE http://a.example/ HTTP/1.1\r\nHost: a.example\r\nmax-forwards:0\r\nX: y\r\n\r\n"


def test_max_forwards_counts_down():
    """Max-Forwards is one less for the next; for other methods nobody looks (RFC 9110 section 7.6.2)."""
    request = parse_request(head(b"Host: a.example", b"Max-Forwards: 10", start=b"TRACE http://a.example/ HTTP/1.1"))
    assert not request.final
    assert b"Max-Forwards: 9\r\n" in request.head
    assert b"10" not in request.head
    assert b"Max-Forwards: 0\r\n" in parse_request(head(b"Host: a.example", b"Max-Forwards: 0")).head


def test_options_of_a_whole_server():
    """The last proxy turns an OPTIONS without a path into `*` (RFC 9112 section 3.2.4)."""
    start = b"OPTIONS http://a.example HTTP/1.1"
    assert parse_request(head(b"Host: a.example", start=start)).head.startswith(b"OPTIONS * HTTP/1.1\r\n")


def test_one_empty_line_before_a_request_is_dropped():
    """One CRLF before the request line is tolerated (RFC 9112 section 2.2), a second is not."""
    assert parse_request(b"\r\n" + head(b"Host: a.example")).head.startswith(b"GET /x HTTP/1.1\r\nHost")
    assert status_of(b"\r\n\r\n") == 400


# What is refused ------------------------------------------------------------------------------------------------------

SMUGGLING = {
    "length and chunks": [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
    "chunks and length": [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
    "length 0 and chunks": [b"Content-Length: 0", b"Transfer-Encoding: chunked"],
    "two lengths": [b"Content-Length: 5", b"Content-Length: 6"],
    "the same length twice": [b"Content-Length: 5", b"Content-Length: 5"],
    "a list of lengths": [b"Content-Length: 5, 5"],
    "signed length": [b"Content-Length: +5"],
    "negative length": [b"Content-Length: -5"],
    "hex length": [b"Content-Length: 0x5"],
    "length with underscore": [b"Content-Length: 1_0"],
    "length in words": [b"Content-Length: five"],
    "empty length": [b"Content-Length:"],
    "length with a space inside": [b"Content-Length: 5 5"],
    "length past 64 bits": [b"Content-Length: 18446744073709551621"],
    "length past 18 digits": [b"Content-Length: 1000000000000000000"],
    "space before the colon": [b"Content-Length : 5"],
    "tab before the colon": [b"Transfer-Encoding\t: chunked"],
    "space before the name": [b" Content-Length: 5"],
    "folded value": [b"Transfer-Encoding:", b" chunked"],
    "folded line": [b"X: a", b"\tContent-Length: 5"],
    "bare LF between fields": [b"X: a\nContent-Length: 5"],
    "bare CR between fields": [b"X: a\rContent-Length: 5"],
    "NUL in a value": [b"X: a\0b"],
    "vertical tab before chunked": [b"Transfer-Encoding: \x0bchunked"],
    "control character in a name": [b"Transfer\x01Encoding: chunked"],
    "no colon": [b"Content-Length 5"],
    "no name": [b": chunked"],
    "chunked twice": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "chunked twice in one": [b"Transfer-Encoding: chunked, chunked"],
    "chunked is not last": [b"Transfer-Encoding: chunked, identity"],
    "empty coding": [b"Transfer-Encoding:"],
    "Connection names Content-Length": [b"Connection: close, content-length", b"Content-Length: 5"],
    "Connection names Transfer-Encoding": [b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"],
    "Connection names Host": [b"Connection: host"],
    "second Host": [b"Host: b.example"],
    "second Host, the same": [b"host: a.example"],
}


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING)
def test_smuggling_is_refused(lines):
    """A head that two readers could read in two ways is answered with 400, wherever the field stands."""
    start = b"POST http://a.example/ HTTP/1.1"
    assert status_of(head(b"Host: a.example", *lines, start=start)) == 400
    assert status_of(head(b"Host: a.example", b"Accept: */*", *lines, b"X: y", start=start)) == 400


@pytest.mark.parametrize(
    "coding", [b"gzip, chunked", b"identity", b"xchunked", b"chunked;q=1", b"gzip", b'"chunked"', b"\tchunked\t,"]
)
def test_unknown_transfer_codings_are_501(coding):
    """A body in a coding that is not exactly `chunked` cannot be followed (RFC 9112 section 6.1)."""
    assert status_of(head(b"Host: a.example", b"Transfer-Encoding: " + coding)) == 501


START_LINES = {
    b"GET  http://a.example/ HTTP/1.1": 400,
    b"GET http://a.example/  HTTP/1.1": 400,
    b"GET http://a.example/ HTTP/1.1 ": 400,
    b" GET http://a.example/ HTTP/1.1": 400,
    b"\nGET http://a.example/ HTTP/1.1": 400,
    b"\rGET http://a.example/ HTTP/1.1": 400,
    b"GET\thttp://a.example/ HTTP/1.1": 400,
    b"GET http://a.example/": 400,
    b"GET": 400,
    b"": 400,
    b"GET http://a.example/ HTTP/1.1\n": 400,
    b"GET http://a.example/ HTTP/1.10": 400,
    b"GET http://a.example/ http/1.1": 400,
    b"GET http://a.example/ ICE/1.0": 400,
    b"OPTIONS http://a.example/ RTSP/1.0": 400,
    b"GET http://a.example/ HTTP/0.9": 505,
    b"GET http://a.example/ HTTP/1.2": 505,
    b"GET http://a.example/ HTTP/2.0": 505,
    b"PRI * HTTP/2.0": 505,
    b"PRI * HTTP/1.1": 400,
    b"BREW http://a.example/ HTTP/1.1": 501,
    b"get http://a.example/ HTTP/1.1": 501,
    b"DESCRIBE http://a.example/ HTTP/1.1": 501,
    b"G@T http://a.example/ HTTP/1.1": 400,
    b"GET https://a.example/ HTTP/1.1": 501,
    b"GET ftp://a.example/ HTTP/1.1": 501,
    b"GET / HTTP/1.1": 400,
    b"GET * HTTP/1.1": 400,
    b"GET a.example:80 HTTP/1.1": 400,
    b"GET http:///x HTTP/1.1": 400,
    b"GET http://:80/x HTTP/1.1": 400,
    b"GET http://u@a.example/ HTTP/1.1": 400,
    b"GET http://u:p@a.example/ HTTP/1.1": 400,
    b"GET http://a.example@b.example/ HTTP/1.1": 400,
    b"GET http://a.example#f HTTP/1.1": 400,
    b"GET http://a.example/#f HTTP/1.1": 400,
    b"GET http://a.example:0/ HTTP/1.1": 400,
    b"GET http://a.example:65536/ HTTP/1.1": 400,
    b"GET http://a.example:http/ HTTP/1.1": 400,
    b"GET http://a.example:80:81/ HTTP/1.1": 400,
    b"GET http://a%2eexample/ HTTP/1.1": 400,
    b"GET http://a.example\\b.example/ HTTP/1.1": 400,
    b"GET http://::1/ HTTP/1.1": 400,
    b"GET http://[::1/ HTTP/1.1": 400,
    b"GET http://[192.0.2.1]/ HTTP/1.1": 400,
    b"GET http://[fe80::1%25eth0]/ HTTP/1.1": 400,
    b"GET http://2130706433/ HTTP/1.1": 400,
    b"GET http://a.example/\x7f HTTP/1.1": 400,
    b"GET http://a.example/\xff HTTP/1.1": 400,
    b"CONNECT a.example HTTP/1.1": 400,
    b"CONNECT a.example: HTTP/1.1": 400,
    b"CONNECT a.example:0 HTTP/1.1": 400,
    b"CONNECT :443 HTTP/1.1": 400,
    b"CONNECT http://a.example/ HTTP/1.1": 400,
    b"CONNECT / HTTP/1.1": 400,
    b"CONNECT * HTTP/1.1": 400,
    b"TRACE * HTTP/1.1": 400,
}


@pytest.mark.parametrize("start", START_LINES)
def test_start_lines_are_refused(start):
    """A request line that is none, or not for a forward proxy, is refused with the status that says why."""
    assert status_of(head(b"Host: a.example", start=start)) == START_LINES[start]


def test_origin_form_is_told_what_a_proxy_wants():
    """Who takes the proxy for a web server reads that it is none."""
    with pytest.raises(BadRequest, match="this is a proxy"):
        parse_request(head(b"Host: a.example", start=b"GET /index.html HTTP/1.1"))


@pytest.mark.parametrize("method", [b"GET http://a.example/", b"CONNECT a.example:443", b"OPTIONS http://a.example/"])
def test_host_is_required_and_must_be_one(method):
    """An HTTP/1.1 request without a Host, with two, or with one that is none gets 400, whatever the method."""
    start = method + b" HTTP/1.1"
    assert status_of(head(b"Accept: */*", start=start)) == 400
    assert status_of(head(b"Host: a.example", b"Host: a.example", start=start)) == 400
    assert status_of(head(b"Host: a.example/x", start=start)) == 400
    assert status_of(head(b"Host: u@a.example", start=start)) == 400


@pytest.mark.parametrize("start", [b"POST http://a.example/ HTTP/1.0", b"CONNECT a.example:1 HTTP/1.0"])
def test_chunks_in_http_1_0_are_refused(start):
    """Transfer-Encoding in an HTTP/1.0 request is a framing that half of the readers do not see."""
    assert status_of(head(b"Transfer-Encoding: chunked", start=start)) == 400


def test_connect_with_a_body_is_refused():
    """The first bytes of a tunnel must not be somebody's body."""
    for line in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
        assert status_of(head(b"Host: a", line, start=b"CONNECT a.example:443 HTTP/1.1")) == 400


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"1, 1", b"1" * 10])
def test_max_forwards_must_be_a_number(value):
    """Max-Forwards of an OPTIONS or TRACE is a number or 400."""
    assert status_of(head(b"Host: a", b"Max-Forwards: " + value, start=b"TRACE http://a/ HTTP/1.1")) == 400


def test_bounds():
    """A request line past its bound is 414, a head or a number of fields past theirs 431; at the bound all is well."""
    room = bounds.HTTP_REQUEST_LINE_BYTES - len(b"GET http://a.example/ HTTP/1.1")
    start = b"GET http://a.example/%b HTTP/1.1"
    assert parse_request(head(b"Host: a.example", start=start % (b"x" * room))).host == "a.example"
    assert status_of(head(b"Host: a.example", start=start % (b"x" * (room + 1)))) == 414
    fields = [b"X-%d: y" % number for number in range(bounds.HTTP_HEADERS - 1)]
    assert parse_request(head(b"Host: a.example", *fields)).host == "a.example"
    assert status_of(head(b"Host: a.example", *fields, b"X-Last: y")) == 431
    assert status_of(head(b"Host: a.example", b"X: " + b"y" * bounds.HTTP_HEAD_BYTES)) == 431


# Another opinion ------------------------------------------------------------------------------------------------------

TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
VALUES = st.binary(max_size=20).map(lambda raw: bytes(b for b in raw if b == 9 or 32 <= b < 127 or b > 160).strip())
CONCERNING = st.sampled_from(
    [(b"Connection", b"keep-alive"), (b"Connection", b"close"), (b"Connection", b"te, X-One"), (b"X-One", b"1"),
     (b"TE", b"trailers"), (b"Proxy-Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=1"), (b"Upgrade", b"x"),
     (b"Trailer", b"X"), (b"Via", b"1.1 other"), (b"Content-Length", b"12"), (b"Transfer-Encoding", b"chunked"),
     (b"Expect", b"100-continue")]
)  # fmt: skip
HOPS = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"proxy-authorization"}


def h11_reads(raw: bytes) -> h11.Request | None:
    """Return the request as h11 reads it; None if it refuses."""
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(raw)
    try:
        event = reader.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


@given(
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH"]),
    path=st.text("abc/?=&%20-._~", max_size=20).map(lambda text: b"/" + text.encode()),
    fields=st.lists(CONCERNING | st.tuples(TOKENS, VALUES), max_size=12),
)
def test_what_h11_sends_reaches_the_target(method, path, fields):
    """What h11 serialises is accepted, and h11 reads the forwarded head as the same without hop-by-hop fields."""
    client = h11.Connection(h11.CLIENT)
    named = {option for name, value in fields if name.lower() == b"connection" for option in value.lower().split(b", ")}
    try:
        event = h11.Request(
            method=method, target=b"http://a.example" + path, headers=[(b"Host", b"a.example"), *fields]
        )
        raw = client.send(event)
    except h11.LocalProtocolError:
        return
    lengths = sum(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in fields)
    if lengths > 1:  # h11 folds equal lengths into one; we never see two that it sends
        return
    read = h11_reads(parse_request(raw).head)
    sent = [(n, v) for n, v in event.headers if n not in HOPS | named and not n.startswith(b"proxy-")]
    assert read is not None
    assert (read.method, read.target) == (method, path)
    assert list(read.headers) == [*sent, (b"via", b"1.1 penstock")]


@given(
    lines=st.lists(
        st.sampled_from([line for lines in SMUGGLING.values() for line in lines] + [b"X: y", b"Content-Length: 3"]),
        max_size=4,
    ),
    version=st.sampled_from([b"1.0", b"1.1"]),
)
def test_what_h11_refuses_we_refuse(lines, version):
    """No head that h11 refuses is accepted."""
    raw = head(b"Host: a.example", *lines, start=b"POST http://a.example/ HTTP/" + version)
    try:
        parse_request(raw)
    except BadRequest:
        return
    assert h11_reads(raw) is not None


def first_head(raw: bytes) -> bytes:
    """Return what `Until(CRLF CRLF)` would find."""
    return b"".join((raw + b"\r\n\r\n").partition(b"\r\n\r\n")[:2])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(raw):
    """Whatever stands before a CRLF CRLF is understood or refused, and nothing else happens."""
    try:
        request = parse_request(first_head(raw))
    except BadRequest as error:
        status = error.status
    else:
        status = 200 if request.head.endswith(b"\r\n\r\n") or request.final or request.method == b"CONNECT" else 0
    assert status in (200, 400, 414, 431, 501, 505)


PIECES = [
    b"GET ", b"http://", b"a", b"/", b" HTTP/1.1", b"\r\n", b"Host: a", b":", b"\n", b"\r", b"\0", b" ", b"1",
    b"Content-Length", b"Connection: ", b"te", b",", b"Transfer-Encoding: chunked", b"Upgrade: x",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_what_is_forwarded_is_sound(pieces):
    """A head that is put together by chance and accepted is forwarded as one that h11 accepts as one message."""
    raw = first_head(b"".join([b"GET http://a/ HTTP/1.1\r\nHost: a\r\n", *pieces]))
    try:
        request = parse_request(raw)
    except BadRequest:
        return
    assert h11_reads(request.head) is not None
    assert request.head.count(b"\r\n\r\n") == 1


LINES = st.one_of(
    st.sampled_from(
        [
            b"GET http://a.example/ HTTP/1.1",
            b"HEAD http://a.example/x?y=z HTTP/1.1",
            b"POST http://a.example/ HTTP/1.1",
            b"GET http://b.example/ HTTP/1.1",
            b"GET http://a.example HTTP/1.1",
            b"GET http://A.example/ HTTP/1.1",
            b"GET http://a.example/ HTTP/1.0",
            b"GET  http://a.example/ HTTP/1.1",
            b"GET http://a.example/\x01 HTTP/1.1",
            b"GET http://a.example/\x80 HTTP/1.1",
            b"GET http://a.example/#f HTTP/1.1",
            b"GET http://u@a.example/ HTTP/1.1",
            b"GET https://a.example/ HTTP/1.1",
            b"CONNECT a.example:80 HTTP/1.1",
            b"BREW http://a.example/ HTTP/1.1",
        ]
    ),
    st.binary(max_size=40).map(lambda path: b"GET http://a.example/" + path + b" HTTP/1.1"),
)

FIELDS = st.sampled_from(
    [
        b"\r\nHost: a.example\r\n\r\n",
        b"\r\nHost: a.example\r\nConnection: close\r\nX: y\r\n\r\n",
        b"\r\nHost: a.example\r\nConnection: X\r\nX: y\r\n\r\n",
        b"\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHost: a.example\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
        b"\r\nHost: a.example\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\r\nHost: a.example\r\nExpect: 100-continue\r\n\r\n",
    ]
)


def _outcome(head):
    try:
        return parse_request(head)
    except BadRequest as error:
        return error.status, error.detail


@given(LINES, FIELDS)
def test_fields_that_are_known_change_nothing(line, fields):
    """A head whose fields were seen before is judged exactly as one whose fields are new."""
    request._BLOCKS.clear()
    fresh = _outcome(line + fields)
    _outcome(b"GET http://a.example/ HTTP/1.1" + fields)
    known = _outcome(line + fields)
    assert repr(known) == repr(fresh)


def test_known_fields_are_bounded():
    """However many clients differ in their fields, a bounded number of them is remembered."""
    request._BLOCKS.clear()
    for number in range(3_000):
        parse_request(b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX: %d\r\n\r\n" % number)
    assert 0 < len(request._BLOCKS) <= 1_024
