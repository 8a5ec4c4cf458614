"""Detection: told from few bytes, never changing its mind, never asking for more than its cap."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.bounds import DETECT_BYTES
from penstock.protocols.detect import Wire, detect


def client_hello():
    """What a real TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.org")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("head", "wire"),
    [
        (b"\x05\x01\x00", Wire.SOCKS5),
        (b"\x05\x03\x00\x01\x02", Wire.SOCKS5),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", Wire.SOCKS4),
        (b"\x04\x02\x00\x50\x7f\x00\x00\x01\x00", Wire.SOCKS4),
        (b"GET / HTTP/1.1\r\n", Wire.HTTP),
        (b"CONNECT example.org:443 HTTP/1.1\r\n", Wire.HTTP),
        (b"OPTIONS * HTTP/1.1\r\n", Wire.HTTP),
        (b"PROPPATCH /x HTTP/1.1\r\n", Wire.HTTP),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Wire.HTTP),
        (client_hello(), Wire.TLS),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Wire.RAW),
        (b"EHLO example.org\r\n", Wire.RAW),
        (b"USER ann\r\n", Wire.RAW),
        (b"GETAWAY", Wire.RAW),
        (b"get / http/1.0", Wire.RAW),
        (b"\x05\x00\x0b\x03", Wire.RAW),  # the head of a DCE/RPC bind
        (b"\x04\x09", Wire.RAW),
        (b"\x16\x03\x01\x00\x05\x02", Wire.RAW),  # a ServerHello
        (b"\x16\x04", Wire.RAW),
        (b"\x00", Wire.RAW),
    ],
)
def test_first_bytes_tell(head, wire):
    """Every prefix is undecided or already right, so that no split of the bytes gives another answer."""
    answers = [detect(head[:size]) for size in range(len(head) + 1)]
    assert answers[-1] is wire
    assert set(answers) == {None, wire}


def test_all_undecided_prefixes_are_within_the_cap():
    """The longest method decides at the cap, and not before it must."""
    assert detect(b"OPTIONS") is None
    assert detect(b"OPTIONS ") is Wire.HTTP
    assert len(b"OPTIONS ") == DETECT_BYTES


@given(st.binary(min_size=DETECT_BYTES, max_size=64))
def test_the_cap_always_tells(head):
    """With `DETECT_BYTES` bytes there is always an answer."""
    assert detect(head) is not None


@given(
    st.sampled_from([b"", b"\x05", b"\x04", b"\x16\x03", b"G", b"PRO", b"OPT"]),
    st.binary(max_size=12),
    st.binary(max_size=4),
)
def test_more_bytes_never_change_an_answer(start, middle, more):
    """Once told, always told: a conversation may look again."""
    head = start + middle
    if detect(head) is not None:
        assert detect(head + more) is detect(head)
