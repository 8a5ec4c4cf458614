"""Where a node comes from, and where it is reached."""

from penstock.base.addresses import Endpoint
from penstock.node.origin import Origin, endpoints
from penstock.testing.standin import PLAN


def test_a_node_of_nobody_binds_everything_and_succeeds_nobody():
    """Without anything said, there are no sockets, no process before it, and no program to start."""
    origin = Origin()
    assert (origin.inherited.close(), origin.elder, origin.program) == ([], None, ())


def test_listeners_are_reached_by_name():
    """Each at its address."""
    assert endpoints(PLAN) == {"web": Endpoint("127.0.0.1", 8001), "egress": Endpoint("::", 1080)}
