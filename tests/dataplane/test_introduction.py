"""PROXY headers that targets get; the targets are our own listeners, which read them."""

import socket
import ssl
import struct

import pytest

from penstock.base.addresses import Endpoint
from penstock.base.outcomes import COMPLETE, EndedBy
from penstock.config.plan import RoutePlan, TargetPlan
from penstock.config.tls_plan import CertificatePlan, TlsPlan
from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.header import describe
from penstock.protocols.proxy_header.parse import parse
from penstock.protocols.proxy_header.tls import OVER_TLS, TlsInfo, parse_tls, serialize_tls
from penstock.protocols.proxy_header.v2 import serialize_v2
from penstock.testing.certificates import Authority
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener, wait_for

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


def pieces(sock):
    """Return in how many segments the bytes came that a socket has received: `tcpi_data_segs_in`."""
    return struct.unpack_from("=I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216), 152)[0]


def test_header_and_first_words_are_one_piece():
    """What a client has said when the target's connection stands goes out with the header: one send, one wake-up."""
    heard: list[int] = []

    def listen(sock):
        assert sock.recv(len(V2) + 5, socket.MSG_WAITALL).endswith(b"hello")
        heard.append(pieces(sock))
        sock.sendall(b"heard")

    with serving(listen) as target, bench(front(target.port, "v2")) as plane:
        spoken = []
        plane.worker.reactor.post(lambda: wait_for(lambda: spoken))
        with plane.connect() as client:
            client.sendall(b"hello")
            spoken.append(True)
            assert read_all(client) == b"heard"
        row = plane.ended()[0]
    assert heard == [1]
    assert (row.client_rx, row.target_tx, row.target_rx, row.client_tx) == (5, len(V2) + 5, 5, 5)


def test_a_listener_of_all_addresses_tells_which_one_it_was():
    """Where clients can come to many addresses, the header names the one that this client came to."""
    heard: list[bytes] = []
    with serving(lambda sock: heard.append(sock.recv(1_000))) as target, bench(front(target.port, "v2")) as plane:
        plane.worker.listeners[0].address = None  # as of a socket on 0.0.0.0
        with plane.connect() as client:
            came_to = client.getpeername()
            assert read_all(client) == b""
    assert parse(heard[0]).header.destination == came_to


def test_a_target_that_speaks_first_gets_the_header_first():
    """The header waits for no word of the client."""

    def speak(sock):
        assert sock.recv(len(V2), socket.MSG_WAITALL).startswith(V2[:12])
        sock.sendall(b"220 ready")

    with serving(speak) as target, bench(front(target.port, "v2")) as plane, plane.connect() as client:
        assert client.recv(9, socket.MSG_WAITALL) == b"220 ready"


@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_left_before_the_header(reset):
    """A reset ends the connection, and an end of file goes on behind the header."""
    heard: list[bytes] = []
    with serving(lambda sock: heard.append(read_all(sock))) as target, bench(front(target.port, "v2")) as plane:
        gone = []
        plane.worker.reactor.post(lambda: wait_for(lambda: gone))
        with plane.connect() as client:
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.append(True)
        outcome = plane.ended()[0].outcome
        wait_for(lambda: heard)
    assert outcome.ended_by == (EndedBy.CLIENT if reset else COMPLETE.ended_by)
    assert [len(each) for each in heard] == [0 if reset else len(V2)]


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


def told_of(authority, plan, own=None, version=ssl.TLSVersion.TLSv1_3, times=1, before=b""):
    """Return the TLVs that a target hears of clients that come through TLS, one after the other in one session."""
    heard: list[bytes] = []

    def listen(sock):
        heard.append(sock.recv(4_000))
        sock.sendall(b"x")

    context, session, more = authority.client_context(own), None, {}
    context.minimum_version = context.maximum_version = version
    if before:
        more = {"accept_proxy": "required", "trusted_proxies": LOOPBACK}
    with serving(listen) as target, bench(front(target.port, "v2", tls=plan, **more)) as plane:
        for _ in range(times):
            with plane.connect() as raw:
                raw.sendall(before)
                with context.wrap_socket(raw, server_hostname="localhost", session=session) as client:
                    assert client.recv(1) == b"x"
                    session = client.session
    return [parse(each).header.tlvs for each in heard]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_that_ends_here_is_described(tmp_path, version):
    """The target learns version and cipher, and that nobody has shown a certificate (section 2.2.6)."""
    authority = Authority(tmp_path)
    (told,) = told_of(authority, TlsPlan(certificates=(authority.issue("localhost"),)), version=version)
    info = parse_tls(tlv.find(told, tlv.SSL))
    assert (info.client, info.common_name) == (OVER_TLS, None)
    assert info.verify != 0
    assert info.version == {772: "TLSv1.3", 771: "TLSv1.2"}[version]
    assert "GCM" in info.cipher or "CHACHA20" in info.cipher


def test_who_shows_a_certificate_is_named(tmp_path):
    """The target learns the name in a client's verified certificate, and whether it was shown on this connection."""
    authority = Authority(tmp_path)
    own = named(authority, tmp_path, "ann's laptop")
    plan = TlsPlan(
        certificates=(authority.issue("localhost"),), client_certificates="optional", client_ca=authority.file
    )
    first, second = (parse_tls(tlv.find(each, tlv.SSL)) for each in told_of(authority, plan, own, times=2))
    assert (first.client, first.verify, first.common_name) == (7, 0, "ann's laptop")
    assert (second.client, second.verify, second.common_name) == (5, 0, "ann's laptop")


def named(authority, folder, name):
    """Return a client's certificate with a CN."""
    issued = authority._ca.issue_cert("client.example", common_name=name)
    cert, key = folder / "own.pem", folder / "own.key"
    cert.write_bytes(issued.cert_chain_pems[0].bytes())
    issued.private_key_pem.write_to_path(key)
    return CertificatePlan(cert=str(cert), key=str(key))


def test_tls_of_the_one_before_us_is_not_that_of_the_client(tmp_path):
    """Where TLS ends here, what the header before it says of another TLS is not passed on; everything else is."""
    authority = Authority(tmp_path)
    before = describe(
        Endpoint("203.0.113.9", 5_000),
        Endpoint("192.0.2.1", 443),
        (tlv.Tlv(tlv.SSL, serialize_tls(TlsInfo(7, 0, "TLSv1.3", "root"))), tlv.Tlv(tlv.UNIQUE_ID, b"abc")),
    )
    plan = TlsPlan(certificates=(authority.issue("localhost"),))
    (told,) = told_of(authority, plan, before=serialize_v2(before))
    assert [each.kind for each in told].count(tlv.SSL) == 1
    assert parse_tls(tlv.find(told, tlv.SSL)).common_name is None
    assert tlv.find(told, tlv.UNIQUE_ID) == b"abc"


def test_a_target_may_want_another_header_than_its_route(closed_port):
    """What a target says counts before what its route says, also after another target could not be reached."""
    heard: list[bytes] = []

    def listen(sock):
        said = b""
        while not said.endswith(b"hello"):
            said += sock.recv(4_000)
        heard.append(said)

    with serving(listen) as first, serving(listen) as second, serving(listen) as third:
        targets = (
            TargetPlan(id=1, host="127.0.0.1", port=first.port),
            TargetPlan(id=2, host="127.0.0.1", port=closed_port, send_proxy="v2"),
            TargetPlan(id=3, host="127.0.0.1", port=second.port, send_proxy="off"),
            TargetPlan(id=4, host="127.0.0.1", port=third.port, send_proxy="v2"),
        )
        route = RoutePlan(id=1, name="default", targets=targets, send_proxy="v1")
        with bench(listener("main", "tcp", route=route)) as plane:
            for _ in range(4):
                with plane.connect() as client:
                    client.sendall(b"hello")
                    assert read_all(client) == b""
    assert sorted({each[:5] for each in heard}) == [b"\r\n\r\n\x00", b"PROXY", b"hello"]
    assert {each[-5:] for each in heard} == {b"hello"}
