"""PROXY headers in front of what clients say: taken exactly, believed from trusted peers only."""

import contextlib
import socket

import pytest
from msgspec.structs import replace

from penstock.base.addresses import unpack_ip
from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Reason
from penstock.config.limit_plan import LimitsPlan
from penstock.config.plan import MatchPlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import TlsPlan
from penstock.dataplane import preface
from penstock.metrics import ledger
from penstock.testing.certificates import Authority
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.tap import tapping
from penstock.testing.workbench import bench, listener, quick, wait_for

from .test_reloading import told
from .test_tls import unix_door

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes((203, 0, 113, 9, 192, 0, 2, 1)) + b"\x13\x88\x01\xbb"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Where a header may come it is waited for as long as a test wants: a busy machine is late with it."""
    monkeypatch.setattr(preface, "PROXY_OPTIONAL_WAIT_NS", 60 * NS)


def client_of(plane, place=0):
    """Return the client of a row as the sampler sees it."""
    base = ledger.HEADER_WORDS + place * ledger.ROW_WORDS
    words = plane.words
    packed = b"".join(int(words[base + word]).to_bytes(8, "little") for word in (ledger.IP_HIGH, ledger.IP_LOW))
    return unpack_ip(packed), words[base + ledger.PORT]


def plane_of(target, mode="required", trusted=LOOPBACK, **more):
    """Return a bench with a listener that expects headers."""
    return bench(listener("main", "tcp", target.port, accept_proxy=mode, trusted_proxies=trusted), **more)


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("mode", ["required", "optional"])
@pytest.mark.parametrize("split", [None, 1, 10])
def test_header_names_the_client_and_is_not_counted(header, mode, split):
    """In any split the header is taken, its client stands in the row, and only what follows is counted."""
    with serving(echo) as target, plane_of(target, mode) as plane, plane.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = header + b"hello"
        for start in range(0, len(said), split or len(said)):
            client.sendall(said[start : start + (split or len(said))])
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"hello"
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx, row.outcome) == (5, 5, COMPLETE)
        assert client_of(plane) == ("203.0.113.9", 5_000)
        assert plane.words[ledger.H_PROXY_HEADERS] == 1


@pytest.mark.parametrize("mode", ["required", "optional"])
def test_clients_of_a_unix_socket_are_believed(tmp_path, mode):
    """Who may open the socket's file speaks for others; who is named is the client, and has a client's limits."""
    limits = LimitsPlan(connections_per_ip=1, exempt=())
    with serving(echo) as target, plane_of(target, limits=limits) as plane:
        plan = listener("unix", "tcp", target.port, id=9, accept_proxy=mode)
        with unix_door(plane, str(tmp_path / "door"), plan) as connect, connect() as client, connect() as second:
            client.sendall(V1 + b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
            assert client_of(plane) == ("203.0.113.9", 5_000)
            second.sendall(V1)
            assert second.recv(1) == b""
            assert plane.ended()[0].outcome.reason == Reason.IP_LIMIT


def test_a_proxy_on_a_unix_socket_has_its_own_word(tmp_path):
    """What a client of a Unix socket says of whom it has forwarded goes on, where it says no header."""
    heard = []

    def answer(message, wire):
        heard.append(message.fields.get("x-forwarded-for"))
        return ok()

    with origin(answer) as target, plane_of(target) as plane:
        plan = listener("unix", "http", target.port, id=9, reverse=True, accept_proxy="optional")
        with unix_door(plane, str(tmp_path / "door"), plan) as connect:
            for before in (b"", LOCAL, V1):
                with connect() as client:
                    client.sendall(before + request("GET", "http://x/", None, "X-Forwarded-For: 9.9.9.9"))
                    assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    assert heard == ["9.9.9.9", "9.9.9.9", "203.0.113.9"]


def test_local_and_unknown_leave_the_peer():
    """LOCAL and UNKNOWN name nobody: the socket's own address counts."""
    with serving(echo) as target, plane_of(target) as plane:
        for place, header in enumerate((LOCAL, b"PROXY UNKNOWN\r\n")):
            with plane.connect() as client:
                port = client.getsockname()[1]
                client.sendall(header + b"x")
                assert client.recv(1) == b"x"
                assert client_of(plane, place) == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("mode", "trusted", "said"),
    [
        ("required", LOOPBACK, b"GET / HTTP/1.1\r\n\r\n"), ("required", LOOPBACK, b"PROXY TCP4 nonsense\r\n"),
        ("required", ("192.0.2.0/24",), V1), ("optional", ("192.0.2.0/24",), V2), ("optional", ("192.0.2.0/24",), V1),
    ],
)  # fmt: skip
def test_what_is_refused(mode, trusted, said):
    """No header where one must be, a malformed one, and any of an untrusted peer: closed, and counted as the reason."""
    with serving(echo) as target, plane_of(target, mode, trusted) as plane:
        with plane.connect() as client:
            client.sendall(said)
            with contextlib.suppress(ConnectionError):  # its bytes were never read
                read_all(client)
        outcome = plane.ended()[0].outcome
        assert (outcome.ended_by, outcome.reason) == (EndedBy.PROXY, Reason.PROXY_HEADER)
        assert target.clients == 0


def test_optional_goes_on_without():
    """Where a header may come, other first bytes, and silence before a target that speaks first, are served."""
    with serving(echo) as target, plane_of(target, "optional") as plane, plane.connect() as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"hello"
    with serving(saying(b"220 ready\r\n")) as target, plane_of(target, "optional") as plane, plane.connect() as client:
        wait_for(plane.connections)
        plane.later(61)
        assert client.recv(100) == b"220 ready\r\n"


def test_incomplete_headers_meet_the_deadline():
    """Half a header ends at the handshake's deadline, or with the client."""
    with serving(echo) as target, plane_of(target, timeouts=quick(handshake=60)) as plane:
        with plane.connect() as client:
            client.sendall(V2[:14])
            plane.await_read(client)
            plane.later(61)
            with contextlib.suppress(ConnectionError):
                assert read_all(client) == b""
        with plane.connect() as client:
            client.sendall(V1[:9])
        found = {row.outcome.ended_by for row in plane.ended(2)}
        assert found == {EndedBy.CLIENT_TIMEOUT, EndedBy.CLIENT}


def test_header_before_tls_and_routes_by_the_real_client(tmp_path):
    """The header stands before the client's hello; the client that it names decides the route."""
    authority = Authority(tmp_path)
    tls = TlsPlan(certificates=(authority.issue("localhost"),))
    with serving(echo) as target, serving(saying(b"for you")) as other:
        special = RoutePlan(
            id=2, name="special", match=MatchPlan(clients=("203.0.113.0/24",)),
            targets=(TargetPlan(id=2, host="127.0.0.1", port=other.port),),
        )  # fmt: skip
        front = listener("main", "tcp", target.port, tls=tls, accept_proxy="required", trusted_proxies=LOOPBACK)
        with bench(front, routes=(special,)) as plane, plane.connect() as raw:
            raw.sendall(V1)
            with authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
                assert client.recv(100) == b"for you"


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
@pytest.mark.parametrize("header", [V1, V2])
def test_header_before_tls_is_not_counted(tmp_path, protocol, header):
    """The header is the proxy's and not the client's, whether TLS follows it or not."""
    authority = Authority(tmp_path)
    tls = TlsPlan(certificates=(authority.issue("localhost"),))
    expecting = {"accept_proxy": "required", "trusted_proxies": LOOPBACK, "tls": tls}
    with (
        serving(echo) as target,
        bench(listener("main", protocol, target.port, **expecting)) as plane,
        tapping("127.0.0.1", plane.ports["main"]) as tap,
        socket.create_connection(("127.0.0.1", tap.port), timeout=5) as raw,
    ):
        raw.sendall(header)
        with authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        row = plane.ended()[0]
        wait_for(lambda: tap.total("up") == row.client_rx + len(header), f"what {row} says")


@pytest.mark.parametrize("mode", ["required", "optional"])
def test_a_client_in_a_header_is_not_believed_on_whom_it_speaks_for(mode):
    """The proxy that says who the client is passes the client's own bytes on: X-Forwarded-For in them is its word."""
    heard = []

    def answer(message, wire):
        heard.append(message.fields["x-forwarded-for"])
        return ok()

    asked = request("GET", "http://a.example/", None, "X-Forwarded-For: 6.6.6.6")
    with origin(answer) as target:
        web = listener("main", "http", target.port, reverse=True, accept_proxy=mode, trusted_proxies=LOOPBACK)
        with bench(web) as plane:
            for header in (V1, b"PROXY UNKNOWN\r\n"):
                with Wire(plane.connect()) as wire:
                    wire.send(header + asked)
                    wire.read_message()
    assert heard == ["203.0.113.9", "6.6.6.6, 127.0.0.1"]


def test_a_peer_that_is_no_proxy_is_limited_from_its_first_moment():
    """Who may not speak for others is a client itself: it cannot hold more than its share by saying nothing."""
    limits = LimitsPlan(connections_per_ip=1)
    with (
        serving(echo) as target,
        plane_of(target, "optional", ("192.0.2.0/24",), limits=limits) as plane,
        plane.connect() as first,
    ):
        wait_for(plane.connections, "the first")
        with plane.connect() as second:
            assert read_all(second) == b""
        assert plane.ended()[0].outcome.reason == Reason.IP_LIMIT
        first.close()
        plane.ended(2)
        with plane.connect():
            wait_for(plane.connections, "one in its place")


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("split", [1, 13])
def test_tls_that_is_switched_on_within_a_header(tmp_path, header, split):
    """Who came in the clear and has said half a header is told the rest apart from its hello."""
    authority = Authority(tmp_path)
    tls = TlsPlan(certificates=(authority.issue("localhost"),))
    with serving(echo) as target, plane_of(target) as plane, plane.connect() as raw:
        raw.sendall(header[:split])
        (found,) = wait_for(plane.connections, "the connection")
        wait_for(lambda: found.extra._got == header[:split], "the half of it")
        plan = plane.worker.plan
        secure = replace(plan.listeners[0], tls=tls)
        assert not told(plane, replace(plan, listeners=(secure,)), 1).error
        raw.sendall(header[split:])
        with authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert client_of(plane) == ("203.0.113.9", 5_000)


@pytest.mark.parametrize("size", [1, 4_096 - len(V2), 4_097 - len(V2), 100_000])
def test_what_comes_with_the_header_goes_on_whole(size):
    """However much follows a header at once, all of it reaches the target, and is counted."""
    said = bytes(range(256)) * (size // 256 + 1)
    with serving(echo) as target, plane_of(target) as plane:
        spoken = []
        plane.worker.reactor.post(lambda: wait_for(lambda: spoken))
        with plane.connect() as client:
            client.sendall(V2 + said[:size])
            client.shutdown(socket.SHUT_WR)
            spoken.append(True)
            assert read_all(client) == said[:size]
        assert plane.ended()[0].client_rx == size


def test_a_header_that_is_waited_for_is_believed_after_a_reload_without_any():
    """Who came while headers were read is served by what it came to."""
    with serving(echo) as target, plane_of(target) as plane, plane.connect() as client:
        wait_for(plane.connections, "the connection")
        plan = plane.worker.plan
        off = replace(plan.listeners[0], accept_proxy="off", trusted_proxies=())
        assert not told(plane, replace(plan, listeners=(off,)), 1).error
        client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\r\nx")
        assert client.recv(1) == b"x"
