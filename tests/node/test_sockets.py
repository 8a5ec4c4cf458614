"""Listening sockets: every form of address, every way to fail, and what outlives a worker."""

import errno
import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from penstock.base.errors import StartError
from penstock.config.plan import ListenerPlan
from penstock.node import sockets
from penstock.node.sockets import UnixSocket, endpoint_of, open_admin, open_listeners


def listener(host="127.0.0.1", port=0, name="web", number=1):
    """Return a listener's plan."""
    return ListenerPlan(id=number, name=name, protocol="tcp", host=host, port=port)


@pytest.fixture
def opened(request):
    """Return a function that opens listeners and closes them after the test."""

    def open_(*plans, workers=1):
        found = open_listeners(plans, workers)
        for each in found:
            request.addfinalizer(each.close)
        return found

    return open_


def accepted_by(socks):
    """Return how many connections wait in the queue of each socket, and take them."""
    counts = []
    for sock in socks:
        taken = []
        try:
            while True:
                taken.append(sock.accept()[0])
        except BlockingIOError:
            counts.append(len(taken))
        for each in taken:
            each.close()
    return counts


def test_port_0_is_one_port_for_all_workers(opened):
    """The kernel chooses a port once; every worker has a socket of its own on it, and the plan tells which it is."""
    (web,) = opened(listener(), workers=3)
    ports = {endpoint_of(each)[1] for each in web.sockets}
    assert len(web.sockets) == 3
    assert ports == {web.plan.port}
    assert web.plan.port > 0


def test_kernel_spreads_connections_over_workers(opened):
    """Every worker's socket gets a share of the connections, the first one included, and none is lost."""
    (web,) = opened(listener(), workers=3)
    clients = [socket.create_connection((web.plan.host, web.plan.port)) for _ in range(96)]
    counts = accepted_by(web.sockets)
    assert sum(counts) == 96
    assert all(counts)
    for client in clients:
        client.close()


def test_wildcard_takes_both_families(opened):
    """`::` accepts IPv4 and IPv6."""
    (web,) = opened(listener("::"))
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, web.plan.port)).close()
    assert accepted_by(web.sockets) == [2]


def test_one_ipv6_address_is_ipv6_alone(opened):
    """`::1` leaves the same port of 127.0.0.1 to others."""
    (web,) = opened(listener("::1"))
    with closing(open_admin("127.0.0.1", web.plan.port)) as other:
        assert endpoint_of(other) == ("127.0.0.1", web.plan.port)


def test_wildcard_without_ipv6_falls_back(opened, monkeypatch):
    """Where the machine has no IPv6, `::` becomes 0.0.0.0, and the plan says so."""
    real = socket.socket

    def no_ipv6(family=socket.AF_INET, *rest):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *rest)

    monkeypatch.setattr(sockets.socket, "socket", no_ipv6)
    (web,) = opened(listener("::"), workers=2)
    assert web.plan.host == "0.0.0.0"
    assert len(web.sockets) == 2


def test_options_reach_accepted_sockets(opened):
    """Accepted sockets have TCP_NODELAY and SO_KEEPALIVE without a system call of their own."""
    (web,) = opened(listener())
    with socket.create_connection((web.plan.host, web.plan.port)), web.sockets[0].accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_sockets_do_not_block_and_do_not_leak(opened):
    """Listening sockets never block, and no program that is started by somebody else inherits them."""
    (web,) = opened(listener(), workers=2)
    assert not any(each.getblocking() or os.get_inheritable(each.fileno()) for each in web.sockets)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "SO_REUSEPORT"])
def test_port_in_use_is_said(shared):
    """A port that another process listens on is refused in one clear line, even if that process would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = endpoint_of(other)[1]
        with pytest.raises(StartError, match=f"^listener web: 127.0.0.1:{port} is in use by another process$"):
            open_listeners([listener(port=port)], 2)


def test_second_node_cannot_share_a_port(opened):
    """The sockets of a running node are not joined by a second one, on the same address or on the wildcard."""
    (web,) = opened(listener(), workers=2)
    for host in ("127.0.0.1", "::"):
        with pytest.raises(StartError, match="in use by another process"):
            open_listeners([listener(host, web.plan.port)], 2)


def test_failure_leaves_nothing_open(opened):
    """If the second listener cannot be bound, the first one's port is free again."""
    (taken,) = opened(listener())
    with closing(open_admin("127.0.0.1", 0)) as free:
        port = endpoint_of(free)[1]
    with pytest.raises(StartError):
        open_listeners([listener(port=port), listener(port=taken.plan.port, name="second")], 1)
    open_admin("127.0.0.1", port).close()


def test_two_listeners_of_one_address_are_said(opened):
    """Two listeners of this node on one address are named, and no other process is blamed."""
    with closing(open_admin("127.0.0.1", 0)) as free:
        port = endpoint_of(free)[1]
    with pytest.raises(StartError, match=f"listener b: 127.0.0.1:{port} is already taken by listener a"):
        open_listeners([listener(port=port, name="a"), listener(port=port, name="b")], 1)


def test_foreign_address_is_said():
    """An address of another machine is refused as such; 192.0.2.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(StartError, match=r"^listener web: 192\.0\.2\.1:0 is no address of this machine$"):
        open_listeners([listener("192.0.2.1")], 1)


def test_privileged_port_is_said(monkeypatch):
    """A port that needs a privilege is refused with what would help."""

    class Unprivileged(socket.socket):
        def bind(self, address):
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sockets.socket, "socket", Unprivileged)
    with pytest.raises(StartError, match=r"^admin: 127\.0\.0\.1:80: permission denied; .*CAP_NET_BIND_SERVICE"):
        open_admin("127.0.0.1", 80)


def test_parked_worker_leaves_its_share_to_others(opened):
    """While a worker is parked every connection goes to the others; afterwards it has its share again."""
    (web,) = opened(listener(), workers=2)
    web.park(0)
    clients = [socket.create_connection((web.plan.host, web.plan.port)) for _ in range(32)]
    assert accepted_by(web.sockets[1:]) == [32]
    web.unpark(0)
    clients += [socket.create_connection((web.plan.host, web.plan.port)) for _ in range(64)]
    assert all(accepted_by(web.sockets))
    for client in clients:
        client.close()


def test_only_worker_is_never_parked(opened):
    """A listener with a single socket keeps its queue, whoever is away."""
    (web,) = opened(listener())
    web.park(0)
    with socket.create_connection((web.plan.host, web.plan.port)):
        assert accepted_by(web.sockets) == [1]


def test_unix_listener_is_shared_and_removed(opened, tmp_path):
    """A Unix listener has one socket for all workers, and its file goes with it."""
    path = tmp_path / "web.sock"
    (web,) = opened(listener(f"unix:{path}"), workers=3)
    assert web.of_worker(0) is web.of_worker(2)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert accepted_by(web.sockets) == [1]
    web.close()
    assert not path.exists()


def test_stale_unix_socket_is_replaced(tmp_path):
    """The file that a killed process left behind is no obstacle."""
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with closing(UnixSocket(str(path), "command socket", 0o600)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_live_unix_socket_is_refused(tmp_path, kind):
    """A path that somebody listens on is refused and left as it is."""
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(StartError, match=f"^listener web: unix:{path} is in use by another process$"):
            open_listeners([listener(f"unix:{path}")], 1)
        assert path.exists()


def test_busy_unix_socket_is_live(tmp_path):
    """A process whose queue is full is alive: its socket is not taken away."""
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(str(path))
        other.listen(0)
        client.connect(str(path))
        with pytest.raises(StartError, match="in use by another process"):
            UnixSocket(str(path), "command socket")


def test_a_file_is_never_removed(tmp_path):
    """A path that is no socket is refused, whatever it is."""
    path = tmp_path / "precious"
    path.write_text("mine")
    with pytest.raises(StartError, match="exists and is no socket"):
        UnixSocket(str(path), "command socket")
    assert path.read_text() == "mine"


def test_missing_directory_is_said(tmp_path):
    """A Unix socket in a directory that is not there fails in one line."""
    with pytest.raises(StartError, match="the directory does not exist"):
        UnixSocket(str(tmp_path / "none" / "node.sock"), "command socket")


def test_a_successors_socket_is_left_alone(tmp_path):
    """A node that ends late does not remove the file that the next one has put there."""
    path = tmp_path / "node.sock"
    first = UnixSocket(str(path), "command socket")
    Path(path).rename(tmp_path / "aside")  # keeps the inode, so that it is not given out again
    with closing(UnixSocket(str(path), "command socket")):
        first.close()
        assert path.exists()
