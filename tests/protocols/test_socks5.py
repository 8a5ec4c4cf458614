"""SOCKS5 on the wire, with python-socks as the other end's view."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_socks._protocols import socks5 as oracle

from penstock.base.errors import RemoteError
from penstock.protocols import socks5

PORTS = st.integers(0, 65_535)
IPS = st.ip_addresses().filter(lambda ip: ip.version == 4 or ip.ipv4_mapped is None)


def parse_request(data):
    """Take a whole request apart as the conversation does."""
    command, kind, size = socks5.parse_request_head(data[: socks5.REQUEST_HEAD])
    assert len(data) == socks5.REQUEST_HEAD + size
    return command, *socks5.parse_address(kind, data[4:])


@given(IPS.map(str), PORTS)
def test_requests_of_another_implementation_are_read(host, port):
    """Every address and port that python-socks writes is read as the same."""
    command, read, read_port = parse_request(oracle.ConnectRequest(host, port).dumps())
    assert (command, ipaddress.ip_address(read), read_port) == (socks5.CONNECT, ipaddress.ip_address(host), port)


def test_names_of_another_implementation_are_read():
    """A name travels as its length and its A-labels."""
    assert parse_request(oracle.ConnectRequest("bücher.example", 443).dumps()) == (1, "xn--bcher-kva.example", 443)


@given(IPS.map(str), PORTS)
def test_replies_are_read_by_another_implementation(host, port):
    """python-socks reads the bound address and port of our success."""
    reply = oracle.ConnectReply.loads(socks5.serialize_reply(socks5.SUCCEEDED, host, port))
    assert (ipaddress.ip_address(reply.bound_host), reply.bound_port) == (ipaddress.ip_address(host), port)


@pytest.mark.parametrize("code", range(1, 9))
def test_failures_are_read_by_another_implementation(code):
    """Each failure is understood as its code."""
    with pytest.raises(oracle.ReplyError) as caught:
        oracle.ConnectReply.loads(socks5.serialize_reply(code))
    assert caught.value.error_code == code


def test_greeting_and_login_of_another_implementation():
    """The methods, the login and both answers are each other's mirror."""
    connection = oracle.Connection()
    greeting = connection.send(oracle.AuthMethodsRequest("ann", "secret"))
    assert greeting[2:] == b"\0\x02"
    assert socks5.parse_greeting_head(greeting[:2]) == 2
    connection.receive(socks5.serialize_method(socks5.PASSWORD))
    login = connection.send(oracle.AuthRequest("ann", "secret"))
    assert socks5.parse_login_head(login[:2]) == 3
    connection.receive(socks5.serialize_login_reply(True))
    with pytest.raises(oracle.ReplyError):
        oracle.AuthReply.loads(socks5.serialize_login_reply(False))


def test_bytes_are_those_of_the_rfc():
    """Replies and answers, byte by byte as RFC 1928 and RFC 1929 print them."""
    assert socks5.serialize_method(socks5.NOT_ACCEPTABLE) == b"\x05\xff"
    assert socks5.serialize_login_reply(True) == b"\x01\x00"
    assert socks5.serialize_reply(0, "192.0.2.1", 80) == b"\x05\0\0\x01\xc0\0\x02\x01\0\x50"
    assert socks5.serialize_reply(0, "2001:db8::1", 80) == b"\x05\0\0\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\0\x50"
    assert socks5.serialize_reply(0, "unix:/x", 0) == b"\x05\0\0\x01" + bytes(6)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (socks5.IPV4, bytes(6), ("0.0.0.0", 0)),
        (socks5.IPV6, bytes(16) + b"\x1f\x90", ("::", 8080)),
        (socks5.IPV6, bytes(10) + b"\xff\xff\x7f\0\0\x01\0\x16", ("127.0.0.1", 22)),
        (socks5.DOMAIN, b"\x09localhost\0\x50", ("localhost", 80)),
        (socks5.DOMAIN, b"\x09127.0.0.1\0\x50", ("127.0.0.1", 80)),
    ],
)
def test_addresses(kind, data, expected):
    """The wildcard of each family, an IPv4-mapped address folded to its IPv4, names, and addresses sent as names."""
    assert socks5.parse_address(kind, data) == expected


@pytest.mark.parametrize(
    ("parse", "data", "complaint"),
    [
        (socks5.parse_greeting_head, b"GE", "first byte is 0x47"),
        (socks5.parse_greeting_head, b"\x05\0", "no method"),
        (socks5.parse_login_head, b"\x05\x03", "version is 5"),
        (socks5.parse_request_head, b"\x04\x01\0\x01\0", "version is 4"),
        (socks5.parse_request_head, b"\x05\x01\x07\x01\0", "reserved byte is 0x07"),
        (socks5.parse_request_head, b"\x05\x01\0\x02\0", "address type is 0x02"),
        (socks5.parse_datagram_head, b"\0\0\0\x01", "cut short"),
        (socks5.parse_datagram_head, b"\0\x01\0\x01" + bytes(6), "reserved"),
        (socks5.parse_datagram_head, b"\0\0\x01\x01" + bytes(6), "fragment"),
        (socks5.parse_datagram_head, b"\0\0\x80\x01" + bytes(6), "fragment"),
        (socks5.parse_datagram_head, b"\0\0\0\x01\x7f\0\0\x01\0", "cut short"),
        (socks5.parse_datagram_head, b"\0\0\0\x01\x7f\0\0\x01\0\0", "port is 0"),
        (socks5.parse_datagram_head, b"\0\0\0\x09\x7f\0\0\x01\0\x35", "address type is 0x09"),
        (socks5.parse_datagram_head, b"\0\0\0\x03\0\0\x35", "empty"),
    ],
)
def test_every_wrong_byte_has_its_line(parse, data, complaint):
    """What breaks the protocol is a RemoteError whose one line says what."""
    with pytest.raises(RemoteError, match=complaint) as caught:
        parse(data)
    assert "\n" not in str(caught.value)


@given(IPS.map(str), st.integers(1, 65_535), st.binary(max_size=64))
def test_datagram_heads_come_back(host, port, payload):
    """What is written before a payload is read as the same address, and the payload begins behind it."""
    datagram = socks5.serialize_datagram_head(host, port) + payload
    read, read_port, start = socks5.parse_datagram_head(memoryview(datagram))
    assert (ipaddress.ip_address(read), read_port) == (ipaddress.ip_address(host), port)
    assert datagram[start:] == payload


@given(st.binary(max_size=300) | st.binary(max_size=300).map(b"\0\0\0\x03".__add__))
def test_any_datagram_gives_an_address_or_a_remote_error(datagram):
    """No byte sequence brings anything but an address inside the datagram or a RemoteError."""
    try:
        host, port, start = socks5.parse_datagram_head(datagram)
    except RemoteError:
        return
    assert host
    assert 0 < port <= 65_535
    assert 0 < start <= len(datagram)


@given(st.integers(0, 255), st.binary(max_size=300))
def test_any_address_gives_host_and_port_or_a_remote_error(kind, data):
    """The same for the address of a request."""
    try:
        host, port = socks5.parse_address(kind, data)
    except RemoteError:
        return
    assert host
    assert 0 <= port <= 65_535


@given(st.binary(min_size=5, max_size=5))
def test_any_heads_give_lengths_or_a_remote_error(head):
    """A head never asks for more than a name of 255 bytes and a port."""
    for parse, size in ((socks5.parse_greeting_head, 2), (socks5.parse_login_head, 2), (socks5.parse_request_head, 5)):
        try:
            answer = parse(head[:size])
        except RemoteError:
            continue
        assert 0 <= (answer[2] if isinstance(answer, tuple) else answer) <= 257
