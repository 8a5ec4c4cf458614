"""
Names to addresses without blocking the reactor: threads that call getaddrinfo, one lookup a name at a time, a cache.

getaddrinfo honours /etc/hosts, nsswitch and the search list, as every other program of the machine does; it tells no
TTL, so answers serve for a configured time. Source: docs/decisions/0005-resolver-threads.md.
"""

import queue
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from penstock.base.bounds import DIAL_ADDRESSES, RESOLVER_ENTRIES, RESOLVER_QUEUE, RESOLVER_THREADS
from penstock.dataplane.reactor import Reactor


class Answer(NamedTuple):
    """
    What a lookup gave.

    Args:
        addresses: Family and IP address, in the system's order (RFC 6724); empty if there are none.
        error: The system's message if there are none.
    """

    addresses: tuple[tuple[int, str], ...]
    error: str = ""


Callback = Callable[[Answer], None]


def look_up(host: str) -> Answer:
    """Ask the system for the stream addresses of `host`. Blocks for as long as the system's resolver does."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # ValueError: what is no name at all, for the encoding or for C
        return Answer((), str(error))
    unique = dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found)
    return Answer(tuple(unique)[:DIAL_ADDRESSES])


class Resolver:
    """
    Looks names up for one reactor.

    Args:
        reactor: Whose loop the callbacks run in.
        ttl: How long an answer serves; unit ns.
        negative_ttl: How long a failure serves; unit ns.
        lookup: What answers in a thread.
    """

    def __init__(
        self, reactor: Reactor, ttl: int, negative_ttl: int, lookup: Callable[[str], Answer] = look_up
    ) -> None:
        self._reactor, self._ttl, self._negative_ttl, self._lookup = reactor, ttl, negative_ttl, lookup
        self._cache: dict[str, tuple[int, Answer]] = {}
        self._waiting: dict[str, list[Callback]] = {}
        self._names: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads = 0
        self._busy = 0

    def resolve(self, host: str, callback: Callback) -> None:
        """
        Call `callback` with the answer for `host`: at once if it is cached, else in a later turn of the reactor.

        Args:
            host: A name; case does not matter.
            callback: Called once, in the reactor's thread.
        """
        host = host.lower()
        cached = self._cache.get(host)
        if cached is not None and cached[0] > self._reactor.now:
            callback(cached[1])
        elif host in self._waiting:
            self._waiting[host].append(callback)
        elif len(self._waiting) >= RESOLVER_QUEUE:
            callback(Answer((), "too many names are being looked up"))
        else:
            self._waiting[host] = [callback]
            self._names.put(host)
            self._employ()

    def _employ(self) -> None:
        self._busy += 1
        if self._busy > self._threads < RESOLVER_THREADS:
            self._threads += 1
            threading.Thread(target=self._work, name=f"resolver-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while (host := self._names.get()) is not None:
            try:
                answer = self._lookup(host)
            except Exception as error:  # a thread that dies would leave its name waiting for ever
                answer = Answer((), str(error) or type(error).__name__)
            self._reactor.post(lambda host=host, answer=answer: self._learn(host, answer))  # type: ignore[misc]

    def _learn(self, host: str, answer: Answer) -> None:
        self._busy -= 1
        ttl = self._ttl if answer.addresses else self._negative_ttl
        self._cache.pop(host, None)  # so that the newest stands last, and the oldest leaves first
        self._cache[host] = (self._reactor.now + ttl, answer)
        if len(self._cache) > RESOLVER_ENTRIES:
            del self._cache[next(iter(self._cache))]
        for callback in self._waiting.pop(host, ()):
            self._reactor.soon(partial(callback, answer))  # each by itself: one that crashes is nobody else's end

    def close(self) -> None:
        """Let the threads end after the lookups that they are in."""
        for _ in range(self._threads):
            self._names.put(None)
