"""Headers as values: which family holds both ends."""

import pytest

from penstock.base.addresses import Endpoint
from penstock.protocols.proxy_header.header import (
    LOCAL,
    UNKNOWN,
    Command,
    Family,
    ProxyHeader,
    Transport,
    common_family,
    describe,
    unpack_inet6,
)
from penstock.protocols.proxy_header.tlv import Tlv


@pytest.mark.parametrize(
    ("source", "destination", "family"),
    [
        ("192.0.2.1", "192.0.2.2", Family.INET),
        ("0.0.0.0", "192.0.2.2", Family.INET),
        ("2001:db8::1", "2001:db8::2", Family.INET6),
        ("::", "::1", Family.INET6),
        ("192.0.2.1", "2001:db8::2", Family.INET6),
        ("2001:db8::1", "192.0.2.2", Family.INET6),
        ("unix:", "unix:/run/x", Family.UNIX),
        ("unix:/run/x", "192.0.2.2", Family.UNSPEC),
        ("-", "192.0.2.2", Family.UNSPEC),
        ("example.org", "example.org", Family.UNSPEC),
    ],
)
def test_the_narrowest_family_that_holds_both(source, destination, family):
    """IPv4 beside IPv6 is written as IPv6; ends that have no family in common, and names, are not written."""
    assert common_family(source, destination) is family
    header = describe(Endpoint(source, 1), Endpoint(destination, 2))
    if family is Family.UNSPEC:
        assert header == UNKNOWN
    else:
        assert (header.family, header.transport, header.source.host) == (family, Transport.STREAM, source)


def test_what_else_is_said_stays():
    """TLVs are kept even where the addresses cannot be told."""
    tlvs = (Tlv(5, b"id"),)
    assert describe(Endpoint("-", 0), Endpoint("-", 0), tlvs) == ProxyHeader(tlvs=tlvs)


def test_the_words_of_a_proxy_about_itself():
    """LOCAL and UNKNOWN name nobody."""
    assert (LOCAL.command, LOCAL.source, UNKNOWN.command, UNKNOWN.source) == (Command.LOCAL, None, Command.PROXY, None)


def test_one_client_is_one_text():
    """An IPv4-mapped address is its IPv4, and sixteen zeros are an address here."""
    assert unpack_inet6(bytes(10) + b"\xff\xff\xc0\0\x02\x01") == "192.0.2.1"
    assert unpack_inet6(bytes(16)) == "::"
