"""Either version, and the conversation that its docstring shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.addresses import Endpoint
from penstock.connection.commands import Need, Peek, Relay
from penstock.protocols.proxy_header.header import Parsed, ProxyHeaderError, describe
from penstock.protocols.proxy_header.parse import parse
from penstock.protocols.proxy_header.tlv import Tlv
from penstock.protocols.proxy_header.v1 import serialize_v1
from penstock.protocols.proxy_header.v2 import serialize_v2
from penstock.testing.playbook import perform, relays, says

HEADER = describe(Endpoint("192.0.2.1", 5_000), Endpoint("192.0.2.2", 443))
LONG = describe(HEADER.source, HEADER.destination, (Tlv(2, b"example.org"), Tlv(0xE0, bytes(200))))
BOTH = [(HEADER, serialize_v1(HEADER)), (HEADER, serialize_v2(HEADER)), (LONG, serialize_v2(LONG, checksum=True))]


@pytest.mark.parametrize(("header", "data"), BOTH)
def test_both_versions_are_told(header, data):
    """One call reads either, with the client's own bytes behind it."""
    assert parse(data + b"GET /") == Parsed(header, len(data))


@pytest.mark.parametrize(("header", "data"), BOTH)
def test_a_conversation_reads_it_in_any_split(header, data):
    """Whole, byte by byte, with a tail: the header is taken, and what stands behind it is left."""
    heard = []

    def conversation():
        needed = 1
        while isinstance(answer := parse((yield Peek(needed))), int):
            needed = answer
        yield Need(answer.size)
        heard.append(answer.header)
        yield Relay()

    perform(conversation, says(data), relays())
    perform(conversation, says(data + b"SSH-2.0-x\r\n"), relays(leftover=b"SSH-2.0-x\r\n"))
    assert len(heard) > 2
    assert set(heard) == {header}


@given(st.sampled_from(BOTH), st.lists(st.integers(0, 300), max_size=5))
def test_what_was_asked_before_changes_nothing(case, looks):
    """Any number of looks at any beginnings, and the whole gives the same."""
    header, data = case
    for size in sorted(looks):
        if size < len(data):
            assert size < parse(data[:size]) <= len(data)
    assert parse(data) == Parsed(header, len(data))


def test_the_first_byte_is_wished_for():
    """Nothing is no error yet."""
    assert parse(b"") == 1


@given(st.binary(min_size=1, max_size=40))
def test_other_protocols_are_refused_at_once(data):
    """A first byte that begins neither version is the last that is looked at."""
    if data[:1] in (b"P", b"\r"):
        assert parse(data[:1]) == 2
    else:
        for head in (data[:1], data):
            with pytest.raises(ProxyHeaderError, match="no PROXY header"):
                parse(head)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\x05\x01\0", b"SSH-2.0-x", b"\r\n.\r\n", b"POST "]
)
def test_what_clients_say_is_no_header(data):
    """HTTP, TLS, SOCKS, SSH and empty lines are refused within their first bytes."""
    with pytest.raises(ProxyHeaderError, match="no PROXY header"):
        parse(data)
