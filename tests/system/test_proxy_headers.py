"""PROXY headers on real wires: HAProxy as sender and as receiver, curl as sender."""

import contextlib
import os
import shutil
import socket
import subprocess

import pytest

from penstock.base.addresses import Endpoint
from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.header import Family, ProxyHeader, Transport, describe
from penstock.protocols.proxy_header.parse import parse
from penstock.protocols.proxy_header.tlv import Tlv
from penstock.protocols.proxy_header.v1 import serialize_v1
from penstock.protocols.proxy_header.v2 import serialize_v2

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that anything may take; it takes milliseconds."""

HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

CONFIGURATION = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind fd@{front} {accept}
    unique-id-format %ci-%cp
    default_backend back
backend back
    server target 127.0.0.1:{port} {send}
"""


@contextlib.contextmanager
def haproxy(tmp_path, accept, send):
    """A HAProxy between a door that it got from us and a socket where we catch what it sends; yields both."""
    with socket.create_server(("127.0.0.1", 0)) as front, socket.create_server(("127.0.0.1", 0)) as back:
        back.settimeout(SECONDS)
        file = tmp_path / "haproxy.cfg"
        file.write_text(
            CONFIGURATION.format(front=front.fileno(), port=back.getsockname()[1], accept=accept, send=send)
        )
        with subprocess.Popen(
            [HAPROXY, "-db", "-f", str(file)],
            pass_fds=[front.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield front.getsockname(), back
            finally:
                process.kill()


def caught(listening):
    """The header that the next connection begins with, and its bytes, read as the parser wishes for them."""
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(SECONDS)
        data = b""
        while isinstance(answer := parse(data), int):
            piece = connection.recv(answer - len(data))
            assert piece, "the sender closed before its header was whole"
            data += piece
        assert answer.size == len(data)
        return answer.header, data


@needs_haproxy
@pytest.mark.parametrize(
    ("send", "kinds"),
    [
        ("send-proxy", []),
        ("send-proxy-v2", []),
        ("send-proxy-v2 proxy-v2-options crc32c", [tlv.CRC32C]),
        ("send-proxy-v2 proxy-v2-options unique-id,crc32c", [tlv.CRC32C, tlv.UNIQUE_ID]),
    ],
)
def test_haproxy_sends(tmp_path, send, kinds):
    """Both versions, with a unique id, and with a checksum that HAProxy computed and we verify."""
    with haproxy(tmp_path, "", send) as (front, back), socket.create_connection(front) as client:
        client.sendall(b"hello")
        header, data = caught(back)
        near, far = client.getsockname(), client.getpeername()
    assert (header.family, header.transport) == (Family.INET, Transport.STREAM)
    assert (header.source, header.destination) == (near, far)
    if kinds:
        sent = tlv.split_tlvs(data, 28, len(data))
        assert sorted(each.kind for each in sent) == kinds
        assert header.tlvs == tuple(each for each in sent if each.kind != tlv.CRC32C)
    if tlv.UNIQUE_ID in kinds:
        assert tlv.find(header.tlvs, tlv.UNIQUE_ID) == f"{near[0]}-{near[1]}".encode()


CLIENT4 = describe(Endpoint("192.0.2.1", 5_000), Endpoint("192.0.2.2", 443))
CLIENT6 = describe(Endpoint("2001:db8::1", 5_000), Endpoint("2001:db8::2", 443))
MIXED = describe(Endpoint("192.0.2.1", 5_000), Endpoint("2001:db8::2", 443))
RICH = ProxyHeader(
    family=Family.INET,
    transport=Transport.STREAM,
    source=CLIENT4.source,
    destination=CLIENT4.destination,
    tlvs=(Tlv(tlv.UNIQUE_ID, b"an-id"), Tlv(tlv.AUTHORITY, b"example.org"), Tlv(0xE7, b"whatever")),
)


@needs_haproxy
@pytest.mark.parametrize(
    ("header", "data"),
    [
        (CLIENT4, serialize_v1(CLIENT4)),
        (CLIENT6, serialize_v1(CLIENT6)),
        (MIXED, serialize_v1(MIXED)),
        (CLIENT4, serialize_v2(CLIENT4)),
        (CLIENT6, serialize_v2(CLIENT6, checksum=True)),
        (MIXED, serialize_v2(MIXED)),
        (RICH, serialize_v2(RICH, checksum=True)),
    ],
)
def test_haproxy_receives(tmp_path, header, data):
    """What we write HAProxy reads, checksum included, and tells its own target."""
    with haproxy(tmp_path, "accept-proxy", "send-proxy-v2") as (front, back), socket.create_connection(front) as client:
        client.sendall(data + b"hello")
        heard, _ = caught(back)
    assert (heard.source, heard.destination) == (header.source, header.destination)


@needs_haproxy
def test_haproxy_refuses_a_wrong_checksum_too(tmp_path):
    """The test above would fail if our checksum were not HAProxy's: with another one it closes."""
    data = serialize_v2(RICH, checksum=True)
    with haproxy(tmp_path, "accept-proxy", "send-proxy") as (front, _), socket.create_connection(front) as client:
        client.settimeout(SECONDS)
        client.sendall(data[:-1] + bytes((data[-1] ^ 1,)) + b"hello")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


@pytest.mark.needs("curl")
def test_curl_sends():
    """`--haproxy-protocol` writes a line of version 1 before its request."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        host, port = listening.getsockname()
        with subprocess.Popen(
            ["curl", "-s", "--haproxy-protocol", f"http://{host}:{port}/"], stdout=subprocess.DEVNULL
        ) as process:
            header, data = caught(listening)
            process.kill()
    assert data.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
    assert header.destination == (host, port)
