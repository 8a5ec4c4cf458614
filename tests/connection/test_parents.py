"""What parents are told, and what is made of their answers; any split of an answer is the engine's business."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.plan import ParentPlan
from penstock.connection.commands import DialError, DialFailed, Need, Send, Until
from penstock.connection.parents import BROKEN_TALK, TALKS

SOCKS = ParentPlan(kind="socks5", host="parent.example", port=1080)
KNOWN = ParentPlan(kind="socks5", host="parent.example", port=1080, user="ann", password="secret")
HTTP = ParentPlan(kind="http", host="parent.example", port=3128, user="ann", password="secret")


def talk(parent, answers, host="target.example", port=443):
    """Return what is said to a parent that answers with these bytes; StopIteration of the talk is its success."""
    said, left = b"", answers
    conversation = TALKS[parent.kind](parent, host, port)
    answer = None
    try:
        while True:
            command = conversation.send(answer)
            answer = None
            if isinstance(command, Send):
                said += command.data
            elif isinstance(command, Need):
                answer, left = left[: command.count], left[command.count :]
            else:
                assert isinstance(command, Until)
                end = left.index(command.delimiter) + len(command.delimiter)
                answer, left = left[:end], left[end:]
    except StopIteration:
        return said, left


def test_socks5_without_login():
    """Greeting, request and nothing else; what comes behind the reply is the target's."""
    reply = b"\x05\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90" + b"220 hello"
    said, left = talk(SOCKS, reply)
    assert said == b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0etarget.example\x01\xbb"
    assert left == b"220 hello"


def test_socks5_with_login_and_addresses():
    """The login goes where it is asked for; IP addresses go as such, and a reply may name its own address."""
    reply = b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x03\x04host\x00\x01"
    said, left = talk(KNOWN, reply, "2001:db8::1", 80)
    assert said.startswith(b"\x05\x02\x00\x02" + b"\x01\x03ann\x06secret" + b"\x05\x01\x00\x04\x20\x01\x0d\xb8")
    assert left == b""


@pytest.mark.parametrize(
    ("parent", "answers", "error", "why"),
    [
        (SOCKS, b"\x05\xff", DialError.FAILED, "a login that we do not have"),
        (SOCKS, b"\x05\x02", DialError.FAILED, "a login that we do not have"),
        (KNOWN, b"\x05\x02\x01\x01", DialError.FAILED, "refuses our login"),
        (SOCKS, b"\x05\x00\x05\x05\x00\x01\x00", DialError.REFUSED, "its answer is 5"),
        (SOCKS, b"\x05\x00\x05\x04\x00\x01\x00", DialError.HOST_UNREACHABLE, "its answer is 4"),
        (SOCKS, b"\x05\x00\x05\x06\x00\x01\x00", DialError.TIMEOUT, "its answer is 6"),
        (HTTP, b"HTTP/1.1 407 Who\r\n\r\n", DialError.FAILED, "its answer is 407"),
        (HTTP, b"HTTP/1.1 504 Slow\r\n\r\n", DialError.TIMEOUT, "its answer is 504"),
        (HTTP, b"SSH-2.0-x\r\n\r\n", DialError.FAILED, "no HTTP"),
    ],
)
def test_refusals_are_failed_dials(parent, answers, error, why):
    """Whatever a parent refuses is a dial that failed, told with the parent's name and never with the login."""
    with pytest.raises(DialFailed, match=why) as caught:
        talk(parent, answers)
    assert caught.value.error is error
    assert "parent.example" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_http_connect():
    """CONNECT with Host and login; any 2xx is a yes."""
    said, left = talk(HTTP, b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello", "2001:db8::1", 443)
    assert said == (
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
        b"Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
    )
    assert left == b"hello"


@given(st.sampled_from([SOCKS, KNOWN]), st.binary(min_size=600, max_size=700))
def test_any_answer_is_yes_or_one_error(parent, answers):
    """Hostile answers are a success or a documented error, nothing else."""
    with contextlib.suppress(*BROKEN_TALK):
        said, left = talk(parent, answers)
        assert said.startswith(b"\x05")
        assert answers.endswith(left)
