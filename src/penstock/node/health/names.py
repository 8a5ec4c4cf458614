"""Addresses of targets that have names, for checks: looked up in threads, remembered for as long as in workers."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from penstock.base.addresses import is_ip
from penstock.base.clock import Clock

THREADS = 4
"""Lookups under way at once; workers have 16, and clients that wait for them."""

Lookup = Callable[[str], list[str]]


def look_up(host: str) -> list[str]:
    """Return the addresses of a name, in the system's order. Blocks; raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Names:
    """
    Remembers addresses.

    Args:
        clock: Gives the time.
        ttl: How long; unit ns.
        lookup: Finds them.
    """

    def __init__(self, clock: Clock, ttl: int, lookup: Lookup = look_up) -> None:
        self._clock, self._ttl, self._lookup = clock, ttl, lookup
        self._known: dict[str, tuple[int, list[str]]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "penstock-health-names")

    async def of(self, host: str) -> list[str]:
        """Return the addresses of a host; raises OSError where there are none."""
        if is_ip(host):
            return [host]
        until, addresses = self._known.get(host, (0, []))
        now = self._clock.monotonic_ns()
        if now >= until:
            addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host)
            self._known[host] = now + self._ttl, addresses
        return addresses

    def close(self) -> None:
        """Let go of the threads; one that waits for a dead name server ends when the system gives up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
