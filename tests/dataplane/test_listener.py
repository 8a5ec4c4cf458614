"""Listeners: who is accepted, as whom, in which turn, and to which target."""

import contextlib
import socket
from types import SimpleNamespace

import pytest

from penstock.base.addresses import unpack_ip
from penstock.base.bounds import ACCEPT_NS
from penstock.config.plan import TargetPlan, WorkerPlan
from penstock.dataplane.equipment import prepare
from penstock.dataplane.listener import Listener, _only_address
from penstock.dataplane.reactor import EDGE_IN, Reactor
from penstock.metrics import ledger
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.workbench import bench, listener, wait_for


def listening(*address, family=socket.AF_INET):
    """Return a socket that listens and does not block."""
    sock = socket.socket(family)
    sock.bind(*address)
    sock.listen(100)
    sock.setblocking(False)
    return sock


@pytest.mark.parametrize(
    ("family", "address", "only"),
    [
        (socket.AF_INET, ("127.0.0.2", 0), "127.0.0.2"), (socket.AF_INET, ("0.0.0.0", 0), None),
        (socket.AF_INET6, ("::1", 0), "::1"), (socket.AF_INET6, ("::", 0), None),
        (socket.AF_INET6, ("::ffff:127.0.0.2", 0), "127.0.0.2"), (socket.AF_INET6, ("::ffff:0.0.0.0", 0), None),
        (socket.AF_UNIX, "here", None),
    ],
)  # fmt: skip
def test_where_all_clients_come_to(tmp_path, monkeypatch, family, address, only):
    """A listener of one IP address knows where its clients come to; of any other each client is asked."""
    monkeypatch.chdir(tmp_path)
    with listening(address, family=family) as sock:
        found = _only_address(sock)
        assert found == (None if only is None else (only, sock.getsockname()[1]))


@contextlib.contextmanager
def door(plane, sock, target):
    """Open another listener of a running worker on this socket."""
    plan = listener("extra", "tcp", target.port, id=9)
    equipment = prepare(WorkerPlan(listeners=(plan,)), plane.worker).equipment[9]
    plane.worker.reactor.post(lambda: Listener(plane.worker, equipment, sock.detach()).listen())
    yield


def test_client_is_known_by_its_address():
    """The row holds the client's address and port, and the numbers of listener, route and target."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        base = ledger.HEADER_WORDS
        packed = plane.words[base + ledger.IP_HIGH : base + ledger.IP_LOW + 1].tobytes()
        assert (unpack_ip(packed), plane.words[base + ledger.PORT]) == client.getsockname()
        assert plane.words[base + ledger.SCOPE] == ledger.pack_scope(1, 1, 1)


def test_mapped_client_is_its_ipv4():
    """A client of IPv4 on a listener of IPv6 is the same client as on any other."""
    six = socket.socket(socket.AF_INET6)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    six.bind(("::", 0))
    six.listen(10)
    six.setblocking(False)
    port = six.getsockname()[1]
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, door(plane, six, target):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert [each.host for each in plane.connections()] == ["127.0.0.1"]
        client.close()


def test_unix_client_is_relayed(tmp_path):
    """A client of a Unix socket has no address and is served all the same."""
    path = str(tmp_path / "door")
    sock = listening(path, family=socket.AF_UNIX)
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, door(plane, sock, target):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(path)
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            assert [each.host for each in plane.connections()] == ["-"]
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        row = plane.ended()[0]
        assert (row.client_rx, row.client_tx, row.target_rx, row.target_tx) == (1, 1, 1, 1)


def test_full_backlog_is_taken_in_a_few_turns():
    """A burst of clients that waited is accepted in growing batches, and every one is served."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, contextlib.ExitStack() as stack:
        waiting = []
        plane.worker.reactor.post(lambda: wait_for(lambda: waiting))
        clients = [stack.enter_context(plane.connect()) for _ in range(200)]
        waiting.append(True)
        for client in clients:
            client.sendall(b"x")
        assert [client.recv(1) for client in clients] == [b"x"] * 200


def test_targets_take_turns_by_weight():
    """Connections go to the targets in turn, to each according to its weight."""
    with serving(saying(b"a")) as one, serving(saying(b"b")) as two:
        targets = (
            TargetPlan(id=1, host="127.0.0.1", port=one.port, weight=3),
            TargetPlan(id=2, host="127.0.0.1", port=two.port, weight=1),
        )
        with bench(listener("main", "tcp", targets=targets)) as plane:
            heard = b""
            for _ in range(8):
                with plane.connect() as client:
                    heard += read_all(client)
            assert sorted(heard) == sorted(b"aaaaaabb")
            scopes = {
                plane.words[ledger.HEADER_WORDS + i * ledger.ROW_WORDS + ledger.SCOPE] >> 16 & 0xFFFF for i in range(8)
            }
            assert scopes == {1, 2}


def test_client_beyond_the_ledger_is_not_served_uncounted():
    """Where no row is free, because ended ones still wait to be read, a client is closed, and the ledger says so."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port), ledger_rows=4) as plane:
        for index in range(4):
            with plane.connect() as client:
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b""
            plane.ended(index + 1)
        with plane.connect() as client:
            assert client.recv(1) == b""
        assert plane.words[ledger.H_OVERFLOWS] == 1
        for _ in range(3):
            plane.tick()
        with plane.connect() as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"


@pytest.mark.parametrize("error", [ConnectionAbortedError(103, "aborted"), OSError(71, "protocol error")])
def test_accept_that_fails_for_the_client_is_no_reason_to_pause(error):
    """A client that gave up before it was accepted costs nothing but a turn."""
    calls = []

    class Sock:
        family = socket.AF_INET

        def _accept(self):
            calls.append(1)
            raise error

    paused = []
    door = Listener.__new__(Listener)
    clock = SimpleNamespace(clock=lambda: 0)
    door.worker = SimpleNamespace(room=lambda: 1, paused=False, pause=paused.append, reactor=clock)
    door.sock, door._batch, door._turn_ns = Sock(), 1, ACCEPT_NS
    door._sluice = SimpleNamespace(closed=False)
    door.accept()
    assert calls == [1]
    assert paused == []


@pytest.mark.parametrize(("cost", "accepted"), [(0, 64), (ACCEPT_NS // 4, 5), (ACCEPT_NS * 2, 1)])
def test_a_flood_takes_no_more_than_its_time_of_a_turn(cost, accepted):
    """However long a client takes to welcome or to send away, others wait for one of them more than its time."""
    clock, welcomed = [0], []

    class Door(Listener):
        def _welcome(self, fd, address):
            welcomed.append(fd)
            clock[0] += cost

    door = Door.__new__(Door)
    door.worker = SimpleNamespace(
        room=lambda: 100, paused=False, reactor=SimpleNamespace(clock=lambda: clock[0], now=0)
    )
    door.sock, door._batch, door._turn_ns = SimpleNamespace(_accept=lambda: (5, ("", 0))), 64, ACCEPT_NS
    door._sluice = SimpleNamespace(closed=False, look=lambda now: None)
    door.accept()
    assert len(welcomed) == accepted


def test_who_is_served_goes_before_who_comes():
    """In a turn in which clients come and others are served, those that come are accepted last, however many wait."""
    told = []
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        server.setblocking(False)
        reactor = Reactor(lambda owner, error: told.append(error))
        stack.callback(reactor.close)
        door = Listener.__new__(Listener)
        door.worker, door.fd = SimpleNamespace(reactor=reactor), server.fileno()
        door.accept = lambda: told.append("accept")
        door.listen()
        for _ in range(8):
            stack.enter_context(socket.create_connection(server.getsockname(), 10))
        wait_for(lambda: reactor.epoll.poll(0))  # the kernel tells of the listener first
        for _ in range(3):
            ours, theirs = (stack.enter_context(each) for each in socket.socketpair())
            reactor.watch(ours.fileno(), SimpleNamespace(ready=lambda fd, mask: told.append("serve")), EDGE_IN)
            theirs.send(b"x")
        reactor.turn(0)
    assert told == ["serve"] * 3 + ["accept"]


def test_the_last_turn_takes_everybody_who_waits():
    """A listener that is closed leaves nobody in the backlog, whatever that takes."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, contextlib.ExitStack() as stack:
        clients, waiting = [], []

        def close():
            wait_for(lambda: waiting)
            (door,) = plane.worker.listeners
            door._turn_ns = 0
            plane.worker.listeners.clear()
            door.close()

        plane.worker.reactor.post(close)
        clients = [stack.enter_context(plane.connect()) for _ in range(50)]
        waiting.append(True)
        for client in clients:
            client.sendall(b"x")
        assert [client.recv(1) for client in clients] == [b"x"] * 50
