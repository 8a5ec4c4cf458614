"""Addresses are read in every form that operators write, and anything else is refused with a hint."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.addresses import Endpoint, is_ip, is_loopback, pack_ip, parse_listen, parse_target, unmap, unpack_ip
from penstock.base.errors import AddressError


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (":8080", Endpoint("::", 8080)),
        ("8080", Endpoint("::", 8080)),
        ("0", Endpoint("::", 0)),
        ("127.0.0.1:8080", Endpoint("127.0.0.1", 8080)),
        ("localhost:8080", Endpoint("127.0.0.1", 8080)),
        ("0.0.0.0:80", Endpoint("0.0.0.0", 80)),
        ("[::1]:8080", Endpoint("::1", 8080)),
        ("[::]:65535", Endpoint("::", 65535)),
        ("unix:/run/penstock/tcp.sock", Endpoint("unix:/run/penstock/tcp.sock", 0)),
    ],
)
def test_listen_forms(text, endpoint):
    """Every short form of a listen address means the endpoint that its reader expects."""
    assert parse_listen(text) == endpoint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "a port is missing"),
        ("127.0.0.1", "a port is missing"),
        ("::1:8080", "needs brackets"),
        ("[127.0.0.1]:80", "no IPv6 address"),
        ("[::1:80", "needs brackets"),
        ("example.com:80", "needs an IP address"),
        ("127.0.0.1:65536", "no port from 0 to 65535"),
        ("127.0.0.1:-1", "no port from 0 to 65535"),
        ("127.0.0.1:٣", "no port from 0 to 65535"),
        ("127.0.0.1:", "no port from 0 to 65535"),
        ("unix:relative", "absolute path"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
    ],
)
def test_listen_mistakes(text, hint):
    """A text that is no listen address is refused, quoted, with what would be one."""
    with pytest.raises(AddressError, match=hint) as caught:
        parse_listen(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("example.com:80", Endpoint("example.com", 80)),
        ("10.0.0.5:8080", Endpoint("10.0.0.5", 8080)),
        ("[::1]:80", Endpoint("::1", 80)),
    ],
)
def test_target_forms(text, endpoint):
    """A target is a name or an address with its port."""
    assert parse_target(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        ":80",
        "example.com:0",
        "http://example.com:80",
        "a b:80",
        "user@host:80",
        "x" * 254 + ":80",
        "a\0b:1",
    ],
)
def test_target_mistakes(text):
    """A target without host or port, or with what belongs to a URL, is refused."""
    with pytest.raises(AddressError):
        parse_target(text)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_an_address_error(text):
    """Whatever an operator types, the answer is an endpoint or the one documented error."""
    for parse in (parse_listen, parse_target):
        try:
            assert 0 <= parse(text).port <= 65535
        except AddressError:
            pass


@given(st.ip_addresses() | st.just(ipaddress.ip_address("::")), st.integers(0, 65535))
def test_an_endpoint_reads_back(address, port):
    """What an endpoint prints is parsed as the same endpoint."""
    endpoint = Endpoint(str(address), port)
    assert parse_listen(str(endpoint)) == endpoint


def test_a_unix_endpoint_prints_its_path():
    """A Unix socket has no port to print."""
    assert str(Endpoint("unix:/tmp/a.sock", 0)) == "unix:/tmp/a.sock"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("localhost", True),
        ("unix:/tmp/a.sock", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.com", False),
    ],
)  # fmt: skip
def test_loopback(host, expected):
    """Loopback is what no other machine reaches; the wildcard addresses are not."""
    assert is_loopback(host) is expected


@given(st.ip_addresses(v=4))
def test_a_mapped_client_is_its_ipv4(address):
    """An IPv4 client has one text and sixteen bytes, whichever listener it came through."""
    mapped = f"::ffff:{address}"
    assert unmap(mapped) == str(address)
    assert unpack_ip(pack_ip(str(address))) == str(address)
    assert pack_ip(str(address)) == ipaddress.ip_address(mapped).packed


@given(st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None and int(a)))
def test_packing_keeps_ipv6(address):
    """Sixteen bytes hold any IPv6 address and give it back."""
    assert pack_ip(str(address)) == address.packed
    assert ipaddress.ip_address(unpack_ip(pack_ip(str(address)))) == address


@pytest.mark.parametrize("host", ["-", "", "example.com", "unix:/tmp/a.sock", "::zz"])
def test_what_has_no_address_packs_to_zeros(host):
    """A client without an IP address is sixteen zeros, which print as a dash."""
    assert pack_ip(host) == bytes(16)
    assert unpack_ip(bytes(16)) == "-"


def test_a_zone_is_not_packed():
    """The interface of a link-local client is not part of its sixteen bytes."""
    assert pack_ip("fe80::1%eth0") == pack_ip("fe80::1")


def test_is_ip():
    """Only literal addresses are addresses."""
    assert [host for host in ("1.2.3.4", "::1", "1.2.3", "localhost", "") if is_ip(host)] == ["1.2.3.4", "::1"]
