"""
What any relay must do. Run it against an engine by subclassing in a test module and naming the engine.

    class TestSharedBuffer(RelayContract):
        engine = "never"
"""

import random
import socket
import struct
import threading
from contextlib import AbstractContextManager
from typing import Any

from penstock.base.outcomes import COMPLETE, EndedBy
from penstock.dataplane.orders import CloseConnection, Closed
from penstock.testing.peers import Behaviour, Server, echo, read_all, reset, saying, serving, until_released
from penstock.testing.workbench import Bench, bench, listener, quick, wait_for

BIG = 24 * 1024 * 1024
"""More than all buffers on the way together, so that back-pressure is met."""


class RelayContract:
    """
    The relay's promises.

    Attributes:
        engine: `never` for the shared buffer, `always` for kernel pipes.
        moved: What the last exchange had on the client's wire, from and to the client.
    """

    engine = "never"
    moved: tuple[int, int] = (0, 0)

    def run(self, port: int, **more: Any) -> AbstractContextManager[Bench]:
        """Return a bench with one TCP listener that sends to `port`."""
        return bench(listener("main", "tcp", port), splice=self.engine, **more)

    def serving(self, behave: Behaviour) -> AbstractContextManager[Server]:
        """Return a target of which each client meets this behaviour."""
        return serving(behave)

    def connect(self, plane: Bench) -> Any:
        """Return a client that does what a plain socket does."""
        return plane.connect()

    def wire(self, client: Any, sent: int, received: int) -> tuple[int, int]:
        """Return what of a client was on the wire: what it sent and received, with all that its transport adds."""
        return sent, received

    def target_wire(self, sent: int, received: int) -> tuple[int, int]:
        """Return what the target of the last exchange sent and received on the wire."""
        return sent, received

    def exchange(self, plane: Bench, data: bytes) -> bytes:
        """Send `data` through the plane from a thread of its own, and return all that comes back."""
        with self.connect(plane) as client:
            client.settimeout(30)

            def send() -> None:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            got = read_all(client)
            sender.join()
            self.moved = self.wire(client, len(data), len(got))
            return got

    def test_echo_of_any_size_is_exact(self) -> None:
        """Whatever the client sends comes back unchanged, and all four counters say how much it was."""
        with self.serving(echo) as target, self.run(target.port) as plane:
            for size in (0, 1, 17, 16_384, 262_144, 262_145, BIG):
                data = random.Random(size).randbytes(size)
                got = self.exchange(plane, data)
                assert got == data
                row = plane.ended(1 + len([s for s in (0, 1, 17, 16_384, 262_144, 262_145, BIG) if s < size]))[-1]
                assert (row.client_rx, row.client_tx, row.target_rx, row.target_tx) == (
                    *self.moved,
                    *self.target_wire(size, size),
                )
                assert row.outcome == COMPLETE

    def test_server_speaks_first(self) -> None:
        """A target that speaks first is heard, though the client has said nothing."""
        with (
            self.serving(saying(b"220 ready\r\n")) as target,
            self.run(target.port) as plane,
            self.connect(plane) as client,
        ):
            assert read_all(client) == b"220 ready\r\n"
            client.shutdown(socket.SHUT_WR)
            assert plane.ended()[0].client_tx == self.wire(client, 0, 11)[1]

    def test_early_bytes_and_end_of_file_are_not_lost(self) -> None:
        """Bytes and the end of file that come before the target stands reach it."""
        with self.serving(echo) as target, self.run(target.port) as plane:
            for _ in range(50):
                with self.connect(plane) as client:
                    client.sendall(b"early")
                    client.shutdown(socket.SHUT_WR)
                    assert read_all(client) == b"early"
            assert {row.outcome for row in plane.ended(50)} == {COMPLETE}

    def test_half_close_leaves_the_other_direction_open(self) -> None:
        """A client that has said all still gets the whole answer."""
        answer = random.Random(1).randbytes(BIG)

        def answer_at_the_end(sock: socket.socket) -> None:
            read_all(sock)
            sock.sendall(answer)

        with self.serving(answer_at_the_end) as target, self.run(target.port) as plane, self.connect(plane) as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == answer

    def test_client_that_never_reads_holds_one_buffer(self) -> None:
        """What is held for an end that does not read is at most one buffer, and the sender is stopped."""
        gate = threading.Event()
        with (
            self.serving(until_released(gate)) as target,
            self.run(target.port) as plane,
            self.connect(plane) as client,
        ):
            client.setblocking(False)
            sent = fill(client)
            row = plane.rows()[0]
            assert row.client_rx - row.target_tx <= 1_048_576
            assert sent >= row.client_rx
            gate.set()

    def test_both_directions_at_once(self) -> None:
        """Two streams that cross each other arrive unchanged, and neither waits for the other."""
        up, down = random.Random(2).randbytes(BIG), random.Random(3).randbytes(BIG)
        got: list[bytes] = []

        def cross(sock: socket.socket) -> None:
            reader = threading.Thread(target=lambda: got.append(read_all(sock)))
            reader.start()
            sock.sendall(down)
            sock.shutdown(socket.SHUT_WR)
            reader.join()

        with self.serving(cross) as target, self.run(target.port) as plane:
            assert self.exchange(plane, up) == down
            wait_for(lambda: got)
            assert got == [up]
            row = plane.ended()[0]
            assert (row.client_rx, row.client_tx, row.target_rx, row.target_tx) == (
                *self.moved,
                *self.target_wire(BIG, BIG),
            )

    def test_slow_reader_that_has_half_closed_gets_all(self) -> None:
        """A client that has said all and reads late gets everything, though the target has long closed."""
        with self.serving(saying(bytes(BIG))) as target, self.run(target.port) as plane, self.connect(plane) as client:
            client.shutdown(socket.SHUT_WR)
            wait_for(lambda: plane.rows() and plane.rows()[0].client_tx > 0)
            assert len(read_all(client)) == BIG
            assert plane.ended()[0].outcome == COMPLETE

    def test_urgent_data_loses_nothing(self) -> None:
        """Urgent bytes travel in their place in the stream; nothing before, at or behind them is lost, nor the end."""
        for lengths in ((0, 0, 0), (3, 3, 3), (0, 1, 5), (100_000, 1, 300_000), (262_144, 262_144, 1)):
            self._urge(lengths)

    def _urge(self, lengths: tuple[int, ...]) -> None:
        with self.serving(echo) as target, self.run(target.port) as plane, self.connect(plane) as client:
            sent = b""
            if self.engine == "always":  # so that the pipes are in use
                client.sendall(b"x")
                assert client.recv(1) == b"x"
                wait_for(lambda: plane.rows() and plane.rows()[0].client_tx == 1)
                wait_for(lambda: all(each.client.pipe for each in plane.connections()), "the pipes")
            for index, length in enumerate(lengths):
                data = bytes([index]) * length
                client.sendall(data)
                client.send(b"!", socket.MSG_OOB)
                sent += data + b"!"
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == sent
            row = plane.ended()[0]
            assert row.outcome == COMPLETE
            assert row.client_rx == row.target_tx == row.target_rx == row.client_tx

    def test_urgent_data_of_the_target_loses_nothing(self) -> None:
        """The same from target to client."""

        def urge(sock: socket.socket) -> None:
            for _ in range(3):
                sock.sendall(b"before")
                sock.send(b"!", socket.MSG_OOB)
            sock.sendall(b"behind")
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)

        with self.serving(urge) as target, self.run(target.port) as plane, self.connect(plane) as client:
            assert read_all(client) == b"before!" * 3 + b"behind"

    def test_reset_of_the_target_is_passed_on(self) -> None:
        """A target that resets leaves the client with a reset, and the outcome says who it was."""
        with self.serving(reset) as target, self.run(target.port) as plane, self.connect(plane) as client:
            client.sendall(b"hello")
            assert is_reset(client)
            assert who_ended(plane) is EndedBy.TARGET

    def test_reset_of_the_client_is_passed_on(self) -> None:
        """A client that resets leaves the target with a reset, and the outcome says who it was."""
        seen = threading.Event()

        def watch(sock: socket.socket) -> None:
            sock.sendall(sock.recv(100))
            if is_reset(sock):
                seen.set()

        with self.serving(watch) as target, self.run(target.port) as plane:
            client = self.connect(plane)
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert seen.wait(10)
            assert who_ended(plane) is EndedBy.CLIENT

    def test_idle_connection_ends(self) -> None:
        """A connection without a byte for the idle timeout ends as the client's timeout."""
        with self.serving(echo) as target, self.run(target.port, timeouts=quick(idle=60)) as plane:
            with self.connect(plane) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
                plane.later(61)
                assert read_all(client) == b""
            assert who_ended(plane) is EndedBy.CLIENT_TIMEOUT

    def test_operator_closes_one_connection(self) -> None:
        """An order to close ends that connection and no other."""
        with (
            self.serving(echo) as target,
            self.run(target.port) as plane,
            self.connect(plane) as one,
            self.connect(plane) as two,
        ):
            for client in (one, two):
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            plane.order(CloseConnection(1))
            assert plane.report(Closed) == Closed(1, True)
            assert who_ended(plane) is EndedBy.ADMIN
            two.sendall(b"y")
            assert two.recv(1) == b"y"

    def test_nothing_is_left_behind(self) -> None:
        """After many connections no descriptor, no row and no timer's connection is left."""
        with self.serving(echo) as target, self.run(target.port, timeouts=quick(idle=60)) as plane:
            before = len(plane.worker.reactor.table)
            for number in range(200):
                data = bytes([number])
                assert self.exchange(plane, data) == data
            plane.ended(200)
            wait_for(lambda: plane.worker.ledger.open_rows == 0)
            assert wait_for(lambda: len(plane.worker.reactor.table) == before, "the descriptors to be closed")


def who_ended(plane: Bench) -> EndedBy:
    """Return who ended the first connection."""
    outcome = plane.ended()[0].outcome
    assert outcome is not None
    return outcome.ended_by


def fill(sock: socket.socket) -> int:
    """Send until nothing has been taken for a while, and return how much was."""
    sent, block = 0, bytes(1 << 20)
    stalls = 0
    while stalls < 100:
        try:
            sent += sock.send(block)
            stalls = 0
        except BlockingIOError:
            stalls += 1
            threading.Event().wait(0.002)
    return sent


def is_reset(sock: socket.socket) -> bool:
    """Return whether reading ends with a reset rather than an end of file."""
    try:
        while sock.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    return False
