"""The workbench runs a worker, shows its ledger, and stops it."""

import select
import socket

import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE
from penstock.dataplane.orders import CloseConnection, Closed
from penstock.testing import workbench
from penstock.testing.peers import echo, serving


def test_a_row_tells_what_a_connection_moved():
    """After a connection its row is ended, with its four counters and its outcome."""
    with serving(echo) as target, workbench.bench(workbench.listener("main", "tcp", target.port)) as plane:
        with plane.connect() as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(9) == b"hello"
        row = plane.ended()[0]
    assert (row.client_rx, row.client_tx, row.target_rx, row.target_tx) == (5, 5, 5, 5)
    assert row.outcome == COMPLETE


def test_listeners_are_told_apart_by_name():
    """Each plan gets a port and an id of its own."""
    with serving(echo) as target:
        plans = [workbench.listener(name, "tcp", target.port) for name in ("one", "two")]
        with workbench.bench(*plans) as plane:
            assert plane.ports["one"] != plane.ports["two"]
            assert [each.plan.id for each in plane.worker.listeners] == [1, 2]


def test_orders_are_answered():
    """The test holds the supervisor's end of the control pair."""
    with workbench.bench(workbench.listener("main", "tcp", 1)) as plane:
        plane.order(CloseConnection(77))
        assert plane.report(Closed) == Closed(77, False)


def test_the_worker_is_gone_after_the_block():
    """Nothing listens any more, and the thread has ended."""
    with workbench.bench(workbench.listener("main", "tcp", 1)) as plane:
        port = plane.ports["main"]
    assert not plane.thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_what_does_not_happen_fails():
    """Waiting for a condition that never comes true fails, and says for what."""
    with pytest.raises(AssertionError, match="the moon"):
        workbench.wait_for(lambda: False, "the moon", 0.02)


def test_deadlines_end_when_the_test_says():
    """What was sent is read, and then a minute is over at once: who has said half a head has been cut."""
    with (
        workbench.bench(workbench.listener("main", "http"), timeouts=workbench.quick(handshake=60)) as plane,
        plane.connect() as client,
    ):
        client.sendall(b"GET")
        plane.await_read(client)
        plane.later(30)
        assert select.select([client], [], [], 0)[0] == []
        plane.later(31)
        assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_deadlines_are_given_in_seconds():
    """A short deadline is written in seconds; the others stay those of the product."""
    assert workbench.quick(idle=0.5).idle == NS // 2
    assert workbench.quick(idle=0.5).connect == 5 * NS
