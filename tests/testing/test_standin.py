"""The node without processes."""

import asyncio

from penstock.node.admin import Node
from penstock.testing.standin import StandIn


def test_it_is_a_node():
    """It does what the admin door asks of a node: shows, closes, drains, and says whether it is ready."""
    standin = StandIn()
    node: Node = standin
    standin.pen.open()
    assert standin.tick().totals.active == 1
    (view,) = node.snapshot().live.page().connections
    assert asyncio.run(node.close_connection(view.id))
    assert not asyncio.run(node.close_connection(5))
    assert standin.closed == [view.id, 5]
    assert node.ready() == (True, "")
    asyncio.run(node.drain())
    assert node.ready() == (False, "the node is draining")
    standin.close()
