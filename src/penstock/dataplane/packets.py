"""Packets between processes of a node, and the descriptors that come with them."""

import socket
from array import array


def receive(sock: socket.socket, size: int, descriptors: int) -> tuple[bytes, list[int]]:
    """
    Return the next packet and the descriptors that came with it; an empty one at the end. Nobody waits.

    No child is given what came. `socket.recv_fds` of Python 3.11 forgets its flags, and would wait.

    Args:
        sock: SOCK_SEQPACKET.
        size: Longest packet; what is longer is cut.
        descriptors: Most that come with it, at most 253 (SCM_MAX_FD); the kernel closes others.

    Raises:
        BlockingIOError: If there is none.
        OSError: If the other end left without reading all.
    """
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    packet, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_LEN(descriptors * 4), flags)
    fds = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) // fds.itemsize * fds.itemsize])
    return packet, fds.tolist()
