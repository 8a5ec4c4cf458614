"""TLS on the descriptor: exact bytes, wire counts, half-close, goodbyes."""

import contextlib
import fcntl
import random
import select
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.outcomes import COMPLETE, EndedBy
from penstock.config.plan import TargetPlan, WorkerPlan
from penstock.dataplane.equipment import prepare
from penstock.dataplane.listener import Listener
from penstock.dataplane.reactor import EDGE_BOTH, Reactor
from penstock.dataplane.tls import (
    OVERHEAD_1_2,
    OVERHEAD_1_3,
    OVERHEAD_SHORT,
    RECORD_BYTES,
    Detour,
    TlsSocket,
    overhead_1_2,
)
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.tls_peers import TlsClient
from penstock.testing.workbench import PATIENCE_S, Bench, bench, listener, wait_for

CLOSE_WAIT = 8
"""The FIN has come, and counts as a byte."""

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
SIZES = (0, 1, 17, 4_096, 16_383, 16_384, 16_385, 262_144, 262_145, 5_000_000)


@contextmanager
def shaken(plane: Bench, context: ssl.SSLContext, name: str = "localhost") -> Iterator[ssl.SSLSocket]:
    """Give a client's end that has shaken hands."""
    with plane.connect() as raw, context.wrap_socket(raw, server_hostname=name) as client:
        yield client


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_hello_in_pieces_is_answered_at_once(authority, plan, version, pieces):
    """However the hello comes (that of a browser fills two segments), the kernel keeps nothing of our answer back."""
    context = authority.client_context()
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    size = -(-len(hello) // pieces)
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as raw,
    ):
        for start in range(0, len(hello), size):
            raw.sendall(hello[start : start + size])
            plane.await_read(raw)
        incoming.write(raw.recv(RECORD_BYTES))
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        assert outgoing.pending  # all of the answer was there
        (connection,) = plane.connections()
        assert connection.client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) == 0


def echoed(client: ssl.SSLSocket, data: bytes) -> bytes:
    """Send everything and return as much; one thread, as OpenSSL's connections belong to one at a time."""
    client.setblocking(False)
    sent, got = 0, bytearray()
    while len(got) < len(data):
        moved = len(got)
        with contextlib.suppress(ssl.SSLWantReadError):
            got += client.recv(1 << 20)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent += client.send(data[sent : sent + 65_536]) if sent < len(data) else 0
        if len(got) == moved:
            select.select([client], [client] if sent < len(data) else [], [], PATIENCE_S)
    client.settimeout(PATIENCE_S)
    return bytes(got)


def wire(sock: socket.socket) -> tuple[int, int]:
    """Return what the client's own kernel has sent and received on this connection, payload bytes once each."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216)
    state, received, waiting, sent, again = struct.unpack("=B127xQ8xI52xQQ", info)
    return sent - again + waiting, received - (state == CLOSE_WAIT)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", SIZES)
def test_echo_is_exact_and_wire_bytes_are_counted(authority, plan, version, size):
    """Any number of bytes comes back unchanged, and the client's side counts what its own kernel counted."""
    data = random.Random(size).randbytes(size)
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with shaken(plane, context) as client:
            assert echoed(client, data) == data
            client.unwrap()
            row = plane.ended()[0]
            sent, received = wire(client)
        assert (row.target_tx, row.target_rx) == (size, size)
        assert (row.client_rx, row.client_tx) == (sent, received)
        assert row.outcome == COMPLETE


def test_open_connections_show_their_wire_bytes(authority, plan):
    """While the connection is open, the handshake and data with what its records add are counted."""
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        shaken(plane, authority.client_context()) as client,
    ):
        client.sendall(b"x" * 100_000)
        left = 100_000
        while left:
            left -= len(client.recv(left))
        row = wait_for(lambda: _equal(plane.rows()[0], wire(client)), "the last chunk to be counted")
        assert row.client_rx > 100_000 + 7 * OVERHEAD_1_3


def _equal(row, counted):
    return row if (row.client_rx, row.client_tx) == counted else None


def _visit(plane):
    """Let the worker look at its connections, as it does from time to time."""
    seen = threading.Event()
    plane.worker.reactor.post(lambda: ([each.visited() for each in plane.worker.connections()], seen.set()))
    assert seen.wait(PATIENCE_S)


def _unread(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]


class Hasty(TlsClient):
    """A client that says the last of its handshake with what follows."""

    def _shake(self):
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fetch()
            else:
                return


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("size", [1, 16_384, 50_000])
@pytest.mark.parametrize("ends", [True, False])
def test_what_comes_with_the_end_of_the_handshake_is_relayed(authority, plan, host, size, ends):
    """A request, and a client's end behind it, in one write with its Finished: all of it goes on, and is counted."""
    data = random.Random(size).randbytes(size)
    with serving(echo) as target:
        front = listener("main", "tcp", targets=(TargetPlan(id=1, host=host, port=target.port),), tls=plan)
        with bench(front) as plane, plane.connect() as raw:
            client = Hasty(raw, authority.client_context(), "localhost")
            for at in range(0, size, RECORD_BYTES):
                client._tls.write(data[at : at + RECORD_BYTES])
            if ends:
                with contextlib.suppress(ssl.SSLWantReadError):
                    client._tls.unwrap()
            client._flush()
            if ends:
                raw.shutdown(socket.SHUT_WR)
            got = b""
            while len(got) < size:
                got += client.recv(size)
            assert got == data
            if not ends:
                client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
            row = plane.ended()[0]
            assert row.outcome == COMPLETE
            assert (row.client_rx, row.client_tx) == (client.sent, client.received)


@pytest.mark.parametrize("version", VERSIONS)
def test_half_a_record_is_counted_once(authority, plan, version):
    """A visit while the first half of a record has been read does not count it: its end does, and counts all of it."""
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    with (
        serving(echo) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as raw,
        TlsClient(raw, context, "localhost") as client,
    ):
        client.sendall(b"begin")
        assert client.recv(5) == b"begin"
        wait_for(lambda: _equal(plane.rows()[0], (client.sent, client.received)), "the echo to be counted")
        client._tls.write(b"x" * 16_000)
        record = client._outgoing.read()
        raw.sendall(record[:9_000])
        (connection,) = plane.connections()
        wait_for(lambda: _served(connection) == client.sent + 9_000, "OpenSSL to read the half")
        _visit(plane)
        raw.sendall(record[9_000:])
        client.sent += len(record)
        left = 16_000
        while left:
            left -= len(client.recv(left))
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx) == (client.sent, client.received)


def _served(connection):
    """Return how many bytes of the client's were read from the kernel."""
    sock = connection.client.sock
    return _received(sock) - _unread(sock)


def _received(sock):
    """Return how many bytes the kernel has received: tcpi_bytes_received."""
    return struct.unpack_from("=Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136), 128)[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_half_a_record_that_has_gone_out_is_counted_once(authority, plan, version):
    """A visit while a slow reader has got the first half of a record does not count it: its end does."""
    answer, context = random.Random(4).randbytes(12_000_000), authority.client_context()
    context.minimum_version = context.maximum_version = version
    with (
        serving(saying(answer)) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        plane.connect() as raw,
        TlsClient(raw, context, "localhost") as client,
    ):
        plane.settled()
        _visit(plane)
        assert read_all(client) == answer
        client.shutdown(socket.SHUT_WR)
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx) == (client.sent, client.received)


def test_end_of_target_is_a_close_notify(authority, plan):
    """When the target has said all, the client is told so in TLS, and can still speak (RFC 8446 section 6.1)."""
    heard: list[bytes] = []

    def answer_then_listen(sock: socket.socket) -> None:
        sock.sendall(b"answer")
        sock.shutdown(socket.SHUT_WR)
        heard.append(read_all(sock))

    with (
        serving(answer_then_listen) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        shaken(plane, authority.client_context()) as client,
    ):
        assert read_all(client) == b"answer"
        assert client.sendall(b"late words") is None
        client.unwrap()
        assert wait_for(lambda: heard) == [b"late words"]
        assert plane.ended()[0].outcome == COMPLETE


def test_client_that_closes_without_goodbye_has_closed(authority, plan):
    """A FIN without close_notify passes on as an end of file, as browsers do it."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with shaken(plane, authority.client_context()) as client:
            client.sendall(b"all")
            assert client.recv(3) == b"all"
            raw = socket.socket(fileno=client.detach())
            raw.settimeout(PATIENCE_S)
            raw.shutdown(socket.SHUT_WR)
            with raw:
                read_all(raw)
        assert plane.ended()[0].outcome == COMPLETE


def test_slow_reader_gets_everything(authority, plan):
    """A client that reads nothing for a while stops the target, and then gets every byte once."""
    answer = random.Random(3).randbytes(12_000_000)
    with (
        serving(saying(answer)) as target,
        bench(listener("main", "tcp", target.port, tls=plan)) as plane,
        shaken(plane, authority.client_context()) as client,
    ):
        still = plane.settled()
        assert still.target_rx < len(answer)
        assert read_all(client) == answer


def test_reset_of_the_client_ends_the_connection(authority, plan):
    """A reset in the middle ends the connection as the client's doing."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with shaken(plane, authority.client_context()) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            raw = socket.socket(fileno=client.detach())
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()
        outcome = plane.ended()[0].outcome
        assert outcome is not None
        assert outcome.ended_by is EndedBy.CLIENT


def test_trickled_records_are_all_relayed(authority, plan):
    """Many short records in one burst, without an answer between them, arrive whole and in order."""
    words = [f"{number} ".encode() for number in range(3_000)]
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        with shaken(plane, authority.client_context()) as client:
            for word in words:
                client.sendall(word)
            got = b""
            while len(got) < sum(map(len, words)):
                got += client.recv(1 << 16)
        assert got == b"".join(words)


def test_overhead_of_older_records():
    """TLS 1.2 sends a nonce with GCM and none with ChaCha20."""
    assert overhead_1_2("ECDHE-RSA-AES128-GCM-SHA256") == OVERHEAD_1_2 == 29
    assert overhead_1_2("ECDHE-RSA-CHACHA20-POLY1305") == OVERHEAD_SHORT == 21
    assert overhead_1_2("ECDHE-ECDSA-AES128-CCM8") == OVERHEAD_SHORT


class Pair:
    """A `TlsSocket` and its client without a relay: one thread does everything, in the order that a test wants."""

    def __init__(self, authority, chain, version):
        """Shake hands."""
        accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        accepting.load_cert_chain(chain.cert, chain.key)
        asking = authority.client_context()
        asking.minimum_version = asking.maximum_version = version
        self.reactor, self._detour, self.words = Reactor(print), Detour(), [0, 0]
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.wire = socket.create_connection(server.getsockname(), timeout=PATIENCE_S)
            taken = server.accept()[0]
        self.served = TlsSocket(taken.family, socket.SOCK_STREAM, 0, taken.detach())
        worker = SimpleNamespace(reactor=self.reactor, detour=self._detour, words=self.words)
        self.served.secure(accepting, worker, 0, 1)
        self.reactor.watch(self.served.fd, SimpleNamespace(ready=lambda fd, mask: None), EDGE_BOTH)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = asking.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.sent = 0
        self._shake()

    def _shake(self):
        agreed = False
        while not agreed:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.deliver(self.outgoing.read())
            agreed = self.served.shake()
            self.incoming.write(self.wire.recv(1 << 16))
        self.served.settle()

    def deliver(self, data):
        """Send bytes of the client's as they are, and wait until they are there."""
        self.sent += len(data)
        self.wire.sendall(data)
        wait_for(lambda: _received(self.served) == self.sent, "the bytes")

    def receive(self, size):
        """Return what is there, read in pieces of at most some size."""
        got, buffer = b"", bytearray(size)
        with contextlib.suppress(BlockingIOError):
            while read := self.served.recv_into(buffer):
                got += buffer[:read]
        return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()
        self.served.close()
        self.reactor.close()
        self._detour.close()


@pytest.mark.parametrize("version", VERSIONS)
@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, RECORD_BYTES), min_size=1, max_size=4),
    arrived=st.integers(0, 70_000),
    read=st.integers(0, 70_000),
    size=st.integers(1, RECORD_BYTES),
)
def test_goodbye_in_the_middle_of_a_record_loses_nothing(authority, plan, version, lengths, arrived, read, size):
    """We have said all while a part of a record has come, or is read: the rest comes, and what follows; each counts."""
    said = random.Random(size).randbytes(sum(lengths) + 10)
    with Pair(authority, plan.certificates[0], version) as pair:
        left = memoryview(said)
        for length in (*lengths, 10):
            pair.client.write(left[:length])
            left = left[length:]
        wire = pair.outgoing.read()
        pair.deliver(wire[:arrived])
        got = b""
        with contextlib.suppress(BlockingIOError):
            got = pair.served.recv(read) if read else b""
        pair.served.shutdown(socket.SHUT_WR)
        got += pair.receive(size)
        pair.deliver(wire[arrived:])
        got += pair.receive(size)
        assert got == said
        assert pair.words[0] + len(got) == pair.served.counted_rx == pair.sent


@contextmanager
def unix_door(plane, path, plan):
    """Open a listener on a Unix socket, and give a way to connect to it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(10)
        sock.setblocking(False)
        equipment = prepare(WorkerPlan(listeners=(plan,)), plane.worker).equipment[plan.id]
        fd = sock.detach()
    plane.worker.reactor.post(lambda: Listener(plane.worker, equipment, fd).listen())

    def connect():
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_S)
        client.connect(path)
        return client

    yield connect


def is_full(sock):
    """Return whether a Unix socket takes nothing more."""
    waiting = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
    return waiting >= sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", ["target is done first", "client is done first", "answer until close"])
def test_goodbye_that_finds_no_room_is_said_later(authority, plan, tmp_path, version, way):
    """The socket is full just when all was said: who reads late gets everything, and the goodbye behind it."""
    said, heard, full = [], [], threading.Event()

    def fill_up(sock):
        if way == "client is done first":
            heard.append(read_all(sock))
        elif way == "answer until close":
            sock.recv(1_000)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        (connection,) = plane.connections()
        while not is_full(connection.client.sock):
            before = plane.rows()[0].client_tx
            said.append(b"y" * 1_000)
            sock.sendall(said[-1])
            wait_for(lambda before=before: plane.rows()[0].client_tx - before > 1_000)
        full.set()
        sock.shutdown(socket.SHUT_WR)
        if way == "target is done first":
            heard.append(read_all(sock))

    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    protocol = "http" if way == "answer until close" else "tcp"
    with serving(fill_up) as target, bench(listener("main", "tcp", target.port)) as plane:
        with (
            unix_door(
                plane, str(tmp_path / "door"), listener("unix", protocol, target.port, id=9, tls=plan)
            ) as connect,
            TlsClient(connect(), context, "localhost") as client,
        ):
            if way == "client is done first":
                client.shutdown(socket.SHUT_WR)
            elif way == "answer until close":
                client.sendall(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % target.port)
            assert full.wait(PATIENCE_S)
            (connection,) = plane.connections()
            wait_for(lambda: connection.client.held == b"", "the goodbye to wait")
            assert read_all(client).endswith(b"".join(said))
            assert not client.cut
            if way == "target is done first":
                client.sendall(b"late words")
                client.shutdown(socket.SHUT_WR)
                assert wait_for(lambda: heard) == [b"late words"]
        assert plane.ended()[0].outcome == COMPLETE
