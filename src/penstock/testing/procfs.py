"""What the kernel says of a process: its memory, its descriptors, and which process holds a connection's other end."""

import socket
import struct
from collections.abc import Iterable
from pathlib import Path

SOCK_DIAG = 4
"""Netlink's protocol for questions about one socket, sock_diag(7); /proc/net/tcp tells the same of all sockets."""

BY_FAMILY, REQUEST, ERROR = 20, 1, 2
"""SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR."""

ANY = 0xFFFF_FFFF
"""All states, and no cookie."""

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, pid
_QUESTION = struct.Struct("=BBBxI")  # inet_diag_req_v2: family, protocol, extensions, states; then the id
_ID = struct.Struct("!HH4s12x4s12x")  # inet_diag_sockid: source port, destination port, source, destination
_ID_END = struct.Struct("=III")  # interface, cookie
_ANSWER = struct.Struct("=4xIIIII")  # inet_diag_msg around its id: timer, unread, unsent, user, inode


def memory(pid: int) -> int:
    """Return the proportional set size: what would be free without this process; unit bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1_024
    raise ValueError(f"/proc/{pid}/smaps_rollup names no Pss")


def descriptors(pid: int) -> int:
    """Return how many descriptors the process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def children(pid: int) -> list[int]:
    """Return the processes that the threads of this one have started and that still live."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in lists for child in file.read_text().split()]


def unread(client: socket.socket) -> int | None:
    """
    Return the bytes that the other end of a connection over loopback has received and not read yet.

    Args:
        client: Connected over IPv4.

    Returns:
        Unit bytes; None while nobody has accepted the connection, or when the other end is gone.
    """
    count, inode = _other_end(client)
    return count if inode else None


def holder(client: socket.socket, pids: Iterable[int]) -> int | None:
    """Return which of these processes holds the other end of a connection over loopback; None for none of them."""
    inode = _other_end(client)[1]
    link = f"socket:[{inode}]"
    return next((pid for pid in pids if inode and _holds(pid, link)), None)


def _holds(pid: int, link: str) -> bool:
    try:
        return any(str(file.readlink()) == link for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # a descriptor, or the whole process, has just gone
        return False


def _other_end(client: socket.socket) -> tuple[int, int]:
    """Return the unread bytes and the inode of the other end; inode 0 for none."""
    here, there = client.getsockname(), client.getpeername()
    name = _ID.pack(there[1], here[1], socket.inet_aton(there[0]), socket.inet_aton(here[0])) + _ID_END.pack(
        0, ANY, ANY
    )
    question = _QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, ANY) + name
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as asked:
        asked.send(_HEADER.pack(_HEADER.size + len(question), BY_FAMILY, REQUEST, 1, 0) + question)
        answer = asked.recv(4_096)
    if _HEADER.unpack_from(answer)[1] == ERROR:
        return 0, 0
    _, count, _, _, inode = _ANSWER.unpack_from(answer, _HEADER.size + len(name))
    return count, inode
