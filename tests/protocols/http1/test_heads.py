"""What holds for every request's head; forward (test_request.py) and reverse (test_origin.py) proxies share it."""

import pytest

from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.fields import read_fields
from penstock.protocols.http1.framing import NO_BODY, Chunked, Length
from penstock.protocols.http1.heads import check_host, framing_of, may_upgrade, parse_line, validate


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"GET /", 400), (b"GET  / HTTP/1.1", 400), (b" GET / HTTP/1.1", 400), (b"GET / HTTP/2.0", 505),
     (b"GET / HTTP/1", 400), (b"GET /" + b"a" * 9_000 + b" HTTP/1.1", 414)],
)  # fmt: skip
def test_lines_that_are_refused(line, status):
    """A line that two readers could split differently, or that is too long, is refused with its status."""
    with pytest.raises(BadRequest) as caught:
        parse_line(line)
    assert caught.value.status == status


def test_framing():
    """Length, chunked or nothing; both together, or in HTTP/1.0, are refused."""
    for lines, expected in (
        (b"\r\nContent-Length: 5\r\n\r\n", Length),
        (b"\r\nTransfer-Encoding: chunked\r\n\r\n", Chunked),
    ):
        assert isinstance(framing_of(lines, read_fields(lines), False), expected)
    assert framing_of(b"\r\n\r\n", read_fields(b"\r\n\r\n"), False) is NO_BODY
    both = b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    named = b"\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n"
    for lines, old in ((both, False), (b"\r\nTransfer-Encoding: chunked\r\n\r\n", True), (named, False)):
        with pytest.raises(BadRequest):
            framing_of(lines, read_fields(lines), old)


def test_host_and_upgrade():
    """One valid Host; no h2c."""
    check_host(read_fields(b"\r\nHost: a.example:80\r\n\r\n"), False)
    for lines in (b"\r\n\r\n", b"\r\nHost: a\r\nHost: b\r\n\r\n", b"\r\nHost: a b\r\n\r\n"):
        with pytest.raises(BadRequest):
            check_host(read_fields(lines), False)
    assert may_upgrade(read_fields(b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"))
    assert not may_upgrade(read_fields(b"\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"))


def test_llhttp_judges_every_byte():
    """A bare CR in a value is refused, an unknown method is 501."""
    for head, status in ((b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400), (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501)):
        with pytest.raises(BadRequest) as caught:
            validate(head.split(b" ")[0], head)
        assert caught.value.status == status
