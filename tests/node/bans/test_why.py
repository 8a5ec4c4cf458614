"""Tests of `penstock.node.bans.why`."""

import pytest

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.node.bans.views import BanError, WantedBan
from penstock.node.bans.why import REFUSALS, why


def ask(node, ip):
    """Return what holds against an address."""
    return why(node.desk, node.snapshot().records, ip)


def test_nothing_holds_against_a_stranger(node):
    """Everything is empty."""
    found = ask(node, "192.0.2.7")
    assert (found.refused, found.bans, found.lists, found.counts, found.offences) == (False, [], [], [], 0)
    assert (found.protected, found.refusals) == ("", [])


def test_bans_around_and_refusals_of_late_are_told(node):
    """Bans of the address and of networks, the newest refusals first, and no connection that went well."""
    node.desk.ban(WantedBan(address="192.0.2.0/29"))
    node.desk.ban(WantedBan(address="192.0.2.7", shadow=True))
    for _ in range(REFUSALS + 5):
        node.pen.end(node.pen.open(), Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.BAN))
    node.pen.end(node.pen.open())
    node.tick()
    found = ask(node, "::ffff:192.0.2.7")
    assert (found.address, found.refused) == ("192.0.2.7", True)
    assert [each.network for each in found.bans] == ["192.0.2.0/29", "192.0.2.7"]
    assert [each.reason for each in found.refusals] == ["ban"] * REFUSALS
    assert found.refusals[0].number > found.refusals[-1].number


def test_a_ban_in_shadow_refuses_nobody(node):
    """It is told all the same."""
    node.desk.ban(WantedBan(address="192.0.2.7", shadow=True))
    found = ask(node, "192.0.2.7")
    assert (found.refused, len(found.bans)) == (False, 1)


def test_who_cannot_be_banned_is_told_why(node):
    """So nobody waits for a ban that never comes."""
    assert ask(node, "127.0.0.1").protected == "127.0.0.0/8 is loopback"


@pytest.mark.parametrize("ip", ["", "nonsense", "192.0.2.0/24"])
def test_what_is_no_address_is_refused(node, ip):
    """One address, and nothing else."""
    with pytest.raises(BanError, match="ip: "):
        ask(node, ip)
