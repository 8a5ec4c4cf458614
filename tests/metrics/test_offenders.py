"""Tests of `penstock.metrics.offenders`."""

import pytest

from penstock.base.addresses import unpack_ip
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import PORT, WRONG_LOGINS_SHIFT
from penstock.metrics.offenders import CLIENTS, conduct
from penstock.node.bans.judge import COUNTED
from penstock.testing.pen import Pen


def refused(reason):
    """Return the outcome of a refusal."""
    return Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason)


@pytest.fixture
def pen():
    """A ledger."""
    found = Pen(rows=8_192)
    yield found
    found.close()


def look(pen, *, wide=True, wanted=tuple(COUNTED)):
    """Return what the next fold of a ledger tells."""
    return conduct(LedgerReader(pen.fd, 1).fold().rows, wanted, wide=wide)


def named(counts):
    """Return counts by address."""
    return {unpack_ip(client.to_bytes(16)): count for client, count in counts}


def test_refusals_count_for_their_detectors(pen):
    """Each reason feeds the detector that it belongs to; what went well feeds none but the one of all connections."""
    for number, reason in enumerate(
        (Reason.DESTINATION, Reason.ACCESS, Reason.RATE_LIMIT, Reason.IP_LIMIT, Reason.PROTOCOL)
    ):
        pen.end(pen.open(1, (f"192.0.2.{number}", 1)), refused(reason))
    pen.end(pen.open(1, ("192.0.2.9", 1)), Outcome(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))
    pen.end(pen.open(1, ("192.0.2.8", 1)), Outcome(EndedBy.CLIENT_TIMEOUT, Phase.RELAY))
    pen.end(pen.open(1, ("192.0.2.7", 1)), COMPLETE)
    pen.open(1, ("192.0.2.6", 1))
    events = {name: named(counts) for name, counts in look(pen).events.items()}
    assert events["refused_destinations"] == {"192.0.2.0": 1, "192.0.2.1": 1}
    assert events["floods"] == {"192.0.2.2": 1, "192.0.2.3": 1}
    assert events["protocol_abuse"] == {"192.0.2.4": 1, "192.0.2.9": 1}
    assert set(events["connections"]) == {f"192.0.2.{number}" for number in (0, 1, 2, 3, 4, 7, 8, 9)}
    assert "failed_logins" not in events


def test_what_a_ban_refuses_feeds_nothing(pen):
    """It is told apart, for the ban's own count."""
    for _ in range(3):
        pen.end(pen.open(1, ("192.0.2.1", 1)), refused(Reason.BAN))
    found = look(pen)
    assert (found.events, found.walks) == ({}, [])
    assert named(found.refused) == {"192.0.2.1": 3}


def test_wrong_logins_count_each_and_showing_none_does_not(pen):
    """A connection may guess several times; one that was only asked for a login has not tried."""
    row = pen.open(1, ("192.0.2.1", 443))
    pen.ledger.words[row + PORT] += 3 << WRONG_LOGINS_SHIFT
    pen.end(row, refused(Reason.AUTH))
    pen.end(pen.open(1, ("192.0.2.2", 443)), refused(Reason.AUTH))
    assert named(look(pen).events["failed_logins"]) == {"192.0.2.1": 3}


def test_ipv6_clients_are_as_wide_as_they_are_told(pen):
    """All that share 64 bits are one client, or each is its own; IPv4 is always its own."""
    for host in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", "-"):
        pen.end(pen.open(1, (host, 1)), refused(Reason.ACCESS))
    expected = {"2001:db8::": 2, "2001:db8:0:1::": 1, "192.0.2.1": 1, "192.0.2.2": 1}
    assert named(look(pen).events["refused_destinations"]) == expected
    assert len(look(pen, wide=False).events["refused_destinations"]) == 5


def test_listeners_count_where_nothing_useful_was_done(pen):
    """Each listener once for each client; a byte to or from a target makes a visit useful."""
    for listener in (1, 1, 2, 2):
        pen.end(pen.open(listener, ("192.0.2.1", 1)), COMPLETE)
    row = pen.open(2, ("192.0.2.2", 1))
    pen.move(row, 0, 0, 1)
    pen.end(row, COMPLETE)
    walks = [(unpack_ip(client.to_bytes(16)), listener) for client, listener in look(pen).walks]
    assert sorted(walks) == [("192.0.2.1", 1), ("192.0.2.1", 2)]


def test_under_a_flood_those_that_did_most_are_told(pen):
    """A tick tells a bounded number of clients, and the worst are among them."""
    for number in range(CLIENTS + 1_000):
        pen.end(pen.open(1, (f"10.0.{number >> 8}.{number & 255}", 1)), refused(Reason.ACCESS))
    for _ in range(5):
        pen.end(pen.open(1, ("192.0.2.1", 1)), refused(Reason.ACCESS))
    counts = look(pen).events["refused_destinations"]
    assert len(counts) == CLIENTS
    assert named(counts)["192.0.2.1"] == 5


def test_what_nobody_wants_is_not_looked_for(pen):
    """Detectors that are off cost nothing; what bans refuse is told all the same."""
    pen.end(pen.open(1, ("192.0.2.1", 1)), refused(Reason.RATE_LIMIT))
    pen.end(pen.open(1, ("192.0.2.2", 1)), refused(Reason.BAN))
    found = look(pen, wanted=())
    assert (found.events, found.walks, named(found.refused)) == ({}, [], {"192.0.2.2": 1})
