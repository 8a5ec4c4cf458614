"""
The two ends of a relay whose client speaks TLS to us.

They do what `End` does, but call OpenSSL themselves where one record is all there is, as for most requests and answers:
a `TlsSocket` that looks like a plain one costs two calls of Python for each. All else goes the way of `End`.

While its bytes find room, the client's end is told of them until they are read (`TLS_LEVEL`), so nothing is asked of
the kernel behind a record. Whatever keeps it from reading ends that at the next event.
"""

import ssl
from _socket import IPPROTO_TCP, MSG_DONTWAIT, TCP_CORK
from typing import Any

from penstock.base.bounds import RELAY_BUFFER_BYTES
from penstock.dataplane.reactor import ERROR, HANGUP, OUT, READABLE, URGENT
from penstock.dataplane.relay import End
from penstock.dataplane.tls import BLOCKED, PATIENCE, RECORD_BYTES, TLS_LEVEL
from penstock.metrics.ledger import DOUBT_MASK, H_DOUBT

ODD = OUT | ERROR | URGENT
"""Events of a client's end that ask for more than to read one record."""


class FromTls(End):
    """The client's end: what comes from it was in records."""

    __slots__ = ()

    def ready(self, fd: int, mask: int) -> None:  # noqa: PLR0912 - a call for each record would cost
        """React to an event while the connection relays."""
        sink = self.other
        sock: Any = self.sock  # a TlsSocket; a cast would be a call
        if mask & ODD or sink is None or sink.held is not None or self.eof or sock.blocked or sock.news:
            if sock.level:
                sock.watch()
            self.pump(fd, mask & ~HANGUP)  # a hint: what it said before may wait in records
            return
        connection = self.connection
        worker = connection.worker
        words, view = worker.words, worker.view
        connection.seen = worker.reactor.now
        try:
            count = sock.read(RELAY_BUFFER_BYTES, view)
        except BLOCKED:
            return
        except ssl.SSLZeroReturnError:
            self.ended()
            return
        except OSError:
            connection.broken(self)
            return
        if not count:
            self.ended()
            return
        if count < RECORD_BYTES and sock.in_a_row < PATIENCE:  # as TlsSocket.received does
            sock.in_a_row += 1
            wire = count + sock.extra
            sock.counted_rx += wire
            words[self.rx] += wire
            if not sock.level:
                sock.level = True
                sock.modify(fd, TLS_LEVEL)
        else:
            count = sock.received(count, view, RELAY_BUFFER_BYTES)
            words[self.rx] += count
        words[H_DOUBT] = sink.note + ((words[sink.tx] + count) & DOUBT_MASK)
        try:
            sent = sink.sock.send(view[:count], MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.broken(sink)
            return
        words[sink.tx] += sent
        if sent < count:
            words[H_DOUBT] = 0
            sink.hold(bytes(view[sent:count]))
        elif count == RELAY_BUFFER_BYTES:
            self.pump(fd, mask)


class ToTls(End):
    """The target's end: what comes from it goes into records."""

    __slots__ = ()

    def ready(self, fd: int, mask: int) -> None:  # noqa: PLR0912 - a call for each record would cost
        """React to an edge while the connection relays."""
        sink = self.other
        if sink is None or sink.held is not None or self.held is not None or self.eof or not mask & READABLE:
            self.pump(fd, mask)
            return
        connection = self.connection
        worker = connection.worker
        words, view = worker.words, worker.view
        connection.seen = worker.reactor.now
        try:
            count = self.sock.recv_into(view, 0, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            connection.broken(self)
            return
        if not count:
            self.ended()
            return
        words[self.rx] += count
        before = words[sink.tx]
        words[H_DOUBT] = sink.note + ((before + count) & DOUBT_MASK)
        sock: Any = sink.sock
        last = mask & HANGUP and count < RELAY_BUFFER_BYTES and not mask & URGENT
        try:
            if last and sock.corks:  # close_notify and FIN are next, and go out in the same segment
                sock.setsockopt(IPPROTO_TCP, TCP_CORK, 1)
            if count <= RECORD_BYTES and not sock.blocked:  # as TlsSocket.send does
                sent = sock.write(view[:count])
                sock.in_a_row = 0
                wire = sent + sock.extra
                sock.counted_tx += wire
                words[sink.tx] = before + wire
            else:
                sent = sock.send(view[:count])
                words[sink.tx] += sent
        except BLOCKED:
            sock.block()
            sent = 0
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.broken(sink)
            return
        if sent < count:
            words[H_DOUBT] = 0
            sink.hold(bytes(view[sent:count]))
        elif last:
            self.ended()
        elif count == RELAY_BUFFER_BYTES or mask & URGENT:
            self.pump(fd, mask)
