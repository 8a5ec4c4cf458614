"""StatsD and DogStatsD over UDP: who tells growth to somebody that never answers."""

import asyncio
import os
import socket
from functools import partial

from penstock.config.plan import MetricsPlan
from penstock.metrics.exporters.compat import served
from penstock.metrics.exporters.families import Reading
from penstock.metrics.exporters.statsd import Datagram, Teller
from penstock.metrics.snapshot import Snapshot
from penstock.node.exports.delivery import DeliveryError
from penstock.node.usage import UsageMeter

LISTEN_S = 0.1
"""Between gauges and growth: as long as a machine across a continent takes to say that nobody listens (ICMP)."""

BURST = 16
"""Datagrams sent at once. Linux's usual receive buffer of 208 KiB holds about 90 of them, and others send too."""

PAUSE_S = 0.001
"""After a burst, in which a receiver reads some hundred datagrams."""


class StatsdReceiver:
    """
    Sends to a StatsD server.

    Args:
        plan: Where it is and what it understands.
        node: Name of the node.
        start: What has been counted already, and is not told.
        listen: Time in which it may turn out that nobody listens; unit s.
    """

    patient = False  # a datagram costs nobody anything

    def __init__(self, plan: MetricsPlan, node: str, start: Snapshot, listen: float = LISTEN_S) -> None:
        if plan.statsd is None:
            raise ValueError("the plan names no StatsD server")
        self.kind = plan.statsd_format
        self._address, self._compat, self._listen = plan.statsd, plan.compat_names, listen
        host, port = plan.statsd
        self.shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._failures = 0
        self._meter = UsageMeter()
        self._begin = partial(Teller, plan.statsd_prefix, node, plan.statsd_format == "dogstatsd")
        self._since, self._teller = start.node.counts_since, self._begin(self._readings(start))

    async def deliver(self, snapshot: Snapshot) -> None:
        """
        Tell what there is to tell.

        Raises:
            DeliveryError: If the name is unknown, or nobody listens; what was not told is told the next time.
        """
        datagrams = await asyncio.to_thread(self._made, snapshot)
        try:
            with await self._connected() as sock:
                await self._send(sock, [each for each in datagrams if not each.grown])
                await asyncio.sleep(self._listen)
                if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, os.strerror(error))
                await self._send(sock, [each for each in datagrams if each.grown])
        except OSError as error:
            self._failures += 1
            raise DeliveryError(error.strerror or str(error)) from error

    async def close(self) -> None:
        """Nothing stays open between two deliveries."""

    def _made(self, snapshot: Snapshot) -> list[Datagram]:
        readings = self._readings(snapshot)
        if snapshot.node.counts_since != self._since:  # a store was reached late: what it restored is no growth
            self._since, self._teller = snapshot.node.counts_since, self._begin(readings)
        return list(self._teller.tell(readings))

    def _readings(self, snapshot: Snapshot) -> list[Reading]:
        return served(snapshot, self._meter.read(snapshot.workers.pids), compat_names=self._compat)

    async def _connected(self) -> socket.socket:
        """Return a connected socket: the kernel tells such a one when nobody listens. Names are looked up each time."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[self._failures % len(found)]  # `localhost` has two
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    async def _send(self, sock: socket.socket, datagrams: list[Datagram]) -> None:
        loop = asyncio.get_running_loop()
        for count, datagram in enumerate(datagrams, start=1):
            await loop.sock_sendall(sock, datagram.payload)
            self._teller.sent(datagram)
            if not count % BURST:
                await asyncio.sleep(PAUSE_S)
