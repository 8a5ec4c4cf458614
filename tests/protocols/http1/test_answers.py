"""The proxy's own answers are answers: h11 reads each as what it says."""

import h11
import pytest

from penstock.protocols.http1 import answers

STATUSES = [400, 407, 408, 413, 414, 431, 501, 502, 503, 504, 505, 508]


def read(raw, method="GET"):
    """Return status, headers, body and whether the connection goes on, as h11 reads them."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="http://a/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    response = client.next_event()
    body = b""
    while type(event := client.next_event()) is not h11.EndOfMessage:
        body += event.data
    assert client.trailing_data == (b"", False)
    return response.status_code, dict(response.headers), body, client.their_state is not h11.MUST_CLOSE


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("close", [True, False])
def test_refusals(status, close):
    """A refusal has its status, one line of text, and says whether the connection goes on."""
    code, headers, body, goes_on = read(answers.refusal(status, "because", close=close))
    assert (code, body, goes_on) == (status, b"penstock: because\n", not close)
    assert headers[b"cache-control"] == b"no-store"
    assert headers.get(b"proxy-authenticate", b"").startswith(b"Basic") == (status == 407)


def test_refusal_of_a_head():
    """The answer to HEAD has the length of a body and no body."""
    code, headers, body, goes_on = read(answers.refusal(502, "because", close=False, head_only=True), "HEAD")
    assert (code, headers[b"content-length"], body, goes_on) == (502, b"18", b"", True)


def test_established():
    """The answer to CONNECT ends with its head and says nothing of a body."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="CONNECT", target="a:443", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answers.ESTABLISHED + b"tunnel")
    response = client.next_event()
    assert (response.status_code, list(response.headers)) == (200, [])
    assert client.trailing_data == (b"tunnel", False)


@pytest.mark.parametrize("close", [True, False])
def test_answers_of_the_proxy_itself(close):
    """OPTIONS is told the methods, TRACE what it said, and both whether the connection goes on."""
    code, headers, body, goes_on = read(answers.options(close=close), "OPTIONS")
    assert (code, body, goes_on) == (200, b"", not close)
    assert b"CONNECT" in headers[b"allow"].split(b", ")
    code, headers, body, goes_on = read(answers.trace(b"TRACE / HTTP/1.1\r\n\r\n", close=close), "TRACE")
    assert (code, body, goes_on) == (200, b"TRACE / HTTP/1.1\r\n\r\n", not close)
    assert headers[b"content-type"] == b"message/http"


def test_details_cannot_break_out():
    """A detail that is not ASCII is replaced; the length still fits."""
    _, headers, body, _ = read(answers.refusal(400, "é", close=True))
    assert body == b"penstock: ?\n"
    assert headers[b"content-length"] == b"12"


@pytest.mark.parametrize(
    ("status", "line"), [(200, b"200 OK"), (410, b"410 Gone"), (299, b"299 "), (204, b"204 No Content")]
)
def test_answers_of_routes(status, line):
    """A status that everybody knows has its name; those without a body have none."""
    raw = answers.fixed(status, "hi", "text/plain", close=False)
    assert raw.startswith(b"HTTP/1.1 %b\r\n" % line)
    code, _, body, goes_on = read(raw)
    assert (code, body, goes_on) == (status, b"" if status == 204 else b"hi", True)
