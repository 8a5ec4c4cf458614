"""Tests of `penstock.node.bans.judge`."""

from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE
from penstock.config.ban_plan import DetectorPlan
from penstock.metrics.fold import LedgerReader
from penstock.node.bans.judge import Judge
from penstock.policy.ranges import address_number
from penstock.testing.pen import Pen

from .conftest import BANS

CLIENT = address_number("192.0.2.7")


def visit(judge, pen, reader, listener):
    """Let a client come and go at a listener."""
    pen.end(pen.open(listener, ("192.0.2.7", 1)), COMPLETE)
    judge.look(reader.fold())


def test_counts_outlive_a_plan_that_leaves_their_rule_alone():
    """A reload forgives nobody; another threshold begins anew."""
    pen, judge = Pen(), Judge(BANS)
    reader = LedgerReader(pen.fd, 1)
    visit(judge, pen, reader, 1)
    visit(judge, pen, reader, 2)
    assert judge.verdicts(0) == ([], [])
    assert [(rule.name, count) for rule, count in judge.counts(CLIENT, 0)] == [("port_walks", 2)]
    judge.replan(replace(BANS, ipv6_networks=False))
    assert [count for _, count in judge.counts(CLIENT, 0)] == [2]
    judge.replan(replace(BANS, detectors=(("port_walks", DetectorPlan(threshold=9, window=NS, duration=NS)),)))
    assert list(judge.counts(CLIENT, 0)) == []
    pen.close()


def test_who_is_dropped_begins_anew():
    """An operator has lifted the ban."""
    pen, judge = Pen(), Judge(BANS)
    reader = LedgerReader(pen.fd, 1)
    visit(judge, pen, reader, 1)
    judge.verdicts(0)
    judge.drop(CLIENT)
    assert list(judge.counts(CLIENT, 0)) == []
    pen.close()


def test_nobody_walks_over_more_listeners_than_there_are():
    """A node with two listeners has no use for a detector that waits for three."""
    judge = Judge(BANS, listeners=2)
    assert [name for name, _ in judge._counters.items()] == ["failed_logins"]
