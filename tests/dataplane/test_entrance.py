"""The entrance: the first refusal ends it, nothing is asked that nobody gave, and nothing is kept by who is refused."""

import os

import pytest

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS
from penstock.config.limit_plan import LimitPlan, LimitsPlan, RatePlan
from penstock.config.plan import WorkerPlan
from penstock.dataplane.entrance import (
    REFUSE_ACCESS,
    REFUSE_BAN,
    REFUSE_GLOBAL,
    REFUSE_IP,
    REFUSE_RATE,
    Entrance,
)
from penstock.dataplane.limit_table import IP, KNOWN, NODE, LimitTable, create
from penstock.testing.workbench import listener

HOST = "192.0.2.1"
CLIENT = pack_ip(HOST)
MINUTE = 60 * NS


@pytest.fixture
def entrance():
    """One with a table of its own, and no limits but a high one of the node."""
    fd = create(1, 4)
    table = LimitTable(fd)
    made = Entrance(table)
    made.equip(WorkerPlan(listeners=()))
    yield made
    table.close()
    os.close(fd)


def limited(connections=1_000, exempt=(), *, per_ip=0, rate=0, listeners=()):
    """Return a plan with these limits."""
    plan = RatePlan(count=rate, window=MINUTE) if rate else None
    limits = LimitsPlan(connections_per_ip=per_ip, rate_per_ip=plan, exempt=tuple(exempt))
    return WorkerPlan(listeners=listeners, connections=connections, limits=limits)


def admit(entrance, host=HOST, now=NS):
    """Let a client ask."""
    return entrance.admit(pack_ip(host), host, 1, now)


class Listed(set):
    """Bans of these packed addresses, behind a crowd of two places that are full."""

    crowd = (1, 1)

    def holds(self, packed):
        """Return whether it is one of them."""
        return packed in self

    def remainder(self, packed):
        """Return whether it is even."""
        return packed[-1] % 2


def test_bans_come_before_access(entrance):
    """A banned address is refused as such; access is asked about the others, with listener and time."""
    asked = []

    def access(ip, listener, now):
        asked.append((ip, listener, now))
        return REFUSE_ACCESS

    entrance.ask(bans=Listed({CLIENT}), access=access)
    assert entrance.admit(CLIENT, HOST, 3, 5) == entrance.admit(CLIENT, HOST, 3, 5, greeted=True) == REFUSE_BAN
    assert asked == []
    entrance.ask(bans=Listed(), access=access)
    assert entrance.admit(CLIENT, HOST, 3, 5) == entrance.admit(CLIENT, HOST, 3, 5, greeted=True) == REFUSE_ACCESS
    assert asked == [(CLIENT, 3, 5)] * 2
    assert entrance.table.open_in(NODE) == 0


def test_regulars_are_asked_again_when_something_may_have_changed(entrance):
    """Who was let in is not judged anew each time: only once it, or one like it, is banned, or all are forgotten."""
    asked, listed = [], Listed()
    crowd = [0, 0]

    def access(ip, listener, now):
        asked.append(listener)
        return 0

    listed.crowd = crowd
    entrance.equip(limited(listeners=(listener("main"), listener("other", id=2))))
    entrance.ask(bans=listed, access=access)
    assert [admit(entrance), admit(entrance), entrance.admit(CLIENT, HOST, 1, NS, greeted=True)] == [0] * 3
    assert entrance.admit(CLIENT, HOST, 2, NS) == 0
    assert asked == [1, 2]
    crowd[CLIENT[-1] % 2] = 1  # another one of the same remainder
    assert admit(entrance) == 0
    assert asked == [1, 2, 1]
    listed.add(CLIENT)
    assert admit(entrance) == entrance.admit(CLIENT, HOST, 1, NS, greeted=True) == REFUSE_BAN
    listed.clear()
    crowd[:] = [0, 0]
    assert admit(entrance) == 0
    assert asked == [1, 2, 1]
    entrance.forget()
    assert [admit(entrance), admit(entrance)] == [0, 0]
    assert asked == [1, 2, 1, 1]


def test_a_listener_that_has_gone_empties_its_backlog(entrance):
    """Who came to a listener that the plan has no more is asked for bans and rules, and counted in the node."""
    entrance.equip(limited(2))
    assert [entrance.admit(CLIENT, HOST, 9, NS) for _ in range(3)] == [0, 0, REFUSE_GLOBAL]
    entrance.ask(bans=Listed({CLIENT}), access=None)
    assert entrance.admit(CLIENT, HOST, 9, NS) == REFUSE_BAN


def test_each_limit_has_its_reason(entrance):
    """The node's limit comes before that of the address, and its connections before its rate."""
    entrance.equip(limited(2, per_ip=1, rate=1))
    assert admit(entrance) == 0
    assert entrance.lease
    lease = entrance.lease
    assert admit(entrance) == REFUSE_IP
    assert admit(entrance, "192.0.2.2") == 0
    assert admit(entrance) == admit(entrance, "192.0.2.3") == REFUSE_GLOBAL
    entrance.leave(lease, 0)
    assert admit(entrance) == REFUSE_RATE
    assert entrance.lease == 0
    assert entrance.table.open_in(NODE) == 1
    assert entrance.table.open_in(lease) == 0


def test_who_is_refused_uses_no_rate(entrance):
    """A client beyond its connections has its whole rate left when one of them ends."""
    entrance.equip(limited(per_ip=1, rate=2))
    assert admit(entrance) == 0
    assert [admit(entrance) for _ in range(5)] == [REFUSE_IP] * 5
    slot = entrance.table.slot(CLIENT, IP, MINUTE, NS)
    entrance.leave(slot, 0)
    assert admit(entrance) == 0


def test_exempt_clients_are_counted_in_the_node_alone(entrance):
    """Clients of exempt networks and of Unix sockets take no slot; the node's limit is theirs, too."""
    entrance.equip(limited(5, exempt=["127.0.0.0/8"], per_ip=1, rate=1))
    assert [admit(entrance, "127.0.0.1") for _ in range(2)] == [0, 0]
    assert [admit(entrance, "-") for _ in range(2)] == [0, 0]
    assert entrance.lease == 0
    assert [admit(entrance), admit(entrance)] == [0, REFUSE_GLOBAL]
    assert entrance.lease == 0


def test_behind_a_header_the_peer_has_the_place(entrance):
    """A peer takes the node's last place, and the client that it speaks for needs no other."""
    entrance.equip(limited(1, per_ip=1))
    assert entrance.greet(1, NS) == 0
    assert entrance.greet(1, NS) == REFUSE_GLOBAL
    assert entrance.admit(CLIENT, HOST, 1, NS, greeted=True) == 0
    assert entrance.lease
    assert entrance.table.open_in(NODE) == 1
    assert entrance.admit(CLIENT, HOST, 1, NS, greeted=True) == REFUSE_IP


def test_another_plan_forgets_no_count(entrance):
    """After a reload with lower limits what is open still counts, and an exemption holds at once, both ways."""
    entrance.equip(limited(per_ip=3))
    leases = []
    for _ in range(3):
        assert admit(entrance) == 0
        leases.append(entrance.lease)
    entrance.equip(limited(per_ip=2))
    entrance.leave(leases.pop(), 0)
    assert admit(entrance) == REFUSE_IP
    entrance.equip(limited(per_ip=2, exempt=["192.0.2.0/24"]))
    assert admit(entrance) == 0
    entrance.equip(limited(per_ip=3))
    assert admit(entrance) == 0
    assert admit(entrance) == REFUSE_IP
    assert entrance.table.open_in(NODE) == 4


def test_a_key_without_room_comes_in_uncounted(entrance):
    """Where the table has no room for an address, the client comes in and holds no place of it."""
    entrance.equip(limited(10_000, per_ip=5))
    for number in range(64):
        assert admit(entrance, f"198.51.100.{number}") == 0
    assert entrance.lease == 0
    entrance.leave(entrance.lease, entrance.door)
    assert entrance.table.open_in(NODE) == 63


def test_what_is_remembered_is_bounded(entrance):
    """However many addresses come, a bounded number of them is remembered, which all listeners share."""
    listeners = listener("main"), listener("other", id=2)
    entrance.equip(limited(10**9, exempt=["10.0.0.0/8"], per_ip=5, listeners=listeners))
    for number in range(KNOWN + 10):
        for each in (1, 2, 3):
            host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            entrance.admit(pack_ip(host), host, each, NS)
    doors = [entrance._side_door, *entrance._doors.values()]
    assert all(0 < len(each.regulars) <= KNOWN // 2 for each in doors)


def test_a_listener_has_limits_of_its_own(entrance):
    """Connections and rate of a listener count for all its clients, exempt ones too, and for no other listener."""
    door = listener("main", limits=LimitPlan(connections=2, rate=RatePlan(count=3, window=MINUTE)))
    entrance.equip(WorkerPlan(listeners=(door, listener("other", id=2)), connections=100))
    assert [admit(entrance, "127.0.0.1"), admit(entrance)] == [0, 0]
    slot = entrance.door
    assert slot
    assert admit(entrance) == entrance.greet(1, NS) == REFUSE_GLOBAL
    assert entrance.why == "main has 2 connections"
    assert entrance.door == 0
    assert entrance.admit(CLIENT, HOST, 2, NS) == 0
    assert entrance.door == 0
    for answer in (0, REFUSE_RATE):
        entrance.table.leave(slot)
        assert admit(entrance) == answer
    assert entrance.why == "main has had 3 in 60 s"
    assert entrance.table.open_in(slot) == 1
    assert entrance.table.open_in(NODE) == 4


def test_rates_with_a_burst(entrance):
    """An address and a listener that have a burst let it pass at once, and then one each time that one is due."""
    door = listener("main", limits=LimitPlan(rate=RatePlan(count=60, window=MINUTE, burst=3)))
    per_ip = LimitsPlan(rate_per_ip=RatePlan(count=60, window=MINUTE, burst=2))
    entrance.equip(WorkerPlan(listeners=(door,), connections=100, limits=per_ip))
    assert [admit(entrance), admit(entrance), admit(entrance)] == [0, 0, REFUSE_RATE]
    assert [admit(entrance, "192.0.2.9"), entrance.why] == [REFUSE_RATE, "main has had 3 at once, and has 60 in 60 s"]
    assert [entrance.admit(CLIENT, HOST, 1, NS + step * NS) for step in (1, 2)] == [0, 0]
    assert entrance.table.open_in(NODE) == 4


def test_who_is_refused_for_its_address_holds_no_place_of_the_listener(entrance):
    """A client beyond the limit of its address gives back the place that its listener had for it."""
    entrance.equip(limited(100, listeners=(listener("main", limits=LimitPlan(connections=9)),), per_ip=1))
    assert admit(entrance) == 0
    slot = entrance.door
    assert admit(entrance) == REFUSE_IP
    assert entrance.table.open_in(slot) == entrance.table.open_in(NODE) == 1
