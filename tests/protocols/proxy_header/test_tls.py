"""What a proxy tells of its client's TLS, with proxy-protocol as the other end's view."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol.tlv import ProxyProtocolSSLTLV

from penstock.protocols.proxy_header import tls
from penstock.protocols.proxy_header.tls import TlsInfo, parse_tls, serialize_tls
from penstock.protocols.proxy_header.tlv import Tlv, join_tlvs

TEXTS = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
INFOS = st.builds(
    TlsInfo, st.integers(0, 7), st.integers(0, 2**32 - 1), TEXTS, TEXTS | st.just("bücher"), TEXTS, TEXTS, TEXTS
)


@given(INFOS)
def test_it_comes_back(info):
    """Every field, given or not."""
    assert parse_tls(serialize_tls(info)) == info


@given(INFOS)
def test_another_implementation_agrees(info):
    """proxy-protocol reads each field as we wrote it, and we read what it writes."""
    value = serialize_tls(info)
    theirs = ProxyProtocolSSLTLV(value)
    assert (theirs.client, theirs.verify) == (info.client, info.verify)
    assert (theirs.version, theirs.cn, theirs.cipher, theirs.sig_alg, theirs.key_alg) == info[2:]
    assert parse_tls(bytes(theirs)) == info


def test_bytes_are_those_of_the_specification():
    """A byte of flags, four of the verdict, and pieces; one of an unknown type is passed over."""
    value = b"\x03\0\0\0\0" + b"\x21\0\x07TLSv1.3" + b"\x2f\0\x01x" + b"\x22\0\x0bexample.com"
    client = tls.OVER_TLS | tls.CERTIFICATE_HERE
    assert parse_tls(value) == TlsInfo(client, 0, "TLSv1.3", "example.com")


@pytest.mark.parametrize(
    "value", [b"", b"\x01\0\0\0", b"\x01\0\0\0\0\x21", b"\x01\0\0\0\0\x21\0\x02T", b"\x01\0\0\0\0\x22\0\x01\xff"]
)
def test_what_is_malformed_is_none(value):
    """Cut short anywhere, or a text that is none."""
    assert parse_tls(value) is None


def test_the_first_of_a_type_counts():
    """As everywhere in a header."""
    pieces = join_tlvs([Tlv(tls.VERSION, b"TLSv1.2"), Tlv(tls.VERSION, b"TLSv1.3")])
    assert parse_tls(bytes(5) + pieces).version == "TLSv1.2"
