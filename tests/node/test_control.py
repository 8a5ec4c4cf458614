"""The supervisor's end of the pair."""

import asyncio
import socket

import pytest

from penstock.dataplane import orders
from penstock.node.control import PACKETS, Control

from .conftest import until


class Heard:
    """What a control said."""

    def __init__(self):
        self.ours, self.worker = orders.pair()
        self.reports, self.ends = [], 0
        self.control = Control(self.ours, self.reports.append, self.end)

    def end(self):
        """Count the ends."""
        self.ends += 1


def heard(test):
    """Run a test with a pair whose ends are closed afterwards."""

    async def run():
        pair = Heard()
        with pair.worker:
            await test(pair)
            pair.control.close()

    asyncio.run(run())


def test_reports_arrive_in_order():
    """More reports than one turn takes arrive, all of them and in order."""

    async def go(pair):
        for serial in range(2 * PACKETS):
            while True:
                try:
                    pair.worker.send(orders.serialize(orders.Closed(serial, True)), socket.MSG_DONTWAIT)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0)
        await until(lambda: len(pair.reports) == 2 * PACKETS)
        assert [report.serial for report in pair.reports] == list(range(2 * PACKETS))

    heard(go)


def test_orders_reach_the_worker():
    """An order arrives as the packet that the worker parses."""

    async def go(pair):
        assert pair.control.send(orders.Drain(42))
        assert orders.parse_order(pair.worker.recv(100)) == orders.Drain(42)

    heard(go)


@pytest.mark.parametrize("packet", [b"", b"{", b"\xff\xfe", b'{"type":"ruin"}', b'{"type":"closed","serial":"x"}'])
def test_nonsense_ends_the_pair(packet):
    """A worker that closes or says what is no report is hung up on, once, and nothing is raised."""

    async def go(pair):
        if packet:
            pair.worker.send(packet)
        else:
            pair.worker.close()
        await until(lambda: pair.ends)
        pair.control.read()
        assert pair.control.closed
        assert (pair.reports, pair.ends) == ([], 1)

    heard(go)


def test_a_full_pair_takes_no_order():
    """A worker that reads nothing does not block its supervisor: the order is refused."""

    async def go(pair):
        assert not all(pair.control.send(orders.CloseConnection(n)) for n in range(100_000))

    heard(go)


def test_a_closed_control_takes_no_order():
    """After the end an order is refused, not raised."""

    async def go(pair):
        pair.control.close()
        pair.control.close()
        assert not pair.control.send(orders.Stop())

    heard(go)
