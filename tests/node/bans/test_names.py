"""Tests of `penstock.node.bans.names`."""

import asyncio

import pytest

from penstock.node.bans.names import follow
from penstock.node.bans.views import BanError, WantedBan


class EnoughError(Exception):
    """The test has seen enough."""


def test_targets_with_names_are_protected_by_their_addresses(kept):
    """Names that lead nowhere protect nothing, and stop nothing."""
    asked, rounds = [], []

    def lookup(name):
        asked.append(name)
        if len(asked) == 1:
            raise OSError("no such name")
        return ["198.51.100.1", "2001:db8::1"]

    async def pause(seconds):
        rounds.append(seconds)
        if len(rounds) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        asyncio.run(follow(kept.desk.spared, lookup, pause))
    assert asked == ["app.example"] * 2
    for address in ("198.51.100.1", "2001:db8::1"):
        with pytest.raises(BanError, match=f"{address} is the target app.example"):
            kept.desk.ban(WantedBan(address=address))
