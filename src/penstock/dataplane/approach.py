"""
The way to a target that more than a TCP connection leads to: through a parent, with a PROXY header, with TLS, in this
order. Looks like a dial to whoever wants the connection.

The bytes of all of it are the target's side of the connection, and are counted there.
"""

import ssl
from _socket import MSG_DONTWAIT, MSG_PEEK
from _socket import socket as RawSocket
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.connection.commands import DialError, Need, Send, TooLong
from penstock.connection.parents import BROKEN_TALK, TALKS, Talk
from penstock.dataplane.dialer import Dial, Owner
from penstock.dataplane.handshake import Handshake, reason_of
from penstock.dataplane.introduction import header_of
from penstock.dataplane.reactor import BROKEN, IN, URGENT
from penstock.dataplane.tls import TlsSocket
from penstock.metrics.ledger import TARGET_RX, TARGET_TX

if TYPE_CHECKING:
    from penstock.connection.commands import Until
    from penstock.dataplane.connection import Connection

EARLY = IN | URGENT
"""The target may have spoken already, and its edge has passed."""


class Approach:
    """
    One wish to be connected with a target of a route.

    Args:
        connection: For whom.
        owner: Who is told; the connection itself or its HTTP exchange.
        host, port: The target.
    """

    __slots__ = (
        "_address", "_dial", "_fd", "_got", "_header", "_heard", "_host", "_owner", "_port", "_route", "_rx",
        "_said", "_sock", "_talk", "_tx", "_wish", "connection",
    )  # fmt: skip

    def __init__(self, connection: "Connection", owner: Owner, host: str, port: int) -> None:
        self.connection, self._owner, self._route = connection, owner, connection.route
        self._host, self._port, self._header = host, port, header_of(connection)
        self._rx, self._tx = connection.row + TARGET_RX, connection.row + TARGET_TX
        self._dial: Dial | None = None
        self._sock: RawSocket | None = None
        self._talk: Talk | None = None
        self._wish: Need | Until | None = None
        self._fd, self._address, self._got = -1, ("", 0), b""
        self._heard = self._said = 0

    def start(self) -> None:
        """Begin; the owner may be told before this returns."""
        parent = self._route.plan.parent
        host, port = (self._host, self._port) if parent is None else (parent.host, parent.port)
        self._dial = dial = Dial(self.connection.worker, self, host, port, self.connection.guard(host, port))
        dial.start()

    # What the dial says ----------------------------------------------------------------------------------------------

    def dialed(self, sock: RawSocket, fd: int, mask: int, address: tuple[str, int]) -> None:
        """The first connection stands: to the parent or to the target."""
        self._dial = None
        self._sock, self._fd, self._address = sock, fd, address
        parent, context = self._route.plan.parent, self._route.parent_context
        if parent is None:
            self._arrive()
        elif context is None:
            self._converse()
        else:
            self._shake(context, parent.tls.server_name or parent.host, self._converse)

    def dial_failed(self, error: DialError, detail: str) -> None:
        """There is not even that."""
        self._dial = None
        self._owner.dial_failed(error, detail)

    # The parent ------------------------------------------------------------------------------------------------------

    def _converse(self) -> None:
        parent = self._route.plan.parent
        assert parent is not None  # noqa: S101 - the caller looked
        self.connection.worker.reactor.table[self._fd] = self
        self._talk = TALKS[parent.kind](parent, self._host, self._port)
        self._step(None)

    def ready(self, fd: int, mask: int) -> None:
        """The parent has said something."""
        if mask & BROKEN:
            self._fail(DialError.FAILED, "the parent has closed the connection")
        elif mask & IN:
            self._listen()

    def _step(self, answer: bytes | None) -> None:
        assert self._talk is not None  # noqa: S101 - who steps has one
        try:
            while True:
                command = self._talk.send(answer)  # type: ignore[arg-type]
                answer = None
                if type(command) is not Send:
                    self._wish = command  # type: ignore[assignment]
                    self._listen()
                    return
                if not self._send(command.data):
                    return
        except StopIteration:
            self._arrive()
        except BROKEN_TALK as error:
            self._fail(getattr(error, "error", DialError.FAILED), str(error))

    def _listen(self) -> None:
        """Take what was asked for and not a byte more: what comes behind it is the target's."""
        wish = self._wish
        if wish is None:
            return
        try:
            answer = self._read(wish)
        except TooLong:
            self._fail(DialError.FAILED, "the parent's answer is too long")
        except EOFError:
            self._fail(DialError.FAILED, "the parent has closed the connection")
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(DialError.FAILED, f"the parent: {error.strerror}")
        else:
            self._wish = None
            self._step(answer)

    def _read(self, wish: "Need | Until") -> bytes:
        """Return what was asked for; raises BlockingIOError while it is not all there."""
        while True:
            size = self._missing(wish)
            if not size:
                answer, self._got = self._got, b""
                return answer
            data = self._sock.recv(size, MSG_DONTWAIT)  # type: ignore[union-attr]
            if not data:
                raise EOFError
            self.connection.worker.words[self._rx] += len(data)
            self._heard += len(data)
            self._got += data

    def _missing(self, wish: "Need | Until") -> int:
        """Return how many bytes may be read without taking one that is not ours; 0 if all are there."""
        got = self._got
        if isinstance(wish, Need):
            return wish.count - len(got)
        if got.endswith(wish.delimiter):
            return 0
        if len(got) >= wish.limit:
            raise TooLong(f"no end within {wish.limit} bytes")
        if isinstance(self._sock, TlsSocket):
            return 1  # OpenSSL holds the record, and shows nothing without giving it
        seen = self._sock.recv(wish.limit - len(got), MSG_DONTWAIT | MSG_PEEK)  # type: ignore[union-attr]
        if not seen:
            raise EOFError
        end = (got + seen).find(wish.delimiter)
        return len(seen) if end < 0 else end + len(wish.delimiter) - len(got)

    # The target ------------------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        """What is sent from now on reaches the target."""
        self._hang_up()
        if self._header and not self._send(self._header):
            return
        context = self._route.target_context
        if context is None:
            self._tell()
        else:
            plan = self._route.plan.target_tls
            assert plan is not None  # noqa: S101 - it made the context
            self._shake(context, plan.server_name or self._host, self._tell)

    def _tell(self) -> None:
        sock, self._sock = self._sock, None
        assert sock is not None  # noqa: S101 - it stands
        self._owner.dialed(sock, self._fd, EARLY, self._address)

    def _send(self, data: bytes) -> bool:
        """Send something short; a socket that does not take it whole has something wrong with it."""
        sock = self._sock
        assert sock is not None  # noqa: S101 - it stands
        try:
            sent = sock.send(data, MSG_DONTWAIT)
        except OSError as error:
            self._fail(DialError.FAILED, f"broken before it stood: {error.strerror}")
            return False
        self.connection.worker.words[self._tx] += sent
        self._said += sent
        if sent < len(data):
            self._fail(DialError.FAILED, "it takes nothing")
        return sent == len(data)

    def _shake(self, context: ssl.SSLContext, name: str, then: Callable[[], None]) -> None:
        assert self._sock is not None  # noqa: S101 - it stands
        sock = TlsSocket(fileno=self._sock.detach())
        self._sock = sock
        sock.secure(
            context, self.connection.worker, self._rx, self._tx,
            accepts=False, server_name=name, before=(self._heard, self._said),
        )  # fmt: skip
        shake = _TargetHandshake(self, sock, self._fd, then)
        self.connection.worker.reactor.table[self._fd] = shake
        shake.ready(self._fd, IN)

    def shaken_off(self, error: OSError) -> None:
        """The other end's certificate is wrong, or it speaks no TLS."""
        parent = self._route.plan.parent
        with_parent = parent is not None and self._route.parent_context is not None  # never with both
        who = f"{parent.kind} parent {parent.host}:{parent.port}" if parent and with_parent else "the target"
        self._fail(DialError.FAILED, f"no TLS with {who}: {reason_of(error)}")

    # The end ---------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The connect timeout has passed."""
        if self._dial is not None:
            self._dial.expire()
        else:
            self._fail(DialError.TIMEOUT, f"{self._host}:{self._port}: no answer in time")

    def cancel(self) -> None:
        """Close everything and tell nobody."""
        if self._dial is not None:
            self._dial.cancel()
        if self._sock is not None:
            if isinstance(self._sock, TlsSocket) and self.connection.row:
                self._sock.settle(ended=True)
            self.connection.worker.reactor.bury(self._fd, self._sock)
            self._sock = None
        self._hang_up()

    def _hang_up(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.close()

    def _fail(self, error: DialError, detail: str) -> None:
        self.cancel()
        self._owner.dial_failed(error, detail)


class _TargetHandshake(Handshake):
    """Shakes hands with a target or a parent."""

    __slots__ = ("_approach", "_then")

    def __init__(self, approach: Approach, sock: TlsSocket, fd: int, then: Callable[[], None]) -> None:
        super().__init__(approach.connection, sock, fd)
        self._approach, self._then = approach, then

    def done(self) -> None:
        self._then()

    def failed(self, error: OSError) -> None:
        self._approach.shaken_off(error)
