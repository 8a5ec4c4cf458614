"""A worker as its supervisor sees it: orders, limits, drain, and what is left when everybody has gone."""

import contextlib
import gc
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import AccessRulePlan
from penstock.dataplane import orders
from penstock.dataplane.ban_ranges import FOREVER
from penstock.dataplane.bans import LISTED
from penstock.dataplane.bind import Binding
from penstock.dataplane.connection import Connection
from penstock.dataplane.dialer import Dial
from penstock.dataplane.exchange import HttpExchange
from penstock.dataplane.farewell import Farewell
from penstock.dataplane.inbox import Inbox
from penstock.dataplane.orders import CloseConnection, Closed, Drain, Drained, Stop
from penstock.dataplane.relay import End
from penstock.dataplane.resolver import Answer
from penstock.dataplane.udp import Association
from penstock.metrics import ledger
from penstock.node.bans.ranges import Span, columns_of
from penstock.node.bans.writing import write
from penstock.testing.http_peers import Wire, ok, origin, request, slowly
from penstock.testing.peers import echo, read_all, serving, until_released
from penstock.testing.workbench import bench, listener, quick, wait_for

LOOKED_AT_S = 61
"""By then the wheel has let go of who ended after more than a second, as connections do on a busy machine."""

MINE = (Connection, End, Inbox, HttpExchange, Farewell, Dial, Binding, Association)


def say(client, data=b"x"):
    """Send through an echo and hear it."""
    client.sendall(data)
    assert client.recv(len(data)) == data


def soon():
    """Return a deadline whose tenth a test can wait for."""
    return time.monotonic_ns() + 5 * NS


def far():
    """Return a deadline that no test reaches."""
    return time.monotonic_ns() + 60 * NS


def test_a_rule_with_a_time_holds_for_those_who_came_before(monkeypatch):
    """A client that was let in is kept out from the first minute of a rule on, though the worker remembers it."""
    minute = [0]
    monkeypatch.setattr("penstock.dataplane.worker.minute_of_week", lambda now: minute[0])
    rule = AccessRulePlan(name="night", action="block", times=((10, 20),))
    with serving(echo) as target, bench(listener("main", "tcp", target.port), rules=(rule,)) as plane:

        def comes_in():
            with plane.connect() as client, contextlib.suppress(OSError):
                client.sendall(b"x")
                return client.recv(1) == b"x"

        assert comes_in()
        assert comes_in()
        minute[0] = 15
        wait_for(lambda: not comes_in())
        minute[0] = 21
        wait_for(comes_in)


# Orders --------------------------------------------------------------------------------------------------------------


def test_unknown_connection_is_not_found():
    """An order to close a connection that is not there is answered so, and ends nobody."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        say(client)
        plane.order(CloseConnection(4_711))
        assert plane.report(Closed) == Closed(4_711, False)
        say(client)


@pytest.mark.parametrize("state", ["handshake", "dial", "farewell"])
def test_connection_is_closed_in_any_state(state):
    """An operator's order ends a connection whatever it is doing, and its outcome says so."""
    gate = threading.Event()
    with serving(until_released(gate)) as target, bench(listener("main", "http")) as plane:
        with Wire(plane.connect()) as wire:
            if state == "dial":
                plane.worker.resolver._lookup = lambda host: Answer((), "late") if gate.wait(10) else None
                wire.send(request("GET", "http://slow.example/"))
            elif state == "farewell":
                wire.send(b"nonsense\r\n\r\n")
                assert wire.read_message().status == 400
            else:
                wire.send(request("GET", f"http://127.0.0.1:{target.port}/")[:10])
            wait_for(lambda: plane.rows() and plane.rows()[0].client_rx == wire.tx)
            plane.order(CloseConnection(1))
            assert plane.report(Closed) == Closed(1, True)
            assert plane.ended()[0].outcome.ended_by is EndedBy.ADMIN
        gate.set()


def test_end_of_the_supervisor_is_the_end_of_the_worker():
    """When the control pair closes, every connection ends as an operator's and the loop returns."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        say(client)
        plane.control.shutdown(socket.SHUT_RDWR)
        assert client.recv(1) == b""
        plane.thread.join(10)
        assert not plane.thread.is_alive()


def test_nonsense_on_the_control_pair_does_not_hide_the_next_order():
    """A packet that is no order is told of, and the order behind it is obeyed."""
    with bench(listener("main", "http")) as plane:
        plane.forgiving = True
        for packet in (b"nonsense", b'{"type":"unheard-of"}', b"{}", orders.serialize(CloseConnection(1))):
            plane.control.send(packet)
        assert plane.report(Closed) == Closed(1, False)
        assert len(plane.faults()) == 3


def test_stop_closes_the_doors():
    """After a stop nobody is served, and nobody can connect: no descriptor of a listener stays open."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        say(client)
        plane.order(Stop())
        assert read_all(client) == b""
        plane.thread.join(10)
        with pytest.raises(ConnectionRefusedError):
            plane.connect()


# Drain ---------------------------------------------------------------------------------------------------------------


def test_drain_of_nobody_ends_at_once():
    """A worker without connections is drained at once, says so once, and ends."""
    with bench(listener("one", "http"), listener("two", "http")) as plane:
        plane.order(Drain(far()))
        plane.thread.join(10)
        assert not plane.thread.is_alive()
        plane.faults()
        assert [each for each in plane.reports if isinstance(each, Drained)] == [Drained()]


def test_drain_closes_idle_clients_and_lets_others_finish():
    """A client between two requests is closed; one that is being answered hears all of it, and is closed then."""
    gate = threading.Event()
    with origin(slowly(gate)) as target, bench(listener("main", "http")) as plane:
        with Wire(plane.connect()) as idle, Wire(plane.connect()) as busy:
            idle.send(request("GET", target.url()))
            assert idle.read_message().body == b"done"
            busy.send(request("GET", target.url("/slow")))
            wait_for(lambda: len(target.requests) == 2)
            plane.order(Drain(soon()))
            assert idle.read() == b""
            assert plane.worker.draining
            gate.set()
            assert busy.read_message().body == b"done"
            assert busy.read() == b""
        plane.report(Drained)
        assert {row.outcome for row in plane.ended(2)} == {COMPLETE}
        plane.thread.join(10)
        plane.faults()
        assert [each for each in plane.reports if isinstance(each, Drained)] == [Drained()]


def test_drain_of_many_idle_clients_says_so_once():
    """However many idle clients a drain closes, and though the last of them is the last of all, it is told once."""
    with origin(lambda *_: ok(b"done")) as target, bench(listener("main", "http")) as plane:
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                wire = stack.enter_context(Wire(plane.connect()))
                wire.send(request("GET", target.url()))
                wire.read_message()
            plane.order(Drain(soon()))
            plane.thread.join(10)
        plane.faults()
        assert [each for each in plane.reports if isinstance(each, Drained)] == [Drained()]


def test_drain_cuts_at_its_deadline():
    """What still runs at the drain's deadline is cut, and its outcome is an operator's, while draining."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        say(client)
        plane.order(Drain(time.monotonic_ns() + NS // 5))
        say(client)
        assert client.recv(1) == b""
        plane.report(Drained)
        assert plane.ended()[0].outcome == Outcome(EndedBy.ADMIN, Phase.DRAIN)


def test_drain_takes_nobody_in():
    """From the order on a new client is refused, while old ones are served."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        say(client)
        plane.order(Drain(far()))
        wait_for(lambda: plane.worker.draining and plane.worker.listeners[0].fd not in plane.worker.reactor.table)
        plane.turn()  # the socket is closed at the end of the turn that has heard the order
        with pytest.raises(ConnectionRefusedError):
            plane.connect()
        say(client)


def test_clients_in_the_backlog_are_served_by_a_drain():
    """Clients that the kernel had welcomed when the drain began, to whichever door, are served to their end."""
    gate, wait = threading.Event(), threading.Event()
    with serving(echo) as target:
        plans = [listener(name, "tcp", target.port) for name in ("one", "two")]
        with bench(*plans) as plane, contextlib.ExitStack() as stack:
            plane.worker.reactor.post(lambda: (wait.set(), gate.wait(10)))
            assert wait.wait(10)
            clients = [stack.enter_context(plane.connect(name)) for name in ("one", "two") for _ in range(5)]
            plane.order(Drain(far()))
            gate.set()
            for client in clients:
                say(client)
            for client in clients:
                client.close()
            plane.report(Drained)
            assert [row.outcome for row in plane.ended(10)] == [COMPLETE] * 10


# Limits --------------------------------------------------------------------------------------------------------------


def test_beyond_the_limit_clients_are_sent_away_and_it_accepts_on():
    """At the node's limit a client is closed with its reason, accepting goes on, and who leaves makes room."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port), connections=4) as plane:
        clients = [plane.connect() for _ in range(4)]
        for client in clients:
            say(client)
        with plane.connect() as refused:
            assert read_all(refused) == b""
        assert plane.ended(1)[0].outcome == Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.GLOBAL_LIMIT)
        assert plane.words[ledger.H_PAUSES] == 0
        wait_for(lambda: plane.worker.ledger.open_rows == 4)
        clients.pop().close()
        plane.ended(2)
        clients.append(plane.connect())
        for client in clients:
            say(client)
            client.close()
        assert len(plane.ended(6)) == 6


def test_worker_counts_whom_it_accepted():
    """The header of the ledger says how many connections there have been."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane:
        for _ in range(3):
            with plane.connect() as client:
                say(client)
        wait_for(lambda: plane.words[ledger.H_ACCEPTED] == 3)


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
from penstock.dataplane.orders import Notice
from penstock.testing.workbench import bench, listener
with bench(listener("main", "http")) as plane:
    eaten = []
    if sys.argv[1] == "eaten":
        for _ in range(200):
            try:
                eaten.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for fd in eaten[-5:]:
            os.close(fd)
        del eaten[-5:]
    print(plane.ports["main"], flush=True)
    print(plane.report(Notice).event, flush=True)
    sys.stdin.readline()
    for fd in eaten:
        os.close(fd)
    print(plane.report(Notice).event, flush=True)
    sys.stdin.readline()
    plane.forgiving = False
    print(len(plane.faults()), flush=True)
"""


@pytest.mark.parametrize("way", ["counted", "eaten"])
def test_accepting_pauses_at_the_descriptor_limit_and_goes_on(way):
    """Before the last descriptor, or when the system has none, accepting pauses; with free ones it goes on."""
    command = [sys.executable, "-c", LIMITED, way]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        with contextlib.ExitStack() as stack:
            port = int(process.stdout.readline())
            clients = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(100)
            ]
            assert process.stdout.readline() == "accept paused\n"
            if way == "counted":
                for client in clients[:60]:
                    client.close()
            print(file=process.stdin)
            assert process.stdout.readline() == "accept resumed\n"
            if way == "counted":
                with Wire(clients[-1]) as wire:
                    wire.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert wire.read_message().status == 200
        print(file=process.stdin)
        assert process.stdout.readline() == "0\n"


# What is left --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_collector():
    """Let nothing but reference counts free objects."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def left():
    """Return how many objects of connections there are."""
    return sum(type(each) in MINE for each in gc.get_objects())


def test_a_thousand_short_connections_leave_nothing():
    """After a thousand relayed connections no descriptor, no open row and no object of theirs is left."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, no_collector():
        before, objects = len(plane.worker.reactor.table), left()
        for _ in range(1_000):
            with plane.connect() as client:
                client.sendall(b"x")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"x"
        plane.ended(1_000)
        wait_for(lambda: plane.worker.ledger.open_rows == 0)
        wait_for(lambda: len(plane.worker.reactor.table) == before, "the descriptors to be closed")
        plane.later(LOOKED_AT_S)
        wait_for(lambda: left() <= objects, "the objects to be freed without the collector")


def _closes_early(plane, target):
    with plane.connect("http") as client:
        client.sendall(b"GET")


def _says_nothing(plane, target):
    plane.connect("http").close()


def _is_malformed(plane, target):
    with Wire(plane.connect("http")) as wire:
        wire.send(b"nonsense\r\n\r\n")
        wire.read()


def _is_too_slow(plane, target):
    with Wire(plane.connect("http")) as wire:
        wire.send(b"GET")
        plane.await_read(wire.sock)
        plane.later(61)
        wire.read()


def _is_too_slow_for_socks(plane, target):
    with Wire(plane.connect("socks5")) as wire:
        wire.send(b"\x05")
        plane.await_read(wire.sock)
        plane.later(61)
        wire.read()


def _asks_twice(plane, target):
    with Wire(plane.connect("http")) as wire:
        for _ in range(2):
            wire.send(request("POST", target.url(), b"x"))
            wire.read_message()


def _finds_nobody(plane, target):
    with Wire(plane.connect("http")) as wire:
        wire.send(request("GET", f"http://127.0.0.1:{plane.ports['http']}/"))
        wire.read_message()


def _tunnels(plane, target):
    with Wire(plane.connect("http")) as wire:
        wire.send(f"CONNECT 127.0.0.1:{target.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wire.read_head()
        wire.send(request("GET", "http://x/"))
        wire.read_message()


def _resets(plane, target):
    with Wire(plane.connect("http")) as wire:
        wire.send(request("GET", target.url()))
        wire.read(1)
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _binds(plane, target):
    with Wire(plane.connect("socks5")) as wire:
        wire.send(b"\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\1\0\0")
        wire.read(2 + 10)


def _associates(plane, target):
    with Wire(plane.connect("socks5")) as wire:
        wire.send(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0")
        wire.read(2 + 10)


@pytest.mark.parametrize(
    "client",
    [
        _closes_early, _says_nothing, _is_malformed, _is_too_slow, _is_too_slow_for_socks, _asks_twice, _finds_nobody,
        _tunnels, _resets, _binds, _associates,
    ],
)  # fmt: skip
def test_ended_connection_is_freed_without_the_collector(client):
    """However a connection ends, nothing of it is kept alive by a cycle."""
    with origin(lambda *_: ok(b"done")) as target:
        plans = listener("http", "http"), listener("socks5", "socks5")
        with bench(*plans, timeouts=quick(handshake=60)) as plane, no_collector():
            objects, table = left(), len(plane.worker.reactor.table)
            for index in range(3):
                client(plane, target)
                plane.ended(index + 1)
            assert [row for row in plane.rows() if row.state == ledger.OPEN] == []
            plane.later(LOOKED_AT_S)
            wait_for(lambda: left() <= objects, f"{client.__name__} to be freed")
            wait_for(lambda: len(plane.worker.reactor.table) <= table + 1, "the descriptors to be closed")


# Bans ----------------------------------------------------------------------------------------------------------------


def hexadecimal(*hosts):
    """Return ranges of an order, each of one address."""
    return tuple((pack_ip(host).hex(), pack_ip(host).hex()) for host in hosts)


def test_connections_of_banned_clients_end_and_no_others():
    """An order names ranges of addresses; IPv4 is the same on every listener."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, plane.connect() as client:
        say(client)
        plane.order(orders.CutClients(hexadecimal("127.0.0.2", "::1")))
        plane.order(orders.CutClients(()))
        say(client)
        plane.order(orders.CutClients(hexadecimal("127.0.0.1")))
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_a_table_of_banned_networks_is_taken_and_one_that_is_none_is_told():
    """Whoever is in it is closed from the next connection on, before a byte is read."""
    first, last = (int.from_bytes(pack_ip(host)) for host in ("127.0.0.0", "127.255.255.255"))
    table = write(columns_of([Span(first, last, FOREVER)]))
    bad = os.memfd_create("x")
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane:
        plane.forgiving = True
        plane.order(orders.NewBans(LISTED), [bad])
        assert plane.report(orders.Notice).event == "bans of networks stay as they were"
        with plane.connect() as client:
            say(client)
        plane.order(orders.NewBans(LISTED), [table])
        wait_for(lambda: closed_at_once(plane))
        plane.order(orders.NewBans(LISTED))
        wait_for(lambda: not closed_at_once(plane))
    os.close(bad)
    os.close(table)


def closed_at_once(plane):
    """Return whether a new client is closed without a word."""
    with plane.connect() as client, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(b"x")
        return client.recv(1) == b""
    return True
