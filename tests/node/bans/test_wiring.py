"""Tests of `penstock.node.bans.wiring`."""

from types import SimpleNamespace

from penstock.base.addresses import pack_ip
from penstock.config.limit_plan import LimitsPlan
from penstock.config.plan import NodePlan
from penstock.metrics.fold import LedgerReader
from penstock.node.bans.wiring import connect
from penstock.node.limits import Limits
from penstock.policy.ban import parse_network
from penstock.testing.pen import Pen

from .conftest import PLAN


def test_the_desk_reaches_workers_limits_and_the_store(kept):
    """What it orders goes to the crew, after what is open was counted; what it holds goes to the keeper."""
    pen, cut, limits = Pen(), [], Limits(1)
    pen.open(1, ("192.0.2.7", 1))
    crew = SimpleNamespace(cut=cut.append, hand_bans=lambda place, fds: None)
    sampler = SimpleNamespace(readers=lambda: [LedgerReader(pen.fd, 1)])
    keeper = SimpleNamespace(keep_entries=lambda: None)
    connect(kept.desk, crew, sampler, limits, keeper)
    network = parse_network("192.0.2.0/24")
    assert (kept.desk.cut(network), cut) == (1, [network.ranges])
    assert sampler.watch == kept.desk.look
    assert keeper.entries is kept.desk.drawer
    address = int.from_bytes(pack_ip("192.0.2.7"))
    assert isinstance(PLAN, NodePlan)
    assert PLAN.worker.limits == LimitsPlan()
    assert kept.desk.fills(address, 0) == []  # a plan without limits
    limits.close()
    pen.close()
