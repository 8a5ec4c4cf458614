"""Orders and reports: each comes back as it went, each is one packet, and anything else is refused."""

import os
import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dataplane import orders
from penstock.dataplane.orders import (
    CloseConnection,
    Closed,
    CutClients,
    Drain,
    Drained,
    NewBans,
    Notice,
    Ready,
    Stop,
    TargetFailed,
)


@pytest.mark.parametrize(
    "order", [Drain(12_345_678_901_234), Stop(), CloseConnection(1 << 60), NewBans(1), CutClients((("0", "f"),))]
)
def test_orders_come_back(order):
    """An order is parsed as it was serialized."""
    assert orders.parse_order(orders.serialize(order)) == order


@pytest.mark.parametrize(
    "report",
    [
        Ready(1),
        Closed(7, True),
        Closed(7, False),
        Drained(),
        Notice("warning", "accept paused", "ünïcode\n"),
        TargetFailed(9, 3, "refused"),
    ],
)
def test_reports_come_back(report):
    """A report is parsed as it was serialized."""
    assert orders.parse_report(orders.serialize(report)) == report


@given(st.binary(max_size=200))
def test_anything_else_is_one_error(packet):
    """Any bytes are an order or msgspec's error, and no other."""
    for parse in (orders.parse_order, orders.parse_report):
        try:
            parse(packet)
        except msgspec.MsgspecError:
            pass


def test_orders_are_no_reports():
    """What one side says, the other side may not."""
    with pytest.raises(msgspec.ValidationError):
        orders.parse_report(orders.serialize(Stop()))
    with pytest.raises(msgspec.ValidationError):
        orders.parse_order(orders.serialize(Drained()))


def test_packets_stay_whole():
    """Two packets sent at once are received one by one, and the end of one side is the end of file of the other."""
    ours, theirs = orders.pair()
    with theirs:
        with ours:
            for order in (Stop(), Drain(5)):
                ours.send(orders.serialize(order))
        received = [theirs.recv(orders.PACKET_BYTES) for _ in range(3)]
    assert [orders.parse_order(packet) for packet in received[:2]] == [Stop(), Drain(5)]
    assert received[2] == b""


def test_descriptors_travel_with_a_packet_and_nobody_waits():
    """A packet brings copies of its descriptors; where there is none, the reader is told at once; the end is empty."""
    one, two = orders.pair()
    with Path(os.devnull).open("rb") as null:
        socket.send_fds(one, [orders.serialize(orders.Reload(1, (2, 3)))], [null.fileno(), null.fileno()])
    packet, fds = orders.receive(two)
    assert orders.parse_order(packet) == orders.Reload(1, (2, 3))
    assert len(set(fds)) == 2
    for fd in fds:
        os.close(fd)
    with pytest.raises(BlockingIOError):
        orders.receive(two)
    one.close()
    assert orders.receive(two) == (b"", [])
    two.close()
