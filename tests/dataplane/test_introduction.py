"""PROXY headers that targets get; the targets are our own listeners, which read them."""

import socket

import pytest

from penstock.config.plan import RoutePlan, TargetPlan
from penstock.config.tls_plan import TlsPlan
from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.parse import parse
from penstock.testing.certificates import Authority
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener

from .test_preface import LOOPBACK, V2, client_of


def front(port, version, **more):
    """Return a listener whose route sends headers of this version."""
    target = TargetPlan(id=1, host="127.0.0.1", port=port)
    route = RoutePlan(id=1, name="default", targets=(target,), send_proxy=version)
    return listener("main", more.pop("protocol", "tcp"), route=route, **more)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_three_in_a_row_know_the_first_client(version):
    """A chain of three shows the first client's address and port at the last one, and counts the same bytes."""
    with serving(echo) as target:
        last = listener("main", "tcp", target.port, accept_proxy="required", trusted_proxies=LOOPBACK)
        with bench(last) as third:
            middle = front(third.ports["main"], version, accept_proxy="required", trusted_proxies=LOOPBACK)
            with (
                bench(middle) as second,
                bench(front(second.ports["main"], version)) as first,
                first.connect() as client,
            ):
                port = client.getsockname()[1]
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"hello"
                rows = [plane.ended()[0] for plane in (first, second, third)]
                assert [row.client_rx for row in rows] == [5, 5, 5]
                assert client_of(third) == ("127.0.0.1", port)


def test_a_stranger_of_the_middle_is_named_at_the_end():
    """What a trusted header said of its client is what the next target is told, destination and unknown TLVs too."""
    header = V2[:14] + b"\0\x13" + V2[16:] + b"\xee\0\x04over"
    heard: list[bytes] = []

    def listen(sock):
        heard.append(sock.recv(1_000))

    with serving(listen) as target:
        plan = front(target.port, "v2", accept_proxy="required", trusted_proxies=LOOPBACK)
        with bench(plan) as plane, plane.connect() as client:
            client.sendall(header)
            assert read_all(client) == b""
    told = parse(heard[0]).header
    assert (told.source.host, told.source.port) == ("203.0.113.9", 5_000)
    assert (told.destination.host, told.destination.port) == ("192.0.2.1", 443)
    assert tlv.find(told.tlvs, 0xEE) == b"over"


def test_what_tls_has_told_goes_on(tmp_path):
    """Where TLS is terminated here, the target learns the name that was asked for."""
    authority = Authority(tmp_path)
    heard: list[bytes] = []

    def listen(sock):
        heard.append(sock.recv(1_000))

    tls = TlsPlan(certificates=(authority.issue("localhost"),), alpn=("http/1.1",))
    with serving(listen) as target, bench(front(target.port, "v2", tls=tls)) as plane, plane.connect() as raw:
        context = authority.client_context()
        context.set_alpn_protocols(["http/1.1"])
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            assert client.recv(1) == b""
    told = parse(heard[0]).header
    assert tlv.authority(told.tlvs) == "localhost"
    assert tlv.find(told.tlvs, tlv.ALPN) == b"http/1.1"
