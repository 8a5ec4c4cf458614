"""
Logins that a file of users decides: asked of the supervisor, who has the hashes, and remembered for a while.

What was right stays right for five minutes, or until a file changes; what was wrong is asked again. A password is kept
nowhere: what was right is known by a keyed hash.
"""

import os
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

from penstock.base.bounds import LOGIN_BYTES, LOGINS_REMEMBERED, LOGINS_REMEMBERED_NS, LOGINS_WAITING
from penstock.connection.commands import Verified, Verify
from penstock.dataplane import orders
from penstock.dataplane.reactor import BROKEN, Reactor

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection


class Logins:
    """
    What a worker knows of logins.

    Args:
        reactor: Whose time it is.
        report: Tells the supervisor; returns whether it is on its way.
    """

    def __init__(self, reactor: Reactor, report: Callable[[orders.Report], bool]) -> None:
        self._reactor, self._report = reactor, report
        self._key = os.urandom(32)
        self._right: dict[bytes, int] = {}
        self._waiting: dict[int, Verifying] = {}
        self._number = 0

    def digest(self, command: Verify) -> bytes:
        """Return what a login is known by."""
        file, user = command.users_file.encode(), command.user
        text = b"%d %d %b%b%b" % (len(file), len(user), file, user, command.password)
        return blake2b(text, key=self._key, digest_size=16).digest()

    def knows(self, digest: bytes) -> bool:
        """Return whether a login was right a while ago."""
        return self._right.get(digest, 0) > self._reactor.now

    def ask(self, verifying: "Verifying", command: Verify, client: str) -> int:
        """Ask, and return the number of the question; 0 if too many wait."""
        if len(self._waiting) >= LOGINS_WAITING:
            return 0
        self._number = number = self._number + 1
        if not self._report(orders.Verify(number, command.users_file, command.user, command.password, client)):
            return 0
        self._waiting[number] = verifying
        return number

    def give_up(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(number, None)

    def hear(self, order: orders.Verified) -> None:
        """Take an answer."""
        verifying = self._waiting.pop(order.number, None)
        if verifying is None:
            return
        if order.verified is Verified.RIGHT:
            if len(self._right) >= LOGINS_REMEMBERED:
                del self._right[next(iter(self._right))]  # the oldest
            self._right.pop(verifying.digest, None)
            self._right[verifying.digest] = self._reactor.now + LOGINS_REMEMBERED_NS
        verifying.go_on(order.verified)

    def forget(self) -> None:
        """A file has changed: ask again."""
        self._right.clear()


class Verifying:
    """
    A connection that waits for the answer to its login.

    Args:
        connection: Whose `extra` it is meanwhile.
        digest: What the login is known by.
    """

    __slots__ = ("_connection", "_number", "digest")

    def __init__(self, connection: "Connection", digest: bytes) -> None:
        self._connection, self.digest = connection, digest
        self._number = 0

    def start(self, command: Verify) -> None:
        """Ask; the conversation goes on with the answer, which has as much time as a handshake."""
        connection = self._connection
        self._number = connection.worker.logins.ask(self, command, connection.host)
        if not self._number:
            connection.step(Verified.BUSY)
            return
        connection.extra = self
        connection.arm(connection.worker.reactor.now + connection.worker.handshake)

    def client_ready(self, mask: int) -> None:
        """What the client says meanwhile waits; a reset is its end."""
        if mask & BROKEN:
            self._connection.broken(self._connection.client)

    def expire(self) -> None:
        """Nobody could tell in time."""
        self.close()
        self.go_on(Verified.BUSY)

    def close(self) -> None:
        """The connection ends."""
        self._connection.worker.logins.give_up(self._number)

    def go_on(self, verified: Verified) -> None:
        """Tell the conversation."""
        connection = self._connection
        connection.extra = None
        connection.step(verified)


def verify(connection: "Connection", command: Verify) -> None:
    """Answer whether a login is right: at once if that is known, or if no login is as long."""
    logins = connection.worker.logins
    if len(command.user) > LOGIN_BYTES or len(command.password) > LOGIN_BYTES:
        connection.step(Verified.WRONG)
        return
    digest = logins.digest(command)
    if logins.knows(digest):
        connection.step(Verified.RIGHT)
    else:
        Verifying(connection, digest).start(command)
