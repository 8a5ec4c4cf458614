"""Tests of `penstock.node.bans.opened`."""

import pytest

from penstock.metrics.fold import LedgerReader
from penstock.node.bans.opened import count_open
from penstock.policy.ban import parse_network
from penstock.testing.pen import Pen


@pytest.mark.parametrize(
    ("network", "count"),
    [("192.0.2.1", 2), ("192.0.2.0/24", 3), ("2001:db8::/64", 1), ("2001:db8::/32", 2), ("::/0", 2), ("0.0.0.0/0", 3)],
)
def test_open_connections_of_a_network_are_counted(network, count):
    """Those that have ended, others, and Unix peers are not."""
    pen = Pen()
    for host in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::9", "2001:db8:1::", "-"):
        pen.open(1, (host, 1))
    pen.end(pen.open(1, ("192.0.2.1", 1)))
    assert count_open(LedgerReader(pen.fd, 1), parse_network(network)) == count
    pen.close()
