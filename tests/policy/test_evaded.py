"""Routes that block addresses and let names around."""

import pytest

from penstock.config.plan import AccessRulePlan, DestinationPlan, ListenerPlan, MatchPlan, RoutePlan, WorkerPlan
from penstock.policy.evaded import evaded


def plan(*hosts, private=True, protocol="socks5", action="block", rules=()):
    """Return a plan with a listener and a route about these destinations."""
    match = MatchPlan(destinations=tuple(DestinationPlan(host=each) for each in hosts))
    listener = ListenerPlan(id=1, name="s", protocol=protocol, host="::", port=1, allow_private=private)
    return WorkerPlan(
        listeners=(listener,), routes=(RoutePlan(id=2, name="r", match=match, action=action),), rules=rules
    )


def block(host):
    """Return an access rule that blocks a destination."""
    return AccessRulePlan(name="no", action="block", destinations=(DestinationPlan(host=host),))


@pytest.mark.parametrize("one", [plan("*.internal", "10.0.0.0/8"), plan("198.51.100.7", private=False)])
def test_networks_that_a_name_leads_into(one):
    """A network or an address that is blocked by its number alone is told."""
    ((route, why),) = evaded(one)
    assert route.name == "r"
    assert "as it is written only" in why
    assert "*.internal" not in why


@pytest.mark.parametrize(
    "one",
    [
        plan("*.internal", "*", "0.0.0.0/0"),
        plan("10.0.0.0/8", private=False),
        plan("10.0.0.0/8", rules=(block("10.0.0.0/8"),)),
        plan("10.0.0.0/8", action="forward"),
        plan("10.0.0.0/8", protocol="tcp"),
    ],
)
def test_what_no_name_goes_around(one):
    """Names, everything, private networks where those are refused anyway, and what an access rule blocks too."""
    assert list(evaded(one)) == []
