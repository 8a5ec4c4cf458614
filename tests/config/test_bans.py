"""Tests of `penstock.config.bans`."""

import pytest
from pydantic import ValidationError

from penstock.config.bans import Bans, Blocklist, Words
from penstock.config.mistakes import Wrong


def test_nobody_is_banned_for_one_event():
    """Every threshold is 2 at least, or off."""
    for name in ("failed_logins", "refused_destinations", "floods", "port_walks", "protocol_abuse"):
        assert Bans.model_validate({name: {"threshold": "off"}}).model_dump()[name]["threshold"] == "off"
        with pytest.raises(ValidationError):
            Bans.model_validate({name: {"threshold": 1}})


@pytest.mark.parametrize("reason", ["", "a\nb", "x" * 201, "\x1b[31m", 5])
def test_a_reason_is_a_line(reason):
    """It stands in logs and tables."""
    with pytest.raises(Wrong, match="one line"):
        Words().parse(reason)


def test_a_list_needs_a_file():
    """And has a reason that nobody needs to write."""
    assert Blocklist.model_validate({"file": "x"}).reason == "listed"
    with pytest.raises(ValidationError):
        Blocklist.model_validate({"reason": "x"})
