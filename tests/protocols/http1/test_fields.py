"""The fields that concern a proxy: found whatever their case and place, remembered without mixing heads up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.fields import content_length, end_to_end, read_fields, without


def test_fields_are_found_in_any_case():
    """Names and values are read whatever their letter case, and the values that matter come without whitespace."""
    fields = read_fields(
        b"\r\nHOST:  A.Example \r\nconnection: Close , X-One\r\nUpGrade: WebSocket\r\nTransfer-Encoding: Chunked\t\r\n"
        b"expect: 100-continue\r\nproxy-authorization: Basic QUJD \r\n\r\n"
    )
    assert (fields.host, fields.coding, fields.upgrade) == (b"a.example", b"chunked", b"websocket")
    assert (fields.options, fields.named, fields.expects) == ({b"close", b"x-one"}, {b"x-one"}, True)
    assert fields.credentials == b"Basic QUJD"
    assert fields.length is None


def test_only_whole_names_count():
    """A name that begins or ends like one of ours is another field's, and so is one inside a value."""
    lines = b"\r\nX-Host: a\r\nHost-X: b\r\nTest: Host: c\r\nTEA: x\r\nHosts: d\r\nContent-Lengthy: 1\r\n\r\n"
    fields = read_fields(lines)
    assert (fields.host, fields.length, fields.hops, fields.repeated) == (None, None, (), False)
    assert end_to_end(lines, fields) == lines


def test_repeated_fields_are_joined():
    """The values of a repeated field are one list (RFC 9110 section 5.3)."""
    fields = read_fields(b"\r\nConnection: a\r\nHost: x\r\nCONNECTION: b,c\r\nHost: y\r\n\r\n")
    assert (fields.options, fields.host, fields.repeated) == ({b"a", b"b", b"c"}, b"x, y", True)


@pytest.mark.parametrize(
    ("line", "length"),
    [
        (b"Content-Length: 5", 5),
        (b"CONTENT-length:5 \t", 5),
        (b"Content-Length: 999999999999999999", 10**18 - 1),
        (b"Content-Length: 1000000000000000000", -1),
        (b"Content-Length:", -1),
        (b"Content-Length: +1", -1),
        (b"Content-Length: 1_0", -1),
        (b"Content-Length: \xb2", -1),
        (b"X-Content-Length: 5", None),
    ],
)
def test_content_length(line, length):
    """Content-Length is decimal digits and nothing else."""
    lines = b"\r\nX: y\r\n" + line + b"\r\nZ: 1\r\n\r\n"
    assert content_length(lines, read_fields(lines)) == length


def test_long_heads_are_read_alike():
    """A head too long to be remembered says the same as a short one."""
    lines = b"\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert read_fields(b"\r\nX: " + b"y" * 5_000 + lines) == read_fields(lines)


def test_without():
    """Fields are taken out by name; the line before them and all others stay as they were."""
    head = b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nb:3\r\nBB: 4\r\n\r\n"
    assert without(head, {b"b"}) == b"GET / HTTP/1.1\r\nA: 1\r\nBB: 4\r\n\r\n"
    assert without(head, {b"get / http/1.1"}) == head


NAMES = [
    b"Connection",
    b"TE",
    b"te",
    b"Keep-Alive",
    b"Proxy-X",
    b"Upgrade",
    b"X-A",
    b"X-B",
    b"Host",
    b"Accept",
    b"Trailer",
]
LINES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([b"", b"a", b"ab", b"x-a", b"close, X-B", b"te"])))
HOPS = {b"connection", b"te", b"keep-alive", b"proxy-x", b"upgrade"}


@given(LINES, st.booleans())
def test_end_to_end_keeps_what_it_must(fields, upgrade):
    """What is left of a head is every field that is not hop-by-hop, in its order: a slow and simple reader agrees."""
    lines = b"".join(b"\r\n%b: %b" % field for field in fields) + b"\r\n\r\n"
    named = {
        option.strip()
        for name, value in fields
        if name == b"Connection"
        for option in value.lower().split(b",")
    }  # fmt: skip
    gone = (HOPS | named) - ({b"upgrade"} if upgrade else set())
    kept = b"".join(b"\r\n%b: %b" % (name, value) for name, value in fields if name.lower() not in gone)
    assert end_to_end(lines, read_fields(lines), upgrade=upgrade) == kept + b"\r\n\r\n"
