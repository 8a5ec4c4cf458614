"""
Questions to the kernel about TCP sockets, and its answers: netlink's sock_diag, parse beside serialize.

What a process has read of a socket is what the kernel received less what still waits; what it has written is what the
other end acknowledged plus what still waits for that. An end of file takes a number of the sequence like a byte: it is
in `received` once it came and in the queue until it was read, in `acked` or the queue once we have sent it.
Source: sock_diag(7), linux/inet_diag.h, linux/tcp.h; RFC 9293 section 3.4 for the sequence number of a FIN.
"""

import errno
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.errors import PenstockError
from penstock.metrics.testimony import Streams

INET, INET6, TCP = 2, 10, 6
"""AF_INET, AF_INET6, IPPROTO_TCP; netlink's numbers are Linux' own."""

BY_FAMILY, NLMSG_ERROR, NLMSG_DONE = 20, 2, 3
REQUEST, DUMP = 0x1, 0x300
"""Types and flags of messages, linux/netlink.h."""

INFO = 2
"""INET_DIAG_INFO: the attribute that holds struct tcp_info; one less in a question, where it is a bit."""

BYTECODE = 1
"""INET_DIAG_REQ_BYTECODE: a filter."""

AT_LEAST, AT_MOST, JUMP, NOP = 2, 3, 1, 0
"""INET_DIAG_BC_S_GE, _S_LE and _JMP on the port of our side; a port stands in an operation of its own."""

ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING = 1, 4, 5, 8, 9, 11
WE_ENDED = (FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING)
"""States in which our end of file is behind what we sent."""

THEY_ENDED = (CLOSE_WAIT, LAST_ACK, CLOSING)
"""States in which the client's end of file is behind what it sent."""

STATES = sum(1 << state for state in (ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING))
"""Those that an accepted socket is in; what is left of a closed one (TIME_WAIT) counts no bytes."""

PORTS = 3_000
"""Ports that one filter holds; an attribute is at most 64 KiB, and a port takes 20 bytes of it."""

STEP = 20
"""Bytes of the filter for one port, or for a span of neighbours."""

ATTRIBUTES = 32
"""Attributes of one message that are looked at; the kernel knows 22 of them and sends about six."""

LEAST_INFO = 136
"""Bytes of a tcp_info that has what we read; Linux 4.2 and later."""

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBxI")  # inet_diag_req_v2, but for its id: family, protocol, extensions, states
_ID_BYTES = 48
_ANY = b"\0" * 40 + b"\xff" * 8  # an inet_diag_sockid: no address, no interface, no cookie
_OPERATION = struct.Struct("=BBH")  # inet_diag_bc_op: code, bytes to go on if so, bytes to go on if not

_MESSAGE = np.dtype(
    [
        ("family", "u1"), ("state", "u1"), ("timer", "u1"), ("retrans", "u1"), ("id", "u1", _ID_BYTES),
        ("expires", "u4"), ("rqueue", "u4"), ("wqueue", "u4"), ("uid", "u4"), ("inode", "u4"),
    ]
)  # fmt: skip
_ID = np.dtype([("port", ">u2"), ("peer_port", ">u2"), ("address", "u1", 16), ("peer", "u1", 16), ("rest", "u1", 12)])
_WE_ENDED, _THEY_ENDED = (np.isin(np.arange(256), states).astype(np.int64) for states in (WE_ENDED, THEY_ENDED))
_STATE, _ACKED, _RECEIVED = 0, 120, 128  # where in tcp_info: tcpi_state, tcpi_bytes_acked, tcpi_bytes_received


CUT = "the kernel's answer is cut short"


class SockDiagError(PenstockError):
    """The kernel refuses to tell of sockets, or what came is no answer of a kernel that we know."""


class Sockets(NamedTuple):
    """
    TCP sockets at one moment; shape (n,) each.

    Args:
        families: INET or INET6.
        ids: What the kernel calls each, for a second question; shape (n, 48).
        streams: Who is at the other end, and what moved.
    """

    families: NDArray[np.uint8]
    ids: NDArray[np.uint8]
    streams: Streams


def serialize_dump(family: int, ports: Iterable[int], sequence: int) -> bytes:
    """
    Return the question for all open sockets of these local ports.

    Args:
        family: INET or INET6.
        ports: 1 to PORTS of them.
        sequence: Number that the answer will carry.
    """
    code = _filter(sorted(set(ports)))
    attribute = struct.pack("=HH", 4 + len(code), BYTECODE) + code
    return _serialize(family, _ANY, REQUEST | DUMP, sequence, attribute)


def serialize_one(family: int, name: bytes, sequence: int) -> bytes:
    """Return the question for the socket that an answer called so, 48 bytes."""
    return _serialize(family, name, REQUEST, sequence, b"")


def _serialize(family: int, name: bytes, flags: int, sequence: int, attribute: bytes) -> bytes:
    body = _QUESTION.pack(family, TCP, 1 << (INFO - 1), STATES) + name + attribute
    return _HEADER.pack(_HEADER.size + len(body), BY_FAMILY, flags, sequence, 0) + body


def _filter(ports: list[int]) -> bytes:
    """Return the program that takes a socket if it has one of the ports: from here to there, or in the next span."""
    spans, pieces = _spans(ports), []
    for left in range(len(spans), 0, -1):
        first, last = spans[-left]
        other = STEP if left > 1 else STEP + 4  # past the end stands for no
        pieces += [
            _OPERATION.pack(AT_LEAST, 8, other), _OPERATION.pack(NOP, 0, first),
            _OPERATION.pack(AT_MOST, 8, other - 8), _OPERATION.pack(NOP, 0, last),
            _OPERATION.pack(JUMP, 4, left * STEP - 16),  # a jump always takes its second way
        ]  # fmt: skip
    return b"".join(pieces)


def _spans(ports: list[int]) -> list[tuple[int, int]]:
    """Return neighbours as one: a thousand listeners in a row are one comparison."""
    spans: list[tuple[int, int]] = []
    for port in ports:
        if spans and port == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], port)
        else:
            spans.append((port, port))
    return spans


class Answers:
    """
    Datagrams of the kernel, read together: one by one they cost three times as much.

    Args:
        sequence: Number of the question; what answers another one is passed over.

    Attributes:
        size: Bytes that wait to be read.
    """

    def __init__(self, sequence: int) -> None:
        self._sequence, self.size = sequence, 0
        self._datagrams: list[bytes] = []
        self._begins: list[int] = []
        self._ends: list[int] = []

    def add(self, data: bytes) -> bool:
        """
        Add a datagram, whole; returns whether it was the last one.

        Raises:
            SockDiagError: If the kernel refuses, or if these are no messages. A socket that is not there is no refusal:
                it is none.
        """
        at, size, base = 0, len(data), self.size
        while at + _HEADER.size <= size:
            length, kind, _, answers, _ = _HEADER.unpack_from(data, at)
            if length < _HEADER.size or at + length > size:
                raise SockDiagError(CUT)
            if answers == self._sequence:
                if kind == BY_FAMILY and length >= _HEADER.size + _MESSAGE.itemsize:
                    self._begins.append(base + at + _HEADER.size)
                    self._ends.append(base + at + length)
                elif kind in (NLMSG_ERROR, NLMSG_DONE):
                    self._keep(data)
                    return kind == NLMSG_DONE or _refused(data[at + _HEADER.size : at + length])
            at += length + 3 & ~3
        self._keep(data)
        return False

    def _keep(self, data: bytes) -> None:
        self._datagrams.append(data)
        self.size += len(data)

    def sockets(self) -> Sockets:
        """
        Return the sockets of what was added since the last call.

        Raises:
            SockDiagError: If these are no messages of sock_diag.
        """
        found = _sockets(b"".join(self._datagrams), np.array(self._begins, np.intp), np.array(self._ends, np.intp))
        self._datagrams, self._begins, self._ends, self.size = [], [], [], 0
        return found


def parse(data: bytes, sequence: int) -> Sockets:
    """
    Return the sockets that one datagram tells of.

    Args:
        data: The datagram, whole.
        sequence: Number of the question.

    Raises:
        SockDiagError: As `Answers.add` does.
    """
    answers = Answers(sequence)
    answers.add(data)
    return answers.sockets()


def _refused(body: bytes) -> bool:
    if len(body) < 4:
        raise SockDiagError(CUT)
    number = -struct.unpack_from("=i", body)[0]
    if number not in (0, errno.ENOENT, errno.ESTALE):
        raise SockDiagError(f"the kernel tells nothing of sockets: {os.strerror(number & 0xFFFF)}")
    return True


def _sockets(data: bytes, begins: NDArray[np.intp], ends: NDArray[np.intp]) -> Sockets:
    raw = np.frombuffer(data, np.uint8)
    infos = _infos(raw, begins + _MESSAGE.itemsize, ends)
    told = infos > 0
    begins, infos = begins[told], infos[told]
    messages = _cut(raw, begins, _MESSAGE.itemsize).view(_MESSAGE)[:, 0]
    held = messages["inode"] > 0  # not in a backlog, and not closed by us
    messages, infos = messages[held], infos[held]
    known = (messages["family"] == INET) | (messages["family"] == INET6)
    messages, infos = messages[known], infos[known]
    return Sockets(messages["family"], messages["id"], _streams(messages, raw, infos))


def _infos(raw: NDArray[np.uint8], cursors: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where in each message tcp_info begins; 0 where it is missing."""
    found = np.zeros_like(cursors)
    for _ in range(ATTRIBUTES):
        there = np.flatnonzero(cursors + 4 <= ends)
        if not len(there):
            break
        heads = _cut(raw, cursors[there], 4).view(np.uint16)
        length, kind = heads[:, 0].astype(np.intp), heads[:, 1]
        if (length < 4).any() or (cursors[there] + length > ends[there]).any():
            raise SockDiagError(CUT)
        hit = there[(kind == INFO) & (length >= 4 + LEAST_INFO)]
        found[hit] = cursors[hit] + 4
        cursors[there] += length + 3 & ~3
    return found


def _streams(messages: NDArray[np.void], raw: NDArray[np.uint8], infos: NDArray[np.intp]) -> Streams:
    ids = np.ascontiguousarray(messages["id"]).view(_ID)[:, 0] if len(messages) else np.zeros(0, _ID)
    state = raw[infos + _STATE]
    acked, received = (_cut(raw, infos + at, 8).view(np.int64)[:, 0] for at in (_ACKED, _RECEIVED))
    ours, theirs = _WE_ENDED[state], _THEY_ENDED[state]
    waiting = np.maximum(messages["rqueue"].astype(np.int64) - theirs, 0)
    return Streams(
        keys=_keys(messages["family"], ids),
        rx=received - theirs - waiting,
        tx=acked + messages["wqueue"].astype(np.int64) - ours,
    )


def _keys(families: NDArray[np.uint8], ids: NDArray[np.void]) -> NDArray[np.uint64]:
    """Return who is at the other end as `testimony` wants it: an IPv4 address as mapped IPv6."""
    addresses = ids["peer"].copy()
    short = families == INET
    addresses[short, 12:] = addresses[short, :4]
    addresses[short, :10], addresses[short, 10:12] = 0, 0xFF
    keys = np.zeros((len(ids), 3), np.uint64)
    keys[:, :2] = addresses.view(np.uint64).reshape(-1, 2)
    keys[:, 2] = ids["peer_port"].astype(np.uint64) << np.uint64(16) | ids["port"].astype(np.uint64)
    return keys


def _cut(raw: NDArray[np.uint8], begins: NDArray[np.intp], size: int) -> NDArray[np.uint8]:
    """Return so many bytes from each of these places; shape (n, size)."""
    out: NDArray[np.uint8] = raw[begins[:, None] + np.arange(size)]
    return out
