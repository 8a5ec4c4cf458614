"""The registry: every protocol that a listener may have, and each is a conversation."""

import pytest

from penstock.config.plan import ListenerPlan, RoutePlan, TargetPlan
from penstock.connection.commands import Facts
from penstock.connection.registry import CONVERSATIONS
from penstock.testing.stage import Stage


@pytest.mark.parametrize("protocol", ["tcp", "http", "socks5", "tls", "auto"])
def test_every_protocol_begins(protocol):
    """A fresh conversation of each protocol asks for the client's bytes or dials."""
    listener = ListenerPlan(
        id=1,
        name="l",
        protocol=protocol,
        host="127.0.0.1",
        port=1,
        route=RoutePlan(id=1, name="default", targets=(TargetPlan(id=1, host="a", port=1),)),
    )
    stage = Stage(CONVERSATIONS[protocol](Facts("192.0.2.9", 5_000), listener))
    assert stage.waits_for_client == (protocol != "tcp")
    assert not stage.over


def test_there_are_no_others():
    """The words of `ListenerPlan.protocol` and of the registry are the same."""
    assert set(CONVERSATIONS) == {"tcp", "http", "socks5", "tls", "auto"}
