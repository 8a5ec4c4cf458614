"""The supervisor's end of the pair that it shares with a worker: orders out, reports in."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import msgspec

from penstock.dataplane import orders

PACKETS = 256
"""Reports read before others get their turn."""


class Control:
    """
    Args:
        sock: The supervisor's end of `orders.pair()`.
        on_report: Called with each report.
        on_end: Called once, when the other end is closed or says what is no report.
    """

    def __init__(
        self, sock: socket.socket, on_report: Callable[[orders.Report], None], on_end: Callable[[], None]
    ) -> None:
        self._sock = sock
        self._on_report = on_report
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self.read)

    @property
    def closed(self) -> bool:
        """Return whether nothing can be said or heard any more."""
        return self._sock.fileno() < 0

    def send(self, order: orders.Order, fds: Sequence[int] = ()) -> bool:
        """Give an order, with copies of descriptors; returns whether it is on its way (a stuck worker takes none)."""
        if self.closed:
            return False
        try:
            if fds:
                socket.send_fds(self._sock, [orders.serialize(order)], fds)
            else:
                self._sock.send(orders.serialize(order))
        except OSError:
            return False
        return True

    def read(self) -> None:
        """Take the reports that are there."""
        for _ in range(PACKETS):
            if self.closed:
                return
            try:
                packet = self._sock.recv(orders.PACKET_BYTES)
                report = orders.parse_report(packet) if packet else None
            except BlockingIOError:
                return
            except (OSError, msgspec.DecodeError):
                report = None
            if report is None:
                self._end()
                return
            self._on_report(report)

    def _end(self) -> None:
        self.close()
        self._on_end()

    def close(self) -> None:
        """Close this end: a worker that still runs sees its supervisor gone and ends."""
        if not self.closed:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
