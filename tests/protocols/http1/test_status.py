"""The status of an answer is found, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import RemoteError
from penstock.protocols.http1.status import STATUS_BYTES, parse_status

ANSWERS = {
    b"HTTP/1.1 200 OK\r\n": 200,
    b"HTTP/1.0 503 Service Unavailable\r\nServer: x\r\n\r\nbody": 503,
    b"HTTP/1.1 404\r\n": 404,
    b"HTTP/1.1 204 \n": 204,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n": 200,
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n": 101,
}


@pytest.mark.parametrize(("data", "status"), ANSWERS.items(), ids=str)
def test_the_final_status_is_told(data, status):
    """Whatever follows it; interim answers are passed over."""
    assert parse_status(data) == status


@pytest.mark.parametrize("data", ANSWERS, ids=str)
def test_nothing_is_told_too_early(data):
    """Each beginning of an answer has no status yet, or the one that the whole has."""
    for cut in range(len(data)):
        assert parse_status(data[:cut]) in (None, ANSWERS[data])


@pytest.mark.parametrize(
    "data",
    [b"SSH-2.0-x\r\n", b"HTTP/2 200\r\n", b"HTTP/1.1 20\r\n", b"HTTP/1.1 2000 OK\r\n", b"\r\n", b"http/1.1 200 OK\r\n"],
    ids=str,
)
def test_anything_else_is_an_error(data):
    """What is no status line is refused as soon as that is clear."""
    with pytest.raises(RemoteError, match="not HTTP/1"):
        parse_status(data)


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 " + b"x" * STATUS_BYTES, b"HTTP/1.1 100 C\r\n" + b"a: b\r\n" * 3_000])
def test_an_answer_without_end_is_an_error(data):
    """A status that does not come within the bound is none."""
    with pytest.raises(RemoteError):
        parse_status(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_status_or_the_one_error(data):
    """Nothing else comes of any bytes."""
    try:
        status = parse_status(b"HTTP/1.1 " + data)
    except RemoteError:
        return
    assert status is None or 100 <= status <= 999
