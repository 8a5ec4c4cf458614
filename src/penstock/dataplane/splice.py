"""
Bulk flows through a kernel pipe: bytes that Python never sees, counted all the same.

On loopback this is no faster than recv and send, whose copy is what the next process needs in its cache anyway; between
real interfaces it is 1.3 times as fast. So a flow is switched over when it has proved to be bulk and neither end is
this machine. Source: docs/decisions/0006-splice-for-bulk.md.

A pipe is read into only when it is empty: an empty pipe always has room, so EAGAIN can only mean an empty socket.
"""

import fcntl
import os
from typing import TYPE_CHECKING

from penstock.base.addresses import is_loopback
from penstock.base.bounds import BULK_BYTES, PIPE_BYTES, PIPES, RELAY_ROUNDS
from penstock.dataplane.reactor import URGENT
from penstock.dataplane.tls import TlsSocket
from penstock.metrics.ledger import DOUBT_MASK, H_DOUBT

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection
    from penstock.dataplane.relay import End

FLAGS = 1 | 2  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK, splice(2)


class Pipe:
    """
    A pipe of the kernel.

    Attributes:
        filled: Bytes in it that the sink did not take yet.
    """

    __slots__ = ("filled", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.filled = 0
        try:
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:  # beyond /proc/sys/fs/pipe-user-pages-soft; the smaller pipe works too
            pass

    def close(self) -> None:
        """Close both of its ends."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """
    The pipes of one worker: made when needed, kept for the next flow, never more than `PIPES`.

    Args:
        mode: `auto`, `always` or `never`.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._idle: list[Pipe] = []
        self._made = 0

    def consider(self, connection: "Connection", moved: int) -> None:
        """
        Give a connection pipes if it is worth it.

        Args:
            connection: It relays.
            moved: Bytes that it has moved so far, both ways.
        """
        client, target = connection.client, connection.target
        if self._mode == "never" or moved < BULK_BYTES or target is None or client.pipe is not None:
            return
        if isinstance(target.sock, TlsSocket):  # what the kernel moves is no record: it would go out in the clear
            return
        if self._mode == "auto" and (is_loopback(connection.host) or is_near(target)):
            return
        for end in (client, target):
            pipe = self._take()
            if pipe is None:
                return
            os.set_blocking(end.fd, False)
            end.pipe = pipe

    def _take(self) -> Pipe | None:
        if self._idle:
            return self._idle.pop()
        if self._made >= PIPES:
            return None
        try:
            pipe = Pipe()
        except OSError:  # out of descriptors: recv and send do as well
            return None
        self._made += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Take a pipe back; one that is not empty is closed, for its bytes are nobody else's."""
        if pipe.filled:
            pipe.close()
            self._made -= 1
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close the pipes that nobody uses."""
        for pipe in self._idle:
            pipe.close()
        self._idle.clear()


def is_near(target: "End") -> bool:
    """Return whether a target is this machine; one that has just been reset is nowhere, and not worth a pipe."""
    try:
        return is_loopback(target.sock.getpeername()[0])
    except OSError:
        return True


def pump(source: "End", sink: "End", pipe: Pipe, mask: int) -> bool:
    """
    Move bytes to `sink` through `pipe`, as `End.pump` does through the shared buffer.

    Returns:
        False if recv must say what is next: the end of the file, or an urgent byte, at which splice stands still.
    """
    connection = source.connection
    worker = connection.worker
    words = worker.words
    connection.seen = worker.reactor.now
    for _ in range(RELAY_ROUNDS):
        try:
            count = os.splice(source.fd, pipe.writer, PIPE_BYTES, flags=FLAGS)
        except BlockingIOError:
            return not mask & URGENT
        except OSError:
            connection.broken(source)
            return True
        if not count:
            return False
        words[source.rx] += count
        pipe.filled = count
        if not drain(pipe, sink):
            return True
    worker.reactor.again(source, source.fd, mask)
    return True


def drain(pipe: Pipe, sink: "End") -> bool:
    """Move what is in the pipe to `sink`, which holds the pipe while it takes no more. Returns whether it is empty."""
    connection = sink.connection
    words = connection.worker.words
    while pipe.filled:
        words[H_DOUBT] = sink.note + ((words[sink.tx] + pipe.filled) & DOUBT_MASK)
        try:
            sent = os.splice(pipe.reader, sink.fd, pipe.filled, flags=FLAGS)
        except BlockingIOError:
            words[H_DOUBT] = 0
            sink.hold(pipe)
            return False
        except OSError:
            connection.broken(sink)
            return False
        words[sink.tx] += sent
        words[H_DOUBT] = 0
        pipe.filled -= sent
    return True
