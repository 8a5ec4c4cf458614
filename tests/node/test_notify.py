"""What systemd is told."""

import socket

import pytest

from penstock.node.notify import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_arrives(tmp_path, abstract):
    """The datagram reaches a socket with a path, and one in the abstract name space."""
    path = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + path if abstract else path)
        sock.settimeout(10)
        assert notify("READY=1", {"NOTIFY_SOCKET": "@" + path if abstract else path})
        assert sock.recv(100) == b"READY=1"


@pytest.mark.parametrize("path", ["", "relative", "/nonexistent/socket", "/" + "x" * 200, "/zero\0"])
def test_nobody_to_tell_is_no_error(path):
    """Without a socket, or with one that is none, nothing happens."""
    assert not notify("READY=1", {"NOTIFY_SOCKET": path})
    assert not notify("READY=1", {})
