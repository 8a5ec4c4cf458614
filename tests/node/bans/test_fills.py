"""Tests of `penstock.node.bans.fills`."""

import os

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS
from penstock.config.limit_plan import LimitsPlan, RatePlan
from penstock.dataplane import limit_table
from penstock.dataplane.limit_table import IP, LimitTable
from penstock.node.bans.fills import fills

LIMITS = LimitsPlan(connections_per_ip=5, rate_per_ip=RatePlan(count=9, window=60 * NS), exempt=("198.51.100.0/24",))


def test_what_workers_count_is_told():
    """Open connections and what is used of the rate, over all workers; a look changes nothing."""
    fd = limit_table.create(2, 4)
    host, now = "192.0.2.7", 1_000 * NS
    for seat in (0, 1):
        table = LimitTable(fd, seat)
        slot = table.slot(pack_ip(host), IP, 60 * NS, now)
        assert table.enter(slot, 5)
        assert table.count(slot, 9, 60 * NS, now)
        assert table.count(slot, 9, 60 * NS, now)
    seen = LimitTable(fd)
    told = {
        each.limit: (each.used, each.most, each.window, each.exempt)
        for each in fills(seen, LIMITS, pack_ip(host), host, now)
    }
    assert told == {"connections_per_ip": (2, 5, None, False), "rate_per_ip": (4, 9, 60.0, False)}
    before = bytes(seen.words)
    assert [each.used for each in fills(seen, LIMITS, pack_ip("198.51.100.1"), "198.51.100.1", now)] == [0, 0]
    assert fills(seen, LIMITS, pack_ip("198.51.100.1"), "198.51.100.1", now)[0].exempt
    assert bytes(seen.words) == before
    assert fills(seen, LimitsPlan(), pack_ip(host), host, now) == []
    os.close(fd)
