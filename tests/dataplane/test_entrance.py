"""The entrance: the first refusal ends it, and nothing is asked that nobody gave."""

import pytest

from penstock.base.addresses import pack_ip
from penstock.dataplane.entrance import REFUSE_ACCESS, REFUSE_BAN, Entrance
from penstock.dataplane.limit_table import LimitTable

CLIENT = pack_ip("192.0.2.1")


@pytest.fixture
def entrance():
    """One with a table of its own."""
    table = LimitTable()
    yield Entrance(table)
    table.close()


def test_bans_come_before_access(entrance):
    """A banned address is refused as such; access is asked about the others, with listener and time."""
    asked = []

    def access(ip, listener, now):
        asked.append((ip, listener, now))
        return REFUSE_ACCESS

    entrance.bans = {CLIENT: REFUSE_BAN}.get
    entrance.access = access
    assert entrance.admit(CLIENT, "192.0.2.1", 3, 5) == REFUSE_BAN
    assert asked == []
    entrance.bans = lambda ip: 0
    assert entrance.admit(CLIENT, "192.0.2.1", 3, 5) == REFUSE_ACCESS
    assert asked == [(CLIENT, 3, 5)]
