"""
A socket that speaks TLS: the same calls as a plain one, so that relay, inbox and exchange do not know the difference.

OpenSSL works straight on the descriptor: no memory BIO, and no copy of ours between its records and the kernel.

Wire bytes: whoever calls `recv_into` or `send` counts plain bytes. What each record adds to them is counted here, at
once. What is neither (handshake, session tickets, alerts) is taken from the kernel's own count of the connection, when
the handshake is over and when the connection ends. Never between: a record may have come or gone in part, and counts
when it is whole.
"""

import fcntl
import os
import select
import ssl
import termios
from _socket import AF_UNIX, IPPROTO_TCP, MSG_DONTWAIT, MSG_MORE, SHUT_WR, TCP_CORK
from _socket import socket as RawSocket
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from penstock.dataplane.reactor import IN, OUT, URGENT

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker

RECORD_BYTES = 16_384
"""Plain bytes of the largest record (RFC 8446 section 5.1)."""

OVERHEAD_1_3 = 5 + 1 + 16
"""What a record adds: header, content type, tag (RFC 8446 section 5.2)."""

OVERHEAD_1_2 = 5 + 8 + 16
"""The same of TLS 1.2 with GCM: header, explicit nonce, tag (RFC 5288 section 3)."""

OVERHEAD_SHORT = 5 + 16
"""The same of TLS 1.2 with ChaCha20-Poly1305, which sends no nonce (RFC 7905 section 2), and with CCM-8, whose tag has
8 bytes (RFC 6655 section 4). Other ciphers, which an operator may ask for, add more; that is counted at the end."""

TLS_IN = IN | select.EPOLLET
TLS_BOTH = TLS_IN | OUT
"""Nobody is told that the other end hung up: what it said before may wait in records that no edge announces again."""

TLS_LEVEL = IN
"""For who reads each time that there is something: what is left is announced again, and nobody has to ask for it."""

LOOKS = 4
"""How often the kernel is asked how much it has received and how much of that waits, until nothing came between."""

PATIENCE = 2
"""Short records in a row, without an answer between them, after which a flow is read until nothing is left."""

_TCP_INFO = 11
_INFO_BYTES = 216
_INFO = Struct("=B127xQ8xI52xQQ")
"""In struct tcp_info (linux/tcp.h, 4.19 and later): state, bytes_received, notsent_bytes, bytes_sent, bytes_retrans."""

_CLOSED = 7
_FIN_CAME = frozenset((6, 8, 9, 11))
"""TCP states in which bytes_received holds one more than the bytes: the FIN (net/tcp_states.h). In CLOSED it does too,
unless a reset led there."""

_RECEIVED = slice(128, 136)
"""Where bytes_received lies."""

_QUEUED = Struct("=i")
_NOTHING = bytes(4)
BLOCKED = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Detour:
    """
    Takes a close_notify out of OpenSSL without letting it read.

    Python's shutdown asks OpenSSL twice, and the second time reads; if the other end has just sent data, that breaks
    the connection for good, and the data is lost. So for the moment of the call the descriptor is a pipe's end that can
    only be written; what was written there is then sent on. Epoll notices nothing: it knows the file.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def say_goodbye(self, tls: Any, fd: int) -> bytes:
        """Return the record that says close_notify; empty if there is none to say."""
        kept = os.dup(fd)
        try:
            os.dup2(self._in, fd, inheritable=False)
            try:
                tls.shutdown()
            except OSError:
                pass  # EBADF: it has been said, and nothing can be read
            finally:
                os.dup2(kept, fd, inheritable=False)
        finally:
            os.close(kept)
        try:
            return os.read(self._out, RECORD_BYTES)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._out)
        os.close(self._in)


class TlsSocket(RawSocket):
    """
    A connected stream socket with TLS on it. Made from a descriptor like a plain one; then `secure`, then `shake`.

    Attributes:
        asked: The name that the client asked for in its hello (SNI); empty for none.
        rx, tx: Words of the ledger that count it; whoever uses the socket adds the plain bytes.
        read, write: OpenSSL's own calls, and what whoever makes them (dataplane/tls_ends.py) has to keep true:
        extra: Wire bytes that a record adds; 0 before both agree.
        counted_rx, counted_tx: Wire bytes that were counted.
        in_a_row: Reads since the last write.
        level: Whether it is watched with `TLS_LEVEL`, which who cannot read now must end (`watch`).
        blocked: Whether a write has yet to be made again.
        news: What is told before OpenSSL is asked: the end, or an error, that came behind some bytes, or the rest of a
            record; false for none.
        unread: Bytes that waited when both had agreed; 1 where the kernel does not tell.
        corks: Whether several records can be put into one segment: a Unix socket has none.
        fd, modify: Its descriptor, and what changes the events that it is watched for.
    """

    __slots__ = (
        "__weakref__", "_accepts", "_begun", "_detour", "_fin", "_goodbye", "_pending", "_reactor", "_said", "_several",
        "_tls", "_words", "asked", "blocked", "corks", "counted_rx", "counted_tx", "extra", "fd", "in_a_row", "level",
        "modify", "news", "read", "rx", "tx", "unread", "write",
    )  # fmt: skip

    def secure(
        self,
        context: ssl.SSLContext,
        worker: "Worker",
        rx: int,
        tx: int,
        *,
        accepts: bool = True,
        server_name: str | None = None,
        before: tuple[int, int] = (0, 0),
    ) -> None:
        """
        Put TLS on the socket.

        Args:
            context: Certificates and rules.
            worker: Whose reactor watches the socket.
            rx, tx: Words of the ledger that count what is received and sent.
            accepts: Whether the other end is the client.
            server_name: Whom we want to speak to, where we are the client; None for no SNI and no check of the name.
            before: Bytes that were received and sent before TLS, which are counted, or are nobody's.
        """
        self.setblocking(False)  # OpenSSL calls read(2) and write(2), which know no MSG_DONTWAIT
        plain: Any = context  # the calls of ssl.SSLSocket would cost three frames each
        self._tls: Any = plain._wrap_socket(self, accepts, server_name)
        self.read, self.write, self._pending = self._tls.read, self._tls.write, self._tls.pending
        self._reactor, self.modify, self._detour = worker.reactor, worker.reactor.epoll.modify, worker.detour
        self._words, self.rx, self.tx = worker.words, rx, tx
        self.asked = ""
        self.fd = self.fileno()
        self.corks = self.family != AF_UNIX
        self._goodbye = b""
        self.extra = self.in_a_row = self.unread = 0
        self._said = self.blocked = self._fin = self._begun = self.level = False
        self._accepts = accepts
        self._several = accepts and self.corks and context.num_tickets > 1
        self.counted_rx, self.counted_tx = before
        self.news: OSError | bytes | bool = False

    def choose(self, context: ssl.SSLContext) -> None:
        """Go on with another context; for its SNI callback."""
        self._tls.context = context

    def shake(self) -> bool:
        """
        Go on with the handshake.

        Returns:
            Whether both agree; False if the other end must do something first. Whoever goes on with a client reads what
            is `unread`, or calls `watch`: what it said right behind its handshake made its edge before.

        Raises:
            OSError: If it has failed; OpenSSL has sent the alert.
        """
        try:
            if self._begun:  # OpenSSL sends each session ticket by itself; they go out in one segment
                self.setsockopt(IPPROTO_TCP, TCP_CORK, 1)
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._begun:  # the hello came in pieces: our flight is corked, and would wait for 200 ms
                self.setsockopt(IPPROTO_TCP, TCP_CORK, 0)
            self._begun = self._several
            return False
        except ssl.SSLWantWriteError:  # a certificate chain is longer than the socket's buffer: hardly ever
            self.block()
            return False
        if self._begun:
            self.setsockopt(IPPROTO_TCP, TCP_CORK, 0)
        version = self._tls.version()
        self.extra = OVERHEAD_1_3 if version == "TLSv1.3" else overhead_1_2(self._tls.cipher()[0])
        if self.blocked or not self._accepts:
            self.blocked = False
            self.watch()
        self.unread = self.settle()
        return True

    @property
    def version(self) -> str:
        """Return the protocol that was agreed on, such as TLSv1.3."""
        version: str = self._tls.version()
        return version

    @property
    def alpn(self) -> str:
        """Return the application protocol that was agreed on; empty for none."""
        protocol: str = self._tls.selected_alpn_protocol() or ""
        return protocol

    @property
    def cipher(self) -> str:
        """Return OpenSSL's name of what encrypts."""
        name: str = self._tls.cipher()[0]
        return name

    @property
    def resumed(self) -> bool:
        """Return whether this goes on with a session of before."""
        reused: bool = self._tls.session_reused
        return reused

    @property
    def common_name(self) -> str | None:
        """Return the name (CN) in the other end's certificate, which has been verified; None if it sent none."""
        certificate = self._tls.getpeercert(False)
        if not certificate:
            return None
        parts = (part for piece in certificate.get("subject", ()) for part in piece)
        return next((value for key, value in parts if key == "commonName"), "")

    @property
    def certificate(self) -> bytes | None:
        """Return the other end's certificate as DER; None if it sent none."""
        certificate: bytes | None = self._tls.getpeercert(True)
        return certificate

    # What a plain socket does ----------------------------------------------------------------------------------------

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """
        Receive as much as is there and fits; less than fits means that no more is there, as with a plain socket.

        Args:
            buffer: Takes the bytes.
            nbytes: At most so many; 0 for as many as fit.
            flags: Not used: it never blocks.

        Raises:
            BlockingIOError: If there is nothing.
            OSError: If the connection is broken.
        """
        size = nbytes or len(buffer)
        if self.news:
            return self._tell_news(buffer, size)
        try:
            total: int = self.read(size, buffer)
        except BLOCKED:
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return 0
        return total and self.received(total, buffer, size)

    def received(self, total: int, buffer: Any, size: int) -> int:
        """
        Count a record that was read, and see what is behind it.

        Args:
            total: Bytes of it, which are in the buffer; at least 1.
            buffer: Takes what follows.
            size: Bytes that fit into it.

        Returns:
            Bytes that are in the buffer now.
        """
        self.in_a_row += 1
        extra = self.extra
        if total < RECORD_BYTES and total < size and self.in_a_row <= PATIENCE:
            # What is left makes an edge: an eighth of the price of being told that nothing is.
            self.watch()
        else:
            total, records = self._read_on(total, memoryview(buffer), size)
            extra *= records
        self._words[self.rx] += extra
        self.counted_rx += total + extra
        return total

    def _read_on(self, total: int, view: memoryview, size: int) -> tuple[int, int]:
        """Read until nothing is left or no more fits, and return the bytes and how many records have ended."""
        read, records = self.read, 0
        try:
            while True:
                if total < size or not self._pending():
                    records += 1
                if total == size:
                    break
                count = read(size - total, view[total:])
                if not count:
                    self._remember(True)
                    break
                total += count
        except BLOCKED:
            pass
        except ssl.SSLZeroReturnError:
            self._remember(True)
        except OSError as error:
            self._remember(error)
        return total, records

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive at most `size` bytes; see `recv_into`. Before the handshake is over they are as they came."""
        if not self.extra:
            data = super().recv(size, flags)
            self.counted_rx += len(data)
            return data
        buffer = bytearray(size)
        count = self.recv_into(buffer)
        return bytes(memoryview(buffer)[:count])

    def send(self, data: Any, flags: int = 0) -> int:
        """
        Send as much as the socket takes; what it does not take must be sent again from there.

        Raises:
            BlockingIOError: If it takes nothing.
            OSError: If the connection is broken.
        """
        self.in_a_row = 0
        try:
            total: int = self.write(data)
            self.blocked = False
        except BLOCKED:
            self.block()
            raise BlockingIOError from None
        records = -(-total // RECORD_BYTES)
        if total < len(data):
            total, records = self._write_on(total, records, memoryview(data))
        extra = self.extra * records
        self._words[self.tx] += extra
        self.counted_tx += total + extra
        return total

    def _write_on(self, total: int, records: int, data: memoryview) -> tuple[int, int]:
        """Write what is left, and return the bytes of all and how many records they are."""
        try:
            while total < len(data):
                sent = self.write(data[total:])
                total += sent
                records += -(-sent // RECORD_BYTES)
        except BLOCKED:
            self.block()
        except OSError:
            pass  # the next call says so
        return total, records

    def block(self) -> None:
        """Ask to be told when the socket takes more: it did not take all."""
        self.blocked = True
        self.watch()

    def watch(self) -> None:
        """Have one edge of what is there now, and of what comes; and of room, where a write waits for it."""
        self.level = False
        self.modify(self.fd, TLS_BOTH if self.blocked else TLS_IN)

    def shutdown(self, how: int) -> None:
        """
        Say close_notify, and nothing more after it; what the other end still says can be read (RFC 8446 section 6.1).

        Raises:
            BlockingIOError: If the socket does not take it now: it asks to be told, and wants this call again.
            OSError: If the connection is broken.
        """
        if self.extra and not self._said:
            self._said = True
            self._set_aside()
            self._goodbye = self._detour.say_goodbye(self._tls, self.fd)
        if self._goodbye:
            self._send_goodbye()
        self._fin = True
        super().shutdown(SHUT_WR)

    def _send_goodbye(self) -> None:
        sent = 0
        try:
            sent = super().send(self._goodbye, MSG_DONTWAIT | MSG_MORE)  # the FIN goes with it
        except BlockingIOError:
            pass
        self._words[self.tx] += sent
        self.counted_tx += sent
        self._goodbye = self._goodbye[sent:]
        self.blocked = bool(self._goodbye)
        if self.blocked:
            self.block()
            raise BlockingIOError

    def say_goodbye(self) -> bool:
        """
        Say close_notify, so that nobody takes the end for a cut: all was said by both, and the close is next.

        Returns:
            Whether that is done; False if there is no room for it: then it asks to be told, and wants this call again.
        """
        try:
            if self._goodbye:
                self._send_goodbye()
            elif self.extra and not self._said:
                self._tls.shutdown()
        except (ssl.SSLWantWriteError, BlockingIOError):
            self.block()
            return False
        except OSError:
            pass  # it has been said, and the other end has not answered; or the connection is broken anyway
        self._said = True
        return True

    def part(self, *, orderly: bool) -> None:
        """
        Count the last wire bytes; the close is next.

        Args:
            orderly: Whether all was said: then say goodbye first.
        """
        if orderly:
            self.say_goodbye()
        self.settle(ended=True, orderly=orderly)

    # The end of what there is ----------------------------------------------------------------------------------------

    def _remember(self, news: OSError | bool) -> None:
        """Keep the end, or the error, that came behind some bytes: no edge will announce it again."""
        self.news = news
        self._look_again()

    def _look_again(self) -> None:
        handler = self._reactor.table.get(self.fd)
        if handler is not None:
            self._reactor.again(handler, self.fd, IN | URGENT)

    def _set_aside(self) -> None:
        """
        Take what is left of a record out of OpenSSL: it reads when it says goodbye, and data there breaks it for good.

        Whoever has read a part of a record comes back for the rest, so nobody needs to be told.
        """
        rest = self._pending()
        if rest:
            self.news = self.read(rest)

    def _tell_news(self, buffer: Any, size: int) -> int:
        news = self.news
        if isinstance(news, OSError):
            raise news
        if not isinstance(news, bytes):
            return 0
        count = min(len(news), size)
        memoryview(buffer)[:count] = news[:count]
        self.news = news[count:]
        if not self.news:
            return self.received(count, buffer, size)
        self.counted_rx += count
        return count

    # Wire bytes ------------------------------------------------------------------------------------------------------

    def settle(self, *, ended: bool = False, orderly: bool = True) -> int:
        """
        Count what the kernel has moved and nobody counted: handshake, tickets, alerts. Only ever adds.

        Args:
            ended: Whether nothing more will be read: then what waits unread counts as received too.
            orderly: Whether, if the connection is closed by now, both ends have closed it.

        Returns:
            Bytes that wait unread; 0 if it has ended, 1 where the kernel does not count.
        """
        try:
            info, unread = self.getsockopt(IPPROTO_TCP, _TCP_INFO, _INFO_BYTES), 0
            if not ended:
                info, unread = self._unread(info)
            state, received, waiting, sent, again = _INFO.unpack(info)
        except (OSError, StructError):  # a Unix socket: plain bytes and records stand
            return 1
        fin = state in _FIN_CAME or (state == _CLOSED and orderly)
        if waiting and self._fin:  # it waits too, as the last, and has a number of its own
            waiting -= 1
        missing = received - fin - unread - self.counted_rx
        if missing > 0:
            self._words[self.rx] += missing
            self.counted_rx += missing
        missing = sent - again + waiting - self.counted_tx
        if missing > 0:
            self._words[self.tx] += missing
            self.counted_tx += missing
        return unread

    def _unread(self, info: bytes) -> tuple[bytes, int]:
        """Return what the kernel says, and how much of that waits: too much, never too little, if more always comes."""
        unread = 0
        for _ in range(LOOKS):
            unread = _QUEUED.unpack(fcntl.ioctl(self.fd, termios.FIONREAD, _NOTHING))[0]
            again = self.getsockopt(IPPROTO_TCP, _TCP_INFO, _INFO_BYTES) if unread else info
            if again[_RECEIVED] == info[_RECEIVED]:
                break
            info = again
        return info, unread


def overhead_1_2(cipher: str) -> int:
    """
    Return the bytes that a record of TLS 1.2 adds to the plain ones.

    Args:
        cipher: OpenSSL's name of it.
    """
    return OVERHEAD_SHORT if "CHACHA20" in cipher or "CCM8" in cipher else OVERHEAD_1_2
