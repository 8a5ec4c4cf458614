"""Answers of targets: what the client gets, in whatever pieces they come; h11 is the other opinion."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base import bounds
from penstock.base.errors import RemoteError
from penstock.protocols.http1 import response
from penstock.protocols.http1.response import INTERIM_RESPONSES, ResponseReader, judge

VIA = b"Via: 1.1 penstock\r\n"
CLOSE = b"Connection: close\r\n"
CHUNKS = b"5\r\nhello\r\n2;x\r\n, \r\n5\r\nworld\r\n0\r\nDigest: 1\r\n\r\n"


def read(raw, *, method=b"GET", keep_alive=True, http_1_0=False, upgrade=False, closes=False, pieces=None):
    """Return the reader that was fed `raw` in one piece or in these, and all that it gave."""
    reader = ResponseReader(method, keep_alive, http_1_0, upgrade)
    given = b"".join(reader.feed(piece) for piece in (pieces or [raw]))
    if closes:
        reader.eof()
    return reader, given


def in_every_way(raw, **facts):
    """Read `raw` whole, byte by byte and in two pieces cut anywhere; return the first, as all gave the same."""
    reader, given = read(raw, **facts)
    ways = [[raw[i : i + 1] for i in range(len(raw))]]
    ways += [[raw[:cut], raw[cut:]] for cut in range(len(raw) + 1)]
    for pieces in ways:
        other, also = read(raw, pieces=pieces, **facts)
        assert also == given
        assert verdict(other) == verdict(reader)
    return reader, given


def verdict(reader):
    """Return all that a reader says of itself."""
    flags = (reader.started, reader.done, reader.upgraded, reader.keep_alive, reader.reusable)
    return (reader.status, *flags, reader.leftover)


def test_length():
    """An answer of known length goes to the client with our Via, and leaves both connections usable."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    reader, given = in_every_way(raw)
    assert given == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n" + VIA + b"\r\nhello"
    assert verdict(reader) == (200, True, True, False, True, True, b"")


def test_chunks():
    """Chunks go to an HTTP/1.1 client as they are, trailers included."""
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n" + CHUNKS
    reader, given = in_every_way(raw)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n"
    assert given == head + VIA + b"\r\n" + CHUNKS
    assert reader.reusable
    assert reader.keep_alive


def test_chunks_for_http_1_0():
    """An HTTP/1.0 client gets the content without chunks and trailers, and the end of its connection as its end."""
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n" + CHUNKS
    reader, given = in_every_way(raw, http_1_0=True, keep_alive=False)
    assert given == b"HTTP/1.1 200 OK\r\nX: y\r\n" + CLOSE + VIA + b"\r\nhello, world"
    assert reader.reusable
    assert not reader.keep_alive


def test_until_close():
    """A body that ends with the target's connection ends the client's too."""
    raw = b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello\r\n\r\nworld"
    reader, given = in_every_way(raw, closes=True)
    assert given == b"HTTP/1.1 200 OK\r\nX: y\r\n" + CLOSE + b"Via: 1.0 penstock\r\n\r\nhello\r\n\r\nworld"
    assert (reader.done, reader.keep_alive, reader.reusable) == (True, False, False)


@pytest.mark.parametrize(
    ("method", "status"), [(b"HEAD", b"200 OK"), (b"GET", b"304 Not Modified"), (b"GET", b"204 No Content")]
)
def test_answers_without_a_body(method, status):
    """HEAD, 304 and 204 have no body; what comes behind is beyond the answer, and nobody's."""
    reader, given = in_every_way(b"HTTP/1.1 %b\r\nX: y\r\n\r\n" % status, method=method)
    assert given == b"HTTP/1.1 %b\r\nX: y\r\n" % status + VIA + b"\r\n"
    assert (reader.done, reader.keep_alive, reader.reusable) == (True, True, True)
    reader, _ = in_every_way(b"HTTP/1.1 %b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" % status, method=method)
    assert reader.leftover == b"HTTP/1.1 200 OK\r\n\r\n"
    assert not reader.reusable


def test_length_of_an_absent_body():
    """HEAD and 304 may say how long the body would be; a 204 may not, and is not trusted further."""
    for method, status in ((b"HEAD", b"200 OK"), (b"GET", b"304 -")):
        reader, given = in_every_way(b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\n" % status, method=method)
        assert b"Content-Length: 5\r\n" in given
        assert reader.reusable
    for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
        reader, given = in_every_way(b"HTTP/1.1 204 -\r\n%b\r\nX: y\r\n\r\n" % field)
        assert given == b"HTTP/1.1 204 -\r\nX: y\r\n" + VIA + b"\r\n"
        assert (reader.done, reader.keep_alive, reader.reusable) == (True, True, False)
    _, given = in_every_way(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", method=b"HEAD", http_1_0=True, keep_alive=False
    )
    assert b"chunked" not in given


def test_hop_by_hop_fields_are_removed():
    """What concerns the target's connection alone does not reach the client; a login to the target's proxy neither."""
    raw = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\nUpgrade: h2c\r\n"
        b"Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\nContent-Length: 0\r\nX-Other: 2\r\n\r\n"
    )
    reader, given = in_every_way(raw)
    assert given == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Other: 2\r\n" + VIA + b"\r\n"
    assert reader.reusable


@pytest.mark.parametrize(
    ("version", "connection", "reusable"),
    [
        (b"1.1", b"X: y", True),
        (b"1.1", b"Connection: close", False),
        (b"1.1", b"connection: Foo, CLOSE", False),
        (b"1.0", b"X: y", False),
        (b"1.0", b"Connection: Keep-Alive", True),
    ],
)
def test_reuse_of_the_target(version, connection, reusable):
    """The target's connection is used again if its version and its Connection field say so; the client's is, anyhow."""
    raw = b"HTTP/%b 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\nok" % (version, connection)
    reader, given = in_every_way(raw)
    assert (reader.reusable, reader.keep_alive) == (reusable, True)
    assert given.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Via: %b penstock\r\n" % version in given
    assert b"onnection:" not in given


def test_client_that_closes_is_told_so():
    """A client that sends no further request hears that its connection ends."""
    _, given = in_every_way(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", keep_alive=False)
    assert given == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + CLOSE + VIA + b"\r\n"


def test_interim_responses():
    """100 and 103 reach the client before the answer, which an HTTP/1.0 client gets alone."""
    raw = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 9\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    reader, given = in_every_way(raw)
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n" + VIA + b"\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n" + VIA + b"\r\n"
    assert given == interim + final + VIA + b"\r\nok"
    assert reader.reusable
    _, given = in_every_way(raw, http_1_0=True, keep_alive=False)
    assert given == final + CLOSE + VIA + b"\r\nok"


def test_interim_response_is_no_answer():
    """After an interim response the answer is still to come."""
    reader, given = read(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert given
    assert (reader.status, reader.started, reader.done, reader.passthrough) == (100, True, False, 0)
    with pytest.raises(RemoteError):
        reader.eof()


def test_upgrade():
    """101 to a request that asked for it ends HTTP; what comes behind is the client's."""
    raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: y\r\n\r\n\x81\x02hi"
    reader, given = in_every_way(raw, upgrade=True)
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX: y\r\nConnection: upgrade\r\n"
    assert given == head + VIA + b"\r\n"
    assert (reader.upgraded, reader.done, reader.leftover, reader.reusable) == (True, True, b"\x81\x02hi", False)


def test_upgrade_that_is_not_taken():
    """The target may answer as if nobody had asked; 426 says what it would take."""
    reader, _ = in_every_way(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", upgrade=True)
    assert not reader.upgraded
    _, given = in_every_way(b"HTTP/1.1 426 -\r\nUpgrade: x/2\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n")
    assert given == b"HTTP/1.1 426 -\r\nUpgrade: x/2\r\nContent-Length: 0\r\nConnection: upgrade\r\n" + VIA + b"\r\n"


def test_status_line_without_a_reason():
    """A status line that ends with its code is mended, so that no client stumbles over it."""
    _, given = in_every_way(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")
    assert given.startswith(b"HTTP/1.1 200 \r\nContent")


MALFORMED = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "empty line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "bare LF only": b"HTTP/1.1 200 OK\n\n",
    "bare CR": b"HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "length past 18 digits": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding without chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "malformed chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
    "Connection names the length": b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
    "101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: yyyy\r\n" * (bounds.HTTP_HEADERS + 1) + b"\r\n",
    "too long a head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * bounds.HTTP_HEAD_BYTES + b"\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * bounds.HTTP_HEAD_BYTES,
    "endless interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * (INTERIM_RESPONSES + 1),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_answers_are_refused(raw):
    """What is no answer, or one that two readers could read in two ways, is refused as soon as it is all there."""
    with pytest.raises(RemoteError):
        read(raw)
    with pytest.raises(RemoteError):
        read(raw, pieces=[raw[start : start + 1_000] for start in range(0, len(raw), 1_000)])
    with pytest.raises(RemoteError):
        read(raw, pieces=[raw[:20], raw[20:]])


def test_another_protocol_is_not_waited_for():
    """Bytes that cannot begin an HTTP answer are refused at once, and so is a head with bare LFs."""
    with pytest.raises(RemoteError):
        read(b"S")
    with pytest.raises(RemoteError):
        read(b"HTTP/1.1 200 OK\n")


def test_upgrade_must_name_its_protocol():
    """A 101 without Upgrade is refused even where an upgrade was asked for."""
    with pytest.raises(RemoteError):
        read(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n", upgrade=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
)
def test_truncated_answers_are_refused(raw):
    """A target that closes before its answer is complete has not answered; only what ends by closing is then done."""
    reader, _ = read(raw)
    with pytest.raises(RemoteError):
        reader.eof()
    assert not reader.done


def test_end_after_the_answer():
    """A target that closes after its answer changes nothing."""
    reader, _ = read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", closes=True)
    assert reader.done


def test_large_bodies_pass_unseen():
    """What belongs to a body whatever it is may be skipped, and is counted as if it had been fed."""
    reader, _ = read(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n12345")
    assert reader.passthrough == 995
    reader.skip(990)
    assert (reader.passthrough, reader.done) == (5, False)
    assert reader.feed(b"12345HTTP") == b"12345"
    assert (reader.done, reader.passthrough, reader.leftover) == (True, 0, b"HTTP")
    reader, _ = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", http_1_0=True)
    assert reader.passthrough == 252
    reader.skip(252)
    assert (reader.passthrough, reader.feed(b"\r\n0\r\n\r\n"), reader.done) == (0, b"", True)
    reader, _ = read(b"HTTP/1.1 200 OK\r\n\r\n")
    reader.skip(1 << 40)
    assert reader.passthrough > 1 << 40
    reader, _ = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
    reader.skip(3)
    assert reader.done
    assert reader.reusable


def test_bytes_after_the_answer():
    """Bytes that come when all is said make the connection useless for another exchange."""
    reader, _ = read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert reader.reusable
    assert reader.feed(b"HTTP/1.1 200") == b""
    assert reader.leftover == b"HTTP/1.1 200"
    assert not reader.reusable


CUTS = st.lists(st.integers(0, 10_000), max_size=12)
STATUS = st.sampled_from([200, 206, 301, 404, 503])
FIELDS = st.lists(st.sampled_from([("X-A", "1"), ("Connection", "keep-alive"), ("Set-Cookie", "a=b"), ("Server", "s")]))


@given(STATUS, FIELDS, st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.booleans(), st.booleans(), CUTS)
def test_answers_of_h11(status, fields, contents, chunked, http_1_0, cuts):
    """What h11 answers reaches an h11 client with the same status, fields and content, in any split."""
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(sum(map(len, contents))))
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server.next_event()
    raw = server.send(h11.Response(status_code=status, headers=[*fields, framing], reason="r"))
    raw += b"".join(server.send(h11.Data(data=content)) for content in contents) + server.send(h11.EndOfMessage())
    places = sorted({cut % (len(raw) + 1) for cut in cuts} | {0, len(raw)})
    reader, given = read(
        raw, http_1_0=http_1_0, keep_alive=not http_1_0, pieces=[raw[a:b] for a, b in pairwise(places)]
    )
    assert reader.reusable
    assert reader.keep_alive is not http_1_0
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(given)
    if http_1_0:
        client.receive_data(b"")
    answer, *body = events(client)
    assert answer.status_code == status
    kept = [(n.lower().encode(), v.encode()) for n, v in fields if n != "Connection"]
    assert [each for each in answer.headers if each in kept] == kept
    assert b"".join(bytes(event.data) for event in body) == b"".join(contents)


def events(client):
    """Return the response and its data as h11 reads them."""
    found = []
    while type(event := client.next_event()) is not h11.EndOfMessage:
        found.append(event)
    return found


PIECES = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.0 304 -\r\n", b"Content-Length: 3\r\n", b"\r\n",
    b"\n", b"Transfer-Encoding: chunked\r\n", b"3\r\n", b"abc", b"0\r\n", b"X: y\r\n", b"Connection: close\r\n", b"\0",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join) | st.binary(max_size=60), CUTS, st.booleans())
def test_any_bytes_give_the_same_in_any_split(raw, cuts, http_1_0):
    """A split changes neither what the client gets nor whether an answer is refused."""
    places = sorted({cut % (len(raw) + 1) for cut in cuts} | {0, len(raw)})
    found = []
    for pieces in ([raw], [raw[a:b] for a, b in pairwise(places)], [raw[i : i + 1] for i in range(len(raw))]):
        try:
            reader, given = read(raw, http_1_0=http_1_0, pieces=pieces)
            found.append((given, *verdict(reader)))
        except RemoteError:
            found.append("refused")
    assert found[1:] == found[:-1]


HEADS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ]
)


def _read(pieces, method, keep_alive, http_1_0):
    reader = ResponseReader(method, keep_alive, http_1_0)
    given = b""
    try:
        for piece in pieces:
            given += reader.feed(piece)
    except RemoteError as error:
        return given, str(error)
    facts = reader.status, reader.done, reader.keep_alive, reader.reusable, reader.started, reader.leftover
    return given, facts, reader.passthrough


@given(
    HEADS,
    st.binary(max_size=9),
    st.integers(0, 120),
    st.sampled_from([b"GET", b"HEAD", b"POST"]),
    st.booleans(),
    st.booleans(),
)
def test_a_head_that_is_known_changes_nothing(head, body, cut, method, keep_alive, http_1_0):
    """An answer whose head came before gives exactly what one gives whose head is new, in one piece or in two."""
    data = head + body
    pieces = [data[:cut], data[cut:]]
    response.KNOWN.clear()
    fresh = _read(pieces, method, keep_alive, http_1_0)
    _read([head + b"12345"], b"GET", True, False)
    assert _read(pieces, method, keep_alive, http_1_0) == fresh


def test_known_heads_are_bounded():
    """However many answers differ, a bounded number of their heads is remembered."""
    response.KNOWN.clear()
    for number in range(1_000):
        _read([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %d\r\n\r\n" % number], b"GET", True, False)
    assert 0 < len(response.KNOWN) <= 256


# Heads that need no reader -------------------------------------------------------------------------------------------

LINES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 404 Not Found", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching", b"HTTP/1.1 99 x", b"HTTP/2 200",
    b"HTTP/1.1 200 a\x01b", b"ICY 200 OK", b"HTTP/1.1 200 " + b"x" * 200,
)  # fmt: skip

FIELDS = (
    b"Content-Length: 5", b"content-length:5", b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: ",
    b"Content-Length: 99999999999999999999", b"Connection: keep-alive", b"Connection: close", b"Connection: x",
    b"Keep-Alive: timeout=5", b"Transfer-Encoding: chunked", b"Upgrade: x", b"X-One: 1", b"X : 1", b" folded",
    b"Bad\x00: 1", b"Set-Cookie: a\rb", b"Long: " + b"x" * 2_000, b"Proxy-Authenticate: x", b"TE: x", b"Host: a",
)  # fmt: skip


@given(st.sampled_from(LINES), st.lists(st.sampled_from(FIELDS), max_size=5), st.booleans())
def test_what_is_judged_at_once_is_what_a_reader_says(line, fields, sized):
    """Whatever stands in a head: one that needs no reader means to all what a reader would have said of it."""
    fields = [FIELDS[0], *fields] if sized else fields
    head = b"\r\n".join([line, *fields, b"", b""])
    known = judge(head)
    if known is None:
        return
    status, given, length = known
    response.KNOWN.clear()
    reader, also = read(head + b"x" * length)
    assert also == given + b"x" * length
    assert (reader.status, reader.done, reader.keep_alive, reader.reusable) == (status, True, True, True)
    assert judge(head) == known
    if len(head) <= 1_024:
        assert response.KNOWN[head] == known


def test_heads_that_are_met_every_day_need_no_reader():
    """With a length, and a word about the connection that changes nothing; no other one does without."""
    day = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
    known = 200, b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n" + VIA + b"\r\n", 5
    assert judge(day) == known
    for head in (
        b"",
        b"HTTP/1.1",
        day.replace(b"5", b"x"),
        day.replace(b"200", b"2060"),
        day + b"x" * 70_000,
    ):
        assert judge(head) is None
    for closing in (b"close", b"x-y"):
        assert judge(day.replace(b"keep-alive", closing)) is None


def test_what_is_remembered_has_a_limit():
    """However many heads there are."""
    response.KNOWN.clear()
    for number in range(1_000):
        assert judge(b"HTTP/1.1 200 OK\r\nX: %d\r\nContent-Length: 0\r\n\r\n" % number) is not None
        assert len(response.KNOWN) <= 256
