"""Ends of TLS to test a proxy with: one that does all a plain socket does and counts the wire, and a first flight."""

import contextlib
import socket
import ssl
import threading

RECORD_BYTES = 16_384
"""Plain bytes of the largest record (RFC 8446 section 5.1): as much as is sent at once."""

READ_BYTES = 262_144


def hello(name: str | None, *alpn: str) -> bytes:
    """Return the first flight of a client that asks for this name, or for none, and offers these protocols."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):  # for the answer
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


class TlsClient:
    """
    A connected end that has shaken hands, a client or what it meets. One thread may send while another one receives.

    Python's own TLS socket forgets TLS when it is shut down; this one says close_notify, and reads on.

    Args:
        sock: Connected; it is owned from now on.
        context: Whom to trust.
        name: Whom to ask for; None for the end that is asked.

    Attributes:
        sent, received: Bytes on the wire.
        cut: Whether the other end closed without a word (close_notify).
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        self._sock, self._lock = sock, threading.Lock()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, name is None, name)
        self._plain, self._waiting = bytearray(), b""
        self.sent = self.received = 0
        self.cut = False
        self._shake()

    def _shake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not self._fetch():
                    raise ConnectionResetError("closed in the middle of the handshake") from None
            else:
                self._flush()
                return

    def _fetch(self) -> bool:
        """Take what has come from the wire; returns whether there was more than its end."""
        data = self._sock.recv(READ_BYTES)
        with self._lock:
            self.received += len(data)
            self._incoming.write(data)
        return bool(data)

    def _flush(self) -> None:
        """Send what is ready for the wire; raises BlockingIOError if not all of it is taken."""
        self._waiting += self._outgoing.read()
        while self._waiting:
            count = self._sock.send(self._waiting)
            self.sent += count
            self._waiting = self._waiting[count:]

    # What a plain socket does ----------------------------------------------------------------------------------------

    def send(self, data: bytes) -> int:
        """Send at most one record; raises BlockingIOError while the one before has not gone out."""
        with self._lock:
            self._flush()
            count = self._tls.write(data[:RECORD_BYTES])
            try:
                self._flush()
            except BlockingIOError:
                pass  # it goes out with the next one
            return count

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        view = memoryview(data)
        while view:
            with self._lock:
                count = self._tls.write(view[:RECORD_BYTES])
                self._waiting += self._outgoing.read()
                ready, self._waiting = self._waiting, b""
            self._sock.sendall(ready)
            self.sent += len(ready)
            view = view[count:]

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes; empty at the end, which `cut` tells more of."""
        while True:
            with self._lock:
                if not self._plain and not self._read():
                    return b""
                if self._plain:
                    found = bytes(self._plain[:size])
                    del self._plain[:size]
                    return found
            if not self._fetch():
                self.cut = True
                return b""

    def _read(self) -> bool:
        """Take what OpenSSL has; returns False at the end."""
        try:
            data = self._tls.read(READ_BYTES)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLZeroReturnError:
            return False
        self._plain += data
        return bool(data)

    def shutdown(self, how: int) -> None:
        """Say close_notify and close the direction; what the other end still says can be read."""
        with self._lock:
            while (before := len(self._plain)) >= 0 and self._read() and len(self._plain) > before:
                pass  # OpenSSL would read on, and fail at data
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            self._flush()
        self._sock.shutdown(how)

    def setblocking(self, flag: bool) -> None:
        """As of a socket."""
        self._sock.setblocking(flag)

    def settimeout(self, seconds: float | None) -> None:
        """As of a socket."""
        self._sock.settimeout(seconds)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """As of a socket."""
        self._sock.setsockopt(level, option, value)

    def close(self) -> None:
        """Close without a word."""
        self._sock.close()

    def __enter__(self) -> "TlsClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
