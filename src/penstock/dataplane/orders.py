"""
What supervisor and worker say to each other over their socket pair: one JSON object a packet, told apart by its tag.

The pair is SOCK_SEQPACKET, so a packet arrives whole or not at all, and the end of either process is the end of file
for the other.
"""

import socket

import msgspec
from msgspec import Struct


class Drain(Struct, frozen=True, tag="drain"):
    """Stop accepting, let connections finish, cut what still runs at the deadline, say `Drained`, and exit."""

    deadline_ns: int


class Stop(Struct, frozen=True, tag="stop"):
    """End every connection now and exit."""


class CloseConnection(Struct, frozen=True, tag="close"):
    """End the connection with this serial number; answered with `Closed`."""

    serial: int


class Ready(Struct, frozen=True, tag="ready"):
    """The worker accepts."""

    pid: int


class Closed(Struct, frozen=True, tag="closed"):
    """The answer to `CloseConnection`: whether there was one."""

    serial: int
    found: bool


class Drained(Struct, frozen=True, tag="drained"):
    """No connection is left; the worker exits."""


class Notice(Struct, frozen=True, tag="notice"):
    """
    Something that an operator should read.

    Args:
        level: debug, info, warning or error.
        event: A few words that stay the same, such as `accept paused`.
        detail: What is particular to this one.
    """

    level: str
    event: str
    detail: str = ""


Order = Drain | Stop | CloseConnection
Report = Ready | Closed | Drained | Notice

PACKET_BYTES = 65_536
"""Longest packet; the longest that is sent, a notice with a traceback, is cut at a quarter of it."""

_encode = msgspec.json.Encoder().encode
_orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_reports: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends: the supervisor's and the worker's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def serialize(message: Order | Report) -> bytes:
    """Return the packet of a message."""
    return _encode(message)


def parse_order(packet: bytes) -> Order:
    """Return the order in a packet; raises msgspec.ValidationError or DecodeError if it holds none."""
    return _orders.decode(packet)


def parse_report(packet: bytes) -> Report:
    """Return the report in a packet; raises msgspec.ValidationError or DecodeError if it holds none."""
    return _reports.decode(packet)
