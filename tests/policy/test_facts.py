"""Facts and decisions are values."""

import pytest

from penstock.config.plan import RoutePlan
from penstock.policy.facts import Decision, RouteFacts


def test_what_is_not_known_says_so():
    """A listener is all that is always known; nothing else is made up."""
    facts = RouteFacts(listener=1)
    assert (facts.client, facts.host, facts.path, facts.user, facts.tls_version, facts.sni) == (
        "-",
        "",
        "",
        "",
        0,
        False,
    )


def test_they_do_not_change():
    """What a route was decided by stays what it was."""
    facts = RouteFacts(listener=1)
    with pytest.raises(AttributeError):
        facts.host = "example.org"
    assert Decision(RoutePlan(id=1, name="a"), "why")._fields == ("route", "why")
