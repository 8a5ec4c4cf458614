"""
The worker's loop: edge-triggered epoll, a timer wheel, and closes that wait for the end of the turn.

Rules:
- A handler is told `ready(fd, mask)` once per edge. It reads or writes until the socket would block, or asks to be
  called `again` after the others had their turn; nobody tells it twice.
- A socket given to `bury` is closed when the turn is over. Until then its number is not used again, so an event that
  was already fetched for it can reach nobody else.
- A timer is an object with `wake(now)`. It is woken once, never early, at most one slot late; it asks whether it is
  still meant, so nobody has to cancel it.
Source: docs/decisions/0001-edge-triggered-reactor.md.
"""

import os
import select
import threading
import time
from _socket import socket as RawSocket
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

IN = select.EPOLLIN
OUT = select.EPOLLOUT
HANGUP = select.EPOLLRDHUP
URGENT = select.EPOLLPRI
ERROR = select.EPOLLERR
BROKEN = select.EPOLLHUP | select.EPOLLERR
READABLE = IN | HANGUP | BROKEN

EDGE_IN = IN | HANGUP | URGENT | select.EPOLLET
EDGE_BOTH = EDGE_IN | OUT
LEVEL_IN = IN

EVENTS = 256
"""Events fetched in one turn; HAProxy's tune.maxpollevents is 200."""

SLOT_BITS = 26
"""A slot of the timer wheel is 2**26 ns, 67 ms: at most fifteen wake-ups a second for whatever number of timers."""

FOREVER = 1 << 62
"""A deadline that no clock reaches; unit ns."""


class Handler(Protocol):
    """Who is told about a descriptor."""

    def ready(self, fd: int, mask: int) -> None:
        """React to the events in `mask` on `fd`."""


class Timer(Protocol):
    """Who is woken at a time."""

    def wake(self, now: int) -> None:
        """React to the time `now`; unit ns."""


class Reactor:
    """
    Tells handlers about descriptors and timers about time.

    Args:
        on_crash: Called with a handler and its exception when one escapes; the loop goes on.
        monotonic_ns: Where the time comes from.

    Attributes:
        now: Time of this turn; unit ns. Good enough for every deadline and stamp, and costs nothing to read.
        clock: The time at this very moment, for the price of a call; unit ns.
        table: Handler by descriptor. A handler may put another in its place.
        graves: Sockets that are closed when the turn is over; see `bury`.
        expected: Timers of `expect`. Whoever ends before takes itself out, and the wheel never holds it.
    """

    __slots__ = (
        "_again",
        "_closing",
        "_due",
        "_on_crash",
        "_posted",
        "_running",
        "_slots",
        "_waker",
        "clock",
        "epoll",
        "expected",
        "graves",
        "now",
        "table",
    )

    def __init__(
        self,
        on_crash: Callable[[object, Exception], None],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.clock, self._on_crash = monotonic_ns, on_crash
        self.now = monotonic_ns()
        self.epoll = select.epoll()
        self.table: dict[int, Handler] = {}
        self._slots: dict[int, list[Timer]] = {}
        self.expected: dict[Timer, int] = {}
        self._due: list[int] = []
        self.graves: list[RawSocket] = []
        self._again: dict[int, tuple[Handler, int]] = {}
        self._posted: deque[Callable[[], None]] = deque()
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._running = False
        self._closing = threading.Lock()
        self.watch(self._waker, _Waker(self._waker), EDGE_IN)

    def watch(self, fd: int, handler: Handler, mask: int) -> None:
        """Tell `handler` about events of `mask` on `fd` from now on."""
        self.table[fd] = handler
        self.epoll.register(fd, mask)

    def bury(self, fd: int, sock: RawSocket) -> None:
        """Tell nobody about `fd` any more, and close its socket when this turn is over."""
        self.table.pop(fd, None)
        self.graves.append(sock)

    def again(self, handler: Handler, fd: int, mask: int) -> None:
        """
        Call `handler.ready(fd, mask)` after the others, unless another one is told about `fd` by then.

        Wishes for one descriptor are one wish: an edge that comes while one waits gives nobody a second turn.
        """
        waiting = self._again.get(fd)
        if waiting is not None and waiting[0] is handler:
            mask |= waiting[1]
        self._again[fd] = handler, mask

    def at(self, deadline: int, timer: Timer) -> None:
        """Wake `timer` once `deadline` has passed; unit ns."""
        slot = (deadline >> SLOT_BITS) + 1
        bucket = self._slots.get(slot)
        if bucket is None:
            bucket = self._slots[slot] = []
            heappush(self._due, slot)
        bucket.append(timer)

    def expect(self, deadline: int, timer: Timer) -> None:
        """
        Wake `timer` as `at` does, unless it is taken out of `expected` before. For what mostly ends before.

        Args:
            deadline: No earlier than that of anyone who was expected before; unit ns.
            timer: Whom; can be hashed.
        """
        slot = (deadline >> SLOT_BITS) + 1
        if slot not in self._slots:
            self._slots[slot] = []
            heappush(self._due, slot)
        self.expected[timer] = slot

    def post(self, callback: Callable[[], None]) -> None:
        """Call `callback` in this loop soon. The one method that other threads may use."""
        self._posted.append(callback)
        with self._closing:  # a thread that comes after the end must not write into who has the number now
            if self._waker >= 0:
                os.eventfd_write(self._waker, 1)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` when all events of this turn are told. For the loop's own thread, which needs no waking."""
        self._posted.append(callback)

    def stop(self) -> None:
        """Return from `run` when this turn is over."""
        self._running = False

    def run(self) -> None:
        """Turn until `stop`."""
        self._running = True
        while self._running:
            self.turn(-1)

    def turn(self, limit: float) -> None:
        """
        Fetch events once and tell everybody.

        Args:
            limit: Longest wait for an event; unit s; -1 for no limit.
        """
        table = self.table
        events = self.epoll.poll(self._patience(limit), EVENTS)
        self.now = self.clock()
        for fd, mask in events:
            try:
                handler = table[fd]
            except KeyError:  # buried in this turn
                continue
            try:
                handler.ready(fd, mask)
            except Exception as error:  # a bug in one connection is not the others' end
                self._on_crash(handler, error)
        if self._again or self._posted:
            self._catch_up()
        if self._due and self._due[0] <= self.now >> SLOT_BITS:
            self._wake_timers()
        if self.graves:
            graves, self.graves = self.graves, []
            for sock in graves:
                sock.close()

    def _patience(self, limit: float) -> float:
        if self._again or self._posted:
            return 0
        if not self._due:
            return limit
        wait = ((self._due[0] << SLOT_BITS) - self.clock()) / 1e9
        if wait <= 0:
            return 0
        return wait if limit < 0 or wait < limit else limit

    def _catch_up(self) -> None:
        again, self._again = self._again, {}
        for fd, (handler, mask) in again.items():
            if self.table.get(fd) is handler:
                try:
                    handler.ready(fd, mask)
                except Exception as error:
                    self._on_crash(handler, error)
        for _ in range(len(self._posted)):
            callback = self._posted.popleft()
            try:
                callback()
            except Exception as error:
                self._on_crash(callback, error)

    def _wake_timers(self) -> None:
        now = self.now
        current = now >> SLOT_BITS
        while self._due and self._due[0] <= current:
            slot = heappop(self._due)
            for timer in self._slots.pop(slot) + self._overdue(slot):
                try:
                    timer.wake(now)
                except Exception as error:
                    self._on_crash(timer, error)

    def _overdue(self, slot: int) -> list[Timer]:
        """Return who was expected until this slot, and expect them no more."""
        found = []
        for timer, planned in self.expected.items():
            if planned > slot:
                break
            found.append(timer)
        for timer in found:
            del self.expected[timer]
        return found

    def close(self) -> None:
        """Close every socket given to `bury`, and the loop's own descriptors."""
        for sock in self.graves:
            sock.close()
        self.graves.clear()
        self.epoll.close()
        with self._closing:
            os.close(self._waker)
            self._waker = -1


class _Waker:
    """Empties the eventfd that `post` writes to; what was posted runs at the end of the turn."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self, fd: int, mask: int) -> None:
        os.eventfd_read(self._fd)
