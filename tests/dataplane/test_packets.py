"""Packets and descriptors between processes."""

import os
import socket

import pytest

from penstock.dataplane.packets import receive


@pytest.fixture
def pair():
    """Two ends."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, two:
        yield one, two


def test_nobody_waits(pair):
    """Where there is no packet the reader is told at once, and of the end by an empty one."""
    one, two = pair
    with pytest.raises(BlockingIOError):
        receive(two, 10, 1)
    one.send(b"hello")
    assert receive(two, 10, 1) == (b"hello", [])
    one.close()
    assert receive(two, 10, 1) == (b"", [])


def test_descriptors_are_no_childs(pair):
    """They are copies, and a program that is started does not get them."""
    one, two = pair
    socket.send_fds(one, [b"x"], [one.fileno(), two.fileno()])
    packet, fds = receive(two, 10, 2)
    try:
        assert (packet, len({one.fileno(), two.fileno(), *fds})) == (b"x", 4)
        assert not any(map(os.get_inheritable, fds))
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("most", [1, 2, 7, 250])
def test_no_more_come_than_are_wanted(pair, most):
    """What is too many is closed by the kernel, what is too long is cut."""
    one, two = pair
    socket.send_fds(one, [b"hello"], [one.fileno()] * (most + 2))
    packet, fds = receive(two, 3, most)
    for fd in fds:
        os.close(fd)
    assert (packet, len(fds)) == (b"hel", most)
