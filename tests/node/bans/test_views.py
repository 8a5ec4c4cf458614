"""Tests of `penstock.node.bans.views`."""

import pytest

from penstock.base.clock import NS
from penstock.node.bans.views import BanError, WantedBan, length_of, parse_wanted, view_of
from penstock.policy.ban import Ban, Evidence


def test_an_order_is_read():
    """With the words of the command line; what is left out is as usual."""
    wanted = parse_wanted(b'{"address": "192.0.2.1", "for": "1h", "confirm": "60s", "cut": true}')
    assert wanted == WantedBan(address="192.0.2.1", length="1h", confirm="60s", cut=True)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"address": 5}', b'{"address": "x", "y": 1}', b'{"address": "x", "reason": "a\\nb"}',
             b'{"address": "x", "reason": "' + b"x" * 201 + b'"}', b"\xff"]
)  # fmt: skip
def test_what_is_no_order_is_refused(body):
    """Unknown keys, wrong types, and reasons that are no line."""
    with pytest.raises(BanError):
        parse_wanted(body)


def test_durations_are_bounded():
    """Ten years; who wants more says nothing."""
    assert (length_of("for", None), length_of("for", "90s")) == (None, 90 * NS)
    with pytest.raises(BanError, match="for"):
        length_of("for", "3651d")


def test_a_ban_is_told_in_the_units_of_the_door():
    """Times as text, lengths in seconds, and what a detector saw."""
    seen = Evidence(counted="failed logins", count=9, threshold=5, window=60 * NS, offence=2)
    ban = Ban(network="192.0.2.1", origin="auto", reason="failed_logins", since=0, until=90 * NS, evidence=seen)
    view = view_of(ban, 30 * NS, {"192.0.2.1": 4}, told=True)
    assert (view.since, view.until) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:01:30.000Z")
    assert (view.seconds_left, view.refused, view.evidence.window, view.evidence.offence) == (60.0, 4, 60.0, 2)
    assert view_of(ban, 30 * NS, {}, told=False).refused is None
