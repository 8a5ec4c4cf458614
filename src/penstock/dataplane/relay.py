"""
Moving bytes between the two ends of a connection: one shared buffer, both sides counted on every chunk.

Rules:
- What an end does not take is held, and nothing more is read from the other end until it went out: memory per
  connection is bounded by one buffer, and the kernel's window tells the sender.
- An end of file is passed on (half-close) after everything before it; a reset is passed on as a reset.
- After `RELAY_ROUNDS` buffers the others get their turn.
- A read that is shorter than the buffer has emptied the socket, so no second read asks for EAGAIN; with a hang-up in
  the same event it was the last one (HAProxy draws the same conclusion). Urgent data may end a read early: then we ask.
"""

import struct
from _socket import MSG_DONTWAIT, MSG_MORE, SHUT_WR, SO_LINGER, SOL_SOCKET
from _socket import socket as RawSocket
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.base.bounds import RELAY_BUFFER_BYTES, RELAY_ROUNDS
from penstock.dataplane import splice
from penstock.dataplane.reactor import EDGE_BOTH, ERROR, HANGUP, IN, OUT, READABLE, URGENT
from penstock.dataplane.splice import Pipe
from penstock.metrics.ledger import DOUBT_MASK, DOUBT_SHIFT, H_DOUBT

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

LAST = MSG_DONTWAIT | MSG_MORE
"""For bytes with the end of file behind them: the FIN is next, and goes out in their segment."""

ROUNDS = range(RELAY_ROUNDS)  # made once: it costs as much as two reads of the ledger

RESUMED = IN | URGENT
"""Read until the socket would block, as after urgent data: an earlier edge was not followed at once."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: the close is a reset (socket(7))."""


class End:
    """
    One end of a connection, client or target.

    Args:
        connection: The connection that it is an end of.
        sock: Its socket; every call on it is made not to block.
        fd: The socket's descriptor.
        rx: Ledger word that counts what is received from it.
        tx: Ledger word that counts what is sent to it.

    Attributes:
        other: The end that its bytes go to, once there is one.
        held: Bytes that its socket did not take yet, or the pipe that they are in; None for none. Empty while only
            the goodbye of TLS waits.
        pipe: Through which its bytes go to the other end, once the flow has proved to be bulk.
        note: What H_DOUBT says while something is sent to it, but for the sum.
        eof: It will send no more.
        shut: We will send it no more.
        on_flushed: Called once when `held` has gone out, before reading goes on.
    """

    __slots__ = (
        "connection", "eof", "fd", "held", "note", "on_flushed", "other", "pipe", "rx", "shut", "sock", "tx",
        "watches_out",
    )  # fmt: skip

    def __init__(self, connection: "Connection", sock: RawSocket, fd: int, rx: int, tx: int) -> None:
        self.connection, self.sock, self.fd = connection, sock, fd
        self.rx, self.tx = rx, tx
        self.note = tx << DOUBT_SHIFT
        self.other: End | None = None
        self.held: bytes | memoryview | Pipe | None = None
        self.pipe: Pipe | None = None
        self.on_flushed: Callable[[], None] | None = None
        self.eof = self.shut = self.watches_out = False

    def ready(self, fd: int, mask: int) -> None:
        """
        React to an edge while the connection relays.

        Most edges are one short chunk for an end that takes it: that moves here, in 107 steps of the interpreter where
        `pump`, which knows all else, takes 135.
        """
        sink = self.other
        if mask != IN or sink is None or sink.held is not None or self.eof or self.pipe is not None:
            self.pump(fd, mask)
            return
        connection = self.connection
        worker = connection.worker
        words = worker.words
        connection.seen = worker.reactor.now
        try:
            count = self.sock.recv_into(worker.buffer, 0, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            connection.broken(self)
            return
        if not count:
            self.ended()
            return
        words[self.rx] += count
        words[H_DOUBT] = sink.note + ((words[sink.tx] + count) & DOUBT_MASK)
        try:
            sent = sink.sock.send(worker.view[:count], MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.broken(sink)
            return
        words[sink.tx] += sent
        if sent < count:
            words[H_DOUBT] = 0
            sink.hold(bytes(worker.view[sent:count]))
        elif count == RELAY_BUFFER_BYTES:
            self.pump(fd, mask)

    def pump(self, fd: int, mask: int) -> None:  # noqa: PLR0912 - a call for each chunk would cost
        """Move bytes to the other end until this one is empty, that one is full, or others must have their turn."""
        if mask & OUT and self.held is not None:
            self.flush()  # the other direction goes on even if this one is stuck
            if self.other is None:
                return  # it has ended
        if not mask & READABLE:
            return
        sink = self.other
        if sink is None:
            self.connection.noticed(mask)
            return
        if sink.held is not None or self.eof:
            if mask & ERROR:
                self.connection.broken(self)
            return
        if self.pipe is not None:
            if splice.pump(self, sink, self.pipe, mask):
                return
            mask |= URGENT
        connection = self.connection
        worker = connection.worker
        words, sock = worker.words, self.sock  # of four a tuple would be made
        buffer, view = worker.buffer, worker.view
        connection.seen = worker.reactor.now
        for _ in ROUNDS:
            try:
                count = sock.recv_into(buffer, 0, MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                connection.broken(self)
                return
            if not count:
                self.ended()
                return
            words[self.rx] += count
            words[H_DOUBT] = sink.note + ((words[sink.tx] + count) & DOUBT_MASK)
            last = mask & HANGUP and count < RELAY_BUFFER_BYTES and not mask & URGENT
            try:
                sent = sink.sock.send(view[:count], LAST if last else MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError:
                connection.broken(sink)
                return
            words[sink.tx] += sent
            if sent < count:
                words[H_DOUBT] = 0
                sink.hold(bytes(view[sent:count]))
                return
            if last:
                self.ended()
                return
            if count < RELAY_BUFFER_BYTES and not mask & URGENT:
                return
        worker.reactor.again(self, fd, mask)

    def ended(self) -> None:
        """Note that this end sends no more, and pass it on."""
        self.eof = True
        other = self.other
        if other is None or other.held is not None:
            return  # passed on after the flush
        if other.eof and self.held is None:
            self.connection.finish()  # both are done: the close says the rest
        else:
            other.shut_down()

    def shut_down(self) -> None:
        """Tell this end that it will get no more."""
        if not self.shut:
            self.shut = True
            self.connection.half_closed()
            try:
                self.sock.shutdown(SHUT_WR)
            except BlockingIOError:
                self.shut = False  # the goodbye of TLS found no room: again when there is some
                self.hold(b"")
            except OSError:
                self.connection.broken(self)

    def send(self, data: bytes | memoryview) -> bool:
        """Send all of `data`, holding what the socket does not take now. Returns whether everything went out."""
        if self.held is not None:
            assert not isinstance(self.held, Pipe)  # noqa: S101 - pipes carry relays, and relays do not send
            self.held = bytes(self.held) + data
            return False
        words, size = self.connection.worker.words, len(data)
        before = words[self.tx]
        words[H_DOUBT] = self.note + ((before + size) & DOUBT_MASK)
        try:
            sent = self.sock.send(data, MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.connection.broken(self)
            return False
        words[self.tx] += sent
        if sent < size:
            words[H_DOUBT] = 0
            self.hold(bytes(data[sent:]))
            return False
        return True

    def hold(self, rest: bytes | Pipe) -> None:
        """Keep what the socket did not take, and ask to be told when it takes more."""
        self.held = rest
        if not self.watches_out:  # asked for on the first short send: most sockets never see one
            self.watches_out = True
            self.connection.worker.reactor.epoll.modify(self.fd, EDGE_BOTH)

    def flush(self) -> bool:
        """Send what is held; then go on with what waited for it. Returns whether everything went out."""
        held = self.held
        assert held is not None  # noqa: S101 - the callers looked
        connection = self.connection
        connection.seen = connection.worker.reactor.now
        if isinstance(held, Pipe):
            self.held = None
            if not splice.drain(held, self):
                return False
            self._went_out()
            return True
        words = connection.worker.words
        words[H_DOUBT] = self.note + ((words[self.tx] + len(held)) & DOUBT_MASK)
        try:
            sent = self.sock.send(held, MSG_DONTWAIT) if held else 0
        except BlockingIOError:
            words[H_DOUBT] = 0
            return False
        except OSError:
            connection.broken(self)
            return False
        words[self.tx] += sent
        if sent < len(held):
            words[H_DOUBT] = 0
            self.held = memoryview(held)[sent:]  # no copy: a slow reader may take it in many bites
            return False
        self.held = None
        self._went_out()
        return True

    def _went_out(self) -> None:
        callback, other = self.on_flushed, self.other
        if callback is not None:
            self.on_flushed = None
            callback()
        elif other is not None:
            if not other.eof:
                other.pump(other.fd, RESUMED)
            elif self.eof and other.held is None:
                self.connection.finish()
            else:
                self.shut_down()


def reset(end: End) -> None:
    """Make the close of this end a reset."""
    try:
        end.sock.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
    except OSError:
        pass
