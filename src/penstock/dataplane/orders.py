"""
What supervisor and worker say to each other over their socket pair: one JSON object a packet, told apart by its tag.

The pair is SOCK_SEQPACKET, so a packet arrives whole or not at all, and the end of either process is the end of file
for the other.
"""

import socket

import msgspec
from msgspec import Struct

from penstock.connection import commands
from penstock.dataplane import packets


class Drain(Struct, frozen=True, tag="drain"):
    """Stop accepting, let connections finish, cut what still runs at the deadline, say `Drained`, and exit."""

    deadline_ns: int


class Stop(Struct, frozen=True, tag="stop"):
    """End every connection now and exit."""


class Reopen(Struct, frozen=True, tag="reopen"):
    """Write the access log to the file that has its name now."""


class CloseConnection(Struct, frozen=True, tag="close"):
    """End the connection with this serial number; answered with `Closed`."""

    serial: int


class Reload(Struct, frozen=True, tag="reload"):
    """
    Serve another plan from the next connection on; answered with `Reloaded`. The packet carries descriptors: the plan
    as JSON in memory, then the listening sockets of listeners that are new.

    Args:
        number: Of this reload, for the answer.
        listeners: Ids of the new listeners, in the order of their descriptors.
    """

    number: int
    listeners: tuple[int, ...] = ()


class NewBans(Struct, frozen=True, tag="bans"):
    """
    Look into another table of banned networks from now on. The packet carries its descriptor, or none for no table.

    Args:
        place: Which table: `bans.BY_HAND` or `bans.LISTED`.
    """

    place: int


class CutClients(Struct, frozen=True, tag="cut"):
    """
    End the connections of some clients.

    Args:
        ranges: First and last of their addresses, as `pack_ip` packs them, in hexadecimal digits.
    """

    ranges: tuple[tuple[str, str], ...]


class Verified(Struct, frozen=True, tag="verified"):
    """
    The answer to `Verify`.

    Args:
        number: Of the question.
        verified: What the file says.
    """

    number: int
    verified: commands.Verified


class NewUsers(Struct, frozen=True, tag="users"):
    """A file of users holds something else: forget which logins are right."""


class Spent(Struct, frozen=True, tag="spent"):
    """
    Some quotas are used up, and no others.

    Args:
        keys: Of whom: `limit_table.ROUTE` or `USER`, and the name.
        first, last: Whether it is the first and the last packet that says so: names may be too many for one.
    """

    keys: tuple[tuple[int, str], ...]
    first: bool = True
    last: bool = True


class SumUp(Struct, frozen=True, tag="sum"):
    """Sum these columns of the limit table from now on; 0 for all: workers of another process count there, too."""

    first: int
    count: int


class Ready(Struct, frozen=True, tag="ready"):
    """The worker accepts."""

    pid: int


class Closed(Struct, frozen=True, tag="closed"):
    """The answer to `CloseConnection`: whether there was one."""

    serial: int
    found: bool


class Reloaded(Struct, frozen=True, tag="reloaded"):
    """
    The answer to `Reload`.

    Args:
        number: Of the reload.
        error: Why the worker goes on as before; empty if it serves the new plan.
    """

    number: int
    error: str = ""


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


class TargetFailed(Struct, frozen=True, tag="target"):
    """
    The worker has taken a target out for a while. Said once for each time.

    Args:
        target: Its id.
        failures: Dials that failed in a row.
        detail: Why the last one did.
    """

    target: int
    failures: int
    detail: str = ""


class Verify(Struct, frozen=True, tag="verify"):
    """
    Ask whether a login is right; answered with `Verified`.

    Args:
        number: Of the question.
        users_file: Path of the file that says so; empty if it is known.
        user, password: As the client sent them; UTF-8. Never logged. Empty if the answer is known.
        client: Its IP address; `-` on a Unix socket.
        known: The answer, told as late as the client is heard; None if only the file can tell.
    """

    number: int
    users_file: str
    user: bytes
    password: bytes
    client: str
    known: commands.Verified | None = None

    def __repr__(self) -> str:
        return f"Verify({self.number}, {self.users_file!r}, {self.user!r}, {self.client!r})"


News = NewBans | Spent | Verified | NewUsers | SumUp
Order = Drain | Stop | Reopen | CloseConnection | Reload | CutClients | News
Report = Ready | Closed | Reloaded | Drained | Notice | TargetFailed | Verify

DESCRIPTORS = 250
"""Most that one packet carries; Linux takes 253 (SCM_MAX_FD)."""

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


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """
    Return the next packet and the descriptors that came with it; an empty one at the end.

    Raises:
        BlockingIOError: If there is none.
    """
    return packets.receive(sock, PACKET_BYTES, DESCRIPTORS)


def parse_order(packet: bytes) -> Order:
    """Return the order in a packet; raises msgspec.ValidationError or DecodeError if it holds none."""
    return _orders.decode(packet)


def parse_report(packet: bytes) -> Report:
    """Return the report in a packet; raises msgspec.ValidationError or DecodeError if it holds none."""
    return _reports.decode(packet)
