"""Lines of the access log: one for whatever a client sends, and true to it."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.access_line import Answered, combined, escape, json_connection, json_request, who_is

WALL = 1_763_734_475_042_999_999
WHO = who_is("198.51.100.7", "", "web", "")
DONE = Answered(WALL, "ann", "app", "10.0.0.1:80", 200, 80, 62, 1_234_567)
HEAD = (
    b'GET /a?b="c HTTP/1.1\r\nHost: a.example\r\nReferer: http://r/?s=1\r\nUser-Agent: cu\\rl\r\n'
    b"X-Request-ID: 7\r\n\r\n"
)

LOGGED = re.compile(
    rb'[^ ]+ - [^ ]+ \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "[^"\\]*(?:\\x[0-9A-F]{2}[^"\\]*)*" \d{3} \d+ '
    rb'"[^"\\]*(?:\\x[0-9A-F]{2}[^"\\]*)*" "[^"\\]*(?:\\x[0-9A-F]{2}[^"\\]*)*"\n'
)


def test_a_request_as_json():
    """Who asked for what, what became of it, and how long it took."""
    line = json.loads(json_request(WHO, HEAD, DONE, query=True))
    assert line == {
        "time": "2025-11-21T14:14:35.042Z", "client": "198.51.100.7", "listener": "web", "user": "ann", "route": "app",
        "target": "10.0.0.1:80", "method": "GET", "path": '/a?b="c', "host": "a.example", "referer": "http://r/?s=1",
        "user_agent": "cu\\rl", "request_id": "7", "status": 200, "bytes_in": 80, "bytes_out": 62,
        "duration": 0.001234,
    }  # fmt: skip


def test_a_refused_request_says_why():
    """Its reason stands beside the status."""
    line = json.loads(json_request(WHO, HEAD, DONE._replace(status=403, reason="access"), query=True))
    assert (line["status"], line["reason"]) == (403, "access")


def test_queries_are_left_out_where_asked():
    """Neither that of the path nor that of the referer is told, in either format."""
    line = json.loads(json_request(WHO, HEAD, DONE, query=False))
    assert (line["path"], line["referer"]) == ("/a", "http://r/")
    assert b'"GET /a HTTP/1.1" 200 62 "http://r/"' in combined(WHO, HEAD, DONE, query=False)
    assert b"secret" not in combined(WHO, b"GET /?secret", DONE, query=False)


def test_the_combined_format():
    """The line of Apache and nginx, with quotes and backslashes as \\xXX."""
    assert combined(WHO, HEAD, DONE, query=True) == (
        b'198.51.100.7 - ann [21/Nov/2025:14:14:35 +0000] "GET /a?b=\\x22c HTTP/1.1" 200 62 '
        b'"http://r/?s=1" "cu\\x5Crl"\n'
    )
    nobody = DONE._replace(user="", status=0)
    assert combined(who_is("-", "", "web", ""), b"", nobody, query=True).endswith(b'"-" 000 62 "-" "-"\n')


def test_a_connection_as_json():
    """A connection without requests says how it ended; peer and TLS are told where there are any."""
    who = who_is("::1", "10.0.0.9", "web", "TLSv1.3")
    line = json.loads(json_connection(who, DONE._replace(user="", target=""), "proxy", "decide", "access"))
    assert line == {
        "time": "2025-11-21T14:14:35.042Z", "client": "::1", "peer": "10.0.0.9", "listener": "web", "tls": "TLSv1.3",
        "route": "app", "ended_by": "proxy", "phase": "decide", "reason": "access", "bytes_in": 80, "bytes_out": 62,
        "duration": 0.001234,
    }  # fmt: skip


heads = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda target, agent, referer: b"GET %b HTTP/1.1\r\nUser-Agent: %b\r\nReferer:%b\r\n\r\n"
        % (target, agent, referer),
        st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80),
    ),
)  # fmt: skip


@given(heads, st.text(max_size=20), st.booleans())
def test_any_bytes_give_one_line(head, user, query):
    """Whatever is sent, a line is one line of printable characters, and can be read back in both formats."""
    answered = DONE._replace(user=user, target=user)
    written = json_request(WHO, head, answered, query=query)
    assert re.fullmatch(rb"[ -~]+\n", written)
    assert json.loads(written)["status"] == 200
    assert LOGGED.fullmatch(combined(WHO, head, answered, query=query))


@given(st.binary(max_size=100))
def test_nothing_is_lost_in_an_escape(data):
    """Bytes can be told from what is written."""
    back = re.sub(rb"\\x([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), escape(data))
    assert back == data


@pytest.mark.parametrize("size", [100_000, 2_049])
def test_lines_are_bounded(size):
    """A value is cut, so that no client decides how long a line is."""
    head = b"GET /%b HTTP/1.1\r\nHost: %b\r\nReferer: %b\r\nUser-Agent: %b\r\n\r\n" % ((b"\0" * size,) * 4)
    for line in (json_request(WHO, head, DONE, query=True), combined(WHO, head, DONE, query=True)):
        assert len(line) < 60_000
