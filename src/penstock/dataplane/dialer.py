"""
Connecting without blocking: every address of a name is tried, a slow one is given a rival after 250 ms (RFC 8305).

The first connection that stands wins; the others are closed. The owner is told once, `dialed` or `dial_failed`.
"""

import errno
import os
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_ERROR,
    SO_OOBINLINE,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
)
from _socket import socket as RawSocket
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from penstock.base.addresses import is_ip
from penstock.base.bounds import HAPPY_EYEBALLS_NS, RESOLVER_ENTRIES
from penstock.connection.commands import DialError
from penstock.dataplane.permit import ERRORS as REFUSALS
from penstock.dataplane.permit import Permit
from penstock.dataplane.reactor import BROKEN, EDGE_BOTH
from penstock.dataplane.resolver import Answer
from penstock.policy.addresses import interleave

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker

NEW_STREAM = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC

ERRORS = {
    errno.ECONNREFUSED: DialError.REFUSED,
    errno.ECONNRESET: DialError.REFUSED,
    errno.ENETUNREACH: DialError.NETWORK_UNREACHABLE,
    errno.EAFNOSUPPORT: DialError.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: DialError.HOST_UNREACHABLE,
    errno.ETIMEDOUT: DialError.TIMEOUT,
    errno.EMFILE: DialError.RESOURCE,
    errno.ENFILE: DialError.RESOURCE,
    errno.ENOBUFS: DialError.RESOURCE,
    errno.ENOMEM: DialError.RESOURCE,
    errno.EADDRNOTAVAIL: DialError.RESOURCE,
    errno.EAGAIN: DialError.RESOURCE,
}

WEIGHT = {
    error: weight
    for weight, error in enumerate(
        (
            DialError.FAILED,
            DialError.NETWORK_UNREACHABLE,
            DialError.HOST_UNREACHABLE,
            DialError.TIMEOUT,
            DialError.REFUSED,
            DialError.LOOP,
            DialError.DENIED,
            DialError.FORBIDDEN,
            DialError.RESOURCE,
        )
    )
}
"""How far an attempt came that failed so; a fault of ours comes last, as it says nothing about the target."""


class Owner(Protocol):
    """Who wants a connection."""

    def dialed(self, sock: RawSocket, fd: int, mask: int, address: tuple[str, int]) -> None:
        """
        Take the connected socket, which the reactor watches already, and the events that came with it.

        Without any event it is watched for input alone: nobody has asked yet to be told when it takes more.
        """

    def dial_failed(self, error: DialError, detail: str) -> None:
        """Learn that no address could be reached."""


class Dial:
    """
    One wish to be connected.

    Args:
        worker: Whose reactor, resolver and own addresses are used.
        owner: Who is told.
        host: Name or IP address.
        port: 1 to 65535.
        permit: What says to which addresses it may go; None for all.
    """

    __slots__ = (
        "_addresses",
        "_attempts",
        "_detail",
        "_error",
        "_host",
        "_next",
        "_owner",
        "_permit",
        "_port",
        "_rival_at",
        "_worker",
    )

    def __init__(self, worker: "Worker", owner: Owner, host: str, port: int, permit: Permit | None = None) -> None:
        self._worker, self._owner, self._host, self._port, self._permit = worker, owner, host, port, permit
        self._attempts: dict[int, tuple[RawSocket, str]] = {}
        self._addresses: list[tuple[int, str]] = []
        self._next = self._rival_at = 0
        self._error, self._detail = DialError.FAILED, ""

    def start(self) -> None:
        """Begin; the owner may be told before this returns."""
        family = literal_family(self._host)
        if family:
            if not self._attempt(family, self._host):
                self._tell_failure(self._error, self._detail)
        else:
            self._worker.resolver.resolve(self._host, self._resolved)

    def _resolved(self, answer: Answer) -> None:
        if self._next < 0:
            return  # cancelled meanwhile
        if not answer.addresses:
            self._tell_failure(DialError.UNRESOLVED, f"{self._host}: {answer.error}")
            return
        self._addresses = interleave(answer.addresses)
        self._try_next()

    def _try_next(self) -> None:
        """Try addresses until one is under way."""
        while self._next < len(self._addresses):
            family, address = self._addresses[self._next]
            self._next += 1
            if self._attempt(family, address):
                if self._next < len(self._addresses):
                    self._rival_at = self._worker.reactor.now + HAPPY_EYEBALLS_NS
                    self._worker.reactor.at(self._rival_at, self)
                return
        if not self._attempts:
            self._tell_failure(self._error, self._detail)

    def _attempt(self, family: int, address: str) -> bool:
        worker = self._worker
        if worker.own.holds(address, self._port):
            self._note(DialError.LOOP, f"{address}:{self._port} is this proxy itself")
            return False
        if self._permit is not None and (refusal := self._permit.address(address)) is not None:
            self._note(REFUSALS[refusal.reason], refusal.detail)
            return False
        try:
            sock = RawSocket(family, NEW_STREAM, 0)
        except OSError as error:
            self._note_code(address, error.errno or 0)
            return False
        code = sock.connect_ex((address, self._port))
        if code not in (errno.EINPROGRESS, 0):
            self._note_code(address, code)
            sock.close()
            return False
        fd = sock.fileno()
        self._attempts[fd] = (sock, address)
        worker.reactor.watch(fd, self, EDGE_BOTH)
        return True

    def _note_code(self, address: str, code: int) -> None:
        self._note(*said(address, self._port, code))

    def _note(self, error: DialError, detail: str) -> None:
        """Keep what says most about why no address could be reached."""
        if not self._detail or WEIGHT[error] >= WEIGHT[self._error]:
            self._error, self._detail = error, detail

    @property
    def connection(self) -> object:
        """Whose dial it is: what crashes in it ends that connection."""
        return getattr(self._owner, "connection", self._owner)

    def ready(self, fd: int, mask: int) -> None:
        """An attempt stands or has failed."""
        sock, address = self._attempts.pop(fd)
        if mask & BROKEN:
            self._note_code(address, sock.getsockopt(SOL_SOCKET, SO_ERROR) or errno.ECONNRESET)
            self._worker.reactor.bury(fd, sock)
            self._try_next()
            return
        if self._attempts:
            self.cancel()
        self._next = -1
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)  # an urgent byte is a byte like others, and is counted
        self._owner.dialed(sock, fd, mask, (address, self._port))

    def wake(self, now: int) -> None:
        """Give a slow attempt a rival."""
        if self._attempts and self._next > 0 and now >= self._rival_at:  # not for one that has failed meanwhile
            self._try_next()

    def expire(self) -> None:
        """The connect timeout has passed."""
        self.cancel()
        self._owner.dial_failed(DialError.TIMEOUT, f"{self._host}:{self._port}: no answer in time")

    def cancel(self) -> None:
        """Close every attempt and tell nobody."""
        self._next = -1
        for fd, (sock, _) in self._attempts.items():
            self._worker.reactor.bury(fd, sock)
        self._attempts.clear()

    def _tell_failure(self, error: DialError, detail: str) -> None:
        self._next = -1
        self._owner.dial_failed(error, detail)


def said(address: str, port: int, code: int) -> tuple[DialError, str]:
    """Return what it means that the system has answered so for an address: `code` is an errno."""
    return ERRORS.get(code, DialError.FAILED), f"{address}:{port}: {os.strerror(code)}"


@lru_cache(RESOLVER_ENTRIES)
def literal_family(host: str) -> int:
    """Return AF_INET or AF_INET6 if `host` is an IP address, 0 if it is a name."""
    if not is_ip(host):
        return 0
    return AF_INET6 if ":" in host else AF_INET
