"""Whom rules keep out before anything is read."""

import time
from types import SimpleNamespace

import pytest

from penstock.base.addresses import pack_ip
from penstock.config.plan import AccessRulePlan, ListenerPlan, WorkerPlan
from penstock.dataplane.doorman import Doorman, minute_of_week
from penstock.dataplane.entrance import REFUSE_ACCESS
from penstock.dataplane.equipment import access_of

LISTENERS = (
    ListenerPlan(id=1, name="web", protocol="tcp", host="::", port=80),
    ListenerPlan(id=2, name="egress", protocol="socks5", host="::", port=1_080),
)


def doorman(*rules, minute=0):
    """Return one, and the worker that it stands in."""
    worker = SimpleNamespace(minute=minute, entrance=SimpleNamespace(why=""))
    plan = WorkerPlan(listeners=LISTENERS, rules=rules)
    return Doorman(worker, [SimpleNamespace(plan=each, access=access_of(plan, each)) for each in LISTENERS]), worker


def block(**fields):
    """Return a rule that blocks."""
    return AccessRulePlan(name="no", action="block", **fields)


def test_nobody_stands_where_nothing_is_blocked():
    """Without rules that block, the entrance need not ask."""
    assert not doorman()[0]
    assert not doorman(AccessRulePlan(name="yes", action="allow"))[0]


def test_the_rules_of_the_listener_count():
    """An address is kept out of the listener that a rule is for, and let into others; why is said."""
    ask, worker = doorman(block(listeners=(1,), clients=("192.0.2.0/24",)))
    assert ask(pack_ip("192.0.2.7"), 1, 0) == REFUSE_ACCESS
    assert worker.entrance.why == "access rule no blocks it"
    assert ask(pack_ip("192.0.2.7"), 2, 0) == 0
    assert ask(pack_ip("198.51.100.7"), 1, 0) == 0
    assert ask(pack_ip("::ffff:192.0.2.7"), 1, 0) == REFUSE_ACCESS


def test_what_needs_a_destination_waits():
    """A rule that asks for a destination keeps nobody out at the door, and neither does one that it would go before."""
    from penstock.config.plan import DestinationPlan

    later = AccessRulePlan(name="ok", action="allow", priority=1, destinations=(DestinationPlan(host="a"),))
    assert doorman(block(), later)[0](pack_ip("192.0.2.7"), 2, 0) == 0
    assert doorman(block(), later)[0](pack_ip("192.0.2.7"), 1, 0) == REFUSE_ACCESS


def test_a_unix_socket_has_no_address():
    """Its clients are in no network, and rules for everybody hold for them."""
    assert doorman(block(clients=("0.0.0.0/0", "::/0")))[0](bytes(16), 1, 0) == 0
    assert doorman(block())[0](bytes(16), 1, 0) == REFUSE_ACCESS


def test_no_more_clients_are_remembered_than_there_is_room_for(monkeypatch):
    """Whoever comes from many addresses takes no memory, and each of them hears what its rules say, again and again."""
    monkeypatch.setattr("penstock.dataplane.doorman.KNOWN", 2)
    ask, _ = doorman(block(clients=("192.0.2.0/30",)))
    for number in (0, 1, 7, 2, 1, 7, 7, 3, 0):
        assert bool(ask(pack_ip(f"192.0.2.{number}"), 1, 0)) == (number < 4)


def test_times_are_those_of_the_worker():
    """A rule for some minutes of the week holds in them."""
    ask, worker = doorman(block(times=((10, 20),)), minute=10)
    assert ask(pack_ip("192.0.2.7"), 1, 0) == REFUSE_ACCESS
    worker.minute = 21
    assert ask(pack_ip("192.0.2.7"), 1, 0) == 0


@pytest.mark.parametrize(
    ("when", "minute"), [("2026-11-16 00:00", 0), ("2026-11-16 08:30", 510), ("2026-11-22 23:59", 7 * 1_440 - 1)]
)
def test_the_week_begins_with_monday(when, minute):
    """Minutes are counted from Monday's midnight."""
    assert minute_of_week(time.strptime(when, "%Y-%m-%d %H:%M")) == minute
