"""The SOCKS5 client says what RFC 1928 wants and reads what it allows."""

import socket

import pytest

from penstock.protocols import socks5
from penstock.testing import socks_peers
from penstock.testing.http_peers import Wire


@pytest.mark.parametrize(("host", "size"), [("192.0.2.7", 7), ("2001:db8::1", 19), ("example.com", 15)])
def test_an_address_is_read_back(host, size):
    """What the client writes is what the server's parser reads, for each kind of address."""
    raw = socks_peers.address(host, 443)
    assert len(raw) == size
    assert socks5.parse_address(raw[0], raw[1:]) == (host, 443)


def test_a_command_has_the_server_s_layout():
    """A request begins with version, command and a zero."""
    assert socks_peers.command(socks5.CONNECT, "192.0.2.7", 80)[:3] == b"\x05\x01\x00"


def test_a_reply_is_read_to_its_last_byte():
    """Code and address are told, and what follows the reply is left."""
    ours, theirs = socket.socketpair()
    with theirs, Wire(ours) as wire:
        theirs.sendall(socks5.serialize_reply(0, "192.0.2.7", 1_080) + b"rest")
        reply = socks_peers.read_reply(wire)
        assert tuple(reply) == (0, "192.0.2.7", 1_080)
        assert wire.read(4) == b"rest"


def test_a_datagram_carries_its_fragment_number():
    """Head and payload are told apart by the server; a fragment is what it refuses."""
    raw = socks_peers.datagram("192.0.2.7", 53, b"query")
    assert socks5.parse_datagram_head(raw) == ("192.0.2.7", 53, len(raw) - 5)
    assert socks_peers.datagram("192.0.2.7", 53, b"query", fragment=1)[2] == 1
