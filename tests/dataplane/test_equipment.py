"""What a plan means to a worker, built ahead."""

from types import SimpleNamespace

import pytest

from penstock.base.errors import StartError
from penstock.config.plan import MatchPlan, RoutePlan, WorkerPlan
from penstock.config.tls_plan import CertificatePlan, TargetTlsPlan, TlsPlan
from penstock.dataplane.board import Board
from penstock.dataplane.equipment import prepare, try_out
from penstock.dataplane.limit_table import LimitTable, create
from penstock.testing.workbench import listener

WORKER = SimpleNamespace(board=Board(), entrance=SimpleNamespace(table=LimitTable(create(1))))


def test_each_listener_gets_what_concerns_it():
    """Rules only where a route can match, trusted peers only where headers are read."""
    rule = RoutePlan(id=2, name="r", match=MatchPlan(listeners=(1,)))
    one = listener("one", "tcp", 80, accept_proxy="required", trusted_proxies=("10.0.0.0/8",))
    two = listener("two", "tcp", 81, id=2)
    prepared = prepare(WorkerPlan(listeners=(one, two), routes=(rule,)), WORKER)
    assert prepared.equipment[1].rules is not None
    assert prepared.equipment[2].rules is None
    assert "10.1.1.1" in prepared.equipment[1].trusted
    assert prepared.equipment[2].trusted is None
    assert prepared.routes.of(two.route).plan == two.route


def test_a_certificate_that_is_gone_is_told():
    """A file that has vanished since it was looked at is an error with its name."""
    broken = listener("x", "tcp", 80, tls=TlsPlan(certificates=(CertificatePlan(cert="gone.pem", key="gone.key"),)))
    with pytest.raises(StartError, match=r"gone\.pem"):
        prepare(WorkerPlan(listeners=(broken,)), WORKER)
    with pytest.raises(StartError, match=r"gone\.pem"):
        try_out(WorkerPlan(listeners=(broken,)))
    route = RoutePlan(id=2, name="r", target_tls=TargetTlsPlan(ca="gone.ca"))
    with pytest.raises(StartError, match=r"gone\.ca"):
        try_out(WorkerPlan(listeners=(), routes=(route,)))
