"""Totals across a restart, through a real ledger."""

import pytest
from msgspec.structs import replace

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import RoutePlan
from penstock.metrics.ledger import H_FAILED_LOGINS, H_LOGINS, H_PROXY_HEADERS
from penstock.metrics.registry import Registry
from penstock.metrics.saved import MOST, SavedError, parse, serialize
from penstock.metrics.totals import SavedTotals
from penstock.testing.standin import EGRESS, PLAN, WEB, StandIn


@pytest.fixture
def node():
    """A node with some history."""
    node = StandIn()
    web, egress = node.pen.open(listener=1), node.pen.open(listener=2)
    node.pen.aim(web, 1, 2)
    node.pen.move(web, 10, 20, 30, 40, 3)
    node.pen.move(egress, 200)
    node.pen.end(node.pen.open(listener=1), Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH))
    node.pen.end(egress, COMPLETE)
    node.sampler.registry.respawned()
    node.pen.ledger.words[H_LOGINS], node.pen.ledger.words[H_FAILED_LOGINS] = 4, 2
    node.pen.ledger.words[H_PROXY_HEADERS] = 3
    node.tick()
    yield node
    node.close()


def restored(saved, *listeners):
    """Return the registry of a next run, with these listeners."""
    worker = replace(PLAN.worker, listeners=listeners or PLAN.worker.listeners)
    registry = Registry(replace(PLAN, worker=worker), 0)
    registry.restore(parse(serialize(saved), SavedTotals))
    return registry


def test_every_total_continues(node):
    """Listeners, routes, pairs, targets, outcomes, refusals and respawns are what they were; what was open is lost."""
    before, after = node.sampler.registry, restored(node.sampler.registry.export())
    for old, new in (
        (before.listeners, after.listeners),
        (before.routes, after.routes),
        (before.targets, after.targets),
    ):
        for scope in range(3):
            expected = old.of(scope)
            assert new.of(scope)[:7] == expected._replace(active=0)[:7]
            assert new.of(scope).rate_in == 0
    pairs = before.pairs.counts()
    assert {key: each.bytes_in for key, each in after.pairs.counts().items()} == {
        key: each.bytes_in for key, each in pairs.items()
    }
    assert after.outcomes == {**before.outcomes, (EndedBy.INTERNAL, Phase.RELAY): 1}
    assert (after.refused, after.respawns) == (before.refused, 1)
    assert (after.logins, after.failed_logins) == (before.logins, before.failed_logins) == (4, 2)
    assert after.proxy_headers == before.proxy_headers == 3
    assert not any(line.residual for line in after.audited)


@pytest.mark.parametrize(("kept", "since"), [(7, 7), (0, 50), (99, 50)])
def test_since_when_it_counts_is_kept(node, kept, since):
    """Totals that go on began in the first life; unless nobody knows when, or the clock was set back since."""
    node.sampler.registry.since_ns = kept
    registry = Registry(PLAN, 0)
    registry.since_ns = 50
    registry.restore(parse(serialize(node.sampler.registry.export()), SavedTotals))
    assert registry.since_ns == since


def test_what_was_restored_is_no_growth(node):
    """A restart shows in no rate: the first sample after it holds what was moved since."""
    saved, next_ = node.sampler.registry.export(), StandIn()
    next_.sampler.registry.restore(saved)
    snapshot = next_.tick()
    assert snapshot.series.rates("node", 1).bytes_in == 0
    assert (snapshot.throughput.bytes_in, snapshot.totals.bytes_in) == (0, 210)
    assert snapshot.audit.exact
    next_.close()


def test_ids_may_change(node):
    """Listeners in another order, with other targets before them, find their own totals."""
    first, second = WEB.route.targets
    moved = replace(WEB, id=5, route=replace(WEB.route, targets=(replace(first, id=9), replace(second, id=8))))
    after = restored(node.sampler.registry.export(), replace(EGRESS, id=1, route=RoutePlan(id=7, name="out")), moved)
    assert (after.listeners.of(5).bytes_in, after.listeners.of(1).bytes_in) == (10, 200)
    assert (after.targets.of(8).target_rx, after.targets.of(9).target_rx) == (30, 0)
    assert after.routes.of(7).bytes_in == 200


def test_names_that_are_gone_stay_in_the_sum_and_come_back(node):
    """A listener that is taken out of the plan stays in the node's total; put back, it continues."""
    without = restored(node.sampler.registry.export(), WEB)
    assert (without.listeners.whole().bytes_in, without.listeners.of(1).bytes_in) == (210, 10)
    assert not any(line.residual for line in without.audited)
    again = restored(without.export())
    assert [again.listeners.of(scope).bytes_in for scope in range(3)] == [0, 10, 200]
    assert again.pairs.counts()[2, 2].bytes_in == 200


def test_connections_without_a_route_end_without_one():
    """Who had taken no route when the node went is counted under none, so routes add up."""
    node = StandIn()
    row = node.pen.open(listener=1, route=0)
    node.pen.move(row, 7)
    node.tick()
    after = restored(node.sampler.registry.export())
    assert (after.routes.of(0).connections, after.routes.of(0).bytes_in) == (1, 7)
    assert after.pairs.counts()[1, 0].connections == 1
    assert after.routes.whole().connections == after.listeners.whole().connections == 1
    node.close()


def test_two_restarts_are_one(node):
    """Saving what was restored changes nothing but that all has ended."""
    once = restored(node.sampler.registry.export())
    twice = restored(once.export())
    assert once.export() == twice.export()


def test_numbers_beyond_belief_leave_the_registry_alone(node):
    """A file that would overflow a sum is refused before anything is added."""
    saved = node.sampler.registry.export()
    registry = Registry(PLAN, 0)
    with pytest.raises(SavedError, match="too large"):
        registry.restore(replace(saved, listeners=(*saved.listeners, (("x",), (MOST,) * 7))))
    assert registry.export() == Registry(PLAN, 0).export()
