"""The supervisor's side of the limit table."""

import pytest

from penstock.base.clock import NS
from penstock.dataplane.limit_table import IP, NODE, LimitTable
from penstock.node.limits import Limits


@pytest.fixture
def limits():
    """Of two workers."""
    made = Limits(2)
    yield made
    made.close()


def test_a_dead_workers_connections_are_given_back(limits):
    """What one worker had open is gone, what the other one has stays, and so does what both let in."""
    dead, alive = LimitTable(limits.fd, 0), LimitTable(limits.fd, 1)
    slots = [dead.slot(bytes((number,)) * 16, IP, NS, NS) for number in range(1, 200)]
    for slot in (NODE, *slots):
        assert all(table.enter(slot, 10) for table in (dead, alive))
    assert all(dead.count(slot, 10, NS, NS) for slot in slots)
    limits.forget(0)
    assert {alive.open_in(slot) for slot in (NODE, *slots)} == {1}
    assert {alive.used(slot, NS, NS) for slot in slots} == {1}
    dead.close()
    alive.close()


def test_a_node_in_one_process_has_one_seat():
    """With no worker processes there is one worker, which has a column."""
    limits = Limits(0)
    table = LimitTable(limits.fd, 0)
    assert table.enter(NODE, 1)
    limits.forget(0)
    assert table.open_in(NODE) == 0
    table.close()
    limits.close()
