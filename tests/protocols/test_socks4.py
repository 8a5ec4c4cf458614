"""SOCKS4 and 4a on the wire, with python-socks as the other end's view."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_socks._protocols import socks4 as oracle

from penstock.base.errors import RemoteError
from penstock.protocols import socks4

IPV4 = st.ip_addresses(v=4)


@given(IPV4.filter(lambda ip: int(ip) > 255 or not int(ip)), st.integers(0, 65_535))
def test_requests_of_another_implementation_are_read(address, port):
    """Command, address and port are read as python-socks writes them."""
    data = oracle.ConnectRequest(str(address), port, "ann").dumps()
    assert socks4.parse_request_head(data[: socks4.REQUEST_HEAD]) == (socks4.CONNECT, str(address), port)
    assert data[socks4.REQUEST_HEAD :] == b"ann\0"


def test_a_name_is_announced_by_an_impossible_address():
    """SOCKS4a: 0.0.0.x with x not zero says that a name follows the user id."""
    data = oracle.ConnectRequest("example.org", 80, "").dumps()
    assert socks4.parse_request_head(data[: socks4.REQUEST_HEAD]) == (socks4.CONNECT, "", 80)
    assert socks4.parse_request_head(b"\x04\x02\0\0\0\0\0\0") == (socks4.BIND, "0.0.0.0", 0)


@given(IPV4, st.integers(0, 65_535))
def test_replies_are_read_by_another_implementation(address, port):
    """python-socks reads grant, address and port."""
    reply = oracle.ConnectReply.loads(socks4.serialize_reply(socks4.GRANTED, str(address), port))
    assert (ipaddress.ip_address(reply.host), reply.port) == (address, port)


def test_rejection_and_what_has_no_room():
    """A rejection is read as one; an IPv6 address does not fit and becomes 0.0.0.0."""
    with pytest.raises(oracle.ReplyError):
        oracle.ConnectReply.loads(socks4.serialize_reply(socks4.REJECTED))
    assert socks4.serialize_reply(socks4.GRANTED, "2001:db8::1", 80) == b"\0\x5a\0\x50\0\0\0\0"


@given(st.binary(min_size=8, max_size=8))
def test_any_head_gives_a_request_or_a_remote_error(head):
    """Another version is refused, and everything else is a request."""
    if head[0] == 4:
        assert len(socks4.parse_request_head(head)) == 3
    else:
        with pytest.raises(RemoteError, match="version"):
            socks4.parse_request_head(head)
