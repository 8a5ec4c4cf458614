"""
Logins: those of a file of users are asked of the supervisor, who has the hashes, and remembered for a while.

What was right stays right for five minutes, or until a file changes; what was wrong is asked again. A password is kept
nowhere: what was right is known by a keyed hash.

Addresses whose logins fail are heard late, by the supervisor, whatever they say and whoever knows the answer: it would
tell by its haste who guessed right. Only users whom the same address has proved to be lately need not wait for that.
"""

import os
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

from penstock.base.bounds import LOGIN_BYTES, LOGINS_REMEMBERED, LOGINS_REMEMBERED_NS, LOGINS_WAITING
from penstock.connection.commands import Verified, Verify
from penstock.dataplane import orders
from penstock.dataplane.reactor import BROKEN, Reactor
from penstock.policy.slowdown import ADDRESSES, FORGOTTEN_NS, key_of

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
        self._proved: dict[tuple[str, bytes], int] = {}
        self._failing: dict[bytes, int] = {}
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

    def proved(self, client: str, user: bytes) -> None:
        """Remember that a login of a client was right."""
        known = self._proved
        if len(known) >= LOGINS_REMEMBERED and (client, user) not in known:
            del known[next(iter(known))]  # the oldest
        known[client, user] = self._reactor.now + LOGINS_REMEMBERED_NS

    def failed(self, client: str) -> bool:
        """Remember that a login of a client was wrong, and return whether it is its first one of late."""
        key, now = key_of(client), self._reactor.now
        first = self._failing.pop(key, 0) <= now
        if len(self._failing) >= ADDRESSES:
            del self._failing[next(iter(self._failing))]
        self._failing[key] = now + FORGOTTEN_NS
        return first

    def doubts(self, client: str, user: bytes) -> bool:
        """Return whether a client must be heard late: it has failed, and has not proved to be this user."""
        now = self._reactor.now
        if not self._failing or self._failing.get(key_of(client), 0) <= now:
            return False
        return self._proved.get((client, user), 0) <= now

    def ask(self, verifying: "Verifying", command: Verify, client: str) -> int:
        """Ask, and return the number of the question; 0 if too many wait."""
        if len(self._waiting) >= LOGINS_WAITING or not (number := self.tell(command, client)):
            return 0
        self._waiting[number] = verifying
        return number

    def tell(self, command: Verify, client: str) -> int:
        """Ask for an answer that nobody waits for; returns the number of the question, 0 if it cannot be sent."""
        self._number = number = self._number + 1
        known = command.known
        user, password = (command.user, command.password) if known is None else (b"", b"")
        sent = self._report(orders.Verify(number, command.users_file, user, password, client, known))
        return number if sent else 0

    def give_up(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(number, None)

    def hear(self, order: orders.Verified) -> None:
        """Take an answer."""
        verifying = self._waiting.pop(order.number, None)
        if verifying is None:
            return
        if order.verified is Verified.WRONG:
            self.failed(verifying.client)
        if order.verified is Verified.RIGHT:
            self.proved(verifying.client, verifying.user)
        if order.verified is Verified.RIGHT and verifying.digest:
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
        user: Who the client says it is.
        digest: What the login is known by; empty if no file says whether it is right.

    Attributes:
        client: The client's address.
        user, digest: The same.
    """

    __slots__ = ("_connection", "_number", "client", "digest", "user")

    def __init__(self, connection: "Connection", user: bytes, digest: bytes = b"") -> None:
        self._connection, self.client, self.user, self.digest = connection, connection.host, user, digest
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
    logins, client, user = connection.worker.logins, connection.host, command.user
    if len(user) > LOGIN_BYTES or len(command.password) > LOGIN_BYTES:
        connection.step(Verified.WRONG)
        return
    known, digest = command.known, b""
    if known is None:
        digest = logins.digest(command)
        known = Verified.RIGHT if logins.knows(digest) else None
    if known is Verified.RIGHT and not logins.doubts(client, user):
        logins.proved(client, user)
        connection.step(known)
    elif known is Verified.WRONG and logins.failed(client) and logins.tell(command, client):
        connection.step(known)
    else:
        Verifying(connection, user, digest).start(command)
